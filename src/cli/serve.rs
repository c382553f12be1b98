//! `okmsd serve`

use std::{path::PathBuf, sync::Arc};

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{Outcome, say};
use crate::{
    app::{self, App, Checked},
    clock::{Clock, SystemClock},
    config::{self, Config},
    telemetry,
};

/// What is said of a filter that is none, without what stands there.
pub(super) const LOG_FILTER: &str =
    "config key log.filter: is no filter; give a level such as info, or directives such as okmsd=debug";

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
            match app::check(&config, &clock)? {
                Checked::All => say("ok"),
                Checked::AllButTheStore => say(format_args!(
                    "ok, but for one thing: a process has the store {} open, so that the root key could not be compared",
                    config.store.path.display()
                )),
            }
            return Ok(());
        }
        telemetry::start(&config.log).map_err(|_| LOG_FILTER)?;
        let app = App::start(&config, clock).await?;
        tracing::info!(listen = %app.address(), admin_listen = %app.admin_address(), "okmsd serves");
        run_until_signal(app).await
    }
}

/// Runs the server; a signal stops it, and a second one ends the process at once.
pub(super) async fn run_until_signal(app: App) -> Outcome {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stopper = app.stopper();
    let mut running = std::pin::pin!(app.run());
    for _ in 0..2 {
        tokio::select! {
            () = running.as_mut() => return Ok(()),
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        stopper.stop();
    }
    Err("stopped before everything was finished".into())
}
