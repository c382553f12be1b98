//! Signals, as a server takes them.
//!
//! | signal | effect |
//! | --- | --- |
//! | SIGTERM, SIGINT | the first drains, and ends with 0; while the store is being opened there is nothing to drain |
//! | SIGTERM, SIGINT again | ends at once, with 128 and the signal's number |
//! | SIGHUP | the files are loaded again, as `systemctl reload` and renewal hooks want it |
//! | SIGUSR1, SIGUSR2, SIGALRM | nothing changes, and the log says so: they come from log rotation, and none of them means the end |

use std::{fmt, io, time::Duration};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::seldom::Seldom;

/// The signals that end a server. The others are taken from here on, too.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// What a signal asks of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// To load its files again.
    Reload,
    /// To end.
    End,
}

/// A signal that ends a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ending(u8);

/// The end of a server that was told twice.
#[derive(Debug)]
pub(super) struct Cut(Ending);

impl Signals {
    /// Takes signals from now on. To be called before the store is opened.
    ///
    /// # Errors
    /// The operating system's.
    pub(super) fn take() -> io::Result<Self> {
        for (kind, name) in [
            (SignalKind::user_defined1(), "SIGUSR1"),
            (SignalKind::user_defined2(), "SIGUSR2"),
            (SignalKind::alarm(), "SIGALRM"),
        ] {
            let mut ignored = signal(kind)?;
            tokio::spawn(async move {
                let lines = Seldom::new(Duration::from_secs(1));
                while ignored.recv().await.is_some() {
                    if let Some(left_out) = lines.due() {
                        tracing::info!(signal = name, left_out, "this signal changes nothing");
                    }
                }
            });
        }
        let [terminate, interrupt, hangup] =
            [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
        Ok(Self { terminate: terminate?, interrupt: interrupt?, hangup: hangup? })
    }

    /// Waits for a signal that asks for something.
    pub(super) async fn wish(&mut self) -> Wish {
        let Self { terminate, interrupt, hangup } = self;
        tokio::select! {
            _ = terminate.recv() => Wish::End,
            _ = interrupt.recv() => Wish::End,
            _ = hangup.recv() => Wish::Reload,
        }
    }

    /// Waits for a signal that ends the server.
    pub(super) async fn ending(&mut self) -> Ending {
        tokio::select! {
            _ = self.terminate.recv() => Ending(15),
            _ = self.interrupt.recv() => Ending(2),
        }
    }
}

impl Ending {
    /// Ends at once.
    pub(super) const fn cut(self) -> Cut {
        Cut(self)
    }
}

impl Cut {
    /// What a shell shows for a process that a signal has ended.
    pub(super) fn exit_code(&self) -> i32 {
        128 + i32::from(self.0.0)
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stopped before everything was finished")
    }
}

impl std::error::Error for Cut {}
