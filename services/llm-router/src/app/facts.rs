//! What is known of the models and tasks as long as a configuration lasts, in the form in which a choice is made.
use std::collections::BTreeMap;
use std::sync::Arc;

use copydesk_proto::llm_router::v1::Task;

use super::catalog::{Catalog, Target};
use crate::Config;
use crate::config::TASKS;
use crate::domain::{Ask, Capabilities, ModelFacts, Routing, Strategy};
use crate::error::Error;

/// The catalogue in numbers: models are meant by their place in it.
pub(super) struct Facts {
    models: Vec<ModelFacts>,
    chains: BTreeMap<String, Vec<usize>>,
    /// By the contract's number of the task.
    tasks: BTreeMap<i32, TaskFacts>,
    unconfigured: TaskFacts,
}

/// How models are chosen for a task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskFacts {
    /// For each model its place in the preference, `u32::MAX` when it is not preferred; empty: none is.
    pub preference: Vec<u32>,
    /// The chain's name; `None`: all models.
    pub chain: Option<String>,
    /// By what to order.
    pub strategy: Strategy,
    /// Whether to hedge.
    pub hedge: bool,
}

impl Facts {
    /// Resolves every name.
    ///
    /// # Errors
    /// A task or a chain names a model that is not there.
    pub(super) fn new(targets: &[Arc<Target>], config: &Config) -> Result<Self, Error> {
        let faults = config.unknown_models();
        if !faults.is_empty() {
            return Err(Error::Config(faults));
        }
        let places: BTreeMap<&str, usize> =
            targets.iter().enumerate().map(|(index, target)| (&*target.name, index)).collect();
        let resolve =
            |names: &[String]| names.iter().filter_map(|name| places.get(name.as_str()).copied()).collect();
        let chains = config.chains.iter().map(|(name, models)| (name.clone(), resolve(models))).collect();
        let tasks = TASKS.iter().filter_map(|(name, task)| {
            let settings = config.tasks.get(*name)?;
            let preferred: Vec<usize> = resolve(&settings.prefer);
            let facts = TaskFacts {
                preference: ranks(&preferred, targets.len()),
                chain: settings.chain.clone(),
                strategy: settings.strategy.unwrap_or(config.strategy),
                hedge: settings.hedge,
            };
            Some((i32::from(*task), facts))
        });
        Ok(Self {
            models: models(targets),
            chains,
            tasks: tasks.collect(),
            unconfigured: TaskFacts { strategy: config.strategy, ..TaskFacts::default() },
        })
    }
}

fn models(targets: &[Arc<Target>]) -> Vec<ModelFacts> {
    let mut providers: Vec<&str> = Vec::new();
    let mut facts = Vec::with_capacity(targets.len());
    for target in targets {
        let name = &*target.provider_name;
        let provider = providers.iter().position(|known| *known == name).unwrap_or_else(|| {
            providers.push(name);
            providers.len() - 1
        });
        facts.push(ModelFacts {
            name: Arc::clone(&target.name),
            // More providers than the number has room for would only blur alternates and fallbacks.
            provider: u16::try_from(provider).unwrap_or(u16::MAX),
            price: target.price,
            context_tokens: target.context_tokens,
            max_output_tokens: target.max_output_tokens,
            capabilities: target.capabilities,
            offline: target.offline,
            weight: target.weight,
        });
    }
    facts
}

/// For each of `models` its place in the list.
fn ranks(preferred: &[usize], models: usize) -> Vec<u32> {
    if preferred.is_empty() {
        return Vec::new();
    }
    let mut ranks = vec![u32::MAX; models];
    for (rank, model) in (0..).zip(preferred) {
        ranks[*model] = rank;
    }
    ranks
}

impl Catalog {
    /// What a choice needs to know of each model, in the order of [`Catalog::targets`].
    pub fn facts(&self) -> &[ModelFacts] {
        &self.facts.models
    }

    /// The place of the model with this name.
    pub fn index(&self, name: &str) -> Option<usize> {
        self.facts.models.iter().position(|model| &*model.name == name)
    }

    /// The chain with this name and the places of its models.
    pub fn chain(&self, name: &str) -> Option<(&str, &[usize])> {
        self.facts.chains.get_key_value(name).map(|(name, models)| (name.as_str(), models.as_slice()))
    }

    /// How models are chosen for a task.
    pub fn task(&self, task: Task) -> &TaskFacts {
        self.facts.tasks.get(&i32::from(task)).unwrap_or(&self.facts.unconfigured)
    }

    /// The question that a call puts to [`crate::domain::decide`]: what it says itself stands above what is configured
    /// for its task. Without limits of money, needs, sizes and seed, which the caller sets.
    pub fn ask<'a>(&'a self, task: Task, routing: &Routing, model: Option<&str>) -> Ask<'a> {
        let settings = self.task(task);
        let chain = routing.chain.as_deref().or(settings.chain.as_deref());
        Ask {
            needs: Capabilities::NONE,
            preference: &settings.preference,
            chain: chain.and_then(|name| self.chain(name)),
            // A name that nobody has pins nobody, not everybody.
            pinned: model.map(|name| self.index(name).unwrap_or(usize::MAX)),
            strategy: routing.strategy.unwrap_or(settings.strategy),
            weights: &self.config().weights,
            input_tokens: 0,
            max_output_tokens: 0,
            budget_left: None,
            max_cost: routing.max_cost,
            no_offline: routing.no_offline,
            seed: 0,
            price_version: &self.config().price_version,
            catalogue_version: self.version(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Board;
    use crate::config::{ModelConfig, ProviderConfig, TaskConfig};

    fn config() -> Config {
        let model =
            |name: &str, weight: f64| ModelConfig { name: name.into(), weight, ..ModelConfig::default() };
        let provider = |name: &str, models: Vec<ModelConfig>| ProviderConfig {
            name: name.into(),
            kind: "openai".into(),
            models,
            ..ProviderConfig::default()
        };
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let draft = TaskConfig {
            prefer: names(&["b/z", "a/x"]),
            chain: Some("short".into()),
            strategy: Some(Strategy::Cost),
            hedge: true,
        };
        Config {
            providers: vec![
                provider("a", vec![model("x", 3.0), model("y", 0.0)]),
                provider("b", vec![model("z", 1.0)]),
            ],
            chains: BTreeMap::from([
                ("short".to_owned(), names(&["b/z", "offline/extractive"])),
                ("other".to_owned(), names(&["a/y"])),
            ]),
            tasks: BTreeMap::from([("draft".to_owned(), draft)]),
            strategy: Strategy::Latency,
            ..Config::default()
        }
    }

    #[test]
    fn names_become_places() {
        let catalog = Catalog::build(&config(), &Board::default()).unwrap();
        let facts: Vec<_> =
            catalog.facts().iter().map(|one| (&*one.name, one.provider, one.weight, one.offline)).collect();
        assert_eq!(
            facts,
            [
                ("a/x", 0, 3.0, false),
                ("a/y", 0, 0.0, false),
                ("b/z", 1, 1.0, false),
                ("offline/extractive", 2, 0.0, true)
            ]
        );
        assert_eq!(catalog.chain("short"), Some(("short", &[2, 3][..])));
        assert_eq!(catalog.chain("none"), None);
        assert_eq!((catalog.index("b/z"), catalog.index("b/q")), (Some(2), None));
    }

    #[test]
    fn a_task_has_its_settings_and_any_other_the_routers() {
        let catalog = Catalog::build(&config(), &Board::default()).unwrap();
        let draft = catalog.task(Task::Draft);
        assert_eq!(draft.preference, [1, u32::MAX, 0, u32::MAX]);
        assert_eq!((draft.strategy, draft.hedge), (Strategy::Cost, true));
        let other = TaskFacts { strategy: Strategy::Latency, ..TaskFacts::default() };
        assert_eq!(catalog.task(Task::Review), &other);
    }

    #[test]
    fn what_a_call_says_stands_above_its_task() {
        let catalog = Catalog::build(&config(), &Board::default()).unwrap();
        let ask = catalog.ask(Task::Draft, &Routing::default(), None);
        assert_eq!((ask.strategy, ask.chain.map(|(name, _)| name)), (Strategy::Cost, Some("short")));
        assert_eq!((ask.pinned, ask.max_cost, ask.no_offline), (None, None, false));
        let routing = Routing {
            strategy: Some(Strategy::Unified),
            chain: Some("other".into()),
            max_cost: Some(7),
            no_offline: true,
            ..Routing::default()
        };
        let ask = catalog.ask(Task::Draft, &routing, Some("a/y"));
        assert_eq!((ask.strategy, ask.chain.map(|(name, _)| name)), (Strategy::Unified, Some("other")));
        assert_eq!((ask.pinned, ask.max_cost, ask.no_offline), (Some(1), Some(7), true));
        assert_eq!(catalog.ask(Task::Draft, &routing, Some("a/q")).pinned, Some(usize::MAX));
    }

    #[test]
    fn a_model_that_nobody_discovered_is_a_fault() {
        let config = Config { providers: Vec::new(), ..config() };
        assert!(config.validate().is_empty(), "it could still have been discovered");
        let Err(Error::Config(faults)) = Catalog::build(&config, &Board::default()) else { panic!("built") };
        assert_eq!(faults.len(), 4, "{faults:?}");
    }
}
