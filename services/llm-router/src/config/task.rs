//! Settings by task, and chains.
use copydesk_proto::llm_router::v1::Task;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Config;
use super::validate::{Faults, is_repeated};
use crate::domain::Strategy;

/// The longest name of a chain, in bytes.
const MAX_CHAIN_NAME: usize = 64;

/// Settings of one task.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TaskConfig {
    /// The models to prefer, `<provider>/<model>`, best first. The others come after them.
    pub prefer: Vec<String>,
    /// The only models to use: the name of a chain. Absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chain: Option<String>,
    /// How to choose. Absent: as the router does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// Whether a second model is asked when the first is slower than the 95th percentile of its latency.
    pub hedge: bool,
}

/// The names by which tasks are configured, and the tasks that they mean.
pub const TASKS: [(&str, Task); 10] = [
    ("default", Task::Unspecified),
    ("qualification", Task::Qualification),
    ("research", Task::Research),
    ("strategy", Task::Strategy),
    ("draft", Task::Draft),
    ("review", Task::Review),
    ("revise", Task::Revise),
    ("finish", Task::Finish),
    ("simple_parsing", Task::SimpleParsing),
    ("judge", Task::Judge),
];

/// The faults of tasks and chains; `known` knows the names of all models.
pub(super) fn validate(config: &Config, known: &dyn Fn(&str) -> bool, faults: &mut Faults) {
    for (name, models) in &config.chains {
        let key = format!("chains.{name}");
        if name.is_empty() || name.len() > MAX_CHAIN_NAME || name.contains(char::is_whitespace) {
            faults.push(&key, "its name must have 1 to 64 characters and no blanks");
        }
        if models.is_empty() {
            faults.push(&key, "must name at least one model");
        }
        list(&key, models, known, faults);
    }
    for (name, task) in &config.tasks {
        let key = format!("tasks.{name}");
        if !TASKS.iter().any(|(known, _)| known == name) {
            faults.push(
                &key,
                format!("there is no such task; there are {}", TASKS.map(|(name, _)| name).join(", ")),
            );
        }
        list(&format!("{key}.prefer"), &task.prefer, known, faults);
        if let Some(chain) = task.chain.as_ref().filter(|chain| !config.chains.contains_key(*chain)) {
            faults.push(&format!("{key}.chain"), format!("`{chain}` is not a configured chain"));
        }
    }
}

fn list(key: &str, models: &[String], known: &dyn Fn(&str) -> bool, faults: &mut Faults) {
    for (i, model) in models.iter().enumerate() {
        if !known(model) {
            faults.push(&format!("{key}[{i}]"), format!("`{model}` is not a configured model"));
        } else if is_repeated(models, i) {
            faults.push(&format!("{key}[{i}]"), format!("`{model}` stands there twice"));
        }
    }
}
