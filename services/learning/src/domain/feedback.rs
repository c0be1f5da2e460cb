//! What people say of a result.

use copydesk_types::{BrandId, FeedbackId, RunId};

coded! {
    /// The five kinds of verdict.
    FeedbackKind {
        /// Good as it is.
        Approve = 1,
        /// Good after changes.
        Edit = 2,
        /// Not usable.
        Reject = 3,
        /// Write it again.
        Regenerate = 4,
        /// A mark from 1 to 5.
        Rate = 5,
    }
}

impl FeedbackKind {
    /// The kind as a metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Edit => "edit",
            Self::Reject => "reject",
            Self::Regenerate => "regenerate",
            Self::Rate => "rate",
        }
    }
}

/// What a person said, with the field rules of its kind checked at the door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Its kind.
    pub kind: FeedbackKind,
    /// 1 to 5 for [`FeedbackKind::Rate`], 0 otherwise.
    pub rating: u32,
    /// Why, up to 4,000 characters.
    pub comment: String,
    /// The better text of [`FeedbackKind::Edit`], up to 100,000 characters; empty otherwise.
    pub edited_text: String,
}

impl Verdict {
    /// What the verdict means for the lessons that the run was given.
    ///
    /// Approval and a mark of 4 or 5 speak for them, rejection and a mark of 1 or 2 against. An edit or a wish for
    /// another try says nothing about them that the comment or the edit itself does not say better.
    pub fn effect(&self) -> Effect {
        match (self.kind, self.rating) {
            (FeedbackKind::Approve, _) | (FeedbackKind::Rate, 4..) => Effect::Support,
            (FeedbackKind::Reject, _) | (FeedbackKind::Rate, 1..=2) => Effect::Contra,
            _ => Effect::Neutral,
        }
    }

    /// Whether the person accepted the draft as it was: `None` for a verdict that decides nothing (an edit, a mark
    /// of 3).
    pub fn accepted(&self) -> Option<bool> {
        match (self.kind, self.effect()) {
            (FeedbackKind::Regenerate, _) | (_, Effect::Contra) => Some(false),
            (_, Effect::Support) => Some(true),
            (_, Effect::Neutral) => None,
        }
    }
}

/// What a verdict does to the lessons that its run was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// One more verdict for them.
    Support,
    /// One more verdict against them.
    Contra,
    /// Nothing.
    Neutral,
}

/// A stored verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feedback {
    /// Its id.
    pub id: FeedbackId,
    /// The run it is about.
    pub run: RunId,
    /// The brand of the run.
    pub brand: BrandId,
    /// What was said.
    pub verdict: Verdict,
    /// Who said it.
    pub principal: String,
    /// When, in ms since 1970.
    pub created_ms: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_speak_for_or_against() {
        for (kind, rating, effect, accepted) in [
            (FeedbackKind::Approve, 0, Effect::Support, Some(true)),
            (FeedbackKind::Edit, 0, Effect::Neutral, None),
            (FeedbackKind::Reject, 0, Effect::Contra, Some(false)),
            (FeedbackKind::Regenerate, 0, Effect::Neutral, Some(false)),
            (FeedbackKind::Rate, 1, Effect::Contra, Some(false)),
            (FeedbackKind::Rate, 3, Effect::Neutral, None),
            (FeedbackKind::Rate, 4, Effect::Support, Some(true)),
        ] {
            let verdict = Verdict { kind, rating, comment: String::new(), edited_text: String::new() };
            assert_eq!((verdict.effect(), verdict.accepted()), (effect, accepted), "{kind:?} {rating}");
        }
    }

    #[test]
    fn codes_go_both_ways() {
        for kind in FeedbackKind::ALL {
            assert_eq!(FeedbackKind::from_code(kind.code()), Some(*kind));
        }
        assert_eq!(FeedbackKind::from_code(0), None);
        assert_eq!(FeedbackKind::from_code(6), None);
    }
}
