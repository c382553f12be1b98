//! When a running server loads its files again: where it is asked to, and where they have changed.
//!
//! Always holds: files are used as they were at one moment, between two looks at what they are from
//! outside; files that cannot be used, and such as were cut off, are tried again with each look, and told once
//! for each reason; they are read on threads that may wait. Never does: give up.

use std::{path::PathBuf, sync::Arc};

use tokio::{sync::Notify, task::spawn_blocking};

use super::{
    contents::Contents,
    error::AppError,
    reload::{Reloaded, Reloader},
};
use crate::{
    config::{Config, ConfigError},
    metrics::Reload,
    watch::{Marks, Watch},
};

/// How often files that change while they are read are read again at once.
const TRIES: usize = 3;

/// The config file, and how it is read.
pub struct Files {
    /// The file.
    pub config: PathBuf,
    /// Reads it, with all that is laid over it.
    pub load: Box<dyn Fn() -> Result<Config, ConfigError> + Send + Sync>,
}

impl Files {
    /// What is in all that a server with this configuration goes by.
    fn contents(&self, config: &Config) -> Contents {
        Contents::of(config.live_files().chain([self.config.as_path()]))
    }
}

/// Keeps a server by what is in its files.
pub struct Keeper {
    reloader: Reloader,
    files: Arc<Files>,
    watch: Watch,
    /// What is in the files that are in use.
    used: Arc<Contents>,
    /// Why the files could not be used, at the last attempt.
    trouble: Option<String>,
}

/// One attempt to use the files.
struct Attempt {
    /// What the files were from outside.
    marks: Marks,
    outcome: Result<(Reloaded, Contents), AppError>,
}

/// Why there is an attempt.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    Asked,
    Looked,
}

impl Keeper {
    /// Keeps the server of this reloader. What has changed since it was started is found, too.
    #[must_use]
    pub fn new(reloader: Reloader, files: Files) -> Self {
        let (watch, used) = (Watch::default(), Arc::default());
        Self { reloader, files: Arc::new(files), watch, used, trouble: None }
    }

    /// Loads the files whenever `asked` says so, and whenever they have changed, until it is dropped.
    pub async fn run(mut self, asked: Arc<Notify>) {
        self.read_used().await;
        loop {
            let pause = async {
                match self.reloader.interval() {
                    Some(interval) => tokio::time::sleep(interval).await,
                    None => std::future::pending().await,
                }
            };
            let why = tokio::select! {
                () = asked.notified() => Why::Asked,
                () = pause => Why::Looked,
            };
            if why == Why::Asked {
                self.reloader.ask_for_lists();
            }
            if why == Why::Asked || self.is_due().await {
                self.attempt(why).await;
            }
        }
    }

    /// Reads what the server was started with.
    async fn read_used(&mut self) {
        let (reloader, files) = (self.reloader.clone(), Arc::clone(&self.files));
        let read = move || {
            let config = reloader.config();
            files.contents(&config)
        };
        self.used = Arc::new(spawn_blocking(read).await.unwrap_or_default());
    }

    async fn is_due(&mut self) -> bool {
        let (before, files) = (self.watch.seen().clone(), Arc::clone(&self.files));
        let look = move || before.again().and(Marks::of([files.config.as_path()]));
        // A look that panicked is none.
        let Ok(marks) = spawn_blocking(look).await else { return false };
        self.watch.look(marks)
    }

    async fn attempt(&mut self, why: Why) {
        let (reloader, files) = (self.reloader.clone(), Arc::clone(&self.files));
        let before = self.watch.seen().clone();
        // Whoever asks has seen to the files.
        let used = (why == Why::Looked).then(|| Arc::clone(&self.used));
        let attempt = move || attempt(&reloader, &files, before, used.as_deref());
        let attempt = spawn_blocking(attempt).await;
        let Ok(Attempt { marks, outcome }) = attempt else { return };
        self.watch.used(marks, outcome.is_err());
        match outcome {
            Ok((reloaded, contents)) => {
                self.used = Arc::new(contents);
                self.succeeded(why, &reloaded);
            }
            Err(error) => self.failed(why, error.to_string()),
        }
    }

    fn succeeded(&mut self, why: Why, reloaded: &Reloaded) {
        let healed = self.trouble.take().is_some();
        let Reloaded { generation, certificates, settings, restart } = reloaded;
        self.reloader.metrics().reloads().count(if reloaded.is_new() {
            Reload::Applied
        } else {
            Reload::Unchanged
        });
        if reloaded.is_new() {
            let settings = settings.join(" ");
            tracing::info!(generation, certificates, settings, "the files are loaded again");
        } else if why == Why::Asked || healed {
            tracing::info!(generation, "the files are as they are served");
        }
        if !restart.is_empty() {
            let settings = restart.join(" ");
            tracing::warn!(settings, "these settings have changed, and need a restart");
        }
    }

    fn failed(&mut self, why: Why, error: String) {
        let reloads = self.reloader.metrics().reloads();
        reloads.failed();
        if why == Why::Asked || self.trouble.as_ref() != Some(&error) {
            reloads.count(Reload::Refused);
            tracing::error!(%error, "the files could not be loaded again; nothing changes");
        }
        self.trouble = Some(error);
    }
}

/// Loads the files, and uses them if they were the same all the while, and are no mere beginnings of those
/// that are `used`.
fn attempt(reloader: &Reloader, files: &Files, before: Marks, used: Option<&Contents>) -> Attempt {
    let mut marks = before;
    for _ in 0..TRIES {
        let of_config = Marks::of([files.config.as_path()]);
        let config = match (files.load)() {
            Ok(config) => config,
            // It was read half written.
            Err(_) if of_config != of_config.again() => {
                marks = marks.again().and(of_config);
                continue;
            }
            // Those that the file named before are still looked at.
            Err(error) => {
                return Attempt { marks: marks.again().and(of_config), outcome: Err(error.into()) };
            }
        };
        marks = Marks::of(config.live_files()).and(of_config);
        let loaded = reloader.load(&config);
        let contents = files.contents(&config);
        if marks == marks.again() {
            let cut = used.and_then(|used| contents.cut_since(used));
            let outcome = match cut {
                Some(path) => Err(AppError::Cut(path.into())),
                None => loaded.map(|fit| (reloader.apply(fit), contents)),
            };
            return Attempt { marks, outcome };
        }
    }
    Attempt { marks, outcome: Err(AppError::Restless) }
}
