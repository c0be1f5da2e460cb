//! Everything that can be wrong with the settings.
use super::Config;
use super::task;
use crate::providers::OFFLINE_MODEL;

/// The faults found so far, each as `key: what is wrong`.
#[derive(Default)]
pub(super) struct Faults(Vec<String>);

impl Faults {
    pub(super) fn push(&mut self, key: &str, what: impl AsRef<str>) {
        self.0.push(format!("{key}: {}", what.as_ref()));
    }

    /// A number must be `low` to `high`.
    pub(super) fn within(&mut self, key: &str, number: impl Into<f64>, low: f64, high: f64) {
        if !(low..=high).contains(&number.into()) {
            self.push(key, format!("must be {} to {}", grouped(low), grouped(high)));
        }
    }
}

/// A number as this crate's documentation writes it: `604,800`, `0.001`.
fn grouped(number: f64) -> String {
    let digits = number.to_string();
    if digits.contains('.') {
        return digits;
    }
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Whether an item stands in the list before.
pub(super) fn is_repeated(list: &[String], index: usize) -> bool {
    list[..index].contains(&list[index])
}

impl Config {
    /// Every fault at once, each as `key: what is wrong`. Empty: the settings are good. While providers are still to be
    /// discovered, the models that tasks and chains name are taken on trust.
    pub fn validate(&self) -> Vec<String> {
        let mut faults = Faults::default();
        for (i, provider) in self.providers.iter().enumerate() {
            let key = format!("providers[{i}]");
            if self.providers[..i].iter().any(|other| other.name == provider.name) {
                faults.push(&format!("{key}.name"), "another provider has this name");
            }
            provider.validate(&key, &mut faults);
        }
        if self.providers.is_empty() && !self.offline_fallback {
            faults.push("providers", "nobody can answer without a provider and without offline_fallback");
        }
        if self.price_version.is_empty() || self.price_version.len() > 64 {
            faults.push("price_version", "must have 1 to 64 characters");
        }
        faults.within("answer_retention_h", self.answer_retention_h, 1.0, 8_760.0);
        faults.within("health_interval_s", self.health_interval_s, 0.0, 3_600.0);
        let weights = [
            ("weights.preference", self.weights.preference),
            ("weights.cost", self.weights.cost),
            ("weights.latency", self.weights.latency),
            ("weights.errors", self.weights.errors),
        ];
        weights.into_iter().for_each(|(key, weight)| faults.within(key, weight, 0.0, 1_000.0));
        self.breaker.validate(&mut faults);
        self.retry.validate(&mut faults);
        self.cache.validate(&mut faults);
        self.ledger.validate(&mut faults);
        self.budget.validate(&mut faults);
        let undiscovered = self.discovery && self.providers.is_empty();
        task::validate(self, &|model| undiscovered || self.has_model(model), &mut faults);
        faults.0
    }

    /// The faults of tasks and chains when nothing is taken on trust any more.
    pub fn unknown_models(&self) -> Vec<String> {
        let mut faults = Faults::default();
        task::validate(self, &|model| self.has_model(model), &mut faults);
        faults.0
    }

    fn has_model(&self, name: &str) -> bool {
        let Some((provider, model)) = name.split_once('/') else { return false };
        if self.writer() == Some(provider) {
            return model == OFFLINE_MODEL;
        }
        self.providers.iter().filter(|one| one.name == provider).any(|one| match one.is_offline() {
            true => model == OFFLINE_MODEL,
            false => one.models.iter().any(|known| known.name == model),
        })
    }
}
