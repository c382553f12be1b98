//! Taking exactly one section out of PEM text.
//!
//! Always holds: a second section of the wanted kind is an error, never silently dropped.
//! Never does: look inside the DER.

use rustls_pki_types::pem::PemObject;

/// Why not exactly one section came out.
pub(super) enum NotOne {
    /// None, or a damaged one.
    None,
    /// Two or more.
    Several,
}

/// The one section of kind `T` in `text`.
pub(super) fn exactly_one<T: PemObject>(text: &str) -> Result<T, NotOne> {
    let mut sections = T::pem_slice_iter(text.as_bytes());
    let Some(Ok(first)) = sections.next() else {
        return Err(NotOne::None);
    };
    match sections.next() {
        None => Ok(first),
        Some(Ok(_)) => Err(NotOne::Several),
        Some(Err(_)) => Err(NotOne::None),
    }
}
