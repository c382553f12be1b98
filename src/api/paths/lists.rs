//! Several secrets: lists with filters, those that end soon, and values of many at once.

use super::{
    super::{
        Call, Context, Failed, Problem, Reply,
        json::{self, Writer},
        query,
    },
    entered::{of_text, settle},
    fields::{Fields, TAGS_RULE, YES_OR_NO, flag, number, parameter, query_moment},
    paging::{cursor, limit, of_cursor, paging},
    render, secrets, words,
};
use crate::{
    auth::{Action, Permit, Resource},
    model::{Faults, Invalid, SecretType, Tags, Timestamp, VersionNumber},
    service::{EndingPage, Error, Search, SearchPage, Secret, SecretValue, VersionView, Within},
};

/// The most paths that are read at once.
const PATHS_MAX: usize = 100;
/// What can be wrong with one secret of a batch, and not with all.
const OF_ONE: [Problem; 7] = [
    Problem::SecretNotFound,
    Problem::SecretRemoved,
    Problem::SecretExpired,
    Problem::VersionNotFound,
    Problem::BadPath,
    Problem::Forbidden,
    Problem::PdpDenied,
];
/// The most bytes of the values that are read at once.
const ANSWER_BYTES_MAX: usize = 16 << 20;
const DAY: u64 = 86_400;

pub(super) async fn list(context: &Context, permit: &Permit, call: &Call) -> Result<Reply, Failed> {
    let permit = settle(context, permit, call).await?;
    let secret_type = match parameter(call, "secret_type")? {
        None => None,
        Some(name) => Some(SecretType::of(&name).ok_or(Problem::BadSecretType)?),
    };
    let tags = Tags::new(query::parameters(call.query(), "tag")?);
    let search = Search {
        prefix: parameter(call, "prefix")?.unwrap_or_default(),
        tags: tags.map_err(|_| Faults::one("tag", TAGS_RULE))?,
        secret_type,
        owner: parameter(call, "owner")?,
        text: parameter(call, "text")?.map(|text| text.to_lowercase()),
        within: Within::Both,
        expires_before: query_moment(call, "expires_before")?,
        updated_after: query_moment(call, "updated_after")?,
        with_expired: flag(call, "include_expired")?,
        with_removed: flag(call, "include_deleted")?,
    };
    let is_full = flag(call, "include_metadata")?;
    let limit = limit(call)?;
    let service = &context.service;
    let page = service.secrets.search(&permit, &search, cursor(call)?, limit, call.now).await;
    let SearchPage { found, next, total, is_exact, damaged } = page.map_err(of_cursor)?;
    let (found, full) = if is_full {
        (Vec::new(), Some(service.secrets.describe(&permit, found, call.now).await?))
    } else {
        (found, None)
    };
    let body = Writer::object_sized(512, |out| {
        match full {
            Some(full) => out.objects("secrets", full, |secret, out| {
                render::described(out, &secret, call.now);
                // What is listed of a secret otherwise is there, too.
                out.number("version", secret.header.current_number());
                out.texts("tags", secret.header.about.tags.iter());
            }),
            None => out.objects("secrets", found, |(path, header), out| {
                out.text("path", path.as_str());
                out.text("secret_type", header.about.secret_type.name());
                out.number("version", header.current_number());
                out.text("updated_at", &header.changed_at().to_rfc3339_seconds());
                render::moment(out, "expires_at", header.expires_at());
                out.texts("tags", header.about.tags.iter());
                render::removal(out, &header);
            }),
        }
        paging(out, next.as_deref());
        out.number("total_count", total);
        if !is_exact {
            out.boolean("total_count_exact", false);
        }
    });
    Ok(Reply { damaged, ..Reply::json(body) })
}

pub(super) async fn expiring(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Failed> {
    let permit = settle(context, permit, call).await?;
    let days = number(call, "days", (1, 3650, 30), "a whole number from 1 to 3650")?;
    let limit = limit(call)?;
    let from = if flag(call, "include_expired")? { None } else { Some(call.now) };
    let prefix = parameter(call, "prefix")?.unwrap_or_default();
    let range = (from, call.now.plus_seconds(u64::from(days) * DAY));
    let secrets = &context.service.secrets;
    let page = secrets.ending(&permit, range, &prefix, cursor(call)?, limit).await;
    let EndingPage { found, next } = page.map_err(of_cursor)?;
    let body = Writer::object_sized(64 + 128 * found.len(), |out| {
        out.objects("secrets", found, |(path, at), out| {
            out.text("path", path.as_str());
            out.text("expires_at", &at.to_rfc3339_seconds());
            out.raw("days_remaining", days_left(at, call.now).to_string().as_bytes());
        });
        if next.is_some() {
            paging(out, next.as_deref());
        }
    });
    Ok(Reply::json(body))
}

pub(super) async fn batch(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Failed> {
    let permit = settle(context, permit, call).await?;
    let Batch { paths, with_metadata, fails_fast, version } = Batch::parse(&call.body)?;
    if let Some(ahead) = permit.ahead() {
        for path in paths.iter().filter_map(|text| of_text(text).ok()) {
            ahead.expects(Action::VersionGetData, Resource::Secret(&path));
        }
        context.service.foresees(&ahead).await?;
    }
    let mut room = ANSWER_BYTES_MAX;
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for text in paths {
        let item = permit.item(&text);
        let read = async {
            let path = of_text(&text)?;
            let read =
                context.service.secrets.read(&item, &path, version, |_, _| true, call.now).await;
            read.map_err(|error| words::of(error, &path))
        };
        match read.await.inspect_err(|failed| failed.tell(&item)) {
            Ok(read) => {
                let bytes = read.1.value.as_ref().map_or(0, SecretValue::len);
                room = room.checked_sub(bytes).ok_or(Problem::AnswerTooLarge)?;
                found.push((text, read));
            }
            Err(failed) if !fails_fast && is_of_one(&failed) => failures.push((text, failed)),
            Err(failed) => return Err(failed),
        }
    }
    let damaged = failures.iter().filter(|(_, failed)| is_damaged(failed)).count();
    let reply = Reply::json(Writer::object_sized(256, |out| {
        out.object("secrets", |out| {
            for (text, (Secret { header, .. }, VersionView { number, value, .. })) in &found {
                out.object(text, |out| {
                    let value = value.as_ref().map(SecretValue::expose).unwrap_or_default();
                    out.raw("data", value);
                    out.number("version", number.get());
                    out.text("secret_type", header.about.secret_type.name());
                    if with_metadata {
                        render::metadata(out, header);
                    }
                });
            }
        });
        out.object("errors", |out| {
            for (text, failed) in &failures {
                out.object(text, |out| {
                    let (code, message) = secrets::told(failed);
                    out.text("code", code);
                    out.text("message", message);
                });
            }
        });
    }));
    Ok(Reply { damaged, ..reply })
}

/// Whether it is wrong with one secret, and not with all.
fn is_of_one(failed: &Failed) -> bool {
    OF_ONE.contains(&failed.problem) || is_damaged(failed)
}

fn is_damaged(failed: &Failed) -> bool {
    matches!(failed.cause.as_deref(), Some(Error::Corrupt(_)))
}

/// The days from now to a moment, rounded up: what ends in an hour has a day left, and what has ended
/// has none.
fn days_left(at: Timestamp, now: Timestamp) -> i64 {
    const NANOS: i64 = 86_400_000_000_000;
    let left = at.unix_nanos().saturating_sub(now.unix_nanos());
    left.div_euclid(NANOS) + i64::from(left.rem_euclid(NANOS) > 0)
}

/// What a batch asks for.
struct Batch {
    paths: Vec<String>,
    with_metadata: bool,
    fails_fast: bool,
    version: Option<VersionNumber>,
}

impl Batch {
    fn parse(body: &[u8]) -> Result<Self, Failed> {
        const PATHS: &str = "1 to 100 paths, none twice";
        let (mut fields, mut faults) = (Fields::of_body(body)?, Faults::default());
        let paths = fields.take("paths").and_then(|raw| json::texts(raw, Invalid(PATHS)).ok());
        let mut paths = paths.unwrap_or_default();
        let given = paths.len();
        let mut seen = std::collections::HashSet::new();
        paths.retain(|path| seen.insert(path.clone()));
        if given == 0 || given > PATHS_MAX || paths.len() < given {
            faults.add("paths", PATHS);
        }
        let mut batch = Self { paths, with_metadata: false, fails_fast: false, version: None };
        if let Some(raw) = json::non_null(fields.take("options"))
            && let Some(mut options) = Fields::of_member(raw, "options.", &mut faults)
        {
            let mut flag = |name: &'static str, faults: &mut Faults| {
                let raw = options.take(name)?;
                faults.of(options.named(name), json::boolean(raw, YES_OR_NO))
            };
            batch.with_metadata = flag("include_metadata", &mut faults).unwrap_or_default();
            batch.fails_fast = flag("fail_fast", &mut faults).unwrap_or_default();
            batch.version = options
                .clearable("version", &mut faults, |raw| {
                    const RULE: Invalid = Invalid("a whole number from 1 to 24000");
                    VersionNumber::new(json::number(raw, RULE)?).map_err(|_| RULE)
                })
                .flatten();
            options.finish(&mut faults);
        }
        fields.finish(&mut faults);
        Ok(faults.check(batch)?)
    }
}
