//! Does the reviewer's score foretell what people say?

/// From this score on the reviewer is taken to say "good".
pub const GOOD_SCORE: f64 = 8.0;

/// A draft that the reviewer scored and a person decided on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision {
    /// The reviewer's score, 0 to 10.
    pub score: f64,
    /// Whether the person accepted the draft as it was.
    pub accepted: bool,
}

/// The share of drafts, 0 to 1, on which reviewer and person agree. `None` when there is no draft.
pub fn agreement(decisions: &[Decision]) -> Option<f64> {
    let agreed = decisions.iter().filter(|d| (d.score >= GOOD_SCORE) == d.accepted).count();
    (!decisions.is_empty()).then(|| agreed as f64 / decisions.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_agreement_either_way() {
        let drafts = [(9.0, true), (8.0, true), (7.9, true), (4.0, false)];
        let drafts = drafts.map(|(score, accepted)| Decision { score, accepted });
        assert_eq!(agreement(&drafts), Some(0.75));
        assert_eq!(agreement(&[]), None);
    }
}
