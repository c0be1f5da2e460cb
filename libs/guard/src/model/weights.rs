//! The weights as a file: read, checked, applied.

use std::fmt;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::features::{Features, names};

/// The layout that this code reads and writes.
const FORMAT: u32 = 1;
/// How far from its mean a feature may count, in its scale.
const FARTHEST: f64 = 4.0;

/// The weights in force, built in.
const FILE: &str = include_str!("../../weights/guard.json");

static BUILT_IN: LazyLock<Weights> =
    LazyLock::new(|| Weights::parse(FILE).unwrap_or_else(|_| Weights::refusing()));

/// A fitted model: logistic in standardised features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weights {
    /// Layout of the file, 1.
    pub format: u32,
    /// SHA-256 of the rows the weights were fitted on, `sha256:` and 64 hex digits.
    pub fitted_on: String,
    /// Rows that were fitted on, by set.
    pub rows: Vec<(String, usize)>,
    /// How much a set counted, by name, where it was not 1.
    pub emphasis: Vec<(String, f64)>,
    /// Risk from which a claim is uncertain, 0 to 1.
    pub t_low: f64,
    /// Risk from which a claim is unsupported, 0 to 1: the one threshold of all sets.
    pub t_high: f64,
    /// Log odds of a sentence whose features are all at their means.
    pub intercept: f64,
    /// In the order of the code's features.
    pub features: Vec<Feature>,
}

/// One feature's part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    /// Its name.
    pub name: String,
    /// Its mean over the sentences fitted on.
    pub mean: f64,
    /// Its standard deviation there, above 0.
    pub scale: f64,
    /// Log odds that one `scale` above the mean adds.
    pub weight: f64,
}

/// Why a weights file is refused; every fault is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightsError {
    /// One sentence a fault.
    pub faults: Vec<String>,
}

impl fmt::Display for WeightsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the guard's weights cannot be used: {}", self.faults.join("; "))
    }
}

impl std::error::Error for WeightsError {}

impl Weights {
    /// The weights that are built in.
    pub fn built_in() -> &'static Self {
        &BUILT_IN
    }

    /// Reads a weights file.
    ///
    /// # Errors
    /// When it is no JSON of this layout, lacks a feature of this code or has one that this code does not know, or holds
    /// a number that cannot be.
    pub fn parse(json: &str) -> Result<Self, WeightsError> {
        let read: Self =
            serde_json::from_str(json).map_err(|error| WeightsError { faults: vec![error.to_string()] })?;
        let faults = read.faults();
        if faults.is_empty() { Ok(read) } else { Err(WeightsError { faults }) }
    }

    /// The file: the same weights give the same bytes.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.format != FORMAT {
            faults.push(format!("format {} is not {FORMAT}", self.format));
        }
        let digest = self.fitted_on.strip_prefix("sha256:").unwrap_or("");
        if digest.len() != 64 || !digest.bytes().all(|b| b.is_ascii_hexdigit()) {
            faults.push("fitted_on is not `sha256:` with 64 hex digits".to_owned());
        }
        if !(0.0 < self.t_low && self.t_low <= self.t_high && self.t_high < 1.0) {
            faults.push(format!("0 < t_low {} <= t_high {} < 1 does not hold", self.t_low, self.t_high));
        }
        let known: Vec<&str> = names().collect();
        let has = |name: &str| self.features.iter().any(|feature| feature.name == name);
        faults.extend(known.iter().filter(|name| !has(name)).map(|name| format!("no feature `{name}`")));
        let unknown = self.features.iter().filter(|feature| !known.contains(&feature.name.as_str()));
        faults.extend(unknown.map(|feature| format!("unknown feature `{}`", feature.name)));
        if faults.is_empty() && !self.features.iter().map(|feature| feature.name.as_str()).eq(known) {
            faults.push("the features are not in their order, or one is there twice".to_owned());
        }
        let finite = |feature: &Feature| {
            feature.mean.is_finite()
                && feature.weight.is_finite()
                && feature.scale.is_finite()
                && feature.scale > 0.0
        };
        let odd = self.features.iter().filter(|feature| !finite(feature));
        faults.extend(odd.map(|feature| format!("feature `{}` has a number that cannot be", feature.name)));
        if !self.intercept.is_finite() {
            faults.push("the intercept has a number that cannot be".to_owned());
        }
        faults
    }

    /// Weights that find everything at risk: what is in force when the built-in file is broken, so that the guard fails
    /// closed. A test holds the built-in file to being sound.
    fn refusing() -> Self {
        Self {
            format: FORMAT,
            fitted_on: String::new(),
            rows: Vec::new(),
            emphasis: Vec::new(),
            t_low: 0.3,
            t_high: 0.6,
            intercept: 30.0,
            features: Vec::new(),
        }
    }

    /// Log odds that the sentence is not grounded.
    pub(crate) fn score(&self, features: &Features) -> f64 {
        let dense = self.features.iter().zip(&features.values);
        let dense: f64 = dense
            .map(|(feature, value)| feature.weight * standard(*value, feature.mean, feature.scale))
            .sum();
        self.intercept + dense
    }
}

/// The value in scales from the mean, kept within bounds.
pub(crate) fn standard(value: f64, mean: f64, scale: f64) -> f64 {
    ((value - mean) / scale).clamp(-FARTHEST, FARTHEST)
}

/// The probability with these log odds.
pub(crate) fn logistic(score: f64) -> f64 {
    1.0 / (1.0 + (-score).exp())
}

/// Log odds that a text as a whole is not grounded: half its worst sentence, half the mean. One bad sentence makes a bad
/// text, but many doubtful ones make a worse text than one does.
pub(crate) fn overall(scores: &[f64]) -> Option<f64> {
    let worst = scores.iter().copied().reduce(f64::max)?;
    Some(0.5 * worst + 0.5 * scores.iter().sum::<f64>() / scores.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_file_is_sound_and_small() {
        let read = Weights::parse(FILE);
        assert!(read.is_ok(), "{:?}", read.err());
        assert!(FILE.len() < 100_000, "{} bytes", FILE.len());
        assert_eq!(read.map(|weights| weights.to_json()), Ok(FILE.to_owned()), "not as it was written");
    }

    #[test]
    fn a_broken_file_is_refused_with_every_fault() {
        let sound = Weights::built_in();
        let mut broken = sound.clone();
        broken.format = 7;
        broken.t_low = 0.99;
        broken.features[0].name = "moon_phase".to_owned();
        broken.features[1].scale = 0.0;
        let error =
            Weights::parse(&broken.to_json()).map_err(|error| error.to_string()).err().unwrap_or_default();
        for part in ["format 7", "t_low", "`moon_phase`", &sound.features[0].name, &sound.features[1].name] {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert!(Weights::parse("{}").is_err() && Weights::parse("").is_err());
        let extra = sound.to_json().replacen('{', "{\"mood\": 1,", 1);
        assert!(Weights::parse(&extra).is_err());
    }

    #[test]
    fn without_weights_everything_is_at_risk() {
        assert!(logistic(Weights::refusing().score(&Features::default())) > 0.999);
    }
}
