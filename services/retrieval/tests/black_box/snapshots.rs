//! Originals and snapshots: what was uploaded comes back, what is restored is what was there, what is damaged is refused.

#![allow(clippy::unwrap_used, reason = "the lint's exception for tests does not see the cases as tests")]

use std::sync::Arc;

use crate::common::{Bench, Tenant, benches_with, doc, refusal, rows, thirty};
use copydesk_proto::retrieval::v1::restore_snapshot_request::Part;
use copydesk_proto::retrieval::v1::snapshot_service_client::SnapshotServiceClient;
use copydesk_proto::retrieval::v1::{
    CreateSnapshotRequest, DeleteKnowledgeBaseRequest, DeleteSnapshotRequest, DownloadOriginalRequest,
    DownloadSnapshotRequest, KnowledgeBase, ListSnapshotsRequest, RestoreSnapshotRequest, RestoreStart,
    SearchHit, Snapshot,
};
use copydesk_proto::types::v1::SourceKind;
use copydesk_retrieval::ports::{EmbedError, Embedded, Embedder, Purpose};
use copydesk_retrieval::{Config, Limits, Quotas};
use copydesk_rpc::Channel;
use tonic::{Code, Status};

/// Two numbers about a text.
struct LengthEmbedder;

#[async_trait::async_trait]
impl Embedder for LengthEmbedder {
    fn id(&self) -> &str {
        "test/length"
    }

    fn dimensions(&self) -> usize {
        2
    }

    async fn embed(&self, texts: Vec<String>, _: Purpose) -> Result<Vec<Embedded>, EmbedError> {
        let vector = |text: &String| vec![text.len() as f32, text.matches('e').count() as f32].into();
        Ok(texts.iter().map(vector).collect())
    }
}

async fn benches() -> Vec<Bench> {
    benches_with(Config::default(), Some(Arc::new(LengthEmbedder))).await
}

impl Tenant {
    fn snapshots(&self) -> SnapshotServiceClient<Channel> {
        SnapshotServiceClient::new(self.bench.channel.clone())
    }

    async fn snapshot(&self, base: &str) -> Snapshot {
        let request = CreateSnapshotRequest { knowledge_base_id: base.into() };
        let made = self.run(self.snapshots().create_snapshot(request)).await.unwrap();
        made.into_inner().snapshot.unwrap()
    }

    async fn download(&self, id: &str) -> Result<Vec<u8>, Status> {
        let request = DownloadSnapshotRequest { snapshot_id: id.into() };
        let mut client = self.snapshots();
        let mut stream = self.run(client.download_snapshot(request)).await?.into_inner();
        let mut file = Vec::new();
        while let Some(piece) = stream.message().await? {
            assert!(piece.content.len() <= 512 * 1024);
            file.extend(piece.content);
        }
        Ok(file)
    }

    async fn send_parts(&self, parts: Vec<Part>) -> Result<KnowledgeBase, Status> {
        let messages = parts.into_iter().map(|part| RestoreSnapshotRequest { part: Some(part) });
        let mut client = self.snapshots();
        let messages = tokio_stream::iter(messages.collect::<Vec<_>>());
        Ok(self.run(client.restore_snapshot(messages)).await?.into_inner().knowledge_base.unwrap())
    }

    async fn restore_file(&self, request_id: &str, file: &[u8]) -> Result<KnowledgeBase, Status> {
        let mut parts = vec![start(request_id, "back", "")];
        parts.extend(file.chunks(700_000).map(|part| Part::Content(part.to_vec())));
        self.send_parts(parts).await
    }

    async fn original(&self, id: &str) -> Result<Vec<u8>, Status> {
        let request = DownloadOriginalRequest { document_id: id.into() };
        let mut client = self.knowledge();
        let mut stream = self.run(client.download_original(request)).await?.into_inner();
        let mut content = Vec::new();
        while let Some(piece) = stream.message().await? {
            content.extend(piece.content);
        }
        Ok(content)
    }

    /// Hits without the ids, which are new in a restored knowledge base.
    async fn found(&self, base: &str, query: &str) -> Vec<SearchHit> {
        let mut hits = self.search(base, query, 10).await;
        for passage in hits.iter_mut().filter_map(|hit| hit.passage.as_mut()) {
            (passage.passage_id, passage.document_id) = (String::new(), String::new());
        }
        hits.sort_by_key(|hit| format!("{hit:?}"));
        hits
    }
}

fn start(request_id: &str, name: &str, snapshot_id: &str) -> Part {
    Part::Start(RestoreStart {
        request_id: request_id.into(),
        name: name.into(),
        snapshot_id: snapshot_id.into(),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_knowledge_base_answers_as_the_old_one_did() {
    for bench in benches().await {
        println!("on {}", bench.name);
        let (tenant, stranger) = (bench.tenant(1), bench.tenant(2));
        let base = tenant.new_base("company").await.knowledge_base_id;
        let docs = thirty();
        tenant.ingest("r", &base, &docs).await;
        let queries = ["What does a walnut cost a month?", "cold van"];
        let mut before = Vec::new();
        for query in queries {
            before.push(tenant.found(&base, query).await);
        }
        let documents = tenant.documents(&base).await;
        let old = tenant.base(&base).await;
        let snapshot = tenant.snapshot(&base).await;
        assert_eq!((snapshot.document_count, snapshot.chunk_count), (30, old.chunk_count));
        let file = tenant.download(&snapshot.snapshot_id).await.unwrap();
        assert_eq!(file.len() as u64, snapshot.size_bytes);
        assert!(file.len() < 30_000, "{} bytes: it is compressed", file.len());

        let delete = DeleteKnowledgeBaseRequest { knowledge_base_id: base.clone() };
        tenant.run(tenant.knowledge().delete_knowledge_base(delete)).await.unwrap();
        assert_eq!(rows(&bench.database, "document").await, 0);
        let stored = tenant.send_parts(vec![start("1", "", &snapshot.snapshot_id)]).await.unwrap();
        assert_eq!(stored.name, "company");
        let sent = stranger.restore_file("1", &file).await.unwrap();
        assert_eq!(sent.name, "back");
        for (owner, new) in [(&tenant, &stored), (&stranger, &sent)] {
            assert_ne!(new.knowledge_base_id, base);
            assert_eq!((new.document_count, new.chunk_count), (30, old.chunk_count));
            assert_eq!(new.embedder, "test/length");
            assert_eq!(&owner.base(&new.knowledge_base_id).await, new);
            for (query, before) in queries.iter().zip(&before) {
                assert_eq!(&owner.found(&new.knowledge_base_id, query).await, before, "{query}");
            }
        }
        let restored = tenant.documents(&stored.knowledge_base_id).await;
        let told = |documents: &[copydesk_proto::retrieval::v1::Document]| {
            let mut told: Vec<_> = documents
                .iter()
                .map(|d| (d.key.clone(), d.content_hash.clone(), d.version, d.create_time, d.update_time))
                .collect();
            told.sort_by(|a, b| a.0.cmp(&b.0));
            told
        };
        assert_eq!(told(&restored), told(&documents));
        // It lives on: the same bytes change nothing, new ones do.
        let same = tenant.ingest("again", &stored.knowledge_base_id, &docs).await;
        assert_eq!(same.documents_unchanged, 30);
        bench.database.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_file_is_refused_and_leaves_nothing() {
    for bench in benches().await {
        println!("on {}", bench.name);
        let tenant = bench.tenant(1);
        let base = tenant.new_base("company").await.knowledge_base_id;
        tenant.ingest("r", &base, &thirty()).await;
        let snapshot = tenant.snapshot(&base).await;
        let file = tenant.download(&snapshot.snapshot_id).await.unwrap();
        let before = (rows(&bench.database, "document").await, rows(&bench.database, "knowledge_base").await);
        let mut changed = file.clone();
        changed[file.len() / 2] ^= 0x10;
        let longer = [&file[..], b"more"].concat();
        for (bad, said) in [
            (&file[..file.len() - 1], "cut short"),
            (&file[..file.len() / 3], "cut short"),
            (&changed[..], ""),
            (&longer[..], "after its end"),
            (&b"%PDF-1.7 and so on"[..], "is not a snapshot"),
            (&b""[..], "is not a snapshot"),
        ] {
            let status = tenant.restore_file("bad", bad).await.unwrap_err();
            assert_eq!(refusal(&status), (Code::InvalidArgument, vec!["content".to_owned()]));
            assert!(format!("{status:?}").contains(said), "{status:?}");
        }
        for parts in [vec![], vec![Part::Content(file.clone())], vec![start("", "x\0", "kb_1")]] {
            let (code, fields) = refusal(&tenant.send_parts(parts).await.unwrap_err());
            assert!(code == Code::InvalidArgument && !fields.is_empty());
        }
        let both = vec![start("bad", "", &snapshot.snapshot_id), Part::Content(file.clone())];
        assert_eq!(refusal(&tenant.send_parts(both).await.unwrap_err()).1, ["content"]);
        let after = (rows(&bench.database, "document").await, rows(&bench.database, "knowledge_base").await);
        assert_eq!(after, before, "nothing is half restored");
        let usage = "SELECT documents FROM tenant_usage";
        let usage: i64 =
            bench.database.query_opt(usage, &[]).await.unwrap().unwrap().get("documents").unwrap();
        assert_eq!(usage, 30);

        let made = tenant.restore_file("bad", &file).await.unwrap();
        assert_eq!(
            tenant.restore_file("bad", &file).await.unwrap(),
            made,
            "the same request, the same answer"
        );
        let other = tenant.send_parts(vec![start("bad", "other", &snapshot.snapshot_id)]).await.unwrap_err();
        assert_eq!(other.code(), Code::AlreadyExists);
        assert_eq!(rows(&bench.database, "document").await, 60);

        // A stored file that is not what it was is never handed out.
        let spoil = "UPDATE object_part SET content = $1 WHERE ordinal = 0";
        bench.database.execute(spoil, &[changed.into()]).await.unwrap();
        let answers = [
            tenant.download(&snapshot.snapshot_id).await.map(|_| ()),
            tenant.send_parts(vec![start("r", "", &snapshot.snapshot_id)]).await.map(|_| ()),
        ];
        for answer in answers {
            assert_eq!(answer.unwrap_err().code(), Code::DataLoss);
        }
        bench.database.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_are_listed_deleted_and_their_owners_alone() {
    for bench in benches().await {
        let (tenant, stranger) = (bench.tenant(1), bench.tenant(2));
        let base = tenant.new_base("company").await.knowledge_base_id;
        tenant.ingest("r", &base, &thirty()).await;
        let (first, second) = (tenant.snapshot(&base).await, tenant.snapshot(&base).await);
        assert_eq!(first.content_hash, second.content_hash, "nothing has changed");
        let list = async |tenant: &Tenant, page_token: String| {
            let request = ListSnapshotsRequest { page_size: 1, page_token };
            tenant.run(tenant.snapshots().list_snapshots(request)).await.unwrap().into_inner()
        };
        let page = list(&tenant, String::new()).await;
        assert_eq!(page.snapshots, std::slice::from_ref(&second), "newest first");
        assert_eq!(list(&tenant, page.next_page_token).await.snapshots, std::slice::from_ref(&first));
        assert!(list(&stranger, String::new()).await.snapshots.is_empty());
        let delete = DeleteSnapshotRequest { snapshot_id: first.snapshot_id.clone() };
        let foreign = stranger.run(stranger.snapshots().delete_snapshot(delete.clone())).await.unwrap_err();
        assert_eq!(foreign.code(), Code::NotFound);
        assert_eq!(stranger.download(&first.snapshot_id).await.unwrap_err().code(), Code::NotFound);
        tenant.run(tenant.snapshots().delete_snapshot(delete.clone())).await.unwrap();
        let again = tenant.run(tenant.snapshots().delete_snapshot(delete)).await.unwrap_err();
        assert_eq!(again.code(), Code::NotFound);
        assert_eq!(tenant.download(&first.snapshot_id).await.unwrap_err().code(), Code::NotFound);
        let left = "SELECT COUNT(*) AS n FROM object WHERE state = 'stored'";
        let left: i64 = bench.database.query_opt(left, &[]).await.unwrap().unwrap().get("n").unwrap();
        assert_eq!(left, 1);
        assert!(tenant.download(&second.snapshot_id).await.is_ok());
        bench.database.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_keeps_to_quota_and_size() {
    let limits = Limits { max_snapshot_bytes: 2_500, ..Limits::default() };
    let quotas = Quotas { documents: 3, ..Quotas::default() };
    for bench in benches_with(Config { limits, quotas, ..Config::default() }, None).await {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("company").await.knowledge_base_id;
        tenant.ingest("r", &base, &thirty()[..2]).await;
        let snapshot = tenant.snapshot(&base).await;
        let status = tenant.send_parts(vec![start("1", "", &snapshot.snapshot_id)]).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        let status = tenant.restore_file("1", &vec![b'x'; 2_501]).await.unwrap_err();
        assert_eq!(refusal(&status), (Code::InvalidArgument, vec!["content".to_owned()]));
        assert_eq!((tenant.documents(&base).await.len(), rows(&bench.database, "document").await), (2, 2));
        assert_eq!(rows(&bench.database, "knowledge_base").await, 1);
        bench.database.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn originals_come_back_as_they_were_sent() {
    for bench in benches().await {
        let (tenant, stranger) = (bench.tenant(1), bench.tenant(2));
        let base = tenant.new_base("x").await.knowledge_base_id;
        let text = format!("\u{feff}# Naïve\r\n\r\n{} end", "An egret. ".repeat(100_000));
        tenant.ingest("r", &base, &[doc("a", SourceKind::Post, text.clone())]).await;
        let id = tenant.documents(&base).await.remove(0).document_id;
        assert_eq!(tenant.original(&id).await.unwrap(), text.as_bytes());
        assert_eq!(stranger.original(&id).await.unwrap_err().code(), Code::NotFound);
        assert_eq!(rows(&bench.database, "object").await, 0, "what is its text is stored once");
        let spoil = "UPDATE document_text SET text = $1";
        bench.database.execute(spoil, &[b"changed on the disk".into()]).await.unwrap();
        assert_eq!(tenant.original(&id).await.unwrap_err().code(), Code::DataLoss);
        bench.database.close().await;
    }
}
