//! `demo`: the whole product once, on bundled documents or the user's own, in a temporary folder on free ports.
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use copydesk_proto::agent_orchestrator::v1::{Run, RunSpec, RunState};
use copydesk_proto::learning::v1::{FeedbackKind, GetOutcomeRequest, Lesson, RecordFeedbackRequest};
use copydesk_proto::types::v1::ContentType;
use copydesk_rpc::RpcMetrics;
use copydesk_runtime::{SpanStore, telemetry};
use tonic::Code;
use tracing::Instrument;

use crate::cli::DemoArgs;
use crate::client::{Client, explain};
use crate::config::Config;
use crate::documents::SourceDocument;
use crate::mesh::{Mesh, Topology};
use crate::show::count as plural;
use crate::{desk, documents};

mod progress;
mod report;
pub mod tree;

pub(crate) use report::run_json;

const BRAND: &str = "Chillwright";
const VOICE: &str = "plain, dry, concrete; short sentences; honest about limits";
const AUDIENCE: &str = "people who run small fleets of refrigerated vans";
const TOPIC: &str = "temperature alerts that drivers do not ignore";
/// What the feedback asks of the second post: this part of the first one's words, in tens.
const SHORTER: (usize, usize) = (60, 100);
const KEEP_SPANS: usize = 100_000;
const OUTCOME_WAIT: Duration = Duration::from_secs(10);

/// Everything that the demo found out.
pub(crate) struct Story {
    brand: String,
    topic: String,
    documents: usize,
    bytes: usize,
    chunks: u32,
    post: Run,
    article: Run,
    comment: String,
    lessons: Vec<Lesson>,
    second: Run,
    timings: Vec<(&'static str, Duration)>,
}

pub(crate) async fn run(args: DemoArgs) -> anyhow::Result<()> {
    let began = Instant::now();
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let subject = Subject::of(&args)?;
    let mut config = Config::load_detached(folder.path(), flags(&args)?)?;
    config.telemetry.keep_spans = KEEP_SPANS;
    let telemetry = telemetry::start(&config.telemetry, "copydesk-demo")?;
    crate::commands::discover(&mut config).await;
    crate::reload::fetch_keys(&mut config)?;
    eprintln!("{}", crate::commands::writer(&config));
    let mesh = Mesh::start(&config, folder.path(), Topology::All, &telemetry, None).await?;
    let up = began.elapsed();

    let key_file = mesh.dev_key.as_ref().context("the mesh has no key")?;
    let key = std::fs::read_to_string(key_file).context("cannot read the development key")?;
    let metrics = RpcMetrics::new(&telemetry.meter("demo"));
    let client = Client::new(&format!("http://{}", mesh.address), &key, metrics)?;
    let told = client.scope(tell(&client, subject, up)).await;
    let spans = telemetry.spans().cloned().unwrap_or_else(|| SpanStore::new(0));
    mesh.stop().await;
    let mut story = told?;
    story.timings.push(("all of it", began.elapsed()));
    let tree = tree::of(&spans, &story.post.trace_id);
    if args.json {
        outln!("{:#}", report::json(&story, &tree))?;
    } else {
        outln!("{}", report::text(&story, &tree))?;
    }
    telemetry.shutdown().await;
    Ok(())
}

/// Free ports, quiet logs, and traces that begin with the demo's own span.
fn flags(args: &DemoArgs) -> anyhow::Result<Vec<(String, String)>> {
    if let Some((key, _)) = args.settings.iter().find(|(key, _)| crate::config::is_kept(key)) {
        bail!("--set {key}: the demo works in a temporary folder and leaves what you keep alone");
    }
    let ours = [
        ("server.listen", "127.0.0.1:0"),
        ("server.admin", "127.0.0.1:0"),
        ("gateway.trust_client_trace", "true"),
        ("telemetry.log_filter", "error"),
    ];
    let ours = ours.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Ok(ours.chain(args.settings.iter().cloned()).collect())
}

/// What the demo is about.
struct Subject {
    brand: String,
    voice: &'static str,
    audience: &'static str,
    topic: String,
    documents: Vec<SourceDocument>,
}

impl Subject {
    fn of(args: &DemoArgs) -> anyhow::Result<Self> {
        let (brand, topic) = (args.brand.clone(), args.topic.clone());
        let Some(path) = &args.docs else {
            let (brand, topic) =
                (brand.unwrap_or_else(|| BRAND.to_owned()), topic.unwrap_or_else(|| TOPIC.to_owned()));
            return Ok(Self {
                brand,
                voice: VOICE,
                audience: AUDIENCE,
                topic,
                documents: documents::samples(),
            });
        };
        let found = documents::read(std::slice::from_ref(path))?;
        found.skipped.iter().for_each(|skipped| eprintln!("skipped {skipped}"));
        let documents = found.documents;
        let brand = brand.or_else(|| documents::own_name(path)).unwrap_or_else(|| "Brand".to_owned());
        let topic = topic.or_else(|| documents::headline(&documents)).unwrap_or_else(|| brand.clone());
        Ok(Self { brand, voice: "", audience: "", topic, documents })
    }
}

async fn tell(client: &Client, subject: Subject, up: Duration) -> anyhow::Result<Story> {
    let Subject { brand, voice, audience, topic, documents } = subject;
    let (count, bytes) = (documents.len(), documents.iter().map(|d| d.bytes.len()).sum());
    let show = progress::Progress::new(std::io::stderr().is_terminal());

    let began = Instant::now();
    let (brand_row, _) = desk::ensure_brand(client, &brand, voice, audience).await?;
    let base = brand_row.knowledge_base_ids.first().context("the brand has no knowledge base")?.clone();
    let bar = show.ingestion(count);
    let ingested = desk::ingest(client, &base, documents, |now| bar.update(now)).await?;
    bar.done(&ingested);
    let ingest = began.elapsed();

    let began = Instant::now();
    let spec = |content_type: ContentType| RunSpec {
        brand_id: brand_row.brand_id.clone(),
        workflow: "content".to_owned(),
        topic: topic.clone(),
        content_type: content_type.into(),
        tone: "plain".to_owned(),
        ..RunSpec::default()
    };
    let (post, article) = tokio::try_join!(
        write(client, &show, "post", spec(ContentType::Social)),
        write(client, &show, "article", spec(ContentType::Blog)),
    )?;
    let writing = began.elapsed();

    let began = Instant::now();
    let comment = comment(report::words(&post));
    let lessons = teach(client, &post.run_id, &comment).await?;
    let taught = plural(lessons.len(), "lesson");
    show.line(&format!("feedback on the post: “{comment}” taught {taught}"));
    let second = write(client, &show, "second post", spec(ContentType::Social)).await?;
    let learning = began.elapsed();
    let timings = vec![
        ("mesh up", up),
        ("documents in", ingest),
        ("post and article", writing),
        ("feedback and second post", learning),
    ];
    let chunks = ingested.chunks_written;
    Ok(Story {
        brand,
        topic,
        documents: count,
        bytes,
        chunks,
        post,
        article,
        comment,
        lessons,
        second,
        timings,
    })
}

/// What is said of a post with so many words.
fn comment(words: usize) -> String {
    let limit = (words * SHORTER.0 / SHORTER.1 / 10 * 10).max(10);
    format!("Too long: at most {limit} words. Open with a question.")
}

/// One run from its order to its result. Its span is the root of the request's trace.
async fn write(
    client: &Client,
    show: &progress::Progress,
    name: &'static str,
    spec: RunSpec,
) -> anyhow::Result<Run> {
    let span = tracing::info_span!("demo", otel.name = "copydesk demo", otel.kind = "internal");
    let queued = desk::create_run(client, spec).instrument(span).await?;
    let line = show.run(name);
    let run = desk::follow(client, &queued.run_id, true, |event| line.event(event)).await?;
    line.done(&run);
    if run.state() != RunState::Succeeded {
        let error = run.error.unwrap_or_default();
        bail!("the {name} did not succeed: {} {}", error.reason, error.message);
    }
    Ok(run)
}

/// Gives feedback once the run's outcome has reached the learning service.
async fn teach(client: &Client, run_id: &str, comment: &str) -> anyhow::Result<Vec<Lesson>> {
    let began = Instant::now();
    loop {
        match client.outcomes().get_outcome(GetOutcomeRequest { run_id: run_id.to_owned() }).await {
            Ok(_) => break,
            Err(status) if status.code() == Code::NotFound && began.elapsed() < OUTCOME_WAIT => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(status) => return Err(explain(&status)),
        }
    }
    let request = RecordFeedbackRequest {
        request_id: desk::request_id("feedback"),
        run_id: run_id.to_owned(),
        kind: FeedbackKind::Regenerate.into(),
        comment: comment.to_owned(),
        ..RecordFeedbackRequest::default()
    };
    let stored = client.feedback().record_feedback(request).await.map_err(|s| explain(&s))?.into_inner();
    Ok(stored.lessons)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_feedback_asks_for_less_than_there_is() {
        for (words, limit) in [(151, "at most 90 words"), (149, "at most 80 words"), (12, "at most 10 words")]
        {
            assert!(comment(words).contains(limit), "{words}: {}", comment(words));
        }
    }
}
