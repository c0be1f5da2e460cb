//! A tenant's policy for the guard.
use copydesk_guard::Thresholds;
use serde::{Deserialize, Serialize};

/// Who decides about a claim.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The guard alone.
    Deterministic,
    /// The guard, and a judge model for what it is uncertain of.
    #[default]
    Hybrid,
}

/// Where the lines are drawn; what is absent keeps its default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Lines {
    /// A text is safe only above this confidence, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safe_confidence: Option<f64>,
    /// A claim is supported below this risk, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supported_risk: Option<f64>,
    /// A claim is unsupported at this risk and above, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsupported_risk: Option<f64>,
    /// More corrections than this are too many, 0 to 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_corrections: Option<u32>,
}

impl Lines {
    /// These, and for what is absent the others.
    pub fn or(self, others: Self) -> Self {
        Self {
            safe_confidence: self.safe_confidence.or(others.safe_confidence),
            supported_risk: self.supported_risk.or(others.supported_risk),
            unsupported_risk: self.unsupported_risk.or(others.unsupported_risk),
            max_corrections: self.max_corrections.or(others.max_corrections),
        }
    }

    /// With the guard's defaults filled in.
    pub fn thresholds(self) -> Thresholds {
        let usual = Thresholds::default();
        Thresholds {
            safe_confidence: self.safe_confidence.unwrap_or(usual.safe_confidence),
            t_low: self.supported_risk.unwrap_or(usual.t_low),
            t_high: self.unsupported_risk.unwrap_or(usual.t_high),
            max_corrections: self.max_corrections.map_or(usual.max_corrections, |n| n as usize),
        }
    }
}

/// A tenant's policy.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Who decides.
    #[serde(default)]
    pub mode: Mode,
    /// Where the lines are drawn.
    #[serde(default)]
    pub lines: Lines,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_request_leaves_open_the_policy_fills_and_the_guard_the_rest() {
        let policy = Lines { safe_confidence: Some(0.9), max_corrections: Some(0), ..Lines::default() };
        let request = Lines { safe_confidence: Some(0.5), ..Lines::default() };
        let held = request.or(policy).thresholds();
        assert_eq!((held.safe_confidence, held.max_corrections), (0.5, 0));
        assert_eq!(held.t_low, Thresholds::default().t_low);
    }

    #[test]
    fn a_stored_policy_of_an_older_version_is_read() {
        assert_eq!(serde_json::from_str::<Policy>("{}").expect("read"), Policy::default());
    }
}
