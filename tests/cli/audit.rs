//! `okmsd audit`: a trail that is followed while its file gives way to others, and one of which a chain is
//! not there.

use std::{
    fs::{self, OpenOptions},
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};

use super::{PATIENCE, Server, ends, fails, region, send, serve, succeeds};

/// Longer than `audit tail` waits before it looks again.
const A_LOOK: Duration = Duration::from_millis(600);

fn record(number: u32) -> String {
    format!("{{\"type\":\"request\",\"seq\":{number}}}\n")
}

/// What a server appends, and how it gives the file another name.
struct Writing<'a> {
    folder: &'a Path,
    number: u32,
}

impl Writing<'_> {
    fn text(&self, text: &str) {
        let file = self.folder.join("audit.log");
        let mut file = OpenOptions::new().create(true).append(true).open(file).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn records(&mut self, many: u32) {
        for _ in 0..many {
            self.number += 1;
            self.text(&record(self.number));
        }
    }

    fn gives_way(&self) -> std::path::PathBuf {
        let before = self.folder.join(format!("audit-{:020}.log", self.number));
        fs::rename(self.folder.join("audit.log"), &before).unwrap();
        before
    }

    /// The same, of a server that packs what is full at once.
    fn is_packed(&self) {
        let before = self.gives_way();
        let packed = fs::File::create(before.with_extension("log.gz")).unwrap();
        let mut packing = GzEncoder::new(packed, Compression::fast());
        packing.write_all(&fs::read(&before).unwrap()).unwrap();
        packing.finish().unwrap();
        fs::remove_file(before).unwrap();
    }
}

/// Each record comes once and in order, however many files were filled since the last look, and be the file
/// gone that was read.
#[test]
fn a_trail_is_followed_from_file_to_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut writing = Writing { folder: folder.path(), number: 0 };
    writing.records(5);
    let mut tail = Command::new(env!("CARGO_BIN_EXE_okmsd"))
        .args(["audit", "tail", "--json", "-n", "2"])
        .arg(folder.path().join("audit.log"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(tail.stdout.take().unwrap()).lines().map_while(Result::ok);
    let (tell, told) = mpsc::channel();
    thread::spawn(move || lines.for_each(|line| drop(tell.send(line))));
    let _ended_with_the_test = Server::from(tail);
    let mut next = 4;
    let mut shown_up_to = |last: u32| {
        while next <= last {
            let line = told.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{next} is missing"));
            assert_eq!(line, record(next).trim_end());
            next += 1;
        }
    };
    shown_up_to(5);
    for round in 0..4 {
        // Half a record, and its rest when the first half was read.
        let (whole, length) = (record(writing.number + 1), 10);
        writing.text(&whole[..length]);
        if round % 2 == 0 {
            thread::sleep(A_LOOK);
        }
        writing.text(&whole[length..]);
        writing.number += 1;
        for _ in 0..3 {
            writing.records(2);
            writing.gives_way();
        }
        writing.records(1);
        shown_up_to(writing.number);
    }
    // For a while there is none.
    writing.gives_way();
    thread::sleep(A_LOOK);
    writing.records(2);
    shown_up_to(writing.number);
    // Files that were filled and packed between two looks were passed over, with all that was in them.
    for many in [2, 3] {
        for _ in 0..many {
            writing.records(3);
            writing.is_packed();
        }
        if many == 2 {
            writing.records(1);
        }
        shown_up_to(writing.number);
    }
    writing.records(1);
    shown_up_to(writing.number);
    // More than is kept, and removed.
    writing.records(1);
    fs::remove_file(writing.gives_way()).unwrap();
    thread::sleep(A_LOOK);
    writing.records(1);
    shown_up_to(writing.number);
    thread::sleep(A_LOOK);
    assert_eq!(told.try_recv(), Err(mpsc::TryRecvError::Empty), "it goes on, and says no more");
}

/// A whole trail that is gone was no fault: nothing of it had to be reached. It is one, unless whoever verifies
/// knows that it was put away.
#[test]
fn a_chain_of_which_nothing_is_there_is_missed() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = region(&temporary);
    let (dir, file) = (folder.to_str().unwrap(), folder.join("audit.log"));
    let away = temporary.path().join("away.log");
    let chain_of = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        text.strip_prefix(r#"{"chain":""#).unwrap()[..16].to_owned()
    };
    for is_first in [true, false] {
        let (mut server, _) = serve(&folder);
        send(&server, "-TERM");
        assert!(ends(&mut server).success());
        if is_first {
            fs::rename(&file, &away).unwrap();
        }
    }
    let [gone, there] = [&away, &file].map(|path| chain_of(path));
    assert_ne!(gone, there);
    let verify = ["audit", "verify", "--dir", dir];
    let without = |chain| [&verify[..], &["--without", chain]].concat();
    let missed =
        format!("nothing of chain {gone} is here; name its files, or say `--without {gone}`");
    fails(&verify, &missed);
    fails(&without(&there), &missed);
    fails(&without("a chain"), "must be the 16 hexadecimal digits that name a chain");
    let told = succeeds(&without(&gone));
    assert!(told.contains(&format!("chain {gone}: nothing of it is here")), "{told}");
    assert!(told.contains(&format!("chain {there}: records 1 to")), "{told}");
    let both = [away.to_str().unwrap(), file.to_str().unwrap()];
    succeeds(&[&verify[..], &both].concat());
    // What is there must be whole, whatever is not asked for.
    fs::write(&file, fs::read_to_string(&file).unwrap().replacen("\"release\"", "\"other\"", 1))
        .unwrap();
    fails(&without(&gone), "was edited");
    fails(&[&without(&gone)[..], &["--without", &there]].concat(), "was edited");
}
