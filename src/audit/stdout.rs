//! Standard output, for whoever collects what processes say.

use std::io::{self, Write as _};

use super::device::Device;

/// Writes records to standard output.
#[derive(Debug, Default)]
pub struct StdoutDevice(());

impl StdoutDevice {
    /// It.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }
}

impl Device for StdoutDevice {
    fn name(&self) -> &'static str {
        "stdout"
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()?;
        Ok(bytes.len())
    }
}
