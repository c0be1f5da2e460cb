//! The configuration read anew while the program runs: on SIGHUP, and when its file or the file of a key changes. What
//! is read goes to the llm-router, which takes it whole or not at all; what other services would need a restart for is
//! named in the log. Not here: what the settings mean (each service's).
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use copydesk_llm_router::{ConfigUpdates, Update};
use copydesk_runtime::config::ConfigError;
use tokio::signal::unix::Signal;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::config::{Config, FILE_NAME};

mod changes;
mod files;

use files::Files;

/// How often files are looked at. A change is taken when a second look finds it the same.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Where the configuration comes from, and the files that it was last read from.
pub(crate) struct Source {
    file: Option<PathBuf>,
    data: PathBuf,
    flags: Vec<(String, String)>,
    files: Files,
}

impl Source {
    /// `file` as [`Config::load`] takes it: the named one, else the data folder's, when there is one.
    pub(crate) fn new(file: Option<PathBuf>, data: PathBuf, flags: Vec<(String, String)>) -> Self {
        Self { file, data, flags, files: Files::default() }
    }

    /// Reads the configuration: defaults < file < environment < flags, then what the surroundings offer, then keys that
    /// stand elsewhere.
    ///
    /// # Errors
    /// Every fault at once; but keys are fetched only for a configuration that is good otherwise.
    pub(crate) async fn load(&mut self) -> Result<Config, ConfigError> {
        // Files are noted before they are read: what changes in between is seen at the next look, and read again.
        let named = self.file.clone().unwrap_or_else(|| self.data.join(FILE_NAME));
        self.files.add(named.clone()).await;
        let mut config = Config::load(self.file.as_deref(), &self.data, self.flags.clone())?;
        let providers = config.llm_router.providers.iter();
        let keys = providers.filter_map(|provider| provider.api_key_file.clone());
        self.files.keep(keys.chain([named])).await;
        crate::commands::discover(&mut config).await;
        fetch_keys(&mut config)?;
        Ok(config)
    }
}

/// Fetches keys from environment variables and files: the providers' and the search index's.
///
/// # Errors
/// Every key that cannot be fetched.
pub(crate) fn fetch_keys(config: &mut Config) -> Result<(), ConfigError> {
    let env = |name: &str| std::env::var(name).ok();
    let router = copydesk_llm_router::resolve_keys(&mut config.llm_router, &env);
    let retrieval = copydesk_retrieval::resolve_keys(&mut config.retrieval, &env);
    if router.is_empty() && retrieval.is_empty() {
        return Ok(());
    }
    let router = router.into_iter().map(|fault| format!("llm_router.{fault}"));
    let retrieval = retrieval.into_iter().map(|fault| format!("retrieval.{fault}"));
    Err(ConfigError::Faults(router.chain(retrieval).collect()))
}

/// Reads the configuration anew whenever there is a reason to.
pub(crate) struct Reloader {
    source: Source,
    running: Config,
    updates: watch::Sender<Arc<Update>>,
}

impl Reloader {
    /// Watches over the sources of the configuration that the program was started with, and the updates to come.
    pub(crate) fn new(source: Source, running: Config) -> (Self, ConfigUpdates) {
        let (updates, receiver) = watch::channel(Arc::new(Ok(running.llm_router.clone())));
        (Self { source, running, updates }, receiver)
    }

    /// Works until it is dropped. `hang_up` is SIGHUP.
    pub(crate) async fn run(mut self, mut hang_up: Signal) {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(()) = hang_up.recv() => self.source.files.note().await,
                _ = looks.tick() => if !self.source.files.changed().await { continue },
            }
            self.reload().await;
        }
    }

    async fn reload(&mut self) {
        let update = match self.source.load().await {
            Ok(config) => {
                let changed = changes::between(&self.running, &config);
                if !changed.is_empty() {
                    let settings = changed.join(", ");
                    tracing::warn!(settings, "changed settings of the program take effect at the next start");
                }
                Ok(config.llm_router)
            }
            Err(error) => Err(faults(&error)),
        };
        // The router logs what comes of it. Where it runs elsewhere, nobody takes the update, and a fault is told here.
        if let Err(watch::error::SendError(update)) = self.updates.send(Arc::new(update))
            && let Err(faults) = &*update
        {
            tracing::error!(faults = faults.join("; "), "the new configuration is refused");
        }
    }
}

fn faults(error: &ConfigError) -> Vec<String> {
    match error {
        ConfigError::Faults(faults) => faults.clone(),
        ConfigError::Read { source, .. } => vec![format!("{error}: {source}")],
    }
}
