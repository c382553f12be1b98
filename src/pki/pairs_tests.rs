//! What OpenSSL and OpenSSH think of key pairs that were made for somebody. A tool that is not installed skips
//! its part with a printed word; `COMPAT_STRICT=1` makes that a failure.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use tempfile::TempDir;

use super::{openssl_tests::good, test_tools::now, *};
use crate::model::recipe::{Curve, RsaBits, SelfSigned, SshKind};

/// Writes a private key as whoever uses it has it.
fn keep(dir: &TempDir, text: &str) {
    let path = dir.path().join("key");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn openssl(dir: &Path, args: &[&str]) -> Option<String> {
    good(dir, "openssl", args)
}

#[test]
fn openssl_reads_pairs_of_keys() {
    let dir = TempDir::new().unwrap();
    for (pair, shown) in [
        (rsa_pair(RsaBits::B2048), "2048 bit"),
        (ec_pair(Curve::P256), "P-256"),
        (ec_pair(Curve::P384), "P-384"),
    ] {
        let (private, public) = pair.unwrap().into_parts();
        keep(&dir, &private);
        let args = ["pkey", "-in", "key", "-noout", "-text"];
        let Some(text) = openssl(dir.path(), &args) else { return };
        assert!(text.contains(shown), "{text}");
        assert_eq!(openssl(dir.path(), &["pkey", "-in", "key", "-pubout"]).unwrap(), public);
        assert!(public.ends_with("-----END PUBLIC KEY-----\n"));
    }
}

#[test]
fn ssh_keygen_reads_pairs_of_keys() {
    let dir = TempDir::new().unwrap();
    for (kind, comment, begins) in [
        (SshKind::Ed25519, "", "ssh-ed25519 AAAAC3"),
        // Paddings of all lengths.
        (SshKind::Ed25519, "a", "ssh-ed25519 AAAAC3"),
        (SshKind::Ed25519, "abcdefg", "ssh-ed25519 AAAAC3"),
        (SshKind::Ed25519, "deploy key é", "ssh-ed25519 AAAAC3"),
        (SshKind::Rsa, "ops@example", "ssh-rsa AAAAB3"),
    ] {
        let (private, public) = ssh_pair(kind, comment).unwrap().into_parts();
        keep(&dir, &private);
        let Some(read) = good(dir.path(), "ssh-keygen", &["-y", "-f", "key"]) else { return };
        assert_eq!(read.trim_end(), public);
        assert!(public.starts_with(begins) && public.ends_with(comment), "{public}");
        // It signs, and the public half says that it did.
        fs::write(dir.path().join("who"), format!("me {public}\n")).unwrap();
        fs::write(dir.path().join("text"), "text").unwrap();
        let _ = fs::remove_file(dir.path().join("text.sig"));
        let sign = ["-Y", "sign", "-f", "key", "-n", "file", "text"];
        good(dir.path(), "ssh-keygen", &sign).unwrap();
        let known = ["-Y", "find-principals", "-s", "text.sig", "-f", "who"];
        assert_eq!(good(dir.path(), "ssh-keygen", &known).unwrap().trim(), "me");
    }
}

#[test]
fn openssl_reads_self_signed_certificates() {
    let dir = TempDir::new().unwrap();
    let made = |common_name: &str, dns: &[&str], curve| {
        let dns = dns.iter().map(ToString::to_string).collect();
        let wanted = SelfSigned { common_name: common_name.to_owned(), dns, days: 30, curve };
        self_signed(&wanted, now()).unwrap().into_parts()
    };
    for (common_name, dns, curve, names) in [
        ("x.example", &[][..], Curve::P256, "DNS:x.example"),
        ("A service", &["x.example", "*.x.example"], Curve::P384, "DNS:x.example, DNS:*.x.example"),
    ] {
        let (private, certificate) = made(common_name, dns, curve);
        keep(&dir, &private);
        fs::write(dir.path().join("cert"), &certificate).unwrap();
        let args = ["x509", "-in", "cert", "-noout", "-text"];
        let Some(text) = openssl(dir.path(), &args) else { return };
        assert!(text.contains(names) && text.contains("CA:FALSE"), "{text}");
        assert!(
            text.contains(&format!("CN = {common_name}"))
                || text.contains(&format!("CN={common_name}")),
            "{text}"
        );
        let public = openssl(dir.path(), &["x509", "-in", "cert", "-noout", "-pubkey"]).unwrap();
        assert_eq!(openssl(dir.path(), &["pkey", "-in", "key", "-pubout"]).unwrap(), public);
        let at = now().unix_seconds().to_string();
        let args = ["verify", "-attime", &at, "-CAfile", "cert", "-check_ss_sig", "cert"];
        openssl(dir.path(), &args).unwrap();
    }
    assert!(!made("A service", &[], Curve::P256).1.is_empty(), "a name that is none of DNS");
}

#[test]
fn a_pair_does_not_print() {
    let pair = ssh_pair(SshKind::Ed25519, "canary").unwrap();
    assert_eq!(format!("{pair:?}"), "Pair");
}
