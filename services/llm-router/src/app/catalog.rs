//! The configured models, ready to be called, and how each task wants them chosen.
use std::sync::Arc;
use std::time::Duration;

use copydesk_types::Price;

use super::Board;
use super::board::{ModelHealth, ProviderHealth};
use super::facts::Facts;
use crate::Config;
use crate::config::{ModelConfig, ProviderConfig};
use crate::domain::{BreakerRules, Capabilities, Rates};
use crate::error::Error;
use crate::providers::{self, OFFLINE_MODEL, Provider};

/// How many texts go into one call for vectors where the configuration does not say.
const EMBEDDING_BATCH: usize = 96;

/// One model that can be called.
pub struct Target {
    /// `<provider>/<model>`.
    pub name: Arc<str>,
    /// The provider's configured name.
    pub provider_name: Arc<str>,
    /// The provider's kind or preset.
    pub kind: String,
    /// The provider's own name for the model.
    pub model: String,
    /// Its prices.
    pub price: Price,
    /// Its context window in tokens; 0 when unknown.
    pub context_tokens: u32,
    /// The most tokens that it writes; 0 when unknown.
    pub max_output_tokens: u32,
    /// What it can do.
    pub capabilities: Capabilities,
    /// The dimensions of its vectors; 0 when they are not checked.
    pub embedding_dimensions: u32,
    /// The most texts in one call for vectors.
    pub embedding_batch: usize,
    /// True when it needs no network.
    pub offline: bool,
    /// Its share under the strategy `weighted`; 0 counts as 1.
    pub weight: f64,
    /// The longest wait for a whole answer.
    pub total: Duration,
    /// The longest wait for the first token of a stream.
    pub first_token: Duration,
    /// The longest silence between two tokens of a stream.
    pub idle: Duration,
    /// When its breaker opens.
    pub breaker_rules: BreakerRules,
    /// How it does.
    pub health: Arc<ModelHealth>,
    /// How its provider does.
    pub provider_health: Arc<ProviderHealth>,
    /// Who answers.
    pub provider: Arc<dyn Provider>,
}

impl Target {
    /// True when no call to it can cost anything.
    pub fn is_free(&self) -> bool {
        self.price == Price::default()
    }

    /// The most tokens that it is asked for when so many are wanted.
    pub fn clamp(&self, wanted: u32) -> u32 {
        if self.max_output_tokens == 0 { wanted } else { wanted.min(self.max_output_tokens) }
    }
}

/// The models and how they are chosen.
pub struct Catalog {
    targets: Vec<Arc<Target>>,
    pub(super) facts: Facts,
    config: Config,
    version: u64,
}

impl Catalog {
    /// Sets up every configured provider, and the offline writer last unless it is switched off or placed elsewhere.
    ///
    /// # Errors
    /// A provider cannot be made from its settings, or a chain or a task names a model that is not there.
    pub fn build(config: &Config, board: &Board) -> Result<Self, Error> {
        let mut providers = config.providers.clone();
        if let Some(name) = config.writer() {
            let (name, kind) = (name.to_owned(), "offline".to_owned());
            providers.push(ProviderConfig { name, kind, ..ProviderConfig::default() });
        }
        let mut targets = Vec::new();
        for provider in &providers {
            add(provider, config.breaker.rules(), board, &mut targets)?;
        }
        let facts = Facts::new(&targets, config)?;
        Ok(Self { targets, facts, config: config.clone(), version: 1 })
    }

    /// The same as the given one of the accepted configurations.
    pub(super) fn numbered(self, version: u64) -> Self {
        Self { version, ..self }
    }

    /// The settings that it was built from.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// All models, in the order of the configuration.
    pub fn targets(&self) -> &[Arc<Target>] {
        &self.targets
    }

    /// True when a model has this name.
    pub fn has(&self, name: &str) -> bool {
        self.index(name).is_some()
    }

    /// True when a chain has this name.
    pub fn has_chain(&self, name: &str) -> bool {
        self.chain(name).is_some()
    }

    /// Counts the accepted configurations, from 1.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// True when no model but the offline writer is there.
    pub fn only_offline(&self) -> bool {
        self.targets.iter().all(|target| target.offline)
    }
}

fn add(
    config: &ProviderConfig,
    rules: BreakerRules,
    board: &Board,
    targets: &mut Vec<Arc<Target>>,
) -> Result<(), Error> {
    let unknown = || Error::Config(vec![format!("provider {}: unknown kind {}", config.name, config.kind)]);
    let entry = providers::entry(&config.kind).ok_or_else(unknown)?;
    let provider = (entry.build)(config)?;
    let writer = [ModelConfig { name: OFFLINE_MODEL.to_owned(), ..ModelConfig::default() }];
    let models = if entry.offline { &writer[..] } else { &config.models[..] };
    let rates = Rates { requests: config.requests_per_minute, tokens: config.tokens_per_minute };
    let queue = Duration::from_millis(config.queue_ms.into());
    let provider_health = board.provider(&config.name, config.max_concurrency, rates, queue);
    let provider_name: Arc<str> = Arc::from(config.name.as_str());
    let target = |model: &ModelConfig| {
        let name: Arc<str> = Arc::from(format!("{}/{}", config.name, model.name));
        Target {
            health: board.model(&name),
            name,
            provider_name: Arc::clone(&provider_name),
            kind: config.kind.clone(),
            model: model.name.clone(),
            price: model.price(),
            context_tokens: model.context_tokens,
            max_output_tokens: model.max_output_tokens,
            capabilities: model.capabilities(entry.capabilities),
            embedding_dimensions: model.embedding_dimensions,
            embedding_batch: match model.embedding_batch {
                0 => EMBEDDING_BATCH,
                batch => batch as usize,
            },
            offline: entry.offline,
            weight: model.weight,
            total: seconds(config.timeout_s),
            first_token: seconds(config.first_token_timeout_s),
            idle: seconds(config.idle_timeout_s),
            breaker_rules: rules,
            provider_health: Arc::clone(&provider_health),
            provider: Arc::clone(&provider),
        }
    };
    targets.extend(models.iter().map(target).map(Arc::new));
    Ok(())
}

fn seconds(number: f64) -> Duration {
    Duration::try_from_secs_f64(number).unwrap_or(Duration::from_secs(120))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(config: &Config) -> Vec<String> {
        let catalog = Catalog::build(config, &Board::default()).unwrap();
        catalog.targets().iter().map(|t| t.name.to_string()).collect()
    }

    #[test]
    fn the_offline_writer_is_last_unless_placed_or_switched_off() {
        let model = |name: &str| ModelConfig { name: name.into(), ..ModelConfig::default() };
        let groq = ProviderConfig {
            name: "groq".into(),
            kind: "openai".into(),
            models: vec![model("openai/a"), model("b")],
            ..ProviderConfig::default()
        };
        let config = Config { providers: vec![groq.clone()], ..Config::default() };
        assert_eq!(names(&config), ["groq/openai/a", "groq/b", "offline/extractive"]);
        let config = Config { offline_fallback: false, ..config };
        assert_eq!(names(&config), ["groq/openai/a", "groq/b"]);
        let first =
            ProviderConfig { name: "own".into(), kind: "offline".into(), ..ProviderConfig::default() };
        let config = Config { providers: vec![first, groq], ..Config::default() };
        assert_eq!(names(&config), ["own/extractive", "groq/openai/a", "groq/b"]);
    }

    #[test]
    fn models_keep_their_state_over_configurations() {
        let board = Board::default();
        let one = Catalog::build(&Config::default(), &board).unwrap();
        let two = Catalog::build(&Config::default(), &board).unwrap();
        assert!(one.only_offline() && one.has("offline/extractive") && !one.has("nobody/nothing"));
        assert!(Arc::ptr_eq(&one.targets()[0].health, &two.targets()[0].health));
    }
}
