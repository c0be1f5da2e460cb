//! The planner: from the finished steps of a run to its next ones.
//!
//! It is a function of the *set* of finished steps, so it does not matter in which order, on which machine or after
//! how many crashes they were finished. It never looks at a clock and never changes its mind about the past.
use super::output::{Finished, guard, research, review, rules};
use super::run::RunError;
use super::step::StepKey;

/// A workflow's version: a run keeps the one it was made with to its end.
#[derive(Debug, PartialEq)]
pub struct Definition {
    /// The name callers use.
    pub workflow: &'static str,
    /// The name and version stored with a run.
    pub version: &'static str,
    /// A draft with this score or more is finished; a lower one is revised. 0 to 10.
    pub pass_score: f64,
    /// Rewrites after reviews, at most.
    pub max_rounds: u32,
    /// Corrections by the guard beyond which the text is written again, once.
    pub max_corrections: usize,
}

/// Gather, choose an angle, draft, review, revise, finish, check.
pub const CONTENT_1: Definition = Definition {
    workflow: "content",
    version: "content@1",
    pass_score: 7.0,
    max_rounds: 2,
    max_corrections: 2,
};

/// Every version that a stored run may name; the last one of a workflow is given to new runs.
pub const DEFINITIONS: [&Definition; 1] = [&CONTENT_1];

/// The version that new runs of a workflow get.
pub fn newest(workflow: &str) -> Option<&'static Definition> {
    DEFINITIONS.into_iter().rfind(|d| d.workflow == workflow)
}

/// The definition with this version.
pub fn of_version(version: &str) -> Option<&'static Definition> {
    DEFINITIONS.into_iter().find(|d| d.version == version)
}

/// The names of the workflows, for people.
pub fn known_workflows() -> String {
    let mut names: Vec<&str> = DEFINITIONS.iter().map(|d| d.workflow).collect();
    names.dedup();
    names.join(", ")
}

/// How a run goes on.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// These steps are to be done now; those that are queued or at work already may be among them. Never empty.
    Steps(Vec<StepKey>),
    /// The run has its text.
    Succeed,
    /// The run ends without a text.
    Fail(RunError),
}

/// Decides how a run goes on.
pub fn plan(definition: &Definition, finished: &Finished) -> Next {
    if research(finished).is_some_and(|r| r.passages.is_empty()) {
        let message = "the knowledge bases hold no evidence for the topic, so nothing was written about it";
        return fail("NO_EVIDENCE", StepKey::Research, message);
    }
    let gather = [StepKey::Research, StepKey::BrandAnalysis, StepKey::Lessons];
    if let Some(next) = missing(finished, &gather) {
        return next;
    }
    if let Some(next) =
        missing(finished, &[StepKey::Strategy]).or_else(|| missing(finished, &[StepKey::Draft]))
    {
        return next;
    }
    match draft_loop(definition, finished) {
        Ok(reviews) => after_drafts(definition, finished, reviews),
        Err(next) => next,
    }
}

/// Reviews and rewrites until a draft passes or the rounds are used up: how many reviews it took, or what is next.
fn draft_loop(definition: &Definition, finished: &Finished) -> Result<u32, Next> {
    let mut n = 1;
    loop {
        let Some(word) = review(finished, n) else {
            return Err(Next::Steps(vec![StepKey::Review(n)]));
        };
        if word.score >= definition.pass_score || n > definition.max_rounds {
            return Ok(n);
        }
        if !finished.contains_key(&StepKey::Revise(n)) {
            return Err(Next::Steps(vec![StepKey::Revise(n)]));
        }
        n += 1;
    }
}

fn after_drafts(definition: &Definition, finished: &Finished, reviews: u32) -> Next {
    for key in [StepKey::Finish, StepKey::Guard(1)] {
        if let Some(next) = missing(finished, &[key]) {
            return next;
        }
    }
    let mut last = 1;
    if guard(finished, 1)
        .is_some_and(|c| !c.report.is_safe || c.report.corrections.len() > definition.max_corrections)
    {
        for key in [StepKey::Regenerate, StepKey::Review(reviews + 1), StepKey::Guard(2)] {
            if let Some(next) = missing(finished, &[key]) {
                return next;
            }
        }
        last = 2;
    }
    // Fail closed: without a report there is no proof, and without proof no text.
    match guard(finished, last) {
        Some(checked) if checked.report.is_safe => {}
        Some(checked) => return fail("NOT_SAFE", StepKey::Guard(last), &checked.report.not_safe_reason),
        None => return fail("NOT_SAFE", StepKey::Guard(last), "the text was not checked"),
    }
    match (missing(finished, &[StepKey::Rules]), rules(finished)) {
        (Some(next), _) => next,
        (None, Some(violations)) => match violations.iter().find(|v| v.blocking) {
            Some(v) => fail(
                "NOT_SAFE",
                StepKey::Rules,
                &format!("the text breaks the rule {}: {}", v.rule, v.message),
            ),
            None => Next::Succeed,
        },
        (None, None) => fail("NOT_SAFE", StepKey::Rules, "the rules were not checked"),
    }
}

fn missing(finished: &Finished, keys: &[StepKey]) -> Option<Next> {
    let open: Vec<StepKey> = keys.iter().copied().filter(|key| !finished.contains_key(key)).collect();
    (!open.is_empty()).then_some(Next::Steps(open))
}

fn fail(reason: &str, step: StepKey, message: &str) -> Next {
    Next::Fail(RunError { reason: reason.to_owned(), message: message.to_owned(), step: step.to_string() })
}

/// One draft with the reviewer's word on it.
#[derive(Debug, Clone, PartialEq)]
pub struct DraftView<'a> {
    /// The step that wrote it.
    pub step: StepKey,
    /// The text.
    pub text: &'a str,
    /// 0 to 10; 0 before its review.
    pub score: f64,
    /// What the reviewer asked for.
    pub notes: &'a [String],
}

/// Every draft so far, oldest first. The n-th draft is the one that `review.n` judges.
pub fn drafts(finished: &Finished) -> Vec<DraftView<'_>> {
    let written = finished.keys().filter_map(|key| {
        matches!(key, StepKey::Draft | StepKey::Revise(_) | StepKey::Regenerate).then_some(*key)
    });
    let mut keys: Vec<StepKey> = written.collect();
    keys.sort_by_key(|key| match key {
        StepKey::Draft => 0,
        StepKey::Revise(n) => u64::from(*n),
        _ => u64::MAX,
    });
    keys.into_iter()
        .zip(1u32..)
        .filter_map(|(step, n)| {
            let text = super::output::draft(finished, step)?;
            let word = review(finished, n);
            Some(DraftView {
                step,
                text,
                score: word.map_or(0.0, |w| w.score),
                notes: word.map_or(&[][..], |w| &w.notes),
            })
        })
        .collect()
}

/// The draft that is finished: the guard's rewrite if there was one, else the one with the highest score, of equal
/// ones the later.
pub fn chosen<'a>(drafts: &'a [DraftView<'a>]) -> Option<&'a DraftView<'a>> {
    let rewritten = drafts.iter().find(|d| d.step == StepKey::Regenerate);
    rewritten.or_else(|| drafts.iter().max_by(|a, b| a.score.total_cmp(&b.score)))
}

#[cfg(test)]
mod tests;
