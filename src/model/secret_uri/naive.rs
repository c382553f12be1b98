//! The grammar once more, as simply as it can be said, to hold the real one against: each byte with
//! whether it was escaped, then cut where a sign was not.

use super::SecretUri;
use crate::model::{VersionNumber, text};

/// A byte, and whether it was written as an escape.
type Byte = (u8, bool);

/// What a URI means.
#[derive(Debug, PartialEq, Eq)]
struct Naive {
    scheme: String,
    path: Vec<String>,
    fragment: Option<Vec<String>>,
    version: Option<u32>,
}

/// Whether `text` is read as it is here, and again as the same from its canonical form.
pub(crate) fn check_uri(text: &str) {
    let uri = text.parse::<SecretUri>().ok();
    let seen = uri.as_ref().map(|uri| Naive {
        scheme: uri.scheme().as_str().to_owned(),
        path: uri.path().split('/').map(str::to_owned).collect(),
        fragment: uri.fragment().map(|fragment| fragment.steps().to_vec()),
        version: uri.version().map(VersionNumber::get),
    });
    assert_eq!(seen, Naive::of(text), "{text:?}");
    let Some(uri) = uri else { return };
    let canonical = uri.canonical();
    let again = canonical.parse::<SecretUri>();
    assert!(again.as_ref() == Ok(&uri), "{text:?} is {canonical}");
    assert_eq!(again.map(|again| again.canonical()), Ok(canonical));
}

impl Naive {
    /// What `uri` means, if it is one.
    fn of(uri: &str) -> Option<Self> {
        let scheme = ["openbao+kv2", "hashicorp+kv2", "vault+kv2", "okms+kv2", "yaml"]
            .into_iter()
            .find(|scheme| uri.to_ascii_lowercase().starts_with(&format!("{scheme}://")))?;
        if uri.len() > 2048 {
            return None;
        }
        let rest = bytes(uri.as_bytes().get(scheme.len() + 3..)?)?;
        let place = |sign: u8| rest.iter().position(|byte| *byte == (sign, false));
        let (hash, mark) = (place(b'#'), place(b'?').unwrap_or(rest.len()));
        if rest.iter().filter(|byte| **byte == (b'#', false)).count() > 1 {
            return None;
        }
        let version = match rest.get(mark + 1..) {
            None => None,
            Some(query) => Some(version(query)?),
        };
        let hash = hash.unwrap_or(mark);
        let fragment = match rest.get(hash + 1..mark) {
            None => None,
            Some(fragment) => Some(steps(&said(fragment, b"._-~:=@/!$&'()*+,;")?)?),
        };
        let mut path = rest.get(..hash)?;
        if let Some((&(b'/', false), before)) = path.split_last() {
            path = before;
        }
        let segments = path.split(|byte| *byte == (b'/', false));
        let path: Vec<String> =
            segments.map(|segment| said(segment, b"._-~:=@")).collect::<Option<_>>()?;
        let is_wrong =
            |name: &String| name.is_empty() || name == "." || name == ".." || name.contains('/');
        if path.len() < 2 || path.iter().any(is_wrong) {
            return None;
        }
        Some(Self { scheme: scheme.to_owned(), path, fragment, version })
    }
}

fn bytes(text: &[u8]) -> Option<Vec<Byte>> {
    let Some((first, rest)) = text.split_first() else { return Some(Vec::new()) };
    let (byte, rest) = match first {
        b'%' => {
            let digits = rest.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
            let digits = std::str::from_utf8(digits).ok()?;
            ((u8::from_str_radix(digits, 16).ok()?, true), rest.get(2..)?)
        }
        byte => ((*byte, false), rest),
    };
    let mut all = vec![byte];
    all.extend(bytes(rest)?);
    Some(all)
}

fn said(bytes: &[Byte], signs: &[u8]) -> Option<String> {
    let is_right = |(byte, is_escaped): &Byte| {
        *is_escaped || byte.is_ascii_alphanumeric() || signs.contains(byte)
    };
    if !bytes.iter().all(is_right) {
        return None;
    }
    let said = String::from_utf8(bytes.iter().map(|(byte, _)| *byte).collect()).ok()?;
    text::is_printable(&said).then_some(said)
}

fn steps(fragment: &str) -> Option<Vec<String>> {
    if fragment.is_empty() {
        return None;
    }
    let Some(pointer) = fragment.strip_prefix('/') else { return Some(vec![fragment.to_owned()]) };
    let is_wrong = |step: &str| step.replace("~0", "").replace("~1", "").contains('~');
    let steps = pointer.split('/');
    // In this order, as RFC 6901 has it.
    let unescape = |step: &str| step.replace("~1", "/").replace("~0", "~");
    (!steps.clone().any(is_wrong)).then(|| steps.map(unescape).collect())
}

fn version(query: &[Byte]) -> Option<u32> {
    let text: Option<String> =
        query.iter().map(|(byte, is_escaped)| (!is_escaped).then(|| char::from(*byte))).collect();
    let digits = text?.strip_prefix("version=")?.to_owned();
    let is_number = !digits.is_empty() && digits.chars().all(|digit| digit.is_ascii_digit());
    let number = is_number.then(|| digits.trim_start_matches('0').parse().ok()).flatten();
    number.filter(|number| (1..=24_000).contains(number))
}
