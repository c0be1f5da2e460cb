//! What a run made, put together from the outputs of its steps.
use serde::{Deserialize, Serialize};

use super::compose::title;
use super::output::{Finished, MadeBy, RuleViolation, last_guard, lessons, research, rules};
use super::plan::{chosen, drafts};
use super::safety::{CitedSentence, Safety};
use super::spec::{ContentType, RunSpec};
use super::step::StepKey;

/// What a run made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// Ready to publish.
    pub text: String,
    /// Of an article; empty for other content.
    pub title: String,
    /// The hook, when one was set before the text.
    pub hook: String,
    /// With `#`.
    pub hashtags: Vec<String>,
    /// One line.
    pub caption: String,
    /// Of the draft that was finished, 0 to 10.
    pub score: f64,
    /// Every sentence with its evidence.
    pub sentences: Vec<CitedSentence>,
    /// The guard's report.
    pub safety: Safety,
    /// Rules that the text breaks, none of them blocking.
    pub violations: Vec<RuleViolation>,
    /// Every draft, oldest first.
    pub revisions: Vec<Revision>,
    /// The lessons that were given to the writer.
    pub lessons: Vec<AppliedLesson>,
    /// The models that wrote and why the result is degraded, if it is.
    pub made_by: MadeBy,
    /// `lexical` or `hybrid`.
    pub search_mode: String,
}

/// A draft.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Revision {
    /// The step that wrote it.
    pub step: StepKey,
    /// The text.
    pub text: String,
    /// 0 to 10.
    pub score: f64,
    /// What the reviewer asked for.
    pub notes: Vec<String>,
    /// True for the draft that was finished.
    pub chosen: bool,
}

/// A lesson that was given to the writer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedLesson {
    /// `les_…`.
    pub lesson_id: String,
    /// What it asks for.
    pub text: String,
}

/// The result of a run whose planner said that it succeeded; `None` when a needed output is missing.
pub fn assemble(spec: &RunSpec, finished: &Finished) -> Option<RunResult> {
    let checked = last_guard(finished)?;
    let drafts = drafts(finished);
    let best = chosen(&drafts)?.clone();
    let revision = |draft: &super::plan::DraftView<'_>| Revision {
        step: draft.step,
        text: draft.text.to_owned(),
        score: draft.score,
        notes: draft.notes.to_vec(),
        chosen: draft.step == best.step,
    };
    let lesson = |lesson: &super::direction::Lesson| AppliedLesson {
        lesson_id: lesson.lesson_id.clone(),
        text: lesson.direction.text.clone(),
    };
    Some(RunResult {
        text: checked.text.clone(),
        title: if spec.content_type == ContentType::Blog { title(&checked.text) } else { String::new() },
        hook: checked.hook.clone(),
        hashtags: checked.hashtags.clone(),
        caption: checked.caption.clone(),
        score: best.score,
        sentences: checked.sentences.clone(),
        safety: checked.report.clone(),
        violations: rules(finished)?.to_vec(),
        revisions: drafts.iter().map(revision).collect(),
        lessons: lessons(finished).iter().map(lesson).collect(),
        made_by: made_by(finished),
        search_mode: research(finished)?.search_mode.clone(),
    })
}

/// Models in the order in which the steps use them.
fn made_by(finished: &Finished) -> MadeBy {
    let mut all = MadeBy::default();
    for output in finished.values() {
        for model in &output.made_by.models {
            all.note(model, None);
        }
        all.note("", output.made_by.degraded.as_deref());
    }
    all
}
