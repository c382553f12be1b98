//! `okmsd serve`

use std::{path::PathBuf, sync::Arc};

use clap::Args;
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use super::{
    output::{Outcome, say},
    signals::{Signals, Wish},
};
use crate::{
    app::{self, App, Checked, Files, Keeper},
    clock::{Clock, SystemClock},
    config::{self, Config},
    telemetry,
};

/// Serves a region until SIGTERM or SIGINT.
#[derive(Args)]
pub(super) struct Serve {
    /// The config file.
    #[arg(long)]
    config: PathBuf,
    /// Only check the config and the files that it names, and change nothing.
    #[arg(long)]
    check: bool,
}

impl Serve {
    pub(super) async fn run(self) -> Outcome {
        let config = Config::load(&self.config, config::environment())?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        if self.check {
            match app::check(&config, &clock).await? {
                Checked::All => say("ok"),
                Checked::AllButTheStore => say(format_args!(
                    "ok, but for one thing: a process has the store {} open, so that the root key could not be compared",
                    config.store.path.display()
                )),
            }
            return Ok(());
        }
        let _log = telemetry::start(&config.log)?;
        let mut signals = Signals::take()?;
        let Some(app) = start(&config, clock, &mut signals).await? else { return Ok(()) };
        tracing::info!(listen = %app.address(), admin_listen = %app.admin_address(), "okmsd serves");
        let file = self.config.clone();
        let load = Box::new(move || Config::load(&file, config::environment()));
        run_until_signal(app, signals, Files { config: self.config, load }).await
    }
}

/// Starts the server; none where a signal came before it was up. The store may be long in opening.
pub(super) async fn start(
    config: &Config,
    clock: Arc<dyn Clock>,
    signals: &mut Signals,
) -> Outcome<Option<App>> {
    // What is in memory is in no file, however the process ends.
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
        .map_err(|error| format!("core dumps cannot be forbidden: {error}"))?;
    tokio::select! {
        app = App::start(config, clock) => Ok(Some(app?)),
        _ = signals.ending() => {
            tracing::info!("stopped before the server was up");
            Ok(None)
        }
    }
}

/// Runs the server, by what is in its files; a signal stops it, and a second one ends the process at
/// once.
pub(super) async fn run_until_signal(app: App, mut signals: Signals, files: Files) -> Outcome {
    let (stopper, asked) = (app.stopper(), Arc::new(Notify::new()));
    let keeper = Keeper::new(app.reloader(), files).run(Arc::clone(&asked));
    let _until_the_end = AbortOnDropHandle::new(tokio::spawn(keeper));
    // A task of its own, as it must not be waited for in the end.
    let mut running = tokio::spawn(app.run());
    loop {
        tokio::select! {
            ended = &mut running => return Ok(ended?),
            wish = signals.wish() => match wish {
                Wish::End => break,
                Wish::Reload => asked.notify_one(),
            },
        }
    }
    tracing::info!("stopping");
    stopper.stop();
    tokio::select! {
        ended = &mut running => Ok(ended?),
        ending = signals.ending() => {
            tracing::warn!("stopped by a second signal, before everything was finished");
            Err(ending.cut().into())
        }
    }
}
