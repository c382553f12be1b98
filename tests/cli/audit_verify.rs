//! `okmsd audit verify`: what is not signed, or lacks its beginning, and trails of several devices.

use std::{
    fs,
    path::{Path, PathBuf},
};

use okmsd::crypto::fingerprint;

use super::{ends, fails, region, send, serve, succeeds};

/// Serves the region for a moment, so that its trail ends with a stop.
fn served(folder: &Path) {
    let (mut server, _) = serve(folder);
    send(&server, "-TERM");
    assert!(ends(&mut server).success());
}

fn lines_of(file: &Path) -> Vec<String> {
    fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect()
}

fn write(file: &Path, lines: &[String]) {
    let text: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
    fs::write(file, text).unwrap();
}

fn chain_of(line: &str) -> String {
    line.strip_prefix(r#"{"chain":""#).unwrap()[..16].to_owned()
}

/// Records of these types, linked as a server does.
fn forged(chain: [u8; 8], kinds: &[&str]) -> Vec<String> {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let name = hex(&chain);
    let mut before = fingerprint(&[b"okmsd audit chain v1\n", chain.as_slice()].concat());
    let mut link = |(number, kind): (usize, &&str)| {
        let (seq, prev) = (number + 1, hex(&before));
        let line = format!(
            r#"{{"chain":"{name}","seq":{seq},"prev":"{prev}","time":"2026-11-01T00:00:00.000Z","type":"{kind}"}}"#
        );
        before = fingerprint(line.as_bytes());
        line
    };
    kinds.iter().enumerate().map(&mut link).collect()
}

struct Served {
    folder: PathBuf,
    _temporary: tempfile::TempDir,
}

impl Served {
    fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let folder = region(&temporary);
        Self { folder, _temporary: temporary }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn verify<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        [&["audit", "verify", "--dir", self.folder.to_str().unwrap()], more].concat()
    }

    /// Puts settings behind those of the device.
    fn set(&self, settings: &str) {
        let file = self.file("okmsd.toml");
        let config = fs::read_to_string(&file).unwrap();
        let path = "path = \"audit.log\"\n";
        assert!(config.contains(path), "{config}");
        fs::write(file, config.replace(path, &format!("{path}{settings}\n"))).unwrap();
    }
}

/// A chain that anybody can make counted as written, alone and behind a real one.
#[test]
fn what_nobody_has_signed_is_not_as_it_was_written() {
    let region = Served::new();
    served(&region.folder);
    let key = succeeds(&["audit", "key", "--dir", region.folder.to_str().unwrap()]);
    let (log, alone) = (region.file("audit.log"), region.file("alone.log"));
    let by_key = ["audit", "verify", "--key", key.trim(), alone.to_str().unwrap()];
    let whole = lines_of(&log);
    let said = "nothing is signed here";
    let request = forged([7; 8], &["start", "request"]);
    write(&alone, &request);
    fails(&by_key, said);
    write(&log, &[&whole[..], &request].concat());
    fails(&region.verify(&[]), said);
    // What a server leaves that is killed before it serves anybody.
    let start = forged([7; 8], &["start"]);
    for (file, lines) in [(&alone, start.clone()), (&log, [&whole[..], &start].concat())] {
        write(file, &lines);
        let told = succeeds(&if file == &alone { by_key.to_vec() } else { region.verify(&[]) });
        let words = "chain 0707070707070707: records 1 to 1 are not signed";
        assert!(told.contains(words) && !told.contains("1 to 1 are as they"), "{told}");
    }
}

/// The first records of a trail could be taken away.
#[test]
fn a_beginning_that_is_gone_is_missed() {
    let region = Served::new();
    served(&region.folder);
    served(&region.folder);
    let (log, before) = (region.file("audit.log"), region.file("audit-00000000000000000004.log"));
    let whole = lines_of(&log);
    let chain = chain_of(&whole[0]);
    write(&log, &whole[2..]);
    let missed = format!(
        "records 1 to 2 of chain {chain} are missing; name their files, or say `--without {chain}:2`"
    );
    fails(&region.verify(&[]), &missed);
    let [all, one, two, odd] = ["", ":1", ":2", ":x"].map(|to| format!("{chain}{to}"));
    for said in [&all, &one] {
        fails(&region.verify(&["--without", said]), &missed);
    }
    fails(&region.verify(&["--without", &odd]), "the number of a record");
    let told = succeeds(&region.verify(&["--without", &two]));
    assert!(told.contains("records 1 to 2 are not here"), "{told}");
    // Where the server removes files, it has removed those before, as long as there are as many as it keeps.
    write(&before, &whole[2..4]);
    write(&log, &whole[4..]);
    fails(&region.verify(&[]), &missed);
    region.set("keep = 1");
    let told = succeeds(&region.verify(&[]));
    assert!(told.contains("1 to 2 are not here; the config keeps no more files"), "{told}");
    fs::remove_file(&before).unwrap();
    fails(&region.verify(&[]), &missed.replace("1 to 2", "1 to 4").replace(":2", ":4"));
    write(&before, &whole[..4]);
    succeeds(&region.verify(&[]));
}

/// What two devices have is the same, and was told as there twice.
#[test]
fn each_device_has_a_trail_of_its_own() {
    let region = Served::new();
    served(&region.folder);
    let (log, second) = (region.file("audit.log"), region.file("second.log"));
    let config = region.file("okmsd.toml");
    let more = "\n[[audit.device]]\nkind = \"file\"\npath = \"second.log\"\n";
    fs::write(&config, fs::read_to_string(&config).unwrap() + more).unwrap();
    served(&region.folder);
    let (whole, own) = (lines_of(&log), lines_of(&second));
    let chain = chain_of(&whole[0]);
    // It was there from the second start on, and what came before is in the other.
    assert!(own.len() < whole.len() && whole.ends_with(&own));
    let told = succeeds(&region.verify(&["--closed"]));
    for (file, from) in [(&log, 1), (&second, whole.len() - own.len() + 1)] {
        let words = format!(
            "{}:\nchain {chain}: records {from} to {} are as they were written",
            file.display(),
            whole.len()
        );
        assert!(told.contains(&words), "{told}");
    }
    for (file, lines) in [(&log, &whole), (&second, &own)] {
        write(file, &lines[..lines.len() - 3]);
        fails(&region.verify(&[]), &format!("the end of chain {chain} is missing"));
        let edited = lines[1].replacen("\"time\":\"2", "\"time\":\"3", 1);
        write(file, &[&lines[..1], &[edited], &lines[2..]].concat());
        fails(&region.verify(&[]), &format!("{}:", file.display()));
        write(file, lines);
    }
    write(&log, &whole[2..]);
    fails(&region.verify(&[]), &format!("records 1 to 2 of chain {chain} are missing"));
}
