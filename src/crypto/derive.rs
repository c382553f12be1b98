//! Keys that follow from keys.

use aws_lc_rs::hkdf::{KeyType, Prk};

use super::Error;

/// `N` bytes derived for the purpose that `info` tells.
pub(super) fn expand<const N: usize>(prk: &Prk, info: &[&[u8]]) -> Result<[u8; N], Error> {
    struct Length(usize);
    impl KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let mut out = [0; N];
    prk.expand(info, Length(N))?.fill(&mut out)?;
    Ok(out)
}
