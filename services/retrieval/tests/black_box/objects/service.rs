//! What the service promises of originals and snapshots, wherever they stand.

use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

use copydesk_proto::retrieval::v1::restore_snapshot_request::Part;
use copydesk_proto::retrieval::v1::snapshot_service_client::SnapshotServiceClient;
use copydesk_proto::retrieval::v1::{
    CreateSnapshotRequest, DeleteDocumentRequest, DeleteKnowledgeBaseRequest, DeleteSnapshotRequest,
    DocumentFormat, DownloadOriginalRequest, DownloadSnapshotRequest, KnowledgeBase, RestoreSnapshotRequest,
    RestoreStart, Snapshot,
};
use copydesk_proto::types::v1::SourceKind;
use copydesk_retrieval::adapters::{MIGRATOR, SystemResolver};
use copydesk_retrieval::app::{Desk, Sweeper};
use copydesk_retrieval::embedders::Embedders;
use copydesk_retrieval::ports::Places;
use copydesk_retrieval::{Config, ObjectsBackend, Outside, assemble_from};
use copydesk_rpc::{Channel, testing};
use copydesk_store::Database;
use copydesk_types::{DocumentId, SnapshotId, TenantId};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::places::{self, Place, until};
use crate::common::{Bench, Doc, Tenant, doc, rows};

pub fn outside(places: Places) -> Outside {
    Outside {
        embedders: Embedders::only(None),
        reranker: None,
        ocr: None,
        resolver: Arc::new(SystemResolver),
        places: Some(places),
    }
}

/// The service with this place, its tasks running.
pub async fn bench(place: &Place, name: &'static str, database: &Database) -> Bench {
    let context = testing::context(place.folder.path());
    let outside = outside(place.open(database).await);
    let service = assemble_from(Config::default(), database.clone(), context, outside);
    Bench { name, channel: testing::local(service), database: database.clone() }
}

/// A document whose text is not all of it.
pub fn page(key: &str, word: &str) -> Doc {
    let html = format!("<html><body><h1>About {word}</h1><p>The {word} is in the van.</p></body></html>");
    let mut page = doc(key, SourceKind::Document, html);
    page.start.format = DocumentFormat::Html.into();
    page
}

pub fn content(doc: &Doc) -> Vec<u8> {
    doc.parts.concat()
}

impl Tenant {
    pub fn snapshot_service(&self) -> SnapshotServiceClient<Channel> {
        SnapshotServiceClient::new(self.bench.channel.clone())
    }

    pub async fn make_snapshot(&self, base: &str) -> Result<Snapshot, Status> {
        let request = CreateSnapshotRequest { knowledge_base_id: base.into() };
        let made = self.run(self.snapshot_service().create_snapshot(request)).await?;
        Ok(made.into_inner().snapshot.unwrap())
    }

    pub async fn snapshot_file(&self, id: &str) -> Result<Vec<u8>, Status> {
        let request = DownloadSnapshotRequest { snapshot_id: id.into() };
        let mut client = self.snapshot_service();
        let mut stream = self.run(client.download_snapshot(request)).await?.into_inner();
        let mut file = Vec::new();
        while let Some(piece) = stream.message().await? {
            file.extend(piece.content);
        }
        Ok(file)
    }

    pub async fn restore(&self, request: &str, stored: &str, file: &[u8]) -> Result<KnowledgeBase, Status> {
        let start =
            RestoreStart { request_id: request.into(), name: request.into(), snapshot_id: stored.into() };
        let parts = file.chunks(700_000).map(|part| Part::Content(part.to_vec()));
        let parts = std::iter::once(Part::Start(start)).chain(parts);
        let messages: Vec<_> = parts.map(|part| RestoreSnapshotRequest { part: Some(part) }).collect();
        let mut client = self.snapshot_service();
        let made = self.run(client.restore_snapshot(tokio_stream::iter(messages))).await?;
        Ok(made.into_inner().knowledge_base.unwrap())
    }

    pub async fn original_of(&self, id: &str) -> Result<Vec<u8>, Status> {
        let request = DownloadOriginalRequest { document_id: id.into() };
        let mut client = self.knowledge();
        let mut stream = self.run(client.download_original(request)).await?.into_inner();
        let mut content = Vec::new();
        while let Some(piece) = stream.message().await? {
            content.extend(piece.content);
        }
        Ok(content)
    }

    async fn delete(&self, id: &str) {
        let request = DeleteDocumentRequest { document_id: id.into() };
        self.run(self.knowledge().delete_document(request)).await.unwrap();
    }

    async fn drop_base(&self, id: &str) {
        let request = DeleteKnowledgeBaseRequest { knowledge_base_id: id.into() };
        self.run(self.knowledge().delete_knowledge_base(request)).await.unwrap();
    }

    async fn drop_snapshot(&self, id: &str) {
        let request = DeleteSnapshotRequest { snapshot_id: id.into() };
        self.run(self.snapshot_service().delete_snapshot(request)).await.unwrap();
    }
}

/// Every place with every database.
async fn benches() -> Vec<(Place, Bench)> {
    let mut benches = Vec::new();
    for place in places::all().await {
        for (name, database) in copydesk_store::testing::both(&MIGRATOR).await {
            // A place of its own for each.
            let place = places::all().await.into_iter().find(|own| own.name == place.name).unwrap();
            let bench = bench(&place, name, &database).await;
            benches.push((place, bench));
        }
    }
    benches
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deleted_leaves_no_object() {
    for (place, bench) in benches().await {
        println!("in {} on {}", place.name, bench.name);
        let (tenant, stranger, database) = (bench.tenant(1), bench.tenant(2), &bench.database);
        let base = tenant.new_base("x").await.knowledge_base_id;
        let (one, two) = (page("a", "walnut"), page("b", "sundial"));
        tenant
            .ingest("1", &base, &[one.clone(), two.clone(), doc("c", SourceKind::Post, "# Text\n\nonly.")])
            .await;
        assert_eq!(place.objects(database).await, 2, "what is its text has none");
        let found = tenant.documents(&base).await;
        let id = |key: &str| found.iter().find(|found| found.key == key).unwrap().document_id.clone();
        assert_eq!(tenant.original_of(&id("a")).await.unwrap(), content(&one));
        assert_eq!(stranger.original_of(&id("a")).await.unwrap_err().code(), Code::NotFound);

        // Another version: the old bytes go.
        let newer = page("a", "obelisk");
        tenant.ingest("2", &base, std::slice::from_ref(&newer)).await;
        assert_eq!(tenant.original_of(&id("a")).await.unwrap(), content(&newer));
        until(async || place.objects(database).await == 2).await;
        // The same version again, and the text alone as the next one.
        tenant.ingest("3", &base, std::slice::from_ref(&newer)).await;
        tenant.ingest("4", &base, &[doc("b", SourceKind::Document, "# Now text")]).await;
        until(async || place.objects(database).await == 1).await;

        tenant.delete(&id("a")).await;
        assert_eq!(tenant.original_of(&id("a")).await.unwrap_err().code(), Code::NotFound, "at once");
        until(async || place.objects(database).await == 0).await;
        until(async || rows(database, "object").await == 0).await;

        tenant.ingest("5", &base, &[one, two]).await;
        let snapshot = tenant.make_snapshot(&base).await.unwrap().snapshot_id;
        let restored = tenant.restore("again", &snapshot, b"").await.unwrap().knowledge_base_id;
        assert_eq!(place.objects(database).await, 5);
        tenant.restore("again", &snapshot, b"").await.unwrap();
        tenant.drop_base(&base).await;
        until(async || place.objects(database).await == 3).await;
        tenant.drop_snapshot(&snapshot).await;
        tenant.drop_base(&restored).await;
        until(async || place.objects(database).await == 0).await;
        until(async || rows(database, "object").await == 0).await;
        database.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_knowledge_base_comes_back_from_its_file_with_every_original() {
    for (place, bench) in benches().await {
        println!("in {} on {}", place.name, bench.name);
        let (tenant, stranger) = (bench.tenant(1), bench.tenant(2));
        let base = tenant.new_base("x").await.knowledge_base_id;
        let docs = [page("a", "walnut"), page("b", "sundial"), doc("c", SourceKind::Post, "# Text\n\nonly.")];
        tenant.ingest("1", &base, &docs).await;
        let snapshot = tenant.make_snapshot(&base).await.unwrap();
        let file = tenant.snapshot_file(&snapshot.snapshot_id).await.unwrap();
        assert_eq!(file.len() as u64, snapshot.size_bytes);
        let restored = [
            (&tenant, tenant.restore("stored", &snapshot.snapshot_id, b"").await.unwrap()),
            (&stranger, stranger.restore("sent", "", &file).await.unwrap()),
        ];
        for (owner, restored) in &restored {
            for found in owner.documents(&restored.knowledge_base_id).await {
                let sent = docs.iter().find(|doc| doc.start.key == found.key).unwrap();
                assert_eq!(owner.original_of(&found.document_id).await.unwrap(), content(sent));
            }
        }
        let before = (place.objects(&bench.database).await, rows(&bench.database, "object").await);
        let mut changed = file.clone();
        changed[file.len() / 2] ^= 1;
        for bad in [&changed[..], &file[..file.len() - 1]] {
            assert_eq!(tenant.restore("bad", "", bad).await.unwrap_err().code(), Code::InvalidArgument);
        }
        assert_eq!(tenant.restore("stored", "", &file).await.unwrap(), restored[0].1, "the same request");
        let after = (place.objects(&bench.database).await, rows(&bench.database, "object").await);
        assert_eq!(after, before, "nothing of a refused or repeated restore is left");
        bench.database.close().await;
    }
}

fn damage(status: &Status) -> (Code, String) {
    let word = status.get_error_details().error_info().and_then(|info| info.metadata.get("damage").cloned());
    (status.code(), word.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_or_changed_object_is_data_loss_and_nothing_of_it_is_sent() {
    for (place, bench) in benches().await {
        println!("in {} on {}", place.name, bench.name);
        let (tenant, database) = (bench.tenant(1), &bench.database);
        let base = tenant.new_base("x").await.knowledge_base_id;
        tenant.ingest("1", &base, &[page("a", "walnut")]).await;
        let id = tenant.documents(&base).await.remove(0).document_id;
        let snapshot = tenant.make_snapshot(&base).await.unwrap();
        let same_length = vec![b'x'; content(&page("a", "walnut")).len()];
        for (with, word) in
            [(Some(&same_length[..]), "HASH"), (Some(&b"short"[..]), "LENGTH"), (None, "MISSING")]
        {
            place.spoil(database, with).await;
            let read = tenant.original_of(&id).await.unwrap_err();
            assert_eq!(damage(&read), (Code::DataLoss, word.to_owned()), "{read:?}");
            let made = tenant.make_snapshot(&base).await.unwrap_err();
            assert_eq!(damage(&made), (Code::DataLoss, word.to_owned()), "no snapshot without it");
            let sent = tenant.snapshot_file(&snapshot.snapshot_id).await.unwrap_err();
            assert_eq!(sent.code(), Code::DataLoss);
            let restored = tenant.restore("r", &snapshot.snapshot_id, b"").await.unwrap_err();
            assert_eq!(restored.code(), Code::DataLoss);
        }
        assert_eq!(rows(database, "knowledge_base").await, 1);
        // What is damaged can be deleted.
        tenant.delete(&id).await;
        tenant.drop_snapshot(&snapshot.snapshot_id).await;
        until(async || rows(database, "object").await == 0).await;
        database.close().await;
    }
}

/// Everything of a knowledge base is read from here, checked against what was sent.
struct Kept {
    owner: TenantId,
    document: DocumentId,
    content: Vec<u8>,
    snapshot: SnapshotId,
    file: Vec<u8>,
}

impl Kept {
    async fn is_whole(&self, desk: &Desk) {
        assert_eq!(desk.original(self.owner, self.document).await.unwrap(), self.content);
        let mut file = desk.snapshot_file(self.owner, self.snapshot).await.unwrap();
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_to_end(&mut bytes).unwrap();
        assert!(bytes == self.file);
    }
}

async fn moved_to(place: &Place, database: &Database) -> Desk {
    let context = testing::context(place.folder.path());
    let outside = outside(place.open(database).await);
    let desk = copydesk_retrieval::desk(Config::default(), database.clone(), context, outside);
    let sweeper = Sweeper::new(desk.clone());
    while sweeper.turn().await.unwrap() {}
    desk
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_earlier_builds_stored_is_read_and_what_stands_elsewhere_is_moved() {
    for (name, database) in copydesk_store::testing::both(&MIGRATOR).await {
        let mut place = places::all().await.remove(1);
        let stop = CancellationToken::new();
        let outside_rows = outside(place.open(&database).await);
        let context = testing::context(place.folder.path());
        let service = assemble_from(Config::default(), database.clone(), context, outside_rows);
        let channel =
            Channel::local("retrieval", testing::stack_until(service, stop.clone()), testing::metrics());
        let tenant = Bench { name, channel, database: database.clone() }.tenant(1);
        let base = tenant.new_base("x").await.knowledge_base_id;
        tenant.ingest("1", &base, &[page("a", "walnut")]).await;
        let document = tenant.documents(&base).await.remove(0).document_id;
        let snapshot = tenant.make_snapshot(&base).await.unwrap().snapshot_id;
        let kept = Kept {
            owner: tenant.id,
            document: document.parse().unwrap(),
            content: content(&page("a", "walnut")),
            snapshot: snapshot.parse().unwrap(),
            file: tenant.snapshot_file(&snapshot).await.unwrap(),
        };
        stop.cancel();
        // As an earlier build stored them.
        database.migrate_down_to(10).await.unwrap();
        assert_eq!(
            (rows(&database, "document_original").await, rows(&database, "snapshot_part").await),
            (1, 1)
        );
        database.migrate_up().await.unwrap();
        kept.is_whole(&moved_to(&place, &database).await).await;

        place.settings.backend = Some(ObjectsBackend::Local);
        kept.is_whole(&moved_to(&place, &database).await).await;
        assert_eq!((place.objects(&database).await, rows(&database, "object_part").await), (2, 0));
        if let Some(bucket) = places::s3().await {
            place = Place { name: "s3", settings: bucket.settings, folder: place.folder };
            kept.is_whole(&moved_to(&place, &database).await).await;
            assert_eq!(place.objects(&database).await, 2);
            assert!(places::files(&place.folder.path().join("objects")).is_empty(), "nothing is left there");
        }
        // Back again, with the bucket still named.
        place.settings.backend = Some(ObjectsBackend::Rows);
        kept.is_whole(&moved_to(&place, &database).await).await;
        place.settings.backend = Some(ObjectsBackend::S3);
        if !place.settings.bucket.is_empty() {
            assert_eq!(place.objects(&database).await, 0);
        }
        assert_eq!((rows(&database, "object_part").await, rows(&database, "object").await), (2, 2));
        database.migrate_down_to(10).await.unwrap();
        assert_eq!(
            (rows(&database, "document_original").await, rows(&database, "snapshot_part").await),
            (1, 1)
        );
        database.migrate_up().await.unwrap();
        database.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_in_a_folder_of_another_machine_is_not_called_lost() {
    let database = copydesk_store::testing::sqlite(&MIGRATOR).await;
    let (here, there) = (places::all().await.remove(0), places::all().await.remove(0));
    let tenant = bench(&here, "here", &database).await.tenant(1);
    let base = tenant.new_base("x").await.knowledge_base_id;
    tenant.ingest("1", &base, &[page("a", "walnut")]).await;
    let id = tenant.documents(&base).await.remove(0).document_id;
    let other = bench(&there, "there", &database).await.tenant(1);
    let status = other.original_of(&id).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
    assert_eq!(
        tenant.original_of(&id).await.unwrap(),
        content(&page("a", "walnut")),
        "and nobody has removed it"
    );
}
