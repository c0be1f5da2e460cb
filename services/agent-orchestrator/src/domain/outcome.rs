//! The end of a run, as the archive is told of it.
use copydesk_guard::Verdict;

use super::count;
use super::run::{Run, RunState};

/// The end of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The run it is about.
    pub run_id: copydesk_types::RunId,
    /// The run's brand.
    pub brand_id: copydesk_types::BrandId,
    /// A final state.
    pub state: RunState,
    /// The workflow's name.
    pub workflow: String,
    /// The workflow's version.
    pub definition: String,
    /// What it was about.
    pub topic: String,
    /// What kind of content.
    pub content_type: super::spec::ContentType,
    /// The text; empty when there is none.
    pub text: String,
    /// 0 to 10; 0 without a review.
    pub score: f64,
    /// 0 to 1.
    pub confidence: f64,
    /// Made by the guard.
    pub corrections: u32,
    /// Claims of the text that its evidence does not bear out.
    pub unsupported: u32,
    /// Claims checked.
    pub claims: u32,
    /// Nano-dollars.
    pub cost_nanos: i64,
    /// Milliseconds from creation to end.
    pub duration_ms: u64,
    /// True when a fallback or the offline writer wrote.
    pub degraded: bool,
    /// `les_…`.
    pub lesson_ids: Vec<String>,
    /// Milliseconds since 1970.
    pub finished_ms: i64,
}

impl Outcome {
    /// The outcome of a run; `None` when it has not ended.
    pub fn of(run: &Run) -> Option<Self> {
        let finished_ms = run.finished_ms.filter(|_| run.state.is_final())?;
        let result = run.result.as_ref();
        let safety = result.map(|r| &r.safety);
        let flagged = |r: &super::result::RunResult| {
            r.sentences
                .iter()
                .filter(|s| matches!(s.verdict, Verdict::Unsupported | Verdict::Contradicted))
                .count()
        };
        Some(Self {
            run_id: run.run_id,
            brand_id: run.spec.brand_id,
            state: run.state,
            workflow: run.spec.workflow.clone(),
            definition: run.definition.clone(),
            topic: run.spec.topic.clone(),
            content_type: run.spec.content_type,
            text: result.map(|r| r.text.clone()).unwrap_or_default(),
            score: result.map_or(0.0, |r| r.score),
            confidence: safety.map_or(0.0, |s| s.confidence),
            corrections: safety.map_or(0, |s| count(s.corrections.len())),
            unsupported: result.map_or(0, |r| count(flagged(r))),
            claims: safety.map_or(0, |s| s.checked),
            cost_nanos: run.spent_nanos,
            duration_ms: u64::try_from(finished_ms - run.created_ms).unwrap_or(0),
            degraded: result.is_some_and(|r| r.made_by.degraded.is_some()),
            lesson_ids: result
                .map(|r| r.lessons.iter().map(|l| l.lesson_id.clone()).collect())
                .unwrap_or_default(),
            finished_ms,
        })
    }
}
