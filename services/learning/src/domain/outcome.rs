//! What came of a run.

use copydesk_types::{BrandId, LessonId, NanoDollars, RunId};

coded! {
    /// What kind of content is written.
    ContentType {
        /// A blog article.
        Blog = 1,
        /// A social post.
        Social = 2,
        /// A short advertisement.
        Ad = 3,
    }
}

coded! {
    /// How a run ended.
    OutcomeState {
        /// With a text.
        Succeeded = 1,
        /// With an error.
        Failed = 2,
        /// It was cancelled.
        Cancelled = 3,
    }
}

/// The end of a run, as the orchestrator told it.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The run, the key of the outcome.
    pub run: RunId,
    /// The run's brand.
    pub brand: BrandId,
    /// How it ended.
    pub state: OutcomeState,
    /// The workflow, for example `content`.
    pub workflow: String,
    /// The agents' version, for example `content@1`.
    pub definition_version: String,
    /// What it was about.
    pub topic: String,
    /// What kind of content; `None` when the run did not say.
    pub content_type: Option<ContentType>,
    /// The text; empty when there is none.
    pub text: String,
    /// The reviewer's score, 0 to 10; 0 when there was no review.
    pub score: f64,
    /// Confidence of the safety report, 0 to 1.
    pub confidence: f64,
    /// Corrections that the guard made.
    pub corrections: u32,
    /// Claims left unsupported.
    pub unsupported: u32,
    /// Claims checked.
    pub claims: u32,
    /// What it cost.
    pub cost: NanoDollars,
    /// How long it took, in ms.
    pub duration_ms: i64,
    /// True when a fallback or the offline writer wrote.
    pub degraded: bool,
    /// The lessons that were given to the writer.
    pub lessons: Vec<LessonId>,
    /// When it ended, in ms since 1970.
    pub finished_ms: i64,
}
