//! kill -9 while pages of the web are fetched, with a real child process; the site is this one's.

#![allow(clippy::unwrap_used, reason = "the lint's exception for tests does not see the cases as tests")]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::Tenant;
use crate::common::site::{Site, html};
use crate::common::sources::{pages, wish};
use crate::common::web::{Names, bench_on, loopback};
use crate::kills::{Library, lines, next, noting, open, told};
use copydesk_proto::retrieval::v1::{IngestionState, RetryIngestionRequest};
use copydesk_retrieval::{Config, Sources};

const CHILD: &str = "fetch_kills::child";
/// Kills.
const ROUNDS: usize = 20;
/// Pages that are new in each round, more than one step of the source takes; one more is the same page with new text.
const NEW: usize = 20;

/// The pages of a round at a site.
fn urls(site: &str, round: usize) -> Vec<String> {
    let mut urls: Vec<String> = (0..NEW).map(|page| format!("{site}/{round}/{page}")).collect();
    urls.insert(round % NEW, format!("{site}/shared"));
    urls
}

/// Asks for the pages of all rounds up to this one, those that were asked for before too, and sees them through.
async fn serve(folder: &Path, rounds: usize) {
    let site = std::fs::read_to_string(folder.join("site")).unwrap();
    let database = open(folder).await;
    let sources = Sources { pause_ms: 3, ..Sources::default() };
    let config = Config { web: loopback(), sources, ..Config::default() };
    let tenant: Tenant = bench_on("child", &database, config, Names::of(&[])).tenant(1);
    let mut said = noting(folder, "said");
    let base = tenant.new_base("x").await.knowledge_base_id;
    for round in 0..=rounds {
        let asked = wish(&format!("round {round}"), &base, pages(&urls(&site, round)));
        let ingestion = tenant.ask_for(asked, &[]).await.unwrap();
        writeln!(said, "asked {}", ingestion.ingestion_id).unwrap();
        if tenant.ended(&ingestion.ingestion_id).await.state() == IngestionState::Failed {
            // Poisoned by this test's own kills: whoever ends the process three times has to say that it was not that.
            let again = RetryIngestionRequest {
                request_id: format!("again {rounds} {round}"),
                ingestion_id: ingestion.ingestion_id.clone(),
            };
            tenant.run(tenant.ingestions().retry_ingestion(again)).await.unwrap();
            let ended = tenant.ended(&ingestion.ingestion_id).await;
            assert_eq!(ended.state(), IngestionState::Succeeded, "{ended:?}");
        }
    }
    database.close().await;
    writeln!(said, "ended").unwrap();
}

#[test]
#[ignore = "is the child of the other test"]
fn child() {
    let (folder, rounds) = told();
    tokio::runtime::Runtime::new().unwrap().block_on(serve(&folder, rounds));
}

/// The texts of what is visible, by path. Fails when anything of it is half there.
async fn visible(folder: &Path, site: &Site) -> BTreeMap<String, String> {
    let database = open(folder).await;
    let sql = "SELECT d.source_uri, d.chunk_count, t.text,
          (SELECT COUNT(*) FROM chunk c WHERE c.tenant = d.tenant AND c.document_id = d.document_id
             AND c.document_version = d.version) AS chunks
        FROM document d JOIN document_text t ON t.tenant = d.tenant AND t.document_id = d.document_id";
    let mut found = BTreeMap::new();
    for row in database.query(sql, &[]).await.unwrap() {
        let (uri, text): (String, Vec<u8>) = (row.get("source_uri").unwrap(), row.get("text").unwrap());
        assert_eq!(row.get::<i64>("chunk_count").unwrap(), row.get::<i64>("chunks").unwrap(), "{uri}");
        let path = uri.strip_prefix(&site.url("")).unwrap().to_owned();
        assert_eq!(found.insert(path, String::from_utf8(text).unwrap()), None, "{uri} is there twice");
    }
    for said in lines(folder, "said").iter().filter_map(|line| line.strip_prefix("asked ")) {
        let sql = "SELECT 1 AS one FROM ingestion WHERE ingestion_id = $1";
        let stored = database.query_opt(sql, &[said.into()]).await.unwrap();
        assert!(stored.is_some(), "{said} was acknowledged");
    }
    database.close().await;
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetching_survives_kill_9_at_twenty_seeded_points() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let shared = Arc::new(AtomicUsize::new(0));
    let said = Arc::clone(&shared);
    let site = Site::start(move |heard| match heard.path.as_str() {
        "/shared" => html(&format!("<title>x</title><p>Shared of round {}.", said.load(Ordering::SeqCst))),
        path => html(&format!("<title>x</title><p>The page at {path}.")),
    })
    .await;
    std::fs::write(folder.join("site"), site.url("")).unwrap();
    let (mut seed, mut killed) = (20_261_201, 0);
    let mut stored = BTreeMap::new();
    for round in 0..ROUNDS {
        shared.store(round, Ordering::SeqCst);
        let (work, pause) =
            (next(&mut seed) as usize % (3 * NEW), Duration::from_micros(next(&mut seed) % 6_000));
        let (begun, here) = (site.paths().len(), folder.to_owned());
        let heard = site.counter();
        let child = tokio::task::spawn_blocking(move || {
            let mut library = Library::start(CHILD, &here, round);
            library.until(|| heard() > begun + work);
            std::thread::sleep(pause);
            library.kill9()
        });
        killed += usize::from(child.await.unwrap());
        let (now, asked) = (visible(folder, &site).await, times(&site));
        for (path, (text, asked_then)) in &stored {
            assert_eq!(now.get(path), Some(text), "round {round}");
            assert_eq!(&asked[path], asked_then, "{path} is stored, and was asked for again");
        }
        let new = now.into_iter().filter(|(path, _)| path != "/shared");
        stored = new.map(|(path, text)| (path.clone(), (text, asked[&path]))).collect();
    }
    assert!(
        killed >= ROUNDS * 2 / 3,
        "only {killed} of {ROUNDS} were at work when they were killed: {:#?}",
        lines(folder, "output")
    );
    shared.store(ROUNDS, Ordering::SeqCst);
    let here = folder.to_owned();
    let ended = tokio::task::spawn_blocking(move || {
        let mut library = Library::start(CHILD, &here, ROUNDS);
        library.until(|| lines(&here, "said").last().is_some_and(|line| line == "ended"));
    });
    ended.await.unwrap();
    assert_eq!(lines(folder, "said").last().unwrap(), "ended", "{:#?}", lines(folder, "output"));
    let found = visible(folder, &site).await;
    assert_eq!(found.len(), (ROUNDS + 1) * NEW + 1);
    assert!(found["/shared"].contains(&format!("Shared of round {ROUNDS}.")), "{}", found["/shared"]);
    for (path, (_, asked_then)) in stored {
        assert_eq!(times(&site)[&path], asked_then, "{path} is stored, and was asked for again");
    }
}

/// How often each page was asked for.
fn times(site: &Site) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    site.paths().into_iter().for_each(|path| *times.entry(path).or_default() += 1);
    times
}
