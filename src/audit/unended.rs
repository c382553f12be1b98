//! A change that was announced, and of which nobody knows yet how it ended: a crash came, or the store
//! did not know either.
//!
//! Always holds: what is recorded once it is known says who asked for what, as the announcement did, so
//! that it is told whose it is. Never does: look it up.

use serde_json::Value;

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

/// What an announcement tells of itself, and not of who asks for what.
const OF_ITSELF: [&str; 7] = ["chain", "seq", "prev", "time", "type", "change", "mark"];

/// Something that it was about.
fn thing(told: &Value) -> Members {
    let text = |name: &str| told.get(name).and_then(Value::as_str);
    Members::new().maybe("type", text("type")).maybe("name", text("name"))
}

impl Unended {
    /// The one that this line has announced, if that is what it does.
    pub(super) fn announced(line: &[u8], chain: [u8; 8], seq: u64, hash: [u8; 32]) -> Option<Self> {
        let Ok(Value::Object(all)) = serde_json::from_slice(line) else { return None };
        let slot = all.get("mark")?.as_u64().and_then(|slot| u16::try_from(slot).ok())?;
        let text = |name: &str| all.get(name).and_then(Value::as_str);
        let tenant = text("tenant").and_then(|id| id.parse::<OkmsId>().ok());
        // It is told when that was, as that may be long ago.
        let about = Members::new().maybe("announced", text("time"));
        // Nothing becomes a name that none of ours could be: others may have written the file.
        let is_plain =
            |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let told =
            all.iter().filter(|(name, _)| is_plain(name) && !OF_ITSELF.contains(&name.as_str()));
        let about = told.fold(about, |about, (name, value)| match value {
            Value::String(text) => about.text(name, text),
            Value::Bool(is_so) => about.truth(name, *is_so),
            Value::Number(number) => match number.as_u64() {
                Some(number) => about.number(name, number),
                None => about,
            },
            Value::Array(all) if all.iter().all(Value::is_u64) => {
                about.numbers(name, all.iter().filter_map(Value::as_u64))
            }
            Value::Array(all) if all.iter().all(Value::is_object) => {
                about.objects(name, all.iter().map(thing))
            }
            Value::Array(texts) => about.texts(name, texts.iter().filter_map(Value::as_str)),
            Value::Object(_) | Value::Null => about,
        });
        let mark = AuditMark { chain, slot, seq, hash, tenant };
        Some(Self { mark, change: text("change").unwrap_or_default().to_owned(), about })
    }

    /// All that is recorded once it is known whether it happened, behind what `members` has.
    #[must_use]
    pub fn ended(&self, members: Members, happened: bool) -> Members {
        let ended = Members::new().text("change", &self.change).number("intent", self.mark.seq);
        members.with(&self.about).objects("changes", [ended.truth("happened", happened)])
    }
}
