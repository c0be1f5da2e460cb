//! `ingest`, `generate`, `watch`, `feedback`: the daily work, from the command line.
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use copydesk_proto::agent_orchestrator::v1::watch_run_response::Event;
use copydesk_proto::agent_orchestrator::v1::{Run, RunSpec, RunState, WatchRunResponse};
use copydesk_proto::learning::v1::{FeedbackKind, RecordFeedbackRequest};
use copydesk_proto::retrieval::v1::ingest_source_start::Source;
use copydesk_proto::retrieval::v1::{GitContent, GitSource, GithubIssuesSource, Ingestion, WebPagesSource};
use copydesk_proto::types::v1::ContentType;

use crate::cli::{ClientArgs, ContentKind, FeedbackArgs, GenerateArgs, IngestArgs, Verdict};
use crate::client::{Client, explain};
use crate::show::count;
use crate::{desk, documents, show};

const NANOS: i64 = 1_000_000_000;
/// Progress of a long upload is told this often; a short one needs none.
const SAY_EVERY: Duration = Duration::from_secs(2);

pub(super) async fn ingest(args: IngestArgs) -> anyhow::Result<()> {
    let (urls, paths): (Vec<PathBuf>, Vec<PathBuf>) =
        args.paths.iter().cloned().partition(|path| is_url(path));
    let documents::Found { documents, skipped } = match paths.as_slice() {
        [] => documents::Found::default(),
        paths => documents::read(paths)?,
    };
    let sources = sources(&args, &urls);
    let client = Client::connect(&args.client)?;
    skipped.iter().for_each(|skipped| eprintln!("skipped {skipped}"));
    let work = async {
        let (brand, is_new) = desk::ensure_brand(&client, &args.brand, &args.voice, &args.audience).await?;
        if !is_new && [&args.voice, &args.audience].iter().any(|given| !given.is_empty()) {
            eprintln!("there is a brand `{}` already: --voice and --audience are ignored", args.brand);
        }
        let base = brand.knowledge_base_ids.first().context("the brand has no knowledge base")?;
        // For somebody who watches; in a log or a pipe the outcome is enough.
        let (mut said, watched) = (Instant::now(), io::stderr().is_terminal());
        let mut progress = |now: &Ingestion| {
            if watched && said.elapsed() >= SAY_EVERY {
                said = Instant::now();
                let (total, chunks) =
                    (count(now.documents_total, "document"), count(now.chunks_written, "chunk"));
                eprintln!("  {} of {total}, {chunks}", now.documents_done);
            }
        };
        let mut all = Vec::new();
        if !documents.is_empty() {
            all.push(desk::ingest(&client, base, documents, &mut progress).await?);
        }
        for source in sources {
            all.push(desk::ingest_source(&client, base, source, args.mirror, &mut progress).await?);
        }
        for done in all {
            outln!(
                "{} {}: {} ingested, {} unchanged, {}{} in {base}",
                brand.name,
                brand.brand_id,
                count(done.documents_total.saturating_sub(done.documents_unchanged), "document"),
                done.documents_unchanged,
                count(done.chunks_written, "chunk"),
                deleted(&done)
            )?;
        }
        Ok(())
    };
    client.scope(work).await
}

fn is_url(path: &Path) -> bool {
    path.to_str().is_some_and(|path| path.starts_with("http://") || path.starts_with("https://"))
}

/// What the mesh is to fetch.
fn sources(args: &IngestArgs, urls: &[PathBuf]) -> Vec<Source> {
    let mut all = Vec::new();
    if !urls.is_empty() {
        let urls = urls.iter().map(|url| url.to_string_lossy().into_owned()).collect();
        all.push(Source::WebPages(WebPagesSource { urls }));
    }
    let mut contents = vec![GitContent::Readme, GitContent::Docs, GitContent::Examples, GitContent::Code];
    if args.commits {
        contents.push(GitContent::Commits);
    }
    let contents: Vec<i32> = contents.into_iter().map(i32::from).collect();
    let git =
        |url: &String| GitSource { url: url.clone(), contents: contents.clone(), ..GitSource::default() };
    all.extend(args.git.iter().map(|url| Source::Git(git(url))));
    let issues =
        |repository: &String| GithubIssuesSource { repository: repository.clone(), ..Default::default() };
    all.extend(args.issues.iter().map(|repository| Source::GithubIssues(issues(repository))));
    all
}

fn deleted(done: &Ingestion) -> String {
    match done.source.as_ref().map_or(0, |source| source.documents_deleted) {
        0 => String::new(),
        deleted => format!(", {} deleted", count(deleted, "document")),
    }
}

pub(super) async fn generate(args: GenerateArgs) -> anyhow::Result<ExitCode> {
    let client = Client::connect(&args.client)?;
    let work = async {
        let brand = desk::find_brand(&client, &args.brand).await?;
        let brand = brand
            .with_context(|| format!("there is no brand `{}`; `copydesk ingest` makes one", args.brand))?;
        let spec = RunSpec {
            brand_id: brand.brand_id,
            workflow: "content".to_owned(),
            topic: args.topic.clone(),
            content_type: content_type(args.content_type).into(),
            tone: args.tone.clone(),
            style: args.style.clone(),
            with_web: args.web,
            budget_nanos: args.budget.as_deref().map(dollars).transpose()?,
            ..RunSpec::default()
        };
        let run = desk::create_run(&client, spec).await?;
        eprintln!("{}", run.run_id);
        let run = desk::follow(&client, &run.run_id, false, print_event).await?;
        print_run(&run, args.json)
    };
    client.scope(work).await
}

pub(super) async fn watch(run_id: &str, args: &ClientArgs) -> anyhow::Result<ExitCode> {
    let client = Client::connect(args)?;
    let work = async {
        let run = desk::follow(&client, run_id, false, print_event).await?;
        print_run(&run, false)
    };
    client.scope(work).await
}

pub(super) async fn feedback(args: FeedbackArgs) -> anyhow::Result<()> {
    let client = Client::connect(&args.client)?;
    let edited_text = match &args.edited {
        Some(path) => {
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?
        }
        None => String::new(),
    };
    let kind = match args.verdict {
        Verdict::Approve => FeedbackKind::Approve,
        Verdict::Edit => FeedbackKind::Edit,
        Verdict::Reject => FeedbackKind::Reject,
        Verdict::Regenerate => FeedbackKind::Regenerate,
        Verdict::Rate => FeedbackKind::Rate,
    };
    let request = RecordFeedbackRequest {
        request_id: desk::request_id("feedback"),
        run_id: args.run,
        kind: kind.into(),
        rating: args.rating,
        comment: args.comment,
        edited_text,
    };
    let work = async {
        let stored = client.feedback().record_feedback(request).await.map_err(|s| explain(&s))?.into_inner();
        outln!("{}", stored.feedback.unwrap_or_default().feedback_id)?;
        for lesson in &stored.lessons {
            outln!("learned {}: {}", lesson.lesson_id, lesson.text)?;
        }
        Ok(())
    };
    client.scope(work).await
}

/// The contract's word for a kind.
pub(crate) fn content_type(kind: ContentKind) -> ContentType {
    match kind {
        ContentKind::Blog => ContentType::Blog,
        ContentKind::Social => ContentType::Social,
        ContentKind::Ad => ContentType::Ad,
    }
}

/// Dollars with up to nine decimals, exactly.
fn dollars(text: &str) -> anyhow::Result<i64> {
    let (whole, part) =
        text.trim_start_matches('$').split_once('.').unwrap_or((text.trim_start_matches('$'), ""));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if part.len() > 9 || !digits(whole) || !digits(part) || whole.is_empty() {
        bail!("--budget: `{text}` is not an amount in dollars such as 0.05");
    }
    let nanos: i64 = format!("{part:0<9}").parse()?;
    let whole: i64 = whole.parse().context("--budget: is too large")?;
    whole.checked_mul(NANOS).and_then(|n| n.checked_add(nanos)).context("--budget: is too large")
}

fn print_event(event: &WatchRunResponse) {
    match &event.event {
        Some(Event::StepStarted(s)) if s.attempt > 1 => {
            eprintln!("  {:<12} {:<16} attempt {}", s.agent, s.step, s.attempt)
        }
        Some(Event::StepFinished(s)) => {
            eprintln!("  {:<12} {:<16} {} ms  {}", s.agent, s.step, s.duration_ms, s.summary)
        }
        Some(Event::StepFailed(s)) => {
            let next = if s.will_retry { ", will be tried again" } else { "" };
            eprintln!("  {:<12} {:<16} failed: {}{next}", s.agent, s.step, s.reason);
        }
        _ => {}
    }
}

fn print_run(run: &Run, json: bool) -> anyhow::Result<ExitCode> {
    if json {
        outln!("{:#}", crate::demo::run_json(run))?;
    } else if let Some(result) = &run.result {
        outln!("\n{}", show::cited_text(result))?;
        outln!("{}", show::safety(&result.safety.clone().unwrap_or_default()))?;
        if result.degraded {
            outln!("  degraded: {}", result.degraded_reason)?;
        }
    }
    if !json && run.state() != RunState::Succeeded {
        eprintln!("{}", show::ending(run));
    }
    Ok(if run.state() == RunState::Succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_exact() {
        for (text, nanos) in
            [("0.05", 50_000_000), ("$12", 12 * NANOS), ("0.000000001", 1), ("3.", 3 * NANOS)]
        {
            assert_eq!(dollars(text).expect(text), nanos);
        }
        for bad in ["", "x", "-1", "1e3", "0.0000000001", "99999999999"] {
            assert!(dollars(bad).is_err(), "{bad}");
        }
    }
}
