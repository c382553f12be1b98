//! What OpenSSL, NSS and Java think of what this room makes. The tools are run in a directory of
//! the test's own; a tool that is not installed skips its test with a printed word;
//! `COMPAT_STRICT=1` makes that a failure.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use super::test_tools::{DOMAIN, now, region, subject};
use super::*;
use crate::model::Timestamp;

/// Runs a tool in `dir`; `None` when it is not installed.
fn run(dir: &Path, program: &str, args: &[&str]) -> Option<Output> {
    // Java reads its arguments by the locale's encoding.
    match Command::new(program).args(args).current_dir(dir).env("LC_ALL", "C.UTF-8").output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            assert!(std::env::var_os("COMPAT_STRICT").is_none(), "{program} is not installed");
            println!("skipped: {program} is not installed");
            None
        }
        Err(error) => panic!("{program} did not start: {error}"),
    }
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Runs a tool that must succeed.
pub(super) fn good(dir: &Path, program: &str, args: &[&str]) -> Option<String> {
    let output = run(dir, program, args)?;
    assert!(output.status.success(), "{program} {args:?}: {}", text(&output));
    Some(text(&output))
}

#[test]
fn openssl_verifies_and_shows_what_was_issued() {
    let dir = TempDir::new().unwrap();
    let (ca, _) = region();
    fs::write(dir.path().join("ca.pem"), ca.certificate_pem()).unwrap();
    let names: Vec<ServerName> =
        ["kms.example.com", "127.0.0.1", "::1"].map(|name| name.parse().unwrap()).into();
    let at = now().unix_seconds().to_string();
    let fresh = KeySource::Fresh;
    let leaves = [
        ("server", ca.issue_server(&names, fresh(KeyKind::P256), now(), 30), "sslserver"),
        (
            "access",
            ca.issue_access(&subject(), "Facturation é", fresh(KeyKind::P256), now(), 30),
            "sslclient",
        ),
        (
            "operator",
            ca.issue_access(&Subject::Operator, "op", fresh(KeyKind::P384), now(), 30),
            "sslclient",
        ),
        (
            "rsa",
            ca.issue_access(&subject(), "rsa", fresh(KeyKind::Rsa2048), now(), 30),
            "sslclient",
        ),
    ];
    for (name, leaf, purpose) in leaves {
        let leaf = leaf.unwrap();
        let file = format!("{name}.pem");
        fs::write(dir.path().join(&file), &leaf.certificate_pem).unwrap();
        let verify = [
            "verify",
            "-x509_strict",
            "-purpose",
            purpose,
            "-attime",
            &at,
            "-CAfile",
            "ca.pem",
            &file,
        ];
        if good(dir.path(), "openssl", &verify).is_none() {
            return;
        }
        let shown =
            good(dir.path(), "openssl", &["x509", "-in", &file, "-noout", "-text"]).unwrap();
        assert!(shown.contains("CA:FALSE"), "{shown}");
        assert!(shown.contains("Digital Signature"), "{shown}");
        assert!(shown.contains("X509v3 Subject Key Identifier"), "{shown}");
        assert!(shown.contains("X509v3 Authority Key Identifier"), "{shown}");
        assert_eq!(shown.contains("TLS Web Client Authentication"), purpose == "sslclient");
        assert_eq!(shown.contains("TLS Web Server Authentication"), purpose == "sslserver");
        let serial =
            good(dir.path(), "openssl", &["x509", "-in", &file, "-noout", "-serial"]).unwrap();
        assert_eq!(serial.trim().to_ascii_lowercase(), format!("serial={}", leaf.serial));
        let other = if purpose == "sslclient" { "sslserver" } else { "sslclient" };
        let wrong = run(
            dir.path(),
            "openssl",
            &["verify", "-purpose", other, "-attime", &at, "-CAfile", "ca.pem", &file],
        );
        assert!(!wrong.unwrap().status.success(), "{name} must not serve as {other}");
    }
    let shown = |file: &str| {
        good(dir.path(), "openssl", &["x509", "-in", file, "-noout", "-ext", "subjectAltName"])
            .unwrap()
    };
    assert!(shown("server.pem").contains("DNS:kms.example.com, IP Address:127.0.0.1"));
    assert!(
        shown("access.pem").contains(&format!("UPN::okms.domain:{DOMAIN}")),
        "{}",
        shown("access.pem")
    );
    assert!(shown("operator.pem").contains("UPN::okms.domain:*"));
    let root = good(dir.path(), "openssl", &["x509", "-in", "ca.pem", "-noout", "-text"]).unwrap();
    assert!(root.contains("CA:TRUE, pathlen:0"), "{root}");
    assert!(root.contains("Certificate Sign, CRL Sign"), "{root}");
}

#[test]
fn a_ca_made_by_openssl_can_issue() {
    let dir = TempDir::new().unwrap();
    let cases: [&[&str]; 3] = [
        &["-newkey", "rsa:2048", "-subj", "/C=FR/O=Example/CN=Customer CA"],
        &[
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-521",
            "-subj",
            "/C=FR/O=Example/OU=Ops/CN=CA/emailAddress=ca@example.com",
        ],
        &["-newkey", "ed25519", "-utf8", "-subj", "/O=Société/CN=CA"],
    ];
    for case in cases {
        let mut args =
            vec!["req", "-x509", "-nodes", "-days", "36500", "-keyout", "ca.key", "-out", "ca.pem"];
        args.extend_from_slice(case);
        if good(dir.path(), "openssl", &args).is_none() {
            return;
        }
        let pem = fs::read_to_string(dir.path().join("ca.pem")).unwrap();
        let key =
            PrivateKeyPem::parse(fs::read_to_string(dir.path().join("ca.key")).unwrap()).unwrap();
        let ca = CertificateAuthority::load(&pem, &key).unwrap();
        // The real clock made this CA, so the moment of issue is taken from it.
        let moment = Timestamp::from_unix_seconds(ca.validity().not_after - 1000 * 86_400);
        let leaf =
            ca.issue_access(&subject(), "x", KeySource::Fresh(KeyKind::P256), moment, 30).unwrap();
        fs::write(dir.path().join("leaf.pem"), leaf.certificate_pem).unwrap();
        let at = moment.unix_seconds().to_string();
        good(dir.path(), "openssl", &["verify", "-attime", &at, "-CAfile", "ca.pem", "leaf.pem"])
            .unwrap();
    }
}

/// rcgen keeps one attribute of each type in a name. Before the name was compared at load, such a
/// CA loaded, issued, and every one of its leaves failed to verify.
#[test]
fn a_ca_whose_name_cannot_be_reproduced_is_refused_at_load() {
    let dir = TempDir::new().unwrap();
    for name in ["/DC=example/DC=com/CN=CA", "/"] {
        let mut args = vec![
            "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-keyout", "ca.key", "-out", "ca.pem",
        ];
        args.extend_from_slice(&["-subj", name]);
        if good(dir.path(), "openssl", &args).is_none() {
            return;
        }
        let pem = fs::read_to_string(dir.path().join("ca.pem")).unwrap();
        let key =
            PrivateKeyPem::parse(fs::read_to_string(dir.path().join("ca.key")).unwrap()).unwrap();
        let refused = CertificateAuthority::load(&pem, &key);
        assert!(
            matches!(refused, Err(Error::CaCertificate(CertificateFault::Name))),
            "{name}: {refused:?}"
        );
    }
}

/// A request made for anything else still serves, since only its key is taken. rcgen refuses
/// requests with extensions that it does not know (rustls/rcgen#150) and x509-parser verifies no
/// P-521 request, so this runs the real tool.
/// Lists as OpenSSL makes them by default (version 1), with extensions, and of a part.
#[test]
fn lists_made_by_openssl_are_read() {
    let dir = TempDir::new().unwrap();
    let long = format!("7F{}", "AB".repeat(19));
    let revoked = format!(
        "R\t490101000000Z\t260101000000Z,keyCompromise\t1F\tunknown\t/CN=a\n\
         V\t490101000000Z\t\t20\tunknown\t/CN=b\n\
         R\t490101000000Z\t260101000000Z\t{long}\tunknown\t/CN=c\n"
    );
    fs::write(dir.path().join("index.txt"), revoked).unwrap();
    fs::write(dir.path().join("number"), "0FFF\n").unwrap();
    let config = "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ncrlnumber=number\n\
                  [whole]\nauthorityKeyIdentifier=keyid:always\n\
                  [delta]\n2.5.29.27=critical,DER:020101\n\
                  [part]\nissuingDistributionPoint=critical,@point\n\
                  [point]\nfullname=URI:http://x/1.crl\n\
                  [unknown]\n1.2.3.4=critical,DER:0500\n";
    fs::write(dir.path().join("c"), config).unwrap();
    for kind in [&["rsa:2048"][..], &["ec", "-pkeyopt", "ec_paramgen_curve:P-384"], &["ed25519"]] {
        let subject = ["-nodes", "-subj", "/C=FR/O=Customer/CN=CA", "-keyout", "key", "-out", "ca"];
        let made = [&["req", "-x509", "-newkey"][..], kind, &subject].concat();
        if good(dir.path(), "openssl", &made).is_none() {
            return;
        }
        let pem = fs::read(dir.path().join("ca")).unwrap();
        let certificates = pem::every::<rustls_pki_types::CertificateDer<'static>>(&pem).unwrap();
        let signer = ListSigner::of_authority(&certificates[0]).unwrap();
        let list = |extensions: &[&str]| {
            let ca = "ca -gencrl -config c -keyfile key -cert ca -crldays 30 -out list";
            let digest = if kind == ["ed25519"] { "null" } else { "sha384" };
            let args: Vec<_> =
                ca.split(' ').chain(["-md", digest]).chain(extensions.iter().copied()).collect();
            good(dir.path(), "openssl", &args).unwrap();
            good(dir.path(), "openssl", &["crl", "-in", "list", "-outform", "DER", "-out", "der"]);
            ["list", "der"].map(|name| {
                let file = fs::read(dir.path().join(name)).unwrap();
                let lists = lists_in(&file).unwrap();
                assert_eq!(lists.len(), 1);
                RevocationList::read(&lists[0], [&signer]).map(|(_, list)| list)
            })
        };
        for extensions in [&[][..], &["-crlexts", "whole"]] {
            for list in list(extensions) {
                let list = list.unwrap();
                let contains =
                    ["1f", "20", &long].map(|serial| list.contains(serial.parse().unwrap()));
                assert_eq!((contains, list.len()), ([true, false, true], 2), "{kind:?}");
            }
        }
        for (extensions, fault) in [
            ("delta", ListFault::Partial),
            ("part", ListFault::Partial),
            ("unknown", ListFault::Critical),
        ] {
            for list in list(&["-crlexts", extensions]) {
                assert_eq!(list.err(), Some(fault), "{kind:?} {extensions}");
            }
        }
    }
}

#[test]
fn requests_made_by_openssl_are_taken_whatever_they_ask() {
    let dir = TempDir::new().unwrap();
    let (ca, _) = region();
    fs::write(dir.path().join("ca.pem"), ca.certificate_pem()).unwrap();
    let config = "[req]\nprompt = no\ndistinguished_name = dn\nreq_extensions = ext\nattributes = attrs\n\
        [dn]\nCN = intruder\nemailAddress = a@example.com\n\
        [attrs]\nchallengePassword = not-a-secret\nunstructuredName = something\n\
        [ext]\nbasicConstraints = critical,CA:TRUE\nkeyUsage = keyCertSign\n\
        extendedKeyUsage = serverAuth,1.2.3.4\nsubjectKeyIdentifier = hash\n\
        subjectAltName = otherName:1.3.6.1.4.1.311.20.2.3;UTF8:okms.domain:*,URI:spiffe://x/y,dirName:dn2\n\
        nsComment = hello\ncertificatePolicies = 1.2.3\n1.2.3.4.5 = ASN1:UTF8String:unknown\n\
        tlsfeature = status_request\n[dn2]\nCN = other\n";
    fs::write(dir.path().join("req.cnf"), config).unwrap();
    let kinds: [&[&str]; 8] = [
        &["-newkey", "rsa:2048"],
        &["-newkey", "rsa:3072", "-sha512"],
        &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
        &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-sha384"],
        &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521"],
        &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521", "-sha512"],
        &["-newkey", "ed25519"],
        &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-newhdr"],
    ];
    let at = now().unix_seconds().to_string();
    for kind in kinds {
        let mut args = vec![
            "req", "-new", "-nodes", "-config", "req.cnf", "-keyout", "k.pem", "-out", "r.pem",
        ];
        args.extend_from_slice(kind);
        if good(dir.path(), "openssl", &args).is_none() {
            return;
        }
        let request = fs::read_to_string(dir.path().join("r.pem")).unwrap();
        let leaf = ca.issue_access(&subject(), "billing", KeySource::Request(&request), now(), 1);
        let leaf = leaf.unwrap_or_else(|error| panic!("{kind:?}: {error}"));
        fs::write(dir.path().join("leaf.pem"), leaf.certificate_pem).unwrap();
        good(dir.path(), "openssl", &["verify", "-attime", &at, "-CAfile", "ca.pem", "leaf.pem"])
            .unwrap();
        let shown =
            good(dir.path(), "openssl", &["x509", "-in", "leaf.pem", "-noout", "-text"]).unwrap();
        for asked in [
            "intruder",
            "CA:TRUE",
            "Server Authentication",
            "spiffe",
            "okms.domain:*",
            "1.2.3",
            "hello",
        ] {
            assert!(!shown.contains(asked), "{kind:?}: {asked} reached the certificate:\n{shown}");
        }
        let public = good(dir.path(), "openssl", &["pkey", "-in", "k.pem", "-pubout"]).unwrap();
        assert_eq!(
            public,
            good(dir.path(), "openssl", &["x509", "-in", "leaf.pem", "-noout", "-pubkey"]).unwrap()
        );
    }
}

#[test]
fn weak_and_foreign_keys_are_refused_by_name() {
    let dir = TempDir::new().unwrap();
    let (ca, _) = region();
    let key = |fault| RequestFault::PublicKey(fault);
    let kinds: [(&[&str], RequestFault); 8] = [
        (&["-newkey", "rsa:1024"], key(PublicKeyFault::RsaSize { bits: 1024 })),
        (&["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp256k1"], key(PublicKeyFault::Curve)),
        (&["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-224"], key(PublicKeyFault::Curve)),
        (
            &[
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-pkeyopt",
                "ec_param_enc:explicit",
            ],
            key(PublicKeyFault::Curve),
        ),
        (&["-newkey", "ed448"], key(PublicKeyFault::Algorithm)),
        (
            &["-newkey", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048"],
            key(PublicKeyFault::Algorithm),
        ),
        (&["-newkey", "rsa:2048", "-sha1"], RequestFault::SignatureAlgorithm),
        (
            &["-newkey", "rsa:2048", "-sigopt", "rsa_padding_mode:pss"],
            RequestFault::SignatureAlgorithm,
        ),
    ];
    for (kind, expected) in kinds {
        let mut args =
            vec!["req", "-new", "-nodes", "-subj", "/CN=x", "-keyout", "k.pem", "-out", "r.pem"];
        args.extend_from_slice(kind);
        if good(dir.path(), "openssl", &args).is_none() {
            return;
        }
        let request = fs::read_to_string(dir.path().join("r.pem")).unwrap();
        match ca.issue_access(&subject(), "x", KeySource::Request(&request), now(), 1) {
            Err(Error::Request(fault)) => assert_eq!(fault, expected, "{kind:?}"),
            other => panic!("{kind:?}: {other:?}"),
        }
    }
}

#[test]
fn openssl_reads_our_keys_and_requests() {
    let dir = TempDir::new().unwrap();
    for kind in [KeyKind::P256, KeyKind::P384, KeyKind::Rsa2048] {
        let key = generate_key(kind).unwrap();
        fs::write(dir.path().join("k.pem"), key.expose()).unwrap();
        fs::write(dir.path().join("r.pem"), signing_request(&key, "billing").unwrap()).unwrap();
        if good(dir.path(), "openssl", &["pkey", "-in", "k.pem", "-noout", "-check"]).is_none() {
            return;
        }
        good(dir.path(), "openssl", &["req", "-in", "r.pem", "-noout", "-verify"]).unwrap();
    }
}

#[test]
fn openssl_nss_and_java_open_the_bundle() {
    let dir = TempDir::new().unwrap();
    let (ca, _) = region();
    let cases = [
        (KeyKind::P256, "billing", "correct horse"),
        (KeyKind::Rsa2048, "Facturation é 🔑", "pässwörd-€"),
        (KeyKind::P384, "", "x"),
    ];
    for (number, (kind, label, password)) in cases.into_iter().enumerate() {
        let leaf =
            ca.issue_access(&subject(), "billing", KeySource::Fresh(kind), now(), 3000).unwrap();
        let key = leaf.key.as_ref().unwrap();
        let bundle =
            pkcs12(&leaf.certificate_pem, key, ca.certificate_pem(), label, password).unwrap();
        fs::write(dir.path().join("b.p12"), bundle).unwrap();
        let pass = format!("pass:{password}");
        let info = ["pkcs12", "-in", "b.p12", "-info", "-nodes", "-passin", &pass];
        if let Some(shown) = good(dir.path(), "openssl", &info) {
            assert!(shown.contains("MAC: sha256"), "{shown}");
            assert_eq!(shown.matches("PBES2, PBKDF2, AES-256-CBC").count(), 2, "{shown}");
            assert_eq!(shown.matches("BEGIN CERTIFICATE").count(), 2);
            assert_eq!(shown.matches("BEGIN PRIVATE KEY").count(), 1);
            let wrong = ["pkcs12", "-in", "b.p12", "-noout", "-passin", "pass:wrong"];
            assert!(!run(dir.path(), "openssl", &wrong).unwrap().status.success());
        }
        let database = format!("sql:nss{number}");
        fs::create_dir(dir.path().join(format!("nss{number}"))).unwrap();
        if good(dir.path(), "certutil", &["-N", "-d", &database, "--empty-password"]).is_some() {
            let import = ["-i", "b.p12", "-d", &database, "-W", password];
            good(dir.path(), "pk12util", &import).unwrap();
            let keys = good(dir.path(), "certutil", &["-K", "-d", &database]).unwrap();
            assert!(keys.contains("< 0>"), "{keys}");
        }
        // Java takes no other characters for a bundle of this kind, whoever has written it.
        if !password.is_ascii() {
            continue;
        }
        let imported = format!("java{number}.p12");
        let import = [
            "-importkeystore",
            "-srckeystore",
            "b.p12",
            "-srcstoretype",
            "PKCS12",
            "-srcstorepass",
            password,
        ];
        let into = [
            "-destkeystore",
            &imported,
            "-deststoretype",
            "PKCS12",
            "-deststorepass",
            "changeit",
            "-noprompt",
        ];
        if good(dir.path(), "keytool", &[import.as_slice(), &into].concat()).is_some() {
            let list = ["-list", "-keystore", &imported, "-storepass", "changeit"];
            let entries = good(dir.path(), "keytool", &list).unwrap();
            assert!(entries.contains("PrivateKeyEntry"), "{entries}");
        }
    }
}
