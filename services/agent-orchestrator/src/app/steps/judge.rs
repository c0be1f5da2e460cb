//! Reviews, the guard and the rules.
use super::{absent, counted};
use copydesk_guard::llm_judge::Opinion;
use copydesk_guard::pack::{self, Scope, Severity};

use crate::agents::{judge, reviewer};
use crate::app::desk::Desk;
use crate::app::rule_check::{RuleReport, borrowed, judged};
use crate::domain::compose::compose;
use crate::domain::direction::merge;
use crate::domain::output::{self, Review, RuleViolation, Work, last_guard};
use crate::domain::plan::{chosen, drafts};
use crate::domain::policy::Mode;
use crate::domain::safety::{Examination, JudgeNote, sources};
use crate::error::StepError;

/// Judges the n-th draft.
pub(super) async fn review(desk: &Desk<'_>, n: u32) -> Result<(Work, String), StepError> {
    let drafts = drafts(desk.finished);
    let draft = drafts.get(n.saturating_sub(1) as usize).ok_or_else(|| absent("a draft"))?;
    let mut scene = desk.scene();
    scene.angle = output::strategy(desk.finished).map(output::Strategy::angle).unwrap_or_default();
    draft.text.clone_into(&mut scene.draft);
    scene.directions = merge(output::lessons(desk.finished), &[]);
    let mut review: Review = desk.ask("review", &reviewer::review(&scene)).await?;
    if !review.score.is_finite() {
        return Err(StepError::fatal("BAD_ANSWER", "the score is not a number"));
    }
    review.score = review.score.clamp(0.0, 10.0);
    let summary = format!("score {:.1} of 10, {}", review.score, counted(review.notes.len(), "note"));
    Ok((Work::Review(review), summary))
}

pub(super) async fn guard(desk: &Desk<'_>) -> Result<(Work, String), StepError> {
    let drafts = drafts(desk.finished);
    let draft = chosen(&drafts).ok_or_else(|| absent("a draft"))?;
    let finish = output::finish(desk.finished).ok_or_else(|| absent("hook and hashtags"))?;
    let directions = merge(output::lessons(desk.finished), &[]);
    let composed = compose(desk.run.spec.content_type, draft.text, finish, &directions);
    let policy = desk.app.policy_of(desk.run.tenant).await?;
    let thresholds = policy.lines.thresholds();
    let examination = Examination::new(&composed, &finish.caption, desk.passages(), thresholds);
    let (opinions, note) = match policy.mode {
        Mode::Deterministic => (Vec::new(), None),
        Mode::Hybrid => hear(desk, &examination).await?,
    };
    let checked = examination.close(&opinions, note);
    let report = &checked.report;
    let mut summary =
        format!("{} of {} supported", report.supported, counted(report.checked as usize, "claim"));
    if !report.corrections.is_empty() {
        summary.push_str(&format!(", {}", counted(report.corrections.len(), "correction")));
    }
    if !report.is_safe {
        summary.push_str(&format!(", not safe: {}", report.not_safe_reason));
    }
    Ok((Work::Guard(Box::new(checked)), summary))
}

/// Hears a judge about what the guard is uncertain of. A judge that cannot be had is no reason to fail here: what is
/// uncertain is not safe, and the note says why nobody judged.
async fn hear(
    desk: &Desk<'_>,
    examination: &Examination<'_>,
) -> Result<(Vec<(String, Opinion)>, Option<JudgeNote>), StepError> {
    let questions = examination.questions(judge::SOURCES_PER_CLAIM);
    if questions.is_empty() {
        return Ok((Vec::new(), None));
    }
    let docket = desk.app.docket(desk.run.tenant, questions, examination.sources()).await?;
    let reply = match &docket.call {
        None => None,
        Some(call) => match desk.call_model("judge", call, false).await {
            Ok(reply) => Some(Ok(reply)),
            Err(error) if error.is_retryable() => return Err(error),
            Err(error) => Some(Err(error.message)),
        },
    };
    let hearing = desk.app.heard(docket, reply).await?;
    Ok((hearing.opinions, Some(hearing.note)))
}

/// Holds the final text against the tenant's rule packs.
pub(super) async fn rules(desk: &Desk<'_>) -> Result<(Work, String), StepError> {
    let checked = last_guard(desk.finished).ok_or_else(|| absent("the guard's report"))?;
    let (text, tenant) = (checked.text.as_str(), desk.run.tenant);
    let packs = desk.app.active_packs(tenant, &[]).await?;
    let sources = sources(desk.passages());
    let found = pack::check(&borrowed(&packs), Scope::Output, text, &sources);
    let reply = match (desk.app.policy_of(tenant).await?.mode, found.questions.as_slice()) {
        (_, []) | (Mode::Deterministic, _) => None,
        (Mode::Hybrid, questions) => {
            match desk.call_model("rules", &judge::rules(questions, text), false).await {
                Ok(reply) => Some(Ok(reply)),
                Err(error) if error.is_retryable() => return Err(error),
                Err(error) => Some(Err(error.message)),
            }
        }
    };
    let violations = violations(judged(packs, found, text, reply));
    let blocking = violations.iter().filter(|v| v.blocking).count();
    let summary = match (violations.len(), blocking) {
        (0, _) => "no rule broken".to_owned(),
        (n, 0) => format!("{}, none blocking", counted(n, "warning")),
        (n, _) => format!("{}, {blocking} blocking", counted(n, "broken rule")),
    };
    Ok((Work::Rules { violations }, summary))
}

/// What a text breaks, as a run keeps it. What would have to be redacted blocks: a published text is not patched.
fn violations(report: RuleReport) -> Vec<RuleViolation> {
    let hits = report.hits.into_iter().map(|(hit, _)| RuleViolation {
        rule: hit.rule,
        blocking: hit.severity != Severity::Warn,
        start: hit.span.start as u64,
        end: hit.span.end as u64,
        message: hit.message,
    });
    let unanswered = report.unanswered.into_iter().map(|(question, why)| RuleViolation {
        rule: question.rule,
        blocking: question.severity == Severity::Block,
        start: 0,
        end: 0,
        message: format!("nobody could say whether the text {}: {why}", question.message),
    });
    hits.chain(unanswered).collect()
}
