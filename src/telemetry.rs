//! The log: set up once, for the whole process, but for its filter. Lines go to standard error.
//!
//! Owns the lines between whoever logs and standard error, and the thread that writes them. Always
//! holds: whoever logs never waits and never panics, whatever became of standard error: a line that
//! finds no place, or that cannot be written, is lost and counted. What is logged before
//! [`Logging`] is dropped is written by then, if it can be within a second. A panic is a line like
//! others, with its place and not its text, which may quote what it fell over.

use std::{
    io::{self, IsTerminal, Write},
    panic,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{self, Receiver, SyncSender, TrySendError},
    },
    thread,
    time::{Duration, Instant},
};

use tracing_subscriber::{EnvFilter, filter::ParseError, reload};

use crate::config::{Log, LogFormat};

/// Lines that wait for standard error.
const WAITING_MAX: usize = 4096;
/// How long the end of the process waits for them.
const PATIENCE: Duration = Duration::from_secs(1);

/// Lines that were lost, since the start of the process.
static LOST: AtomicU64 = AtomicU64::new(0);

/// Puts another filter in the place of the log's.
type Refilter = Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>;
static REFILTER: OnceLock<Refilter> = OnceLock::new();

/// How many lines were lost, because standard error could not be written or took too long.
#[must_use]
pub fn lost_lines() -> u64 {
    LOST.load(Relaxed)
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The filter's directives cannot be understood. What stands there is not told.
    #[error(
        "config key log.filter: is no filter; give a level such as info, or directives such as okmsd=debug"
    )]
    Filter,
    /// No thread could be had.
    #[error("the log could not be started: {0}")]
    Thread(#[from] io::Error),
}

/// The log, while it runs. Dropping it writes what waits.
#[must_use]
pub struct Logging(SyncSender<Message>);

enum Message {
    Line(Vec<u8>),
    /// Everything before is to be written now.
    Flush(SyncSender<()>),
}

/// Starts logging as configured.
///
/// # Errors
/// `StartError::Filter` where the filter cannot be understood.
pub fn start(log: &Log) -> Result<Logging, StartError> {
    let Filter(filter) = Filter::of(log)?;
    let (sender, receiver) = mpsc::sync_channel(WAITING_MAX);
    thread::Builder::new().name("log".to_owned()).spawn(move || write(&receiver, io::stderr()))?;
    let lines = sender.clone();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .log_internal_errors(false)
        .with_writer(move || Lines(lines.clone()));
    // A second start in one process keeps the first log.
    let (started, refilter): (_, Refilter) = match log.format {
        LogFormat::Json => {
            let builder = builder.json().with_filter_reloading();
            let handle = builder.reload_handle();
            (builder.try_init(), Box::new(move |filter| handle.reload(filter)))
        }
        LogFormat::Text => {
            let builder = builder.with_ansi(io::stderr().is_terminal()).with_filter_reloading();
            let handle = builder.reload_handle();
            (builder.try_init(), Box::new(move |filter| handle.reload(filter)))
        }
    };
    if started.is_ok() {
        let _only_one_is_started = REFILTER.set(refilter);
        panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            tracing::error!(place, "a part of the program panicked");
        }));
    }
    Ok(Logging(sender))
}

/// Which lines are written.
pub struct Filter(EnvFilter);

impl Filter {
    /// The filter that is configured.
    ///
    /// # Errors
    /// `StartError::Filter` where it cannot be understood.
    pub fn of(log: &Log) -> Result<Self, StartError> {
        filter(&log.filter).map(Self).map_err(|_| StartError::Filter)
    }

    /// Lines are written by this one from now on, where there is a log.
    pub fn apply(self) {
        if let Some(refilter) = REFILTER.get() {
            let _the_log_is_for_ever = refilter(self.0);
        }
    }
}

/// Libraries that have something to say of every frame and every handshake of a peer that does not
/// behave. What matters of it is said by us, and no peer is to fill the log.
const QUIET: &str = "h2=error,hyper=error,hyper_util=error,rustls=error,tokio_rustls=error";

/// What is logged: as configured, and of [`QUIET`] libraries what is asked for by their names.
fn filter(configured: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::builder().parse(format!("{QUIET},{configured}"))
}

impl Drop for Logging {
    fn drop(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let (done, written) = mpsc::sync_channel(1);
        let mut message = Message::Flush(done);
        while let Err(TrySendError::Full(back)) = self.0.try_send(message) {
            if Instant::now() > deadline {
                return;
            }
            message = back;
            thread::sleep(Duration::from_millis(10));
        }
        let _in_vain = written.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

/// Writes lines until nobody logs any more.
fn write(lines: &Receiver<Message>, mut to: impl Write) {
    for message in lines {
        match message {
            Message::Line(line) => {
                if to.write_all(&line).is_err() {
                    LOST.fetch_add(1, Relaxed);
                }
            }
            Message::Flush(done) => {
                let _flushed = to.flush();
                let _nobody_waits = done.try_send(());
            }
        }
    }
}

/// Takes one line.
struct Lines(SyncSender<Message>);

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.0.try_send(Message::Line(line.to_vec())).is_err() {
            LOST.fetch_add(1, Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A reader who has gone, and a full disk: every write fails.
    struct Broken;

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    /// A reader who has stopped reading.
    struct Stuck;

    impl Write for Stuck {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            thread::sleep(Duration::from_secs(3600));
            Ok(0)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logging(to: impl Write + Send + 'static) -> Logging {
        let (sender, receiver) = mpsc::sync_channel(WAITING_MAX);
        thread::spawn(move || write(&receiver, to));
        Logging(sender)
    }

    /// Once, a log on a full disk or a pipe without a reader ended the process or left the store's
    /// writer dead.
    #[test]
    fn lines_that_cannot_be_written_are_lost_and_nobody_waits() {
        for log in [logging(Broken), logging(Stuck)] {
            let (before, started) = (lost_lines(), Instant::now());
            for _ in 0..3 * WAITING_MAX {
                Lines(log.0.clone()).write_all(b"a line\n").unwrap();
            }
            drop(log);
            assert!(lost_lines() >= before + WAITING_MAX as u64);
            assert!(started.elapsed() < PATIENCE * 3);
        }
    }

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// One connection without a certificate once filled 84 MB of log in two seconds: a library has
    /// a line for every ping that nobody asked for.
    #[test]
    fn no_peer_fills_the_log() {
        for (configured, expected) in
            [("info", "ours"), ("okmsd=info,h2=warn", "theirs ours"), ("warn", "ours")]
        {
            let lines = Kept::default();
            let writer = lines.clone();
            let subscriber = tracing_subscriber::fmt()
                .with_env_filter(filter(configured).unwrap())
                .with_writer(move || writer.clone())
                .finish();
            tracing::subscriber::with_default(subscriber, || {
                tracing::warn!(target: "h2::proto::ping_pong", "theirs");
                tracing::warn!(target: "okmsd::server", "ours");
            });
            let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
            let said: Vec<_> =
                ["theirs", "ours"].into_iter().filter(|word| text.contains(word)).collect();
            assert_eq!(said.join(" "), expected, "{configured}: {text}");
        }
    }
}
