//! Ingestions as their callers see them: stages, cancelling, retries, poison, workers side by side, quotas.

#![allow(clippy::unwrap_used, reason = "the lint's exception for tests does not see the cases as tests")]

use std::sync::Arc;
use std::time::Duration;

use crate::common::{Bench, Doc, Tenant, benches, benches_with, doc, parts, refusal, rows, thirty};
use copydesk_proto::retrieval::v1::{
    CancelIngestionRequest, DeleteDocumentRequest, DocumentStage, GetIngestionRequest, GetQuotaRequest,
    Ingestion, IngestionDocument, IngestionState, ListIngestionDocumentsRequest, ListIngestionsRequest,
    Quota, QuotaUse, RetryIngestionRequest,
};
use copydesk_proto::types::v1::SourceKind;
use copydesk_retrieval::ports::{EmbedError, Embedded, Embedder, Purpose};
use copydesk_retrieval::{Config, Quotas, WorkerConfig};
use tokio::sync::{Semaphore, watch};
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Stops at texts with the word "slow" until it is let go, panics at "panic", fails at "broken" while that is on.
struct MoodyEmbedder {
    slow: Semaphore,
    at_slow: watch::Sender<usize>,
    broken: watch::Sender<bool>,
}

impl MoodyEmbedder {
    fn new() -> Arc<Self> {
        let (at_slow, broken) = (watch::Sender::new(0), watch::Sender::new(true));
        Arc::new(Self { slow: Semaphore::new(0), at_slow, broken })
    }

    /// Waits until so many texts are stopped at.
    async fn stopped_at(&self, texts: usize) {
        let mut seen = self.at_slow.subscribe();
        let seen = seen.wait_for(|seen| *seen >= texts);
        tokio::time::timeout(Duration::from_secs(60), seen).await.unwrap().unwrap();
    }
}

#[async_trait::async_trait]
impl Embedder for MoodyEmbedder {
    fn id(&self) -> &str {
        "test/moody"
    }

    fn dimensions(&self) -> usize {
        1
    }

    async fn embed(&self, texts: Vec<String>, _: Purpose) -> Result<Vec<Embedded>, EmbedError> {
        let said = |word: &str| texts.iter().any(|text| text.contains(word));
        assert!(!said("panic"), "this embedder was told to panic");
        if said("broken") && *self.broken.borrow() {
            return Err(EmbedError::fault("out of order"));
        }
        if said("slow") {
            self.at_slow.send_modify(|seen| *seen += 1);
            self.slow.acquire().await.unwrap().forget();
        }
        Ok(vec![vec![1.0].into(); texts.len()])
    }
}

async fn moody() -> Vec<(Bench, Arc<MoodyEmbedder>)> {
    moody_with(Config::default()).await
}

/// Each bench with an embedder of its own.
async fn moody_with(config: Config) -> Vec<(Bench, Arc<MoodyEmbedder>)> {
    let names = benches_with(config.clone(), None).await.len();
    let mut all = Vec::new();
    for at in 0..names {
        let embedder = MoodyEmbedder::new();
        let mut benches = benches_with(config.clone(), Some(embedder.clone())).await;
        all.push((benches.swap_remove(at), embedder));
    }
    all
}

fn post(key: &str, text: &str) -> Doc {
    doc(key, SourceKind::Post, text)
}

impl Tenant {
    async fn cancel(&self, id: &str) -> Result<Ingestion, Status> {
        let request = CancelIngestionRequest { ingestion_id: id.into() };
        Ok(self.run(self.ingestions().cancel_ingestion(request)).await?.into_inner().ingestion.unwrap())
    }

    async fn retry(&self, request_id: &str, id: &str) -> Result<Ingestion, Status> {
        let request = RetryIngestionRequest { request_id: request_id.into(), ingestion_id: id.into() };
        Ok(self.run(self.ingestions().retry_ingestion(request)).await?.into_inner().ingestion.unwrap())
    }

    async fn staged(&self, id: &str, stage: DocumentStage) -> Vec<IngestionDocument> {
        let request = ListIngestionDocumentsRequest {
            ingestion_id: id.into(),
            page_size: 500,
            stage: stage.into(),
            ..Default::default()
        };
        let answer = self.run(self.ingestions().list_ingestion_documents(request)).await.unwrap();
        answer.into_inner().documents
    }

    async fn keys(&self, id: &str, stage: DocumentStage) -> Vec<String> {
        self.staged(id, stage).await.into_iter().map(|document| document.key).collect()
    }

    async fn quota(&self) -> Quota {
        let answer = self.run(self.knowledge().get_quota(GetQuotaRequest {})).await.unwrap();
        answer.into_inner().quota.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_ingestion_ends_at_once_and_can_be_taken_up_again() {
    for (bench, embedder) in moody().await {
        println!("on {}", bench.name);
        let tenant = bench.tenant(1);
        let base = tenant.new_base("x").await.knowledge_base_id;
        let docs = [post("first", "a quick one"), post("second", "a slow one"), post("third", "an ibex")];
        let id = tenant.send(parts("r", &base, &docs)).await.unwrap().ingestion_id;
        embedder.stopped_at(1).await;
        let embedding = tenant.staged(&id, DocumentStage::Embedding).await;
        assert_eq!((embedding.len(), embedding[0].key.as_str(), embedding[0].attempts), (1, "second", 1));
        assert_eq!(tenant.keys(&id, DocumentStage::Waiting).await, ["third"]);
        assert_eq!(tenant.keys(&id, DocumentStage::Unspecified).await, ["first", "second", "third"]);

        let ended = tenant.cancel(&id).await.unwrap();
        assert_eq!((ended.state(), ended.documents_done), (IngestionState::Cancelled, 1));
        assert_eq!((ended.documents_cancelled, ended.documents_waiting), (2, 0));
        assert_eq!(tenant.watched(&id).await, std::slice::from_ref(&ended), "its watchers end");
        assert_eq!(tenant.cancel(&id).await.unwrap(), ended);
        assert_eq!(tenant.documents(&base).await.len(), 1);
        // The worker is free although the embedder never answered.
        let next = tenant.ingest("next", &base, &[post("fourth", "a quick one more")]).await;
        assert_eq!(next.state(), IngestionState::Succeeded);

        embedder.slow.add_permits(10);
        let queued = tenant.retry("again", &id).await.unwrap();
        assert!(!matches!(queued.state(), IngestionState::Cancelled), "{queued:?}");
        let ended = tenant.watched(&id).await.pop().unwrap();
        assert_eq!((ended.state(), ended.documents_done), (IngestionState::Succeeded, 3));
        assert_eq!(tenant.search(&base, "ibex", 1).await.len(), 1);
        bench.database.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_are_tried_again_and_panics_are_poison() {
    for (bench, embedder) in moody().await {
        println!("on {}", bench.name);
        let tenant = bench.tenant(1);
        let base = tenant.new_base("x").await.knowledge_base_id;
        let docs = [
            post("panics", "this text makes them panic"),
            post("breaks", "this text is broken"),
            post("empty", ""),
            post("good", "an ibex"),
        ];
        let ended = tenant.ingest("r", &base, &docs).await;
        assert_eq!((ended.state(), ended.documents_done), (IngestionState::Failed, 1));
        assert_eq!((ended.documents_failed, ended.bytes_done), (3, ended.bytes_total));
        let failed = |stage| {
            let (tenant, id) = (tenant.clone(), ended.ingestion_id.clone());
            async move {
                let found = tenant.staged(&id, stage).await;
                found.into_iter().map(|found| (found.key, found.reason, found.attempts)).collect::<Vec<_>>()
            }
        };
        let of = |key: &str, reason: &str, attempts| (key.to_owned(), reason.to_owned(), attempts);
        assert_eq!(failed(DocumentStage::Poisoned).await, [of("panics", "INTERNAL", 3)]);
        let expected = [of("breaks", "EMBEDDER_FAILED", 1), of("empty", "EMPTY", 1)];
        assert_eq!(failed(DocumentStage::Failed).await, expected);
        let keys: Vec<_> = ended.failures.iter().map(|failure| failure.key.as_str()).collect();
        assert_eq!(keys, ["panics", "breaks", "empty"]);

        embedder.broken.send_replace(false);
        tenant.retry("again", &ended.ingestion_id).await.unwrap();
        let again = tenant.watched(&ended.ingestion_id).await.pop().unwrap();
        assert_eq!((again.state(), again.documents_done), (IngestionState::Failed, 2));
        assert_eq!(failed(DocumentStage::Poisoned).await, [of("panics", "INTERNAL", 6)]);
        let before = tenant.retry("again", &ended.ingestion_id).await.unwrap();
        assert_eq!(before, again, "the same request does nothing more");
        let other = tenant.ingest("other", &base, &docs[3..]).await;
        let reused = tenant.retry("again", &other.ingestion_id).await.unwrap_err();
        assert_eq!(reused.code(), Code::AlreadyExists);
        let none = tenant.retry("none", &other.ingestion_id).await.unwrap();
        assert_eq!((none.state(), none.documents_unchanged), (IngestionState::Succeeded, 1));
        bench.database.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_document_holds_up_neither_other_bases_nor_other_tenants() {
    for (bench, embedder) in
        moody_with(Config { workers: WorkerConfig { count: 3 }, ..Config::default() }).await
    {
        println!("on {}", bench.name);
        let (tenant, other) = (bench.tenant(1), bench.tenant(2));
        let mut bases = Vec::new();
        for name in ["one", "two", "three"] {
            bases.push(tenant.new_base(name).await.knowledge_base_id);
        }
        let slow = tenant.send(parts("1", &bases[0], &[post("a", "slow")])).await.unwrap().ingestion_id;
        embedder.stopped_at(1).await;
        let later = tenant.send(parts("2", &bases[0], &[post("a", "later")])).await.unwrap().ingestion_id;
        let quick = tenant.ingest("3", &bases[1], &[post("b", "quick")]).await;
        assert_eq!(quick.state(), IngestionState::Succeeded);
        // Two workers are all that one tenant gets of three.
        let second = tenant.send(parts("4", &bases[1], &[post("c", "slow")])).await.unwrap().ingestion_id;
        embedder.stopped_at(2).await;
        let third = tenant.send(parts("5", &bases[2], &[post("d", "quick")])).await.unwrap().ingestion_id;
        let theirs = other.new_base("theirs").await.knowledge_base_id;
        let served = other.ingest("1", &theirs, &[post("a", "quick")]).await;
        assert_eq!(served.state(), IngestionState::Succeeded);
        for waiting in [&later, &third] {
            let request = GetIngestionRequest { ingestion_id: waiting.clone() };
            let found = tenant.run(tenant.ingestions().get_ingestion(request)).await.unwrap().into_inner();
            assert_eq!(found.ingestion.unwrap().state(), IngestionState::Queued);
        }
        embedder.slow.add_permits(2);
        for id in [&slow, &second, &later, &third] {
            let ended = tenant.watched(id).await.pop().unwrap();
            assert_eq!((ended.state(), ended.documents_done), (IngestionState::Succeeded, 1));
        }
        assert_eq!(tenant.search(&bases[0], "later", 1).await.len(), 1, "the later upload stays");
        let stored = tenant.documents(&bases[0]).await;
        assert_eq!((stored.len(), stored[0].version), (1, 2));
        bench.database.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_tells_of_each_document() {
    for (bench, embedder) in moody().await {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("x").await.knowledge_base_id;
        let mut docs = thirty();
        docs.insert(1, post("slow", "a slow one"));
        docs.push(post("empty", ""));
        let id = tenant.send(parts("r", &base, &docs)).await.unwrap().ingestion_id;
        embedder.stopped_at(1).await;
        let seen = async {
            while tenant.staged(&id, DocumentStage::Embedding).await.is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), seen).await.unwrap();
        let changes = tenant.watch_from(&id, || embedder.slow.add_permits(1)).await;
        let mut ended = std::collections::BTreeMap::new();
        for document in changes.iter().flat_map(|change| &change.documents) {
            if !document.document_id.is_empty() || document.stage() == DocumentStage::Failed {
                *ended.entry(document.key.clone()).or_insert(0) += 1;
            }
        }
        // The watch began when the first two had their turn or later.
        assert!(ended.len() >= docs.len() - 2, "{} of {}", ended.len(), docs.len());
        assert!(ended.values().all(|times| *times == 1), "each is told of once");
        assert_eq!(changes.last().unwrap().ingestion.as_ref().unwrap().documents_failed, 1);
        bench.database.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ingestions_and_their_documents_are_listed_page_by_page() {
    for bench in crate::common::benches().await {
        let tenant = bench.tenant(1);
        let (one, two) = (tenant.new_base("one").await, tenant.new_base("two").await);
        let (one, two) = (one.knowledge_base_id, two.knowledge_base_id);
        let mut ids = Vec::new();
        for (at, base) in [&one, &two, &one].into_iter().enumerate() {
            let text = if at == 2 { "" } else { "text" };
            ids.push(tenant.ingest(&at.to_string(), base, &[post("a", text)]).await.ingestion_id);
        }
        ids.reverse();
        let list = |request: ListIngestionsRequest| {
            let tenant = tenant.clone();
            async move {
                let answer = tenant.run(tenant.ingestions().list_ingestions(request)).await?.into_inner();
                let ids = answer.ingestions.into_iter().map(|ingestion| ingestion.ingestion_id);
                Ok::<_, Status>((ids.collect::<Vec<_>>(), answer.next_page_token))
            }
        };
        let first = ListIngestionsRequest { page_size: 2, ..Default::default() };
        let (page, token) = list(first.clone()).await.unwrap();
        assert_eq!(page, ids[..2]);
        let next = ListIngestionsRequest { page_token: token.clone(), ..first.clone() };
        assert_eq!(list(next.clone()).await.unwrap(), (ids[2..].to_vec(), String::new()));
        let failed = ListIngestionsRequest { state: IngestionState::Failed.into(), ..Default::default() };
        assert_eq!(list(failed).await.unwrap().0, ids[..1]);
        let here = ListIngestionsRequest { knowledge_base_id: two, ..Default::default() };
        assert_eq!(list(here).await.unwrap().0, ids[1..2]);
        let other = ListIngestionsRequest { knowledge_base_id: one, ..next };
        let other = refusal(&list(other).await.unwrap_err());
        assert_eq!(other, (Code::InvalidArgument, vec!["page_token".to_owned()]), "another filter");
        let bad = ListIngestionsRequest { knowledge_base_id: "x".into(), state: 77, ..Default::default() };
        let bad = refusal(&list(bad).await.unwrap_err());
        let fields = ["state", "knowledge_base_id"].map(str::to_owned).to_vec();
        assert_eq!(bad, (Code::InvalidArgument, fields));

        let base = tenant.new_base("many").await.knowledge_base_id;
        let ingestion = tenant.ingest("many", &base, &thirty()).await.ingestion_id;
        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let request = ListIngestionDocumentsRequest {
                ingestion_id: ingestion.clone(),
                page_size: 13,
                page_token: token,
                ..Default::default()
            };
            let answer = tenant.run(tenant.ingestions().list_ingestion_documents(request)).await.unwrap();
            let answer = answer.into_inner();
            seen.extend(answer.documents);
            token = answer.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        let keys: Vec<_> = thirty().into_iter().map(|doc| doc.start.key).collect();
        assert_eq!(seen.iter().map(|found| found.key.clone()).collect::<Vec<_>>(), keys, "in upload order");
        assert!(seen.iter().all(|found| found.chunks > 0 && !found.document_id.is_empty()));
        bench.database.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quotas_refuse_uploads_and_fail_documents() {
    let quotas = Quotas { documents: 3, chunks: 1, bytes: 200, open_ingestions: 1 };
    for (bench, embedder) in moody_with(Config { quotas, ..Config::default() }).await {
        println!("on {}", bench.name);
        let (tenant, other) = (bench.tenant(1), bench.tenant(2));
        let base = tenant.new_base("x").await.knowledge_base_id;
        let refused = |answer: Result<Ingestion, Status>, measure: &str| {
            let status = answer.unwrap_err();
            let details = status.get_error_details();
            assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
            assert_eq!(details.error_info().unwrap().reason, "QUOTA_EXCEEDED");
            let subject = details.quota_failure().unwrap().violations[0].subject.clone();
            assert_eq!(subject, format!("retrieval.quotas.{measure}"));
        };
        let many: Vec<Doc> = ["a", "b", "c", "d"].iter().map(|key| post(key, "text")).collect();
        refused(tenant.send(parts("1", &base, &many)).await, "documents");
        refused(tenant.send(parts("1", &base, &[post("a", &"long ".repeat(41))])).await, "bytes");
        assert_eq!(rows(&bench.database, "ingestion_item").await, 0);

        // One chunk is all; the next document has one too many.
        let sections = "# a\n\none\n\n# b\n\ntwo\n\n# c\n\nthree\n\n# d\n\nfour\n";
        let ended = tenant.ingest("1", &base, &[post("a", sections), post("b", "one more")]).await;
        assert_eq!((ended.state(), ended.documents_done), (IngestionState::Failed, 1), "{ended:?}");
        assert_eq!(ended.failures[0].reason, "QUOTA_EXCEEDED");
        let quota = tenant.quota().await;
        let of = |used, limit| Some(QuotaUse { used, limit });
        assert_eq!((quota.documents, quota.chunks), (of(1, 3), of(1, 1)));
        assert_eq!((quota.bytes, quota.waiting_bytes), (of(sections.len() as u64, 200), 8));
        assert_eq!(quota.open_ingestions, of(0, 1));

        let theirs = other.new_base("x").await.knowledge_base_id;
        let slow = other.send(parts("1", &theirs, &[post("a", "slow")])).await.unwrap();
        embedder.stopped_at(1).await;
        refused(other.send(parts("2", &theirs, &many[..1])).await, "open_ingestions");
        assert_eq!(other.quota().await.open_ingestions, of(1, 1));
        embedder.slow.add_permits(1);
        other.watched(&slow.ingestion_id).await;
        assert_eq!(other.send(parts("1", &theirs, &[post("a", "slow")])).await.unwrap().documents_done, 1);

        let document = tenant.documents(&base).await.remove(0).document_id;
        let delete = DeleteDocumentRequest { document_id: document };
        tenant.run(tenant.knowledge().delete_document(delete)).await.unwrap();
        let again = tenant.retry("again", &ended.ingestion_id).await.unwrap();
        let again = tenant.watched(&again.ingestion_id).await.pop().unwrap();
        assert_eq!((again.state(), again.documents_failed), (IngestionState::Succeeded, 0));
        assert_eq!(tenant.quota().await.documents, of(1, 3));
        bench.database.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_with_u0000_is_found_without_it() {
    for bench in benches().await {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("x").await.knowledge_base_id;
        let text = "# Va\0ns\n\nTwelve crates of milk.\0 They are cold.";
        let done = tenant.ingest("1", &base, &[doc("nul", SourceKind::Post, text)]).await;
        assert_eq!(done.documents_done, 1, "{done:?}");
        let hits = tenant.search(&base, "milk crates", 1).await;
        let passage = hits[0].passage.as_ref().unwrap();
        assert_eq!(passage.title, "Va ns", "on {}", bench.name);
        assert!(passage.text.contains("Twelve crates of milk.  They are cold."), "{}", passage.text);
        bench.database.close().await;
    }
}
