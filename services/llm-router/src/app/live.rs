//! The catalogue that is in force, and its replacement while calls are under way.
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Board, Catalog};
use crate::Config;
use crate::error::Error;

/// What came of reading the configuration anew: settings, or why there are none, each as `key: what is wrong`.
pub type Update = Result<Config, Vec<String>>;

/// Configurations as they come. The first value is the one that the service is built with.
pub type ConfigUpdates = watch::Receiver<Arc<Update>>;

/// The catalogue in force. A call takes it once and keeps it to its end, so that no call sees two.
pub struct Live {
    current: ArcSwap<Catalog>,
    board: Board,
    refused: ArcSwap<Vec<String>>,
    /// One replacement at a time.
    turn: Mutex<()>,
}

impl Live {
    /// Begins with this configuration, and what the board knows.
    ///
    /// # Errors
    /// A provider cannot be made from its settings.
    pub fn new(config: &Config, board: Board) -> Result<Self, Error> {
        let current = ArcSwap::from_pointee(Catalog::build(config, &board)?);
        Ok(Self { current, board, refused: ArcSwap::from_pointee(Vec::new()), turn: Mutex::new(()) })
    }

    /// The catalogue in force.
    pub fn load(&self) -> Arc<Catalog> {
        self.current.load_full()
    }

    /// Counts the accepted configurations of this process, from 1.
    pub fn version(&self) -> u64 {
        self.current.load().version()
    }

    /// What was wrong with the latest configuration, when it was refused; empty: nothing.
    pub fn refused(&self) -> Arc<Vec<String>> {
        self.refused.load_full()
    }

    /// Puts a configuration in force, whole or not at all, and says so in the log. What cannot change while the process
    /// runs stays as it is.
    ///
    /// # Errors
    /// Every fault; then the catalogue in force stays.
    pub fn apply(&self, config: Config) -> Result<u64, Vec<String>> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.load();
        let (config, kept) = keep_fixed(config, old.config());
        let version = old.version() + 1;
        match build(&config, &self.board) {
            Ok(catalog) => {
                let models = catalog.targets().len();
                self.current.store(Arc::new(catalog.numbered(version)));
                self.refused.store(Arc::default());
                tracing::info!(version, models, "a new configuration is in force");
                if !kept.is_empty() {
                    tracing::warn!(
                        settings = kept.join(", "),
                        "changed settings take effect at the next start"
                    );
                }
                Ok(version)
            }
            Err(faults) => {
                self.refuse(faults.clone());
                Err(faults)
            }
        }
    }

    /// Notes that a configuration was refused before it came here, and says so in the log.
    pub fn refuse(&self, faults: Vec<String>) {
        let (version, listed) = (self.version(), faults.join("; "));
        tracing::error!(
            version,
            faults = listed,
            "the new configuration is refused, the old one stays in force"
        );
        self.refused.store(Arc::new(faults));
    }

    /// Applies configurations as they come, until told to stop.
    pub async fn follow(&self, updates: Option<ConfigUpdates>, stop: CancellationToken) {
        if let Some(updates) = updates {
            tokio::select! {
                () = self.apply_all(updates) => {}
                () = stop.cancelled() => return,
            }
        }
        stop.cancelled().await;
    }

    /// Ends when no more can come.
    async fn apply_all(&self, mut updates: ConfigUpdates) {
        while updates.changed().await.is_ok() {
            let update = Arc::clone(&updates.borrow_and_update());
            match &*update {
                // A fault has been logged, and the next configuration is waited for all the same.
                Ok(config) => drop(self.apply(config.clone())),
                Err(faults) => self.refuse(faults.clone()),
            }
        }
    }
}

fn build(config: &Config, board: &Board) -> Result<Catalog, Vec<String>> {
    let faults = config.validate();
    if !faults.is_empty() {
        return Err(faults);
    }
    Catalog::build(config, board).map_err(|error| match error {
        Error::Config(faults) => faults,
        other => vec![other.to_string()],
    })
}

/// The new settings with those of the old that are read only at the start, and the names of these where they differ.
fn keep_fixed(mut new: Config, old: &Config) -> (Config, Vec<&'static str>) {
    let redis = |config: &Config| config.cache.redis_url.as_ref().map(|url| url.expose().to_owned());
    let differ = [
        ("cache.redis_url", redis(&new) != redis(old)),
        ("cache.memory_mib", new.cache.memory_mib != old.cache.memory_mib),
        ("ledger", new.ledger != old.ledger),
        ("budget", new.budget != old.budget),
    ];
    new.cache.redis_url.clone_from(&old.cache.redis_url);
    new.cache.memory_mib = old.cache.memory_mib;
    new.ledger = old.ledger.clone();
    new.budget = old.budget.clone();
    (new, differ.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ModelConfig, ProviderConfig};

    fn with(model: &str) -> Config {
        let models = vec![ModelConfig { name: model.into(), ..ModelConfig::default() }];
        let provider = ProviderConfig {
            name: "acme".into(),
            kind: "openai".into(),
            models,
            ..ProviderConfig::default()
        };
        Config { providers: vec![provider], ..Config::default() }
    }

    fn live() -> Live {
        Live::new(&with("one"), Board::default()).unwrap()
    }

    fn first(live: &Live) -> String {
        live.load().targets()[0].name.to_string()
    }

    #[test]
    fn a_good_configuration_is_in_force_at_once_and_a_call_under_way_keeps_its_own() {
        let live = live();
        let held = live.load();
        assert_eq!(live.apply(with("two")), Ok(2));
        assert_eq!((first(&live).as_str(), live.version()), ("acme/two", 2));
        assert_eq!((&*held.targets()[0].name, held.version()), ("acme/one", 1));
    }

    #[test]
    fn a_bad_one_is_refused_whole_and_remembered_until_a_good_one_comes() {
        let live = live();
        let mut bad = with("t w o");
        bad.answer_retention_h = 0;
        let faults = live.apply(bad).unwrap_err();
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert_eq!((first(&live).as_str(), live.version(), &*live.refused()), ("acme/one", 1, &faults));
        // Wrong only when its models are looked up.
        let undiscovered = Config {
            providers: Vec::new(),
            chains: [("c".to_owned(), vec!["acme/one".to_owned()])].into(),
            ..Config::default()
        };
        assert_eq!(live.apply(undiscovered).unwrap_err().len(), 1);
        live.refuse(vec!["gateway.x: there is no such setting".to_owned()]);
        assert_eq!(*live.refused(), ["gateway.x: there is no such setting"]);
        assert_eq!(live.apply(with("two")), Ok(2));
        assert!(live.refused().is_empty());
    }

    #[test]
    fn what_is_read_only_at_the_start_stays_and_is_named() {
        let old = with("one");
        let mut new = with("two");
        assert!(keep_fixed(new.clone(), &old).1.is_empty());
        new.cache.redis_url = Some(copydesk_types::Secret::new("redis://elsewhere"));
        new.cache.memory_mib = 1;
        new.cache.ttl_s = 7;
        new.ledger.flush_ms = 7;
        new.budget.lease_s = 70;
        let (kept, named) = keep_fixed(new, &old);
        assert_eq!(named, ["cache.redis_url", "cache.memory_mib", "ledger", "budget"]);
        assert!(kept.cache.redis_url.is_none());
        assert_eq!((kept.cache.memory_mib, kept.cache.ttl_s), (64, 7));
        assert_eq!((kept.ledger, kept.budget), (old.ledger, old.budget));
        assert_eq!(kept.providers[0].models[0].name, "two");
    }

    #[tokio::test]
    async fn updates_are_followed_until_the_end() {
        let live = Arc::new(live());
        let (sender, updates) = watch::channel(Arc::new(Ok(with("one"))));
        let stop = CancellationToken::new();
        let following = tokio::spawn({
            let (live, stop) = (Arc::clone(&live), stop.clone());
            async move { live.follow(Some(updates), stop).await }
        });
        let until = async |done: &dyn Fn() -> bool| {
            while !done() {
                tokio::task::yield_now().await;
            }
        };
        sender.send(Arc::new(Ok(with("two")))).unwrap();
        until(&|| live.version() == 2).await;
        sender.send(Arc::new(Err(vec!["x: y".to_owned()]))).unwrap();
        until(&|| !live.refused().is_empty()).await;
        assert_eq!(first(&live), "acme/two");
        sender.send(Arc::new(Ok(with("three")))).unwrap();
        until(&|| live.version() == 3).await;
        assert!(!following.is_finished());
        stop.cancel();
        following.await.unwrap();
    }
}
