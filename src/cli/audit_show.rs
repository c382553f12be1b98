//! `okmsd audit show`: records, for people.
//!
//! Always holds: nothing of a file moves a terminal's cursor or turns what is read, whoever has written it.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::Value;

use super::output::{Fault, Outcome, say};
use crate::audit::Lines;

#[derive(Args)]
pub(super) struct Show {
    /// The files, in order; packed ones (.gz) as they are.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    filter: Filter,
}

/// Which records are shown, and how.
#[derive(Args, Default)]
pub(super) struct Filter {
    /// Only this effect: permit, deny or error.
    #[arg(long)]
    effect: Option<String>,
    /// Only this domain's, by its okmsId.
    #[arg(long)]
    tenant: Option<String>,
    /// Only this subject's: a common name, a serial number, a user or the subject of a JWT.
    #[arg(long)]
    subject: Option<String>,
    /// Only what is about something whose path, name, number or id begins so.
    #[arg(long)]
    resource: Option<String>,
    /// Only this operation, as the API's document names it.
    #[arg(long)]
    operation: Option<String>,
    /// Only this request.
    #[arg(long)]
    request: Option<String>,
    /// Only what changed something.
    #[arg(long)]
    changes: bool,
    /// Only from this moment on, such as 2026-11-29T10:00.
    #[arg(long)]
    since: Option<String>,
    /// Only up to this moment.
    #[arg(long)]
    until: Option<String>,
    /// The records as they are.
    #[arg(long)]
    json: bool,
}

impl Filter {
    fn takes(&self, record: &Value) -> bool {
        let text = |name: &str| record.get(name).and_then(Value::as_str);
        let is = |name: &str, wanted: &Option<String>| {
            wanted.as_deref().is_none_or(|wanted| text(name) == Some(wanted))
        };
        let is_of = |subject: &str| {
            ["subject", "common_name", "serial", "user"]
                .iter()
                .any(|name| text(name) == Some(subject))
                || record.pointer("/jwt/subject").and_then(Value::as_str) == Some(subject)
        };
        let time = text("time").unwrap_or_default();
        let has_effect = |wanted: &str| {
            text("effect") == Some(wanted) || also(record, "effect").any(|effect| effect == wanted)
        };
        self.effect.as_deref().is_none_or(has_effect)
            && is("tenant", &self.tenant)
            && is("operation", &self.operation)
            && is("request_id", &self.request)
            && self.subject.as_deref().is_none_or(is_of)
            && self.resource.as_deref().is_none_or(|prefix| {
                let mut names = text("resource").into_iter().chain(also(record, "name"));
                names.any(|name| name.starts_with(prefix))
            })
            && (!self.changes || record.get("changes").is_some())
            // They sort as text.
            && self.since.as_deref().is_none_or(|since| time >= since)
            && self.until.as_deref().is_none_or(|until| time < until)
    }

    /// The line for a record, if it is to be shown. Intents are shown only as they are: what became
    /// of them is in the record that follows.
    pub(super) fn line(&self, line: &str, has_colours: bool) -> Option<String> {
        let record: Value = serde_json::from_str(line).ok()?;
        if !self.takes(&record) {
            return None;
        }
        if self.json {
            return Some(in_ascii(line));
        }
        (record.get("type")?.as_str()? != "intent").then(|| told(&record, has_colours))
    }
}

impl Filter {
    /// Those records of a file that are to be shown.
    pub(super) fn each(
        &self,
        file: &Path,
        has_colours: bool,
        mut tell: impl FnMut(String),
    ) -> Outcome {
        let mut lines = Lines::open(file).map_err(|error| fault(file, &error))?;
        while let Some(line) = lines.next_line().map_err(|error| fault(file, &error))? {
            let text = std::str::from_utf8(line.text).ok();
            if let Some(told) = text.and_then(|text| self.line(text, has_colours)) {
                tell(told);
            }
        }
        Ok(())
    }
}

/// A member of each of what else a record is about.
fn also<'a>(record: &'a Value, member: &'a str) -> impl Iterator<Item = &'a str> {
    let also = record.get("also").and_then(Value::as_array).into_iter().flatten();
    also.filter_map(move |one| one.get(member)?.as_str())
}

/// A record in a line.
fn told(record: &Value, has_colours: bool) -> String {
    let text = |name: &str| record.get(name).and_then(Value::as_str);
    let text_of = |name: &str| text(name).map(plain);
    let effect = text_of("effect").or_else(|| text_of("type")).unwrap_or_default();
    let colour = match effect.as_str() {
        "deny" => "31",
        "error" => "33",
        "permit" => "32",
        _ => "2",
    };
    let effect = if has_colours {
        format!("\x1b[{colour}m{effect:<10}\x1b[0m")
    } else {
        format!("{effect:<10}")
    };
    let status = record.get("status").and_then(Value::as_u64);
    let status = status.map(|status| status.to_string()).unwrap_or_default();
    let who = text_of("user").or_else(|| text_of("common_name")).or_else(|| text_of("serial"));
    let mut words = vec![text_of("time").unwrap_or_default(), effect, format!("{status:>3}")];
    words.extend(who);
    words.extend(["operation", "resource", "problem"].iter().filter_map(|name| text_of(name)));
    words.extend(also(record, "name").map(plain));
    let changes = record.get("changes").and_then(Value::as_array).into_iter().flatten();
    words.extend(changes.filter_map(|change| {
        let name = plain(change.get("change")?.as_str()?);
        let fate = match change.get("happened").and_then(Value::as_bool) {
            Some(true) => "",
            Some(false) => " (did not happen)",
            None => " (not known whether it happened)",
        };
        Some(format!("[{name}{fate}]"))
    }));
    words.join(" ")
}

/// What a terminal shows as it is.
fn plain(text: &str) -> String {
    text.escape_debug().to_string()
}

/// The same JSON, in ASCII as all that a server writes.
fn in_ascii(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    for one in line.chars() {
        if matches!(one, ' '..='~' | '\t') {
            plain.push(one);
        } else {
            for unit in one.encode_utf16(&mut [0; 2]) {
                let _never_fails = write!(plain, "\\u{unit:04x}");
            }
        }
    }
    plain
}

pub(super) fn fault(file: &Path, error: &io::Error) -> Fault {
    format!("{}: {error}", file.display()).into()
}

impl Show {
    pub(super) fn run(self) -> Outcome {
        let has_colours = io::stdout().is_terminal();
        for file in &self.files {
            self.filter.each(file, has_colours, say)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Whoever can write a file could write to the terminal of whoever looks at it: times, effects, types and the names of
    /// changes were shown as they are.
    #[test]
    fn nothing_of_a_record_is_said_to_the_terminal() {
        let bad = "\u{1b}]0;x\u{7}\u{9b}31m\u{202e}\u{7f}\n";
        let members = [
            "time",
            "effect",
            "type",
            "status",
            "user",
            "common_name",
            "serial",
            "operation",
            "resource",
            "problem",
        ];
        let also = json!([{ "name": bad, "effect": bad }]);
        let changes = json!([{ "change": bad }]);
        for left_out in members {
            let mut record = json!({ "also": also, "changes": changes });
            for name in members.iter().filter(|name| **name != left_out) {
                record[name] = json!(bad);
            }
            record["type"] = json!(format!("t{bad}"));
            for json in [false, true] {
                let filter = Filter { json, ..Filter::default() };
                let line = record.to_string();
                let told = filter.line(&line, false).unwrap();
                assert!(told.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{told:?}");
                if json {
                    assert_eq!(serde_json::from_str::<Value>(&told).unwrap(), record);
                }
            }
        }
        let plain =
            r#"{"time":"2026-11-01T00:00:00.000Z","type":"request","effect":"deny","status":404}"#;
        let shown = Filter::default().line(plain, true).unwrap();
        assert_eq!(shown, "2026-11-01T00:00:00.000Z \u{1b}[31mdeny      \u{1b}[0m 404");
    }
}
