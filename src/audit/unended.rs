//! A change that was announced, and of which nobody knows yet how it ended: a crash came, or the store
//! did not know either.
//!
//! Always holds: what is recorded once it is known says who asked for what, as the announcement did, so
//! that it is told whose it is. Never does: look it up.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::members::Members;
use crate::model::{AuditMark, OkmsId};

/// Such a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unended {
    /// What the store has if it happened.
    pub mark: AuditMark,
    /// How the change is called.
    pub change: String,
    /// Who asked for what.
    pub about: Members,
}

/// What a record tells of itself, and not of who asks for what.
const OF_ITSELF: [&str; 10] =
    ["chain", "seq", "prev", "time", "type", "change", "mark", "announced", "intent", "changes"];

/// What an announcement tells of itself.
#[derive(Deserialize)]
struct Announcement {
    mark: u16,
    #[serde(default)]
    change: String,
    #[serde(default)]
    time: Option<String>,
    #[serde(default)]
    tenant: Option<String>,
}

impl Unended {
    /// The one that this line has announced, if that is what it does.
    pub(super) fn announced(line: &[u8], chain: [u8; 8], seq: u64, hash: [u8; 32]) -> Option<Self> {
        let Announcement { mark: slot, change, time, tenant } =
            serde_json::from_slice(line).ok()?;
        let all: BTreeMap<String, &RawValue> = serde_json::from_slice(line).ok()?;
        let tenant = tenant.and_then(|id| id.parse::<OkmsId>().ok());
        // It is told when that was, as that may be long ago.
        let about = Members::new().maybe("announced", time.as_deref());
        // Nothing becomes a member that none of ours could be: others may have written the file.
        let is_plain = |name: &str, value: &RawValue| {
            name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
                && value.get().bytes().all(|byte| matches!(byte, b' '..=b'~'))
        };
        let told = all
            .iter()
            .filter(|(name, value)| is_plain(name, value) && !OF_ITSELF.contains(&name.as_str()));
        let about = told.fold(about, |about, (name, value)| about.verbatim(name, value));
        let mark = AuditMark { chain, slot, seq, hash, tenant };
        Some(Self { mark, change, about })
    }

    /// All that is recorded once it is known whether it happened, behind what `members` has.
    #[must_use]
    pub fn ended(&self, members: Members, happened: bool) -> Members {
        let ended = Members::new().text("change", &self.change).number("intent", self.mark.seq);
        members.with(&self.about).objects("changes", [ended.truth("happened", happened)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(line: &str) -> String {
        let unended = Unended::announced(line.as_bytes(), [7; 8], 12, [1; 32]).unwrap();
        assert_eq!((unended.mark.slot, unended.mark.seq), (3, 12));
        unended.ended(Members::new().text("type", "resolved"), true).as_str().to_owned()
    }

    /// Whose JWT it was, and what it was about but for types and names, was left out.
    #[test]
    fn all_that_was_announced_is_told() {
        let about = [
            r#""acting_tenant":"operator""#,
            r#""actions":["okms:apikms:secret/create"]"#,
            r#""also":[{"type":"secret","name":"b","resource_ref":"Zm9v","actions":["x/y"],"purpose":"read","effect":"permit","version":3}]"#,
            r#""jwt":{"subject":"s-1","issuer":"https://idp.example","client_id":"c","id":"j"}"#,
            r#""resource":"caf\u00e9 \"a\"""#,
            r#""versions":[1,2]"#,
        ]
        .join(",");
        let line = format!(
            r#"{{"chain":"0707070707070707","seq":12,"prev":"00","time":"2026-11-01T00:00:00.000Z","type":"intent","change":"secrets.copy","mark":3,{about}}}"#
        );
        let told = format!(
            r#""type":"resolved","announced":"2026-11-01T00:00:00.000Z",{about},"changes":[{{"change":"secrets.copy","intent":12,"happened":true}}]"#
        );
        assert_eq!(ended(&line), told);
        let none_of_ours = "{\"mark\":3,\"a\":[\t1],\"A\":1,\"b\":\"\u{9b}\",\"changes\":[],\"intent\":9,\"c\":[ 2]}";
        assert_eq!(
            ended(none_of_ours),
            r#""type":"resolved","c":[ 2],"changes":[{"change":"","intent":12,"happened":true}]"#
        );
    }
}
