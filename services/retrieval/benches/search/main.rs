//! What a search of the embedded index costs at 20,000 and at 200,000 chunks, alone and while documents come in.
//!
//! `cargo bench -p copydesk-retrieval --bench search [-- 20000]`
//!
//! - `floor`: reading as many bytes as the rounded vectors have, which is the least that a look at each of them takes.
//! - `dense`, `lexical`, `hybrid`: both legs 100 passages deep, hybrid with fusion to 10; with a filter that lets one
//!   document in twenty through, and without.
//! - `with a graph`: dense and hybrid again, without a filter and with one that lets half through, where a graph leads to
//!   the vectors that are compared; and what it takes to make it.
//! - `while ingesting`: the same hybrid search, through the index's own door, while a writer adds documents as fast as
//!   the index takes them; each search sees all that was written before it.
//!
//! Processor time is told beside wall time: it is what other load on the machine moves least. Compare the ratios to the
//! floor between machines and commits; milliseconds are not for that.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "the figures are its purpose")]

mod corpus;

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use copydesk_retrieval::IndexConfig;
use copydesk_retrieval::adapters::MemoryIndex;
use copydesk_retrieval::domain::fusion::{Fusion, Leg, fuse};
use copydesk_retrieval::domain::lens::Lens;
use copydesk_retrieval::domain::ranking::{Leaf, passages};
use copydesk_retrieval::domain::weights::{SearchWeights, Weights};
use copydesk_retrieval::ports::{Corpus, LexicalIndex, VectorIndex};
use copydesk_types::{KnowledgeBaseId, TenantId};
use corpus::{CHUNKS, Dice, Rows, TENANTS, WIDTH, half, one_in_twenty};

/// Passages that each leg brings.
const DEEP: usize = 100;
/// Searches of a figure.
const SEARCHES: usize = 300;
/// Documents that come in while others search.
const INCOMING: u32 = 1_000;

/// The index over its rows, with one knowledge base.
struct Desk {
    rows: Arc<Rows>,
    index: MemoryIndex,
    tenant: TenantId,
    base: KnowledgeBaseId,
}

impl Desk {
    fn corpus(&self) -> Corpus {
        Corpus { tenant: self.tenant, knowledge_bases: vec![(self.base, self.rows.version())] }
    }

    async fn words(&self, terms: &[String], lens: &Lens) -> Vec<Leaf> {
        self.index.by_words(&self.corpus(), terms, lens, DEEP).await.unwrap()
    }

    async fn near(&self, vector: &[f32], lens: &Lens, parents: usize) -> Vec<Leaf> {
        self.index.by_meaning(&self.corpus(), vector.to_vec(), lens, parents).await.unwrap()
    }

    async fn hybrid(&self, query: &Query, lens: &Lens) -> usize {
        let words = self.words(&query.terms, lens).await;
        let near = self.near(&query.vector, lens, DEEP).await;
        let hits = fuse(
            Fusion::default(),
            &Leg::new(words, false),
            &[Leg::new(near, false)],
            &[],
            &SearchWeights::new(vec![Weights::neutral()]),
        );
        passages(hits).len().min(10)
    }
}

/// What is asked.
struct Query {
    terms: Vec<String>,
    vector: Vec<f32>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    // `cargo test --all-targets` starts benches too, and must not wait for one.
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("nothing measured: run it with `cargo bench`");
        return;
    }
    let wanted: Vec<u32> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for chunks in if wanted.is_empty() { vec![20_000, 200_000] } else { wanted } {
        println!("\n{chunks} chunks of {WIDTH} values");
        runtime.block_on(measure(chunks));
    }
}

async fn measure(chunks: u32) {
    let rows = Arc::new(Rows::default());
    let index = MemoryIndex::new(rows.clone(), IndexConfig::default());
    let (tenant, base) = (TenantId::from_u128(1), KnowledgeBaseId::from_u128(1));
    let desk = Desk { rows, index, tenant, base };
    load(&desk, chunks).await;
    let queries = queries();
    let floor = floor(chunks);
    for (name, lenses) in [("1/20", (0..TENANTS).map(one_in_twenty).collect()), ("all", vec![Lens::all()])] {
        for lens in &lenses {
            desk.hybrid(&queries[0], lens).await;
        }
        let lens = |at: usize| &lenses[at % lenses.len()];
        dense(&desk, &queries, lens, floor).await.print(&format!("dense    {name}"));
        let mut figures = Figures::new(floor);
        for (at, query) in queries.iter().enumerate() {
            figures.time(async { desk.words(&query.terms, lens(at)).await.len() }).await;
        }
        figures.print(&format!("lexical  {name}"));
        hybrid(&desk, &queries, lens, floor).await.print(&format!("hybrid   {name}"));
        println!("recall@10 {name}: {:.4}", recall(&desk, &queries[..50], lens, DEEP).await);
    }
    while_ingesting(Arc::new(desk), queries, chunks / CHUNKS, floor).await;
    with_graph(chunks, floor).await;
}

async fn dense<'a>(desk: &Desk, queries: &[Query], lens: impl Fn(usize) -> &'a Lens, floor: f64) -> Figures {
    let mut figures = Figures::new(floor);
    for (at, query) in queries.iter().enumerate() {
        figures.time(async { desk.near(&query.vector, lens(at), DEEP).await.len() }).await;
    }
    figures
}

async fn hybrid<'a>(desk: &Desk, queries: &[Query], lens: impl Fn(usize) -> &'a Lens, floor: f64) -> Figures {
    let mut figures = Figures::new(floor);
    for (at, query) in queries.iter().enumerate() {
        figures.time(desk.hybrid(query, lens(at))).await;
    }
    figures
}

/// The same, led by a graph.
async fn with_graph(chunks: u32, floor: f64) {
    let rows = Arc::new(Rows::default());
    let config = IndexConfig { graph_above: u64::from(chunks / 4), ..IndexConfig::default() };
    let index = MemoryIndex::new(rows.clone(), config);
    let desk = Desk { rows, index, tenant: TenantId::from_u128(1), base: KnowledgeBaseId::from_u128(1) };
    for number in 0..chunks / CHUNKS {
        desk.rows.write(number);
    }
    desk.words(&["nothing".to_owned()], &Lens::all()).await;
    let (before, start, used) = (desk.index.held().1, Instant::now(), processor());
    desk.index.settled().await;
    println!(
        "a graph is made in {:.1} s, {:.1} s of processor; {} bytes a chunk",
        start.elapsed().as_secs_f64(),
        processor() - used,
        (desk.index.held().1 - before) / u64::from(chunks)
    );
    let queries = queries();
    for (name, lens) in [("1/2", half()), ("all", Lens::all())] {
        desk.hybrid(&queries[0], &lens).await;
        dense(&desk, &queries, |_| &lens, floor).await.print(&format!("dense    {name} with a graph"));
        hybrid(&desk, &queries, |_| &lens, floor).await.print(&format!("hybrid   {name} with a graph"));
        for deep in [10, DEEP] {
            let recall = recall(&desk, &queries[..50], |_| &lens, deep).await;
            println!("recall@10 {name} in a list of {deep}: {recall:.4}");
        }
    }
}

async fn load(desk: &Desk, chunks: u32) {
    for number in 0..chunks / CHUNKS {
        desk.rows.write(number);
    }
    let (before, start, used) = (resident(), Instant::now(), processor());
    desk.words(&["nothing".to_owned()], &Lens::all()).await;
    let (wall, used) = (start.elapsed().as_secs_f64(), processor() - used);
    let (_, estimate) = desk.index.held();
    let per_chunk = |bytes: u64| bytes / u64::from(chunks);
    println!("loaded in {wall:.2} s, {used:.2} s of processor (making the documents included)");
    println!(
        "memory {} bytes a chunk, {} by its own estimate",
        per_chunk(resident() - before),
        per_chunk(estimate)
    );
}

fn queries() -> Vec<Query> {
    let mut dice = Dice::new(77);
    let query = |_| Query { terms: (0..8).map(|_| dice.word()).collect(), vector: dice.vector() };
    (0..SEARCHES).map(query).collect()
}

/// Milliseconds that reading the bytes of all rounded vectors takes, the median of many times.
fn floor(chunks: u32) -> f64 {
    let bytes = vec![1u8; chunks as usize * WIDTH];
    let mut times: Vec<f64> = (0..51)
        .map(|_| {
            let start = Instant::now();
            black_box(
                bytes.as_chunks::<8>().0.iter().fold(0, |sum: u64, word| sum ^ u64::from_le_bytes(*word)),
            );
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("floor: {:.3} ms", times[25]);
    times[25]
}

/// How many of the ten nearest passages of an exact search the usual one finds among so many.
async fn recall<'a>(desk: &Desk, queries: &[Query], lens: impl Fn(usize) -> &'a Lens, deep: usize) -> f64 {
    let (mut found, mut wanted) = (0, 0);
    for (at, query) in queries.iter().enumerate() {
        let exact = Lens { exact: true, ..lens(at).clone() };
        let best = desk.near(&query.vector, &exact, 10).await;
        let usual = desk.near(&query.vector, lens(at), deep).await;
        wanted += best.len();
        found += best.iter().filter(|leaf| usual.contains(leaf)).count();
    }
    found as f64 / wanted as f64
}

async fn while_ingesting(desk: Arc<Desk>, queries: Vec<Query>, first: u32, floor: f64) {
    let done = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (desk, done) = (desk.clone(), done.clone());
        async move {
            let start = Instant::now();
            for number in first..first + INCOMING {
                desk.rows.write(number);
                // The writer waits for the index, not for the clock: it is as fast as the index can be.
                desk.words(&["nothing".to_owned()], &Lens::all()).await;
            }
            done.store(true, Ordering::SeqCst);
            start.elapsed().as_secs_f64()
        }
    });
    let mut figures = Figures::new(floor);
    for (at, query) in queries.iter().cycle().enumerate() {
        if done.load(Ordering::SeqCst) {
            break;
        }
        figures.time(desk.hybrid(query, &one_in_twenty(at as u32 % TENANTS))).await;
    }
    let taken = writer.await.unwrap();
    figures.print("hybrid   1/20 while ingesting");
    println!("ingested meanwhile: {:.0} chunks a second", f64::from(INCOMING * CHUNKS) / taken);
}

/// Times of one kind of search.
struct Figures {
    floor: f64,
    times: Vec<f64>,
    processor: f64,
}

impl Figures {
    fn new(floor: f64) -> Self {
        Self { floor, times: Vec::new(), processor: processor() }
    }

    async fn time(&mut self, search: impl Future<Output = usize>) {
        let start = Instant::now();
        black_box(search.await);
        self.times.push(start.elapsed().as_secs_f64() * 1e3);
    }

    fn print(mut self, name: &str) {
        let used = (processor() - self.processor) * 1e3 / self.times.len() as f64;
        self.times.sort_by(f64::total_cmp);
        let at = |share: f64| self.times[((self.times.len() - 1) as f64 * share) as usize];
        println!(
            "{name}: p50 {:.3} p99 {:.3} ms, best {:.3}, processor {used:.3}; best / floor {:.2}",
            at(0.5),
            at(0.99),
            at(0.0),
            at(0.0) / self.floor
        );
    }
}

/// Seconds of processor time of this process so far.
fn processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<f64> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse().ok())
        .collect();
    fields.iter().sum::<f64>() / 100.0
}

/// Bytes of this process in memory.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or_default() * 4096
}
