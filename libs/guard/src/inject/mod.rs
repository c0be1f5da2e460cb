//! Texts that want a model to leave its task: a small logistic classifier for what people send in directly.
//!
//! It is for requests and comments, not for documents: an instruction planted in a source is contained
//! ([`crate::contain`]), not detected. The weights are a file of the crate, fitted by `copydesk guard fit-injection`.

mod corpus;
mod families;
mod features;
mod fit;
mod weights;

use std::sync::LazyLock;

pub use corpus::Corpus;
pub use fit::{Example, FitError, FitSettings, cross_validate, fit, groups};
pub use weights::WeightsError;

use features::features;
use weights::Weights;

/// The weights that the crate brings.
static BUILT_IN: LazyLock<Option<Classifier>> =
    LazyLock::new(|| Classifier::from_bytes(include_bytes!("weights.bin")).ok());

/// A fitted classifier.
#[derive(Debug, Clone, PartialEq)]
pub struct Classifier {
    weights: Weights,
}

impl Classifier {
    /// The one that the crate brings.
    pub fn built_in() -> Option<&'static Self> {
        BUILT_IN.as_ref()
    }

    /// Reads a weight file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WeightsError> {
        Weights::from_bytes(bytes).map(|weights| Self { weights })
    }

    /// The weight file; some 16 kB.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.weights.to_bytes()
    }

    /// How likely a text is an injection, 0 to 1. Its first 8,000 bytes are read.
    pub fn probability(&self, text: &str) -> f64 {
        crate::model::logistic(self.weights.log_odds(&features(text)))
    }

    /// Whether that is above the threshold of the weights.
    pub fn is_injection(&self, text: &str) -> bool {
        self.probability(text) > self.threshold()
    }

    /// Probability from which a text is taken for an injection, 0 to 1.
    pub fn threshold(&self) -> f64 {
        f64::from(self.weights.threshold)
    }

    /// SHA-256 of what it was fitted on.
    pub fn fitted_on(&self) -> [u8; 32] {
        self.weights.data
    }

    /// A name that changes whenever an answer could: twelve hexadecimal digits.
    pub fn version(&self) -> String {
        self.weights.name()
    }
}
