//! Pages of the web as a source: fetched in the background, compared with what was there, taken up after a crash.

#![allow(clippy::unwrap_used, reason = "the lint's exception for tests does not see the cases as tests")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::site::{Say, Site, answer, html};
use crate::common::sources::{counts, failures, pages, succeeded, wish};
use crate::common::web::{Names, bench_far, bench_on, loopback};
use crate::common::{Tenant, doc, parts, refusal, rows, titles};
use copydesk_proto::retrieval::v1::{
    CancelIngestionRequest, GetIngestionRequest, IngestSourceStart, IngestionState, RetryIngestionRequest,
    SourceState,
};
use copydesk_proto::types::v1::SourceKind;
use copydesk_retrieval::{Config, Sources, Web};
use tonic::Code;

fn config() -> Config {
    let sources = Sources { pause_ms: 0, ..Sources::default() };
    Config { web: Web { timeout_seconds: 20, ..loopback() }, sources, ..Config::default() }
}

async fn tenant() -> Tenant {
    bench_far(config(), Names::of(&[])).await.tenant(1)
}

/// A site whose pages a test may change.
struct Pages {
    site: Site,
    pages: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Pages {
    async fn of(pages: &[(&str, &str)]) -> Self {
        let pages = pages.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        let pages = Arc::new(Mutex::new(pages.collect::<BTreeMap<_, _>>()));
        let said = Arc::clone(&pages);
        let site =
            Site::start(move |heard| match said.lock().unwrap().get(&heard.path).map(String::as_str) {
                Some("503") => answer(503, &[], ""),
                Some("video") => answer(200, &["content-type: video/mp4"], "x"),
                Some(text) => html(&format!("<title>Page {}</title><main><p>{text}</main>", heard.path)),
                None => answer(404, &[], ""),
            });
        Self { site: site.await, pages }
    }

    fn set(&self, path: &str, text: &str) {
        self.pages.lock().unwrap().insert(path.to_owned(), text.to_owned());
    }

    fn urls(&self, paths: &[&str]) -> Vec<String> {
        paths.iter().map(|path| self.site.url(path)).collect()
    }
}

fn mirror(start: IngestSourceStart) -> IngestSourceStart {
    IngestSourceStart { mirror: true, ..start }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_become_documents_and_only_what_changed_is_done_again() {
    let site = Pages::of(&[("/a", "An altimeter in the van."), ("/b", "A beehive on the roof.")]).await;
    let tenant = tenant().await;
    let base = tenant.new_base("x").await.knowledge_base_id;
    let urls = site.urls(&["/a", "/b", "/a#again", "/gone", "/video"]);
    site.set("/video", "video");
    let done = tenant.fetched(wish("1", &base, pages(&urls))).await;
    assert_eq!((done.state(), counts(&done)), (IngestionState::Failed, (2, 0, 2, 0)));
    assert_eq!(failures(&done), [("/gone", "WEB_STATUS"), ("/video", "WEB_CONTENT_TYPE")]);
    let source = done.source.clone().unwrap();
    assert_eq!((source.kind.as_str(), source.name.as_str()), ("web_pages", "web"));
    assert_eq!((source.state(), done.documents_total, done.documents_waiting), (SourceState::Fetched, 4, 0));

    let hits = tenant.search(&base, "altimeter", 5).await;
    assert_eq!(titles(&hits), ["Page /a"]);
    let passage = hits[0].passage.as_ref().unwrap();
    assert_eq!(
        (passage.source_kind(), passage.source_uri.clone()),
        (SourceKind::WebPage, site.site.url("/a"))
    );
    let document = tenant.document(&passage.document_id).await.unwrap();
    let fields = document.attributes.unwrap().fields;
    assert!(fields.contains_key("host") && fields.contains_key("media_type"), "{fields:?}");

    // The same request is the same ingestion; another body under its id is refused.
    let again = tenant.ask_for(wish("1", &base, pages(&urls)), &[]).await.unwrap();
    assert_eq!(again.ingestion_id, done.ingestion_id);
    let other = tenant.ask_for(wish("1", &base, pages(&urls[..1])), &[]).await.unwrap_err();
    assert_eq!(other.code(), Code::AlreadyExists);

    site.set("/b", "A bassoon on the roof.");
    let again = tenant.fetched(wish("2", &base, pages(&site.urls(&["/a", "/b"])))).await;
    succeeded(&again);
    assert_eq!(counts(&again), (1, 1, 0, 0));
    assert!(tenant.search(&base, "beehive", 5).await.is_empty());
    assert_eq!(titles(&tenant.search(&base, "bassoon", 5).await), ["Page /b"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_deletes_what_its_source_has_no_more_and_nothing_else() {
    let site =
        Pages::of(&[("/a", "altimeter"), ("/b", "beehive"), ("/c", "cinnamon"), ("/d", "dolphin")]).await;
    let tenant = tenant().await;
    let base = tenant.new_base("x").await.knowledge_base_id;
    let all = site.urls(&["/a", "/b", "/c", "/d"]);
    succeeded(&tenant.fetched(mirror(wish("1", &base, pages(&all)))).await);
    let upload = [
        doc("own.md", SourceKind::Document, "Not fetched."),
        doc(&all[1], SourceKind::Post, "Written over."),
    ];
    succeeded(&tenant.ingest("2", &base, &upload).await);

    // /b was written over by an upload, /c is gone, /d fails for the moment, and another source says nothing of them.
    site.pages.lock().unwrap().remove("/c");
    site.set("/d", "503");
    let other = IngestSourceStart { name: "other".into(), ..mirror(wish("3", &base, pages(&all[..1]))) };
    assert_eq!(counts(&tenant.fetched(other).await), (0, 1, 0, 0));
    let some = site.urls(&["/a", "/c", "/d"]);
    let done = tenant.fetched(mirror(wish("4", &base, pages(&some)))).await;
    assert_eq!(counts(&done), (0, 1, 1, 1), "{done:?}");
    assert_eq!(failures(&done), [("/d", "WEB_BUSY")]);
    let mut left = vec![all[0].clone(), all[1].clone(), all[3].clone(), "own.md".to_owned()];
    left.sort();
    assert_eq!(tenant.keys_of(&base).await, left);
    assert!(tenant.search(&base, "cinnamon", 5).await.is_empty());
    assert_eq!(tenant.search(&base, "dolphin", 5).await.len(), 1);
    let delete =
        copydesk_proto::retrieval::v1::DeleteKnowledgeBaseRequest { knowledge_base_id: base.clone() };
    tenant.run(tenant.knowledge().delete_knowledge_base(delete)).await.unwrap();
    for table in ["source_document", "source_mark", "ingestion", "ingestion_item"] {
        assert_eq!(rows(&tenant.bench.database, table).await, 0, "{table}");
    }
}

/// Twenty pages, the last four of which never come.
async fn slow() -> Site {
    Site::start(move |heard| match heard.path.strip_prefix("/p").and_then(|n| n.parse::<u32>().ok()) {
        Some(number) if number >= 16 => Say::Silence,
        Some(number) => html(&format!("<p>Page {number} of them.")),
        None => answer(404, &[], ""),
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetching_goes_on_where_it_stood_after_a_crash_or_a_cancel() {
    let site = slow().await;
    let database = copydesk_store::testing::sqlite(&copydesk_retrieval::adapters::MIGRATOR).await;
    let mut config = config();
    config.web.timeout_seconds = 600;
    // One worker, which waits for the site: nobody else in that process takes the job up.
    config.workers.count = 1;
    let first = bench_on("first", &database, config.clone(), Names::of(&[])).tenant(1);
    let base = first.new_base("x").await.knowledge_base_id;
    let urls: Vec<String> = (0..20).map(|n| site.url(&format!("/p{n}"))).collect();
    let id = first.ask_for(wish("1", &base, pages(&urls)), &[]).await.unwrap().ingestion_id;
    let stood = async {
        loop {
            let request = GetIngestionRequest { ingestion_id: id.clone() };
            let now = first.run(first.ingestions().get_ingestion(request)).await.unwrap();
            let now = now.into_inner().ingestion.unwrap();
            if now.documents_total == 16 && site.paths().len() >= 20 {
                break now;
            }
            tokio::task::yield_now().await;
        }
    };
    let now = tokio::time::timeout(Duration::from_secs(60), stood).await.unwrap();
    assert_eq!(now.source.unwrap().state(), SourceState::Fetching);

    // Cancelled, it ends at once although the site says nothing; taken up again, it asks only for what was left.
    let cancel = CancelIngestionRequest { ingestion_id: id.clone() };
    let ended =
        first.run(first.ingestions().cancel_ingestion(cancel)).await.unwrap().into_inner().ingestion.unwrap();
    assert_eq!((ended.state(), ended.documents_cancelled), (IngestionState::Cancelled, 16));
    let asked = site.paths().len();
    let retry = RetryIngestionRequest { request_id: "r".into(), ingestion_id: id.clone() };
    first.run(first.ingestions().retry_ingestion(retry)).await.unwrap();
    let again = async {
        while site.paths().len() < asked + 4 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), again).await.unwrap();
    let later: Vec<_> = site.paths().split_off(asked);
    assert!(later.iter().all(|path| ["/p16", "/p17", "/p18", "/p19"].contains(&path.as_str())), "{later:?}");

    // Another process takes it over when the lease is gone, as after a crash.
    database.execute("UPDATE ingestion SET lease_until = 0, fence = fence + 1", &[]).await.unwrap();
    config.web.timeout_seconds = 1;
    let second = bench_on("second", &database, config, Names::of(&[])).tenant(1);
    let done = second.ended(&id).await;
    assert_eq!((done.state(), counts(&done)), (IngestionState::Failed, (16, 0, 4, 0)));
    assert!(done.failures.iter().all(|failure| failure.reason == "WEB_TIMEOUT"), "{:?}", done.failures);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_ends_processes_is_given_up() {
    let site = slow().await;
    let database = copydesk_store::testing::sqlite(&copydesk_retrieval::adapters::MIGRATOR).await;
    let mut config = config();
    config.web.timeout_seconds = 600;
    config.workers.count = 8;
    let tenant = bench_on("one", &database, config, Names::of(&[])).tenant(1);
    let base = tenant.new_base("x").await.knowledge_base_id;
    let other = tenant.new_base("y").await.knowledge_base_id;
    let source = pages(&[site.url("/p17")]);
    let id = tenant.ask_for(wish("1", &base, source), &[]).await.unwrap().ingestion_id;
    let lost = async {
        for asked in 1..=3 {
            while site.paths().len() < asked {
                tokio::task::yield_now().await;
            }
            // The holder is gone without a word: its lease runs out.
            let sql = "UPDATE ingestion SET lease_until = 0, fence = fence + 1 WHERE source_kind <> ''";
            database.execute(sql, &[]).await.unwrap();
            // Another upload wakes a worker.
            let upload = parts(&format!("wake {asked}"), &other, &[doc("x", SourceKind::Post, "x")]);
            tenant.send(upload).await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(60), lost).await.unwrap();
    let done = tenant.ended(&id).await;
    assert_eq!(
        (done.state(), done.source.clone().unwrap().state()),
        (IngestionState::Failed, SourceState::Failed)
    );
    assert_eq!((done.failures[0].key.as_str(), done.failures[0].reason.as_str()), ("web", "LOST"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_much_is_told() {
    let site = Pages::of(&[("/a", &"long ".repeat(400)), ("/b", "b"), ("/c", "c")]).await;
    let mut config = config();
    config.limits.max_document_bytes = 1_500;
    config.limits.max_upload_bytes = 1_500;
    config.limits.max_documents_per_upload = 2;
    let tenant = bench_far(config, Names::of(&[])).await.tenant(1);
    let base = tenant.new_base("x").await.knowledge_base_id;
    let done = tenant.fetched(wish("1", &base, pages(&site.urls(&["/a", "/b"])))).await;
    assert_eq!(failures(&done), [("/a", "TOO_LARGE")]);
    let done = tenant.fetched(wish("2", &base, pages(&site.urls(&["/a", "/b", "/c"])))).await;
    assert_eq!(
        (done.source.clone().unwrap().state(), failures(&done)),
        (SourceState::Failed, vec![("web", "SOURCE_TOO_LARGE")])
    );
}

#[tokio::test]
async fn every_fault_of_a_wish_is_told_at_once() {
    let tenant = tenant().await;
    let base = tenant.new_base("x").await.knowledge_base_id;
    let fields = |start, content: &'static [&'static [u8]]| {
        let tenant = tenant.clone();
        async move {
            let (code, fields) = refusal(&tenant.ask_for(start, content).await.unwrap_err());
            assert_eq!(code, Code::InvalidArgument);
            fields
        }
    };
    let urls = ["ftp://x/".to_owned(), "http://u:p@x/".into(), "http://fine.test/".into()];
    let bad = IngestSourceStart {
        request_id: String::new(),
        knowledge_base_id: "kb".into(),
        name: "x".repeat(129),
        content_type: 99,
        ..wish("", "", pages(&urls))
    };
    let expected =
        ["request_id", "knowledge_base_id", "name", "content_type", "web_pages.urls[0]", "web_pages.urls[1]"];
    assert_eq!(fields(bad, &[]).await, expected);
    assert_eq!(
        fields(IngestSourceStart { source: None, ..wish("1", &base, pages(&[])) }, &[]).await,
        ["source"]
    );
    assert_eq!(fields(wish("1", &base, pages(&[])), &[]).await, ["web_pages.urls"]);
    assert_eq!(fields(wish("1", &base, pages(&urls[2..])), &[b"x"]).await, ["content"]);
    assert_eq!(rows(&tenant.bench.database, "ingestion").await, 0);
    let nowhere = wish("1", "kb_00000000000000000000000007", pages(&urls[2..]));
    assert_eq!(tenant.ask_for(nowhere, &[]).await.unwrap_err().code(), Code::NotFound);
}
