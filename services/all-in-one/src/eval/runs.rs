//! The rankings that are compared, each made by the product's own search.
use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use copydesk_proto::retrieval::v1::batch_search_result::Outcome;
use copydesk_proto::retrieval::v1::{
    BatchSearchRequest, FusionMethod, FusionOptions, SearchMode, SearchRequest, SearchResponse,
};

use tonic::Code;

use super::SAY_EVERY;
use super::dataset::{Dataset, Query};
use super::judge::{Figures, figures, mean};
use super::library::Library;
use super::weights::Weights;
use crate::client::{Client, explain};

/// Searches of one call: a hundred passages each make a large answer.
const BATCH: usize = 8;
/// How long a search may take: the most that the contract allows.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the first search is begun again.
const FIRST_SEARCHES: usize = 20;
/// Passages of a ranking: the most that a search gives.
const DEPTH: u32 = 100;

/// One way of ranking.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub name: &'static str,
    mode: SearchMode,
    method: FusionMethod,
    lexical_weight: f64,
    pub weighed: bool,
}

/// What it is worth.
pub(super) struct Measured {
    pub run: Run,
    pub all: Figures,
    /// By intent, with the number of queries.
    pub intents: BTreeMap<String, (usize, Figures)>,
}

/// The rankings that can be made: without an embedder only those by words, weighed only when there are intents.
pub(super) fn all(hybrid: bool, weighed: bool) -> Vec<Run> {
    let lexical = Run {
        name: "bm25",
        mode: SearchMode::Lexical,
        method: FusionMethod::Unspecified,
        lexical_weight: 1.0,
        weighed: false,
    };
    let both = Run { mode: SearchMode::Hybrid, method: FusionMethod::Dbsf, ..lexical };
    let mut runs = vec![lexical];
    if hybrid {
        // With no weight on words the order is that of meanings; what words alone found comes behind it.
        runs.push(Run { name: "dense", lexical_weight: 0.0, ..both });
        runs.push(Run { name: "dbsf", ..both });
        runs.push(Run { name: "rrf", method: FusionMethod::Rrf, ..both });
    }
    if weighed {
        let names = [
            ("bm25", "bm25 x intent weights"),
            ("dbsf", "dbsf x intent weights"),
            ("rrf", "rrf x intent weights"),
        ];
        let of = |(plain, name)| {
            runs.iter().find(|run| run.name == plain).map(|run| Run { name, weighed: true, ..*run })
        };
        let weighed: Vec<Run> = names.into_iter().filter_map(of).collect();
        runs.extend(weighed);
    }
    runs
}

/// Whether the dense leg takes part here.
pub(super) async fn is_hybrid(client: &Client, library: &Library, set: &Dataset) -> anyhow::Result<bool> {
    let Some(query) = set.queries.first() else { return Ok(false) };
    let request = SearchRequest {
        knowledge_base_ids: vec![library.base.clone()],
        query: asked(query),
        ..SearchRequest::default()
    };
    let mut first = client.search().search(patient(request.clone())).await;
    // It reads the whole set into memory, and what ran out of time is there for the next one.
    for _ in 0..FIRST_SEARCHES {
        if !first.as_ref().is_err_and(|status| status.code() == Code::DeadlineExceeded) {
            break;
        }
        first = client.search().search(patient(request.clone())).await;
    }
    let answer = first.map_err(|s| explain(&s))?.into_inner();
    if answer.degraded {
        bail!("a search is degraded: {}", answer.degraded_reason);
    }
    Ok(answer.mode() == SearchMode::Hybrid)
}

pub(super) async fn measured(
    client: &Client,
    library: &Library,
    set: &Dataset,
    run: Run,
    weights: Option<&Weights>,
) -> anyhow::Result<Measured> {
    let mut said = Instant::now();
    let (mut all, mut by_intent) = (Vec::new(), BTreeMap::<String, Vec<Figures>>::new());
    for queries in set.queries.chunks(BATCH) {
        let searches = queries.iter().map(|query| request(library, run, query, weights)).collect();
        let batch = client.search().batch_search(patient(BatchSearchRequest { searches })).await;
        let results = batch.map_err(|s| explain(&s))?.into_inner().results;
        for (query, result) in queries.iter().zip(results) {
            let answer = match result.outcome.context("a result is empty")? {
                Outcome::Response(answer) if !answer.degraded => answer,
                Outcome::Response(answer) => bail!("a search is degraded: {}", answer.degraded_reason),
                Outcome::Error(error) => bail!("query {}: {} [{}]", query.id, error.message, error.reason),
            };
            let relevant = &set.relevant[&query.id];
            let one = figures(&ranking(library, query, &answer), relevant);
            all.push(one);
            if let Some(intent) = &query.intent {
                by_intent.entry(intent.clone()).or_default().push(one);
            }
        }
        if said.elapsed() >= SAY_EVERY {
            said = Instant::now();
            eprintln!("  {}: {} of {} queries", run.name, all.len(), set.queries.len());
        }
    }
    let intents = by_intent.into_iter().map(|(intent, list)| (intent, (list.len(), mean(&list))));
    Ok(Measured { run, all: mean(&all), intents: intents.collect() })
}

fn patient<T>(request: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(request);
    request.set_timeout(PATIENCE);
    request
}

/// The contract takes 4,096 characters; no question that a person asks is longer.
fn asked(query: &Query) -> String {
    query.text.chars().take(4_096).collect()
}

fn request(library: &Library, run: Run, query: &Query, weights: Option<&Weights>) -> SearchRequest {
    let (intent, source_weights) =
        weights.filter(|_| run.weighed).map(|weights| weights.for_query(query)).unwrap_or_default();
    SearchRequest {
        knowledge_base_ids: vec![library.base.clone()],
        query: asked(query),
        top_k: DEPTH,
        mode: run.mode.into(),
        fusion: Some(FusionOptions {
            method: run.method.into(),
            lexical_weight: Some(run.lexical_weight),
            ..FusionOptions::default()
        }),
        intent,
        source_weights,
        skip_cache: true,
        ..SearchRequest::default()
    }
}

/// The set's documents in order of their best passages, without those that do not count for this query.
fn ranking<'a>(library: &'a Library, query: &Query, answer: &SearchResponse) -> Vec<&'a str> {
    let mut seen: HashSet<&str> = HashSet::new();
    let ids = answer.hits.iter().filter_map(|hit| library.ids.get(&hit.passage.as_ref()?.document_id));
    let counted = ids.filter(|id| !query.exclude.contains(*id));
    counted.map(String::as_str).filter(|id| seen.insert(id)).collect()
}
