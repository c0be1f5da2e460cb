//! Research, brand analysis and lessons.
use futures_util::future::try_join_all;
use tokio::join;

use super::counted;
use crate::agents::{analyst, researcher};
use crate::app::desk::{BUDGET_EXHAUSTED, Desk};
use crate::domain::direction::Lesson;
use crate::domain::output::{BrandAnalysis, Research, Work};
use crate::domain::passage::{Passage, WebNote, fuse};
use crate::error::StepError;
use crate::ports::{FiguresQuery, Found, LessonQuery, Sources};
use crate::tools::knowledge_search::{self, FACETS};
use crate::tools::{brand_metrics, lessons, web_search};

/// The most passages that a run rests on: all sides of a topic, and still a small part of a model's context.
const MOST_PASSAGES: usize = 12;

/// Attempts in which a peer that the step could do without is waited for.
const PATIENCE: u32 = 2;

pub(super) async fn research(desk: &Desk<'_>) -> Result<(Work, String), StepError> {
    let (found, web) = join!(evidence(desk), web(desk));
    let (found, (web, without_web)) = (found?, web?);
    let (passages, search_mode) = (found.passages, found.mode);
    let mut research = Research { passages, findings: Vec::new(), search_mode, web };
    if research.passages.is_empty() {
        return Ok((Work::Research(research), "no evidence for the topic".to_owned()));
    }
    let call = researcher::findings(&desk.scene_with(&research.passages));
    let answer: researcher::Answer = desk.ask("findings", &call).await?;
    let known = |id: &str| research.passages.iter().any(|p| p.passage_id == id);
    research.findings = answer.findings.into_iter().filter(|f| known(&f.passage_id)).collect();
    let passages = counted(research.passages.len(), "passage");
    let findings = counted(research.findings.len(), "finding");
    let mut summary = format!("{passages}, {findings} ({} search)", research.search_mode);
    if desk.run.spec.with_web {
        let web =
            without_web.unwrap_or_else(|| format!("{} of the web", counted(research.web.len(), "page")));
        summary.push_str(&format!(", {web}"));
    }
    Ok((Work::Research(research), summary))
}

/// What the web says about the topic, where the run allows to ask it. Research can do without.
async fn web(desk: &Desk<'_>) -> Result<(Vec<WebNote>, Option<String>), StepError> {
    if !desk.run.spec.with_web {
        return Ok((Vec::new(), None));
    }
    let query = web_search::query(&desk.run.spec);
    let work = web_search::call(&*desk.app.ports.web, &query);
    let found: Result<Vec<WebNote>, StepError> =
        desk.tool(&web_search::TOOL, "search.web", &query, work).await;
    let (found, without) = optional(desk, found, "the web")?;
    Ok((found.unwrap_or_default(), without))
}

/// What the run rests on. The topic alone decides whether there is anything: the words of a facet are found in
/// documents about anything, so the other sides of a topic are looked at only when the topic itself was found.
async fn evidence(desk: &Desk<'_>) -> Result<Found, StepError> {
    let topic = search_topic(desk, "search.facts", Sources::Facts).await?;
    if topic.passages.is_empty() {
        return search_topic(desk, "search.all", Sources::All).await;
    }
    let sides = FACETS.iter().enumerate().map(|(i, facet)| async move {
        let key = format!("search.facts.{}", i + 1);
        search(desk, &key, Sources::Facts, facet).await
    });
    let mut rankings = vec![topic.passages];
    rankings.extend(try_join_all(sides).await?.into_iter().map(|side| side.passages));
    Ok(Found { passages: fuse(rankings, MOST_PASSAGES), mode: topic.mode })
}

async fn search_topic(desk: &Desk<'_>, key: &str, sources: Sources) -> Result<Found, StepError> {
    search(desk, key, sources, "").await
}

/// The passages that say something.
async fn search(desk: &Desk<'_>, key: &str, sources: Sources, facet: &str) -> Result<Found, StepError> {
    let query = knowledge_search::query(&desk.run.spec, sources, facet);
    let work = knowledge_search::call(&*desk.app.ports.library, &query);
    let mut found: Found = desk.tool(&knowledge_search::TOOL, key, &query, work).await?;
    found.passages.retain(|passage| !passage.text.trim().is_empty());
    Ok(found)
}

pub(super) async fn brand_analysis(desk: &Desk<'_>) -> Result<(Work, String), StepError> {
    let spec = &desk.run.spec;
    let query = FiguresQuery { brand_id: spec.brand_id, content_type: spec.content_type };
    let measure = brand_metrics::call(&*desk.app.ports.archive, &query);
    let (figures, posts) = join!(
        desk.tool(&brand_metrics::TOOL, "figures", &query, measure),
        search_topic(desk, "search.posts", Sources::OnlyPosts)
    );
    let (figures, no_figures) = optional(desk, figures, "brand metrics")?;
    let (posts, no_posts) = optional(desk, posts, "past posts")?;
    let figures = figures.flatten().unwrap_or_default();
    let posts = posts.unwrap_or_default().passages;
    let (observations, no_observations) = observe(desk, &figures, &posts).await?;
    let mut parts = vec![counted(observations.len(), "observation")];
    parts.push(if figures.is_empty() { "no figures".to_owned() } else { "figures measured".to_owned() });
    parts.extend([no_figures, no_posts, no_observations].into_iter().flatten());
    let analysis = BrandAnalysis { observations, figures };
    Ok((Work::BrandAnalysis(analysis), parts.join(", ")))
}

async fn observe(
    desk: &Desk<'_>,
    figures: &str,
    posts: &[Passage],
) -> Result<(Vec<String>, Option<String>), StepError> {
    if posts.is_empty() {
        return Ok((Vec::new(), None));
    }
    let mut scene = desk.scene_with(posts);
    if !figures.is_empty() {
        scene.remarks.push(figures.to_owned());
    }
    match desk.ask::<analyst::Answer>("observations", &analyst::observations(&scene)).await {
        Ok(answer) => Ok((answer.observations, None)),
        Err(error) if error.is_retryable() || error.reason == BUDGET_EXHAUSTED => Err(error),
        Err(error) => Ok((Vec::new(), Some(format!("without observations ({})", error.reason)))),
    }
}

pub(super) async fn lessons(desk: &Desk<'_>) -> Result<(Work, String), StepError> {
    let spec = &desk.run.spec;
    let (brand_id, content_type, topic) = (spec.brand_id, spec.content_type, spec.topic.clone());
    let query = LessonQuery { brand_id, content_type, topic };
    let work = lessons::call(&*desk.app.ports.archive, &query);
    let found: Result<Vec<Lesson>, StepError> = desk.tool(&lessons::TOOL, "lessons", &query, work).await;
    let (found, without) = optional(desk, found, "lessons")?;
    let lessons = found.unwrap_or_default();
    let summary = without.unwrap_or_else(|| counted(lessons.len(), "lesson"));
    Ok((Work::Lessons { lessons }, summary))
}

/// A tool that the step can do without: when it fails, the step waits for it a little, then goes on and says so.
fn optional<T>(
    desk: &Desk<'_>,
    result: Result<T, StepError>,
    what: &str,
) -> Result<(Option<T>, Option<String>), StepError> {
    match result {
        Ok(value) => Ok((Some(value), None)),
        Err(error) if error.is_retryable() && desk.claim.attempt < PATIENCE => Err(error),
        Err(error) => Ok((None, Some(format!("without {what} ({})", error.reason)))),
    }
}
