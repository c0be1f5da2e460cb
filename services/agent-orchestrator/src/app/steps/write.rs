//! Strategy, drafts and what is set around them.
use super::{absent, counted};
use crate::agents::{Scene, strategist, writer};
use crate::app::desk::Desk;
use crate::domain::compose::{Composed, compose};
use crate::domain::direction::merge;
use crate::domain::output::{
    self, Finish, Strategy, Work, brand_analysis, guard, research, strategy as chosen_strategy,
};
use crate::domain::plan::{DraftView, chosen, drafts};
use crate::domain::safety::objections;
use crate::error::StepError;

pub(super) async fn strategy(desk: &Desk<'_>) -> Result<(Work, String), StepError> {
    let mut scene = desk.scene();
    scene.directions = merge(output::lessons(desk.finished), &[]);
    scene.remarks = research(desk.finished)
        .map(|r| r.findings.iter().map(|f| f.statement.clone()).collect())
        .unwrap_or_default();
    scene.web = research(desk.finished).map_or(&[], |research| &research.web);
    let strategy: Strategy = desk.ask("angles", &strategist::angles(&scene)).await?;
    if strategy.chosen >= strategy.angles.len() {
        return Err(StepError::fatal("BAD_ANSWER", "the chosen angle is not among the proposed ones"));
    }
    let summary = format!("{}, chosen: {}", counted(strategy.angles.len(), "angle"), strategy.angle());
    Ok((Work::Strategy(strategy), summary))
}

pub(super) async fn draft(desk: &Desk<'_>) -> Result<(Work, String), StepError> {
    let scene = writing_scene(desk, "", &[]);
    let text = desk.write("draft", &writer::draft(&scene)).await?;
    Ok(written(text))
}

/// Rewrites the n-th draft by the notes of its review.
pub(super) async fn revise(desk: &Desk<'_>, n: u32) -> Result<(Work, String), StepError> {
    let drafts = drafts(desk.finished);
    let draft = drafts.get(n.saturating_sub(1) as usize).ok_or_else(|| absent("a reviewed draft"))?;
    let scene = writing_scene(desk, draft.text, draft.notes);
    let text = desk.write("revise", &writer::revision(&scene)).await?;
    Ok(written(text))
}

/// Rewrites the chosen draft by the guard's objections.
pub(super) async fn regenerate(desk: &Desk<'_>) -> Result<(Work, String), StepError> {
    let checked = guard(desk.finished, 1).ok_or_else(|| absent("the guard's report"))?;
    let drafts = drafts(desk.finished);
    let draft = best(&drafts)?;
    let scene = writing_scene(desk, draft.text, &objections(&checked.report));
    let text = desk.write("regenerate", &writer::revision(&scene)).await?;
    Ok(written(text))
}

pub(super) async fn finish(desk: &Desk<'_>) -> Result<(Work, String), StepError> {
    let drafts = drafts(desk.finished);
    let scene = writing_scene(desk, best(&drafts)?.text, &[]);
    let finish: Finish = desk.ask("finish", &writer::finish(&scene)).await?;
    // What was proposed is not all set around the text: a hook that the text opens with already is not.
    let used = compose(desk.run.spec.content_type, best(&drafts)?.text, &finish, &scene.directions);
    let summary = set_around(&used, &finish.caption);
    Ok((Work::Finish(finish), summary))
}

fn set_around(used: &Composed, caption: &str) -> String {
    let hook = (!used.hook.is_empty()).then(|| "hook".to_owned());
    let hashtags = Some(counted(used.hashtags.len(), "hashtag"));
    let caption = (!caption.trim().is_empty()).then(|| "caption".to_owned());
    [hook, hashtags, caption].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The writer's scene: angle, lessons and notes, and how the brand writes.
fn writing_scene<'a>(desk: &Desk<'a>, draft: &str, notes: &[String]) -> Scene<'a> {
    let mut scene = desk.scene();
    scene.angle = chosen_strategy(desk.finished).map(Strategy::angle).unwrap_or_default();
    draft.clone_into(&mut scene.draft);
    scene.directions = merge(output::lessons(desk.finished), notes);
    if let Some(analysis) = brand_analysis(desk.finished) {
        let figures =
            (!analysis.figures.is_empty()).then(|| format!("the brand's texts, {}", analysis.figures));
        scene.remarks = figures.into_iter().chain(analysis.observations.iter().cloned()).collect();
    }
    scene
}

fn best<'a>(drafts: &'a [DraftView<'a>]) -> Result<&'a DraftView<'a>, StepError> {
    chosen(drafts).ok_or_else(|| absent("a draft"))
}

fn written(text: String) -> (Work, String) {
    let summary = counted(copydesk_guard::text::words(&text).len(), "word");
    (Work::Draft { text }, summary)
}
