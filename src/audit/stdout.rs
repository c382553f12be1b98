//! Standard output, for whoever collects what processes say.
//!
//! Always holds: what was taken is told to the byte, so that what comes again after a failure is what
//! was not taken, and nothing else.

use std::{
    fs::File,
    io::{self, Write as _},
    os::fd::AsFd as _,
};

use super::device::Device;

/// Writes records to standard output.
#[derive(Debug)]
pub struct StdoutDevice(File);

impl StdoutDevice {
    /// It.
    ///
    /// # Errors
    /// The system's.
    pub fn open() -> io::Result<Self> {
        Ok(Self(io::stdout().as_fd().try_clone_to_owned()?.into()))
    }
}

impl Device for StdoutDevice {
    fn name(&self) -> &'static str {
        "stdout"
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Nobody else's line comes in between.
        let mut out = io::stdout().lock();
        out.flush()?;
        self.0.write(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, pipe};

    use rustix::io::ioctl_fionbio;

    use super::*;

    /// What was taken of many lines before a failure came twice.
    #[test]
    fn what_was_taken_does_not_come_again() {
        let (mut reader, writer) = pipe().unwrap();
        ioctl_fionbio(&writer, true).unwrap();
        let mut device = StdoutDevice(File::from(std::os::fd::OwnedFd::from(writer)));
        let lines = b"a line of records\n".repeat(20_000);
        let (mut sent, mut read, mut failures) = (0, Vec::new(), 0);
        while sent < lines.len() {
            match device.write(&lines[sent..]) {
                Ok(taken) => sent += taken,
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    failures += 1;
                    let mut some = [0; 1000];
                    reader.read_exact(&mut some).unwrap();
                    read.extend_from_slice(&some);
                    let mut rest = vec![0; sent - read.len()];
                    reader.read_exact(&mut rest).unwrap();
                    read.extend_from_slice(&rest);
                }
            }
        }
        drop(device);
        reader.read_to_end(&mut read).unwrap();
        assert!(failures > 1 && read == lines);
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let mut device = StdoutDevice(File::from(std::os::fd::OwnedFd::from(writer)));
        assert_eq!(device.write(&lines).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
