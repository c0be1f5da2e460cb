//! `eval retrieval`: how well search finds what it should, measured through the contract of a mesh in a temporary folder,
//! or in one that is kept for the next measurement.
//!
//! Documents go in as a user's do: uploaded, cut into passages and chunks, indexed. A search gives passages; a document
//! stands where its best passage does. Every ranking asks for a hundred passages, so a document that was cut into
//! several takes several places and recall at 100 counts a few documents less than a measurement on whole ones.
use std::time::{Duration, Instant};

use anyhow::Context;
use copydesk_rpc::RpcMetrics;
use copydesk_runtime::telemetry;

use crate::cli::RetrievalEvalArgs;
use crate::client::Client;
use crate::config::Config;
use crate::mesh::{Mesh, Topology};

mod dataset;
mod judge;
mod library;
mod report;
mod runs;
mod weights;

use dataset::Dataset;

/// Progress is told this often.
const SAY_EVERY: Duration = Duration::from_secs(2);

pub(crate) async fn run(args: RetrievalEvalArgs) -> anyhow::Result<()> {
    let set = Dataset::read(&args.dir)?;
    eprintln!("{}", report::about(&set));
    let temporary = tempfile::tempdir().context("cannot make a temporary folder")?;
    let folder = args.keep.as_deref().unwrap_or(temporary.path());
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let config = Config::load_detached(folder, flags(&args)?)?;
    let telemetry = telemetry::start(&config.telemetry, "copydesk-eval")?;
    let mesh = Mesh::start(&config, folder, Topology::All, &telemetry, None).await?;
    let key_file = mesh.dev_key.as_ref().context("the mesh has no key")?;
    let key = std::fs::read_to_string(key_file).context("cannot read the development key")?;
    let metrics = RpcMetrics::new(&telemetry.meter("eval"));
    let client = Client::new(&format!("http://{}", mesh.address), &key, metrics)?;
    let measured = client.scope(measure(&client, &set, &config)).await;
    mesh.stop().await;
    let report = measured?;
    if args.json {
        outln!("{:#}", report::json(&set, &report))?;
    } else {
        outln!("{}", report::table(&set, &report))?;
    }
    telemetry.shutdown().await;
    Ok(())
}

/// Free ports, quiet logs, and no limits on how much the measurement may ask.
fn flags(args: &RetrievalEvalArgs) -> anyhow::Result<Vec<(String, String)>> {
    if let Some((key, _)) = args.settings.iter().find(|(key, _)| crate::config::is_kept(key)) {
        anyhow::bail!(
            "--set {key}: the measurement works in a temporary folder and leaves what you keep alone"
        );
    }
    let ours = [
        ("server.listen", "127.0.0.1:0"),
        ("server.admin", "127.0.0.1:0"),
        ("telemetry.log_filter", "error"),
        ("llm_router.discovery", "false"),
        ("gateway.rate_limits.read", "1000000000"),
        ("gateway.rate_limits.write", "1000000000"),
        ("gateway.rate_limits.ingest", "1000000000"),
    ];
    let ours = ours.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Ok(ours.chain(args.settings.iter().cloned()).collect())
}

/// What was measured.
struct Report {
    chunks: u64,
    embedder: String,
    ingestion: Duration,
    /// Where weights of intents come from; `None` when the set has no intents.
    weights: Option<weights::Origin>,
    runs: Vec<runs::Measured>,
}

async fn measure(client: &Client, set: &Dataset, config: &Config) -> anyhow::Result<Report> {
    let began = Instant::now();
    let library = library::filled(client, set).await?;
    let ingestion = began.elapsed();
    let hybrid = runs::is_hybrid(client, &library, set).await?;
    let weights = weights::Weights::of(set, &config.retrieval.intents);
    let mut measured = Vec::new();
    for run in runs::all(hybrid, weights.is_some()) {
        measured.push(runs::measured(client, &library, set, run, weights.as_ref()).await?);
    }
    Ok(Report {
        chunks: library.chunks,
        embedder: if hybrid { library.embedder } else { String::new() },
        ingestion,
        weights: weights.map(|weights| weights.origin),
        runs: measured,
    })
}
