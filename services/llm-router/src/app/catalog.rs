//! The configured models, ready to be called, and how each task wants them chosen.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use copydesk_proto::llm_router::v1::Task;
use copydesk_types::Price;

use super::Board;
use super::board::{ModelHealth, ProviderHealth};
use crate::Config;
use crate::config::{ModelConfig, ProviderConfig, TASKS};
use crate::domain::{BreakerRules, Capabilities, ModelFacts, Rates, Strategy, Weights};
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

/// How one task wants its models chosen.
#[derive(Debug, Clone, Default)]
pub struct TaskRoute {
    /// For each model its place in the preference; [`u32::MAX`]: none. Empty: nobody is preferred.
    pub preference: Vec<u32>,
    /// The chain whose models are the only ones.
    pub chain: Option<String>,
    /// By what to order.
    pub strategy: Strategy,
    /// Whether to hedge.
    pub hedge: bool,
}

/// The models and how they are chosen.
pub struct Catalog {
    targets: Vec<Arc<Target>>,
    facts: Vec<ModelFacts>,
    chains: BTreeMap<String, Vec<usize>>,
    tasks: Vec<(Task, TaskRoute)>,
    plain: TaskRoute,
    weights: Weights,
    price_version: Arc<str>,
    version: u64,
}

impl Catalog {
    /// Sets up every configured provider, and the offline writer last unless it is switched off or placed elsewhere.
    /// `version` counts the accepted configurations, from 1.
    ///
    /// # Errors
    /// A provider cannot be made from its settings.
    pub fn build(config: &Config, board: &Board, version: u64) -> Result<Self, Error> {
        let mut providers = config.providers.clone();
        let placed = providers.iter().any(|p| providers::entry(&p.kind).is_some_and(|e| e.offline));
        if config.offline_fallback && !placed {
            let taken = providers.iter().any(|p| p.name == "offline");
            let name = if taken { "offline-writer" } else { "offline" };
            let (name, kind) = (name.to_owned(), "offline".to_owned());
            providers.push(ProviderConfig { name, kind, ..ProviderConfig::default() });
        }
        let (mut targets, mut facts) = (Vec::new(), Vec::new());
        for (number, provider) in providers.iter().enumerate() {
            let added = add(provider, config.breaker.rules(), board)?;
            for (target, weight) in added {
                facts.push(facts_of(&target, number, weight));
                targets.push(Arc::new(target));
            }
        }
        let position = |name: &String| targets.iter().position(|target: &Arc<Target>| *target.name == **name);
        let chain = |(name, models): (&String, &Vec<String>)| {
            (name.clone(), models.iter().filter_map(position).collect())
        };
        let chains = config.chains.iter().map(chain).collect();
        let tasks = TASKS.iter().map(|(name, task)| (*task, route(config, name, &targets))).collect();
        let plain = TaskRoute { strategy: config.strategy, ..TaskRoute::default() };
        let price_version = Arc::from(config.price_version.as_str());
        let weights = config.weights.clone();
        Ok(Self { targets, facts, chains, tasks, plain, weights, price_version, version })
    }

    /// All models, in the order of the configuration.
    pub fn targets(&self) -> &[Arc<Target>] {
        &self.targets
    }

    /// The same, as a decision looks at them.
    pub fn facts(&self) -> &[ModelFacts] {
        &self.facts
    }

    /// A model's place.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.targets.iter().position(|target| *target.name == *name)
    }

    /// True when a model has this name.
    pub fn has(&self, name: &str) -> bool {
        self.position(name).is_some()
    }

    /// The models of a chain.
    pub fn chain(&self, name: &str) -> Option<&[usize]> {
        self.chains.get(name).map(Vec::as_slice)
    }

    /// True when a chain has this name.
    pub fn has_chain(&self, name: &str) -> bool {
        self.chains.contains_key(name)
    }

    /// How a task wants its models chosen.
    pub fn task(&self, task: Task) -> &TaskRoute {
        self.tasks.iter().find(|(known, _)| *known == task).map_or(&self.plain, |(_, route)| route)
    }

    /// What the strategy `unified` weighs.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The version of the price table.
    pub fn price_version(&self) -> &str {
        &self.price_version
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

/// A task without settings of its own takes those of `default`.
fn route(config: &Config, name: &str, targets: &[Arc<Target>]) -> TaskRoute {
    let Some(task) = config.tasks.get(name).or_else(|| config.tasks.get("default")) else {
        return TaskRoute { strategy: config.strategy, ..TaskRoute::default() };
    };
    let place = |target: &Arc<Target>| {
        let place = task.prefer.iter().position(|name| **name == *target.name);
        place.and_then(|place| u32::try_from(place).ok()).unwrap_or(u32::MAX)
    };
    TaskRoute {
        preference: if task.prefer.is_empty() { Vec::new() } else { targets.iter().map(place).collect() },
        chain: task.chain.clone(),
        strategy: task.strategy.unwrap_or(config.strategy),
        hedge: task.hedge,
    }
}

fn facts_of(target: &Target, provider: usize, weight: f64) -> ModelFacts {
    ModelFacts {
        name: Arc::clone(&target.name),
        provider: u16::try_from(provider).unwrap_or(u16::MAX),
        price: target.price,
        context_tokens: target.context_tokens,
        max_output_tokens: target.max_output_tokens,
        capabilities: target.capabilities,
        offline: target.offline,
        weight,
    }
}

fn add(config: &ProviderConfig, rules: BreakerRules, board: &Board) -> Result<Vec<(Target, f64)>, Error> {
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
        let target = Target {
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
            total: seconds(config.timeout_s),
            first_token: seconds(config.first_token_timeout_s),
            idle: seconds(config.idle_timeout_s),
            breaker_rules: rules,
            provider_health: Arc::clone(&provider_health),
            provider: Arc::clone(&provider),
        };
        (target, model.weight)
    };
    Ok(models.iter().map(target).collect())
}

fn seconds(number: f64) -> Duration {
    Duration::try_from_secs_f64(number).unwrap_or(Duration::from_secs(120))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(config: &Config) -> Vec<String> {
        let catalog = Catalog::build(config, &Board::default(), 1).unwrap();
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
        let one = Catalog::build(&Config::default(), &board, 1).unwrap();
        let two = Catalog::build(&Config::default(), &board, 2).unwrap();
        assert!(one.only_offline() && one.has("offline/extractive") && !one.has("nobody/nothing"));
        assert!(Arc::ptr_eq(&one.targets()[0].health, &two.targets()[0].health));
        assert_eq!((one.version(), two.version()), (1, 2));
    }
}
