//! The configured models in the order in which they are tried.
use std::sync::Arc;
use std::time::Duration;

use copydesk_types::Price;

use super::facts::Facts;
use crate::Config;
use crate::config::{ModelConfig, ProviderConfig};
use crate::domain::Capabilities;
use crate::error::Error;
use crate::providers::{self, OFFLINE_MODEL, Provider};

/// One model that can be called.
pub struct Target {
    /// `<provider>/<model>`.
    pub name: String,
    /// The provider's configured name.
    pub provider_name: String,
    /// The provider's kind.
    pub kind: &'static str,
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
    /// Who answers.
    pub provider: Arc<dyn Provider>,
}

/// The models in the order in which they are tried.
pub struct Catalog {
    targets: Vec<Target>,
    pub(super) facts: Facts,
    config: Config,
    version: u64,
}

impl Catalog {
    /// Sets up every configured provider, and the offline writer last unless it is switched off or placed elsewhere.
    ///
    /// # Errors
    /// A provider cannot be made from its settings.
    pub fn build(config: &Config) -> Result<Self, Error> {
        let mut providers = config.providers.clone();
        if let Some(name) = config.writer() {
            providers.push(ProviderConfig {
                name: name.to_owned(),
                kind: "offline".to_owned(),
                ..ProviderConfig::default()
            });
        }
        let mut targets = Vec::new();
        for provider in &providers {
            add(provider, &mut targets)?;
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

    /// Counts the accepted configurations of this process, from 1.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// All models.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// The models to try for a call: all of them, or the one that it asks for.
    pub fn route<'a>(&'a self, pinned: Option<&'a str>) -> impl Iterator<Item = &'a Target> {
        self.targets.iter().filter(move |target| pinned.is_none_or(|name| name == target.name))
    }

    /// True when a model has this name.
    pub fn has(&self, name: &str) -> bool {
        self.targets.iter().any(|target| target.name == name)
    }

    /// True when a chain has this name.
    pub fn has_chain(&self, name: &str) -> bool {
        self.chain(name).is_some()
    }

    /// True when no model but the offline writer is there.
    pub fn only_offline(&self) -> bool {
        self.targets.iter().all(|target| target.offline)
    }
}

fn add(config: &ProviderConfig, targets: &mut Vec<Target>) -> Result<(), Error> {
    let unknown = || Error::Config(vec![format!("provider {}: unknown kind {}", config.name, config.kind)]);
    let entry = providers::entry(&config.kind).ok_or_else(unknown)?;
    let provider = (entry.build)(config)?;
    let writer = [ModelConfig { name: OFFLINE_MODEL.to_owned(), ..ModelConfig::default() }];
    let models = if entry.offline { &writer[..] } else { &config.models[..] };
    for model in models {
        targets.push(Target {
            name: format!("{}/{}", config.name, model.name),
            provider_name: config.name.clone(),
            kind: entry.kind,
            model: model.name.clone(),
            price: model.price(),
            context_tokens: model.context_tokens,
            max_output_tokens: model.max_output_tokens,
            capabilities: model.capabilities(entry.capabilities),
            embedding_dimensions: model.embedding_dimensions,
            embedding_batch: if model.embedding_batch == 0 { 96 } else { model.embedding_batch as usize },
            offline: entry.offline,
            weight: model.weight,
            total: seconds(config.timeout_s),
            first_token: seconds(config.first_token_timeout_s),
            idle: seconds(config.idle_timeout_s),
            provider: Arc::clone(&provider),
        });
    }
    Ok(())
}

fn seconds(number: f64) -> Duration {
    Duration::try_from_secs_f64(number).unwrap_or(Duration::from_secs(120))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(config: &Config) -> Vec<String> {
        Catalog::build(config).unwrap().targets().iter().map(|t| t.name.clone()).collect()
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
    fn a_pinned_model_is_the_only_one() {
        let catalog = Catalog::build(&Config::default()).unwrap();
        assert!(catalog.only_offline() && catalog.has("offline/extractive"));
        assert_eq!(catalog.route(Some("offline/extractive")).count(), 1);
        assert_eq!(catalog.route(Some("nobody/nothing")).count(), 0);
    }
}
