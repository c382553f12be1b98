//! What of a value is meant.

use std::fmt;

use super::{UriError, spelling};

const EMPTY: UriError =
    UriError::illegal("the URI has an empty fragment; name a member after #, or leave it out");
const TILDE: UriError = UriError::illegal(
    "the URI's fragment has a ~ that is neither ~0 nor ~1; in a pointer these stand for ~ and /",
);

/// The names that lead to a part of a value, from the outermost one on; there is one at the least.
///
/// `#a` and the pointer `#/a` (RFC 6901) mean the same and are the same. One name is written as the
/// member `#a`, where that says it, and several as a pointer; so is the empty name (`#/`), and one
/// that begins with a slash (`#/~1a`). A fragment is unescaped before it is read, as the RFC has it
/// (section 6): `#%2Fa` is a pointer, too.
#[derive(Clone, PartialEq, Eq)]
pub struct Fragment(Vec<String>);

impl Fragment {
    /// The names that lead there. Of an array they are the numbers of its elements.
    #[must_use]
    pub fn steps(&self) -> &[String] {
        &self.0
    }

    /// The name by which that part goes in what is around it.
    #[must_use]
    pub fn last(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }

    /// That of these names, of which there must be one.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn of(steps: Vec<String>) -> Self {
        Self(steps)
    }

    /// What stands behind `#`.
    pub(super) fn read(text: &str) -> Result<Self, UriError> {
        let said = spelling::read(text, spelling::in_fragment)?;
        if said.is_empty() {
            return Err(EMPTY);
        }
        match said.strip_prefix('/') {
            None => Ok(Self(vec![said])),
            Some(pointer) => pointer.split('/').map(step).collect::<Result<_, _>>().map(Self),
        }
    }

    /// Writes its canonical form.
    pub(super) fn write(&self, out: &mut String) {
        out.push('#');
        match &*self.0 {
            [member] if !member.is_empty() && !member.starts_with('/') => {
                spelling::write(out, member, spelling::in_fragment);
            }
            steps => {
                for step in steps {
                    out.push('/');
                    let step = step.replace('~', "~0").replace('/', "~1");
                    spelling::write(out, &step, spelling::in_fragment);
                }
            }
        }
    }
}

impl fmt::Debug for Fragment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names in a value are a part of it.
        write!(f, "Fragment({} steps)", self.0.len())
    }
}

/// A step of a pointer.
fn step(text: &str) -> Result<String, UriError> {
    let mut parts = text.split('~');
    let mut step = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (sign, rest) = match part.split_at_checked(1) {
            Some(("0", rest)) => ('~', rest),
            Some(("1", rest)) => ('/', rest),
            _ => return Err(TILDE),
        };
        step.push(sign);
        step.push_str(rest);
    }
    Ok(step)
}
