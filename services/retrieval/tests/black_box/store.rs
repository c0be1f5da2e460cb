//! What the store promises, on every database: what the black box cannot see or cannot bring about.

#![allow(clippy::unwrap_used, reason = "the lint's exception for tests does not see the cases as tests")]

#[path = "store/jobs.rs"]
mod jobs;

use crate::common::letters::Model;
use crate::common::{Bench, rows};
use copydesk_retrieval::adapters::{DatabaseStore, MIGRATOR};
use copydesk_retrieval::domain::attributes::Attributes;
use copydesk_retrieval::domain::records::{Ingestion, IngestionState, KnowledgeBase, StagedDocument};
use copydesk_retrieval::domain::source::{ContentType, Format, KnowledgeBaseKind, SourceKind};
use copydesk_retrieval::domain::stages::Allowance;
use copydesk_retrieval::domain::terms::DocumentTerms;
use copydesk_retrieval::domain::token_weights::TokenWeights;
use copydesk_retrieval::ports::{
    Change, Created, DocumentFilter, Finish, Finished, IndexSource, IngestionStore, ItemOutcome, Job,
    KnowledgeStore, NewChunk, NewIngestion, NewPassage, RequestKey,
};
use copydesk_retrieval::{Config, assemble};
use copydesk_rpc::{Delegation, testing};
use copydesk_store::{Database, Dialect, Row};
use copydesk_types::{DocumentId, IngestionId, KnowledgeBaseId, PassageId, TenantId};

macro_rules! on_both {
    ($($name:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            for (name, database) in copydesk_store::testing::both(&MIGRATOR).await {
                println!("on {name}");
                cases::$name(Shelf::new(database.clone(), TENANT).await).await;
                database.close().await;
            }
        }
    )*};
}

on_both! {
    migrations_go_down_and_up
    a_document_is_replaced_as_a_whole
    terms_that_are_not_kept_are_found_and_kept
    changes_tell_what_happened_since
    an_old_holder_writes_nothing
    a_job_is_taken_by_one_worker
    tenants_take_turns
    staging_is_emptied_unless_it_was_stored
    a_deleted_knowledge_base_ends_its_jobs
    a_job_left_half_way_is_finished_by_the_next_process
}

mod on_jobs {
    use super::jobs as cases;
    use super::{MIGRATOR, Shelf, TENANT};

    on_both! {
        uploads_into_a_knowledge_base_come_in_order
        where_holders_are_lost_a_document_is_poisoned_and_the_others_go_on
        a_job_that_is_given_back_blames_nobody
        busy_tenants_are_passed_over
        what_was_cancelled_can_be_tried_again
        failed_documents_are_tried_again_from_their_bytes
        an_older_upload_never_replaces_a_newer_one
        usage_is_what_is_stored
        quotas_hold_in_the_transaction_and_at_the_upload
        ended_ingestions_expire
        lists_show_what_was_asked_for
    }
}

const TENANT: TenantId = TenantId::from_u128(7);

/// A store with one empty knowledge base.
struct Shelf {
    store: DatabaseStore,
    database: Database,
    tenant: TenantId,
    base: KnowledgeBaseId,
}

impl Shelf {
    async fn new(database: Database, tenant: TenantId) -> Self {
        let store = DatabaseStore::new(database.clone());
        let base = KnowledgeBaseId::generate();
        let new = KnowledgeBase {
            id: base,
            name: "shelf".into(),
            documents: 0,
            chunks: 0,
            version: 1,
            create_time: 5,
            embedder: "two".into(),
            dimensions: 2,
            kind: KnowledgeBaseKind::General,
            reembedding: None,
        };
        let made = store.create_knowledge_base(tenant, &new, &key("shelf", "1")).await.unwrap();
        assert_eq!(made, Created::New(new));
        Self { store, database, tenant, base }
    }

    async fn upload(&self, request: &str, documents: &[StagedDocument]) -> Ingestion {
        let id = IngestionId::generate();
        self.store.stage(self.tenant, id, documents, 100).await.unwrap();
        match self.commit(id, request, documents.len() as u32).await {
            Created::New(ingestion) => ingestion,
            other => unreachable!("{other:?}"),
        }
    }

    async fn commit(&self, id: IngestionId, request: &str, documents: u32) -> Created<Ingestion> {
        let delegation = Delegation {
            tenant: self.tenant,
            principal: "someone".into(),
            scopes: vec!["knowledge:write".into()],
            run: None,
            traceparent: None,
        };
        let delegation = serde_json::to_string(&delegation).unwrap();
        let (knowledge_base, bytes) = (self.base, 0);
        let new = NewIngestion { id, knowledge_base, documents, bytes, delegation, time: 100, source: None };
        self.store.commit(self.tenant, &new, &key(request, "body"), &Allowance::default()).await.unwrap()
    }

    async fn claim(&self, now: i64) -> Option<Job> {
        self.store.claim(now, now + 10, &[]).await.unwrap()
    }

    /// Finishes the next item of a job as a document of one passage with one chunk for each word.
    async fn work(&self, job: &Job) -> bool {
        let item = self.store.next_item(job).await.unwrap().unwrap().staged;
        let outcome = indexed(&item);
        self.finish(job, &item, &outcome).await == Finished::Written
    }

    async fn finish(&self, job: &Job, item: &StagedDocument, outcome: &ItemOutcome) -> Finished {
        let allowance = &Allowance::default();
        let finish = Finish { item, outcome, allowance, now: 200, lease_until: 210 };
        self.store.finish_item(job, finish).await.unwrap()
    }

    async fn index(&self, request: &str, documents: &[StagedDocument]) {
        self.upload(request, documents).await;
        let job = self.claim(1000).await.unwrap();
        for _ in documents {
            assert!(self.work(&job).await);
        }
        assert!(self.store.finish_job(&job, 300).await.unwrap());
    }

    async fn only_document(&self) -> copydesk_retrieval::domain::records::Document {
        let filter = DocumentFilter { knowledge_base: self.base, source_kind: None, content_type: None };
        let mut all = self.store.documents(self.tenant, filter, None, 10).await.unwrap();
        assert_eq!(all.len(), 1);
        all.pop().unwrap()
    }

    async fn base(&self) -> KnowledgeBase {
        self.store.knowledge_base(self.tenant, self.base).await.unwrap().unwrap()
    }
}

fn key(id: &str, fingerprint: &str) -> RequestKey {
    RequestKey { id: id.into(), fingerprint: fingerprint.into() }
}

fn staged(ordinal: u32, key: &str, text: &str) -> StagedDocument {
    StagedDocument {
        ordinal,
        key: key.into(),
        title: String::new(),
        format: Format::Text,
        source_kind: SourceKind::Issue,
        content_type: ContentType::Social,
        content: text.as_bytes().to_vec().into(),
        content_hash: format!("hash of {text}"),
        attributes: Attributes::default(),
        source_uri: String::new(),
    }
}

fn indexed(item: &StagedDocument) -> ItemOutcome {
    let text = String::from_utf8(item.content.to_vec()).unwrap();
    let words = text.split(' ').scan(0u64, |at, word| {
        let start = *at;
        *at += word.len() as u64 + 1;
        Some(NewChunk {
            span: start..start + word.len() as u64,
            tokens: 1,
            vector: Some(vec![start as f32, 1.5]),
            weights: (start > 0).then(|| TokenWeights::of([(3, 0.5), (70_000, start as f32)])),
            text_hash: Some([start as u8; 16]),
        })
    });
    let passage = NewPassage {
        id: PassageId::generate(),
        span: 0..text.len() as u64,
        tokens: 9,
        chunks: words.collect(),
    };
    ItemOutcome::Indexed {
        new_id: DocumentId::generate(),
        title: item.key.clone(),
        format: Format::Text,
        terms: DocumentTerms::of(&item.key, text.split(' ')),
        text,
        original: None,
        pages: Vec::new(),
        passages: vec![passage],
        embedder: "two".into(),
    }
}

mod cases {
    use super::*;

    pub async fn migrations_go_down_and_up(shelf: Shelf) {
        shelf.database.migrate_down_to(0).await.unwrap();
        shelf.database.migrate_up().await.unwrap();
        assert_eq!(rows(&shelf.database, "knowledge_base").await, 0);
    }

    pub async fn a_document_is_replaced_as_a_whole(shelf: Shelf) {
        shelf.index("1", &[staged(0, "a", "ein zwei drei")]).await;
        let old = shelf.only_document().await;
        assert_eq!((old.version, old.chunks, old.size, old.create_time), (1, 3, 13, 200));
        let many = vec!["wörter"; 450].join(" ");
        shelf.index("2", &[staged(0, "a", &many)]).await;
        let new = shelf.only_document().await;
        assert_eq!((new.id, new.version, new.chunks), (old.id, 2, 450));
        assert_eq!((rows(&shelf.database, "passage").await, rows(&shelf.database, "chunk").await), (1, 450));
        let chunked = shelf.store.chunked(TENANT, &[new.id]).await.unwrap().pop().unwrap();
        assert_eq!((chunked.terms.chunks.len(), chunked.chunks.len()), (450, 450));
        assert!(chunked.chunks.is_sorted_by_key(|chunk| chunk.span.start), "in order of the text");
        assert_eq!(chunked.chunks[1].vector, Some(vec![8.0, 1.5]));
        let weights = TokenWeights::of([(3, 0.5), (70_000, 8.0)]);
        assert_eq!((&chunked.chunks[0].weights, &chunked.chunks[1].weights), (&None, &Some(weights)));
        let passage = chunked.chunks[0].passage;
        let passage = shelf.store.passages(TENANT, &[passage]).await.unwrap().pop().unwrap();
        assert_eq!((passage.text, passage.version), (many, 2));
        assert_eq!((shelf.base().await.documents, shelf.base().await.chunks), (1, 450));
    }

    pub async fn terms_that_are_not_kept_are_found_and_kept(shelf: Shelf) {
        shelf.index("1", &[staged(0, "first", "cold vans"), staged(1, "second", "warm vans")]).await;
        let all = shelf.store.changes(TENANT, shelf.base, 0).await.unwrap();
        let ids: Vec<DocumentId> = all.iter().map(|change| change.document).collect();
        let read = || async {
            let mut read = shelf.store.chunked(TENANT, &ids).await.unwrap();
            read.sort_by_key(|document| document.facts.id);
            read.into_iter().map(|document| document.terms).collect::<Vec<_>>()
        };
        let written = read().await;
        assert!(written.iter().all(|terms| terms.chunks.len() == 2 && terms.title.len() == 1), "{written:?}");
        // As rows of an earlier build are, of one whose work broke off, of one that knows another form, and of a document
        // that was replaced meanwhile.
        for statement in [
            "DELETE FROM document_terms",
            "DELETE FROM document_terms WHERE document_id = (SELECT MIN(document_id) FROM document)",
            "UPDATE document_terms SET terms = substr(terms, 2)",
            "UPDATE document_terms SET document_version = 7",
        ] {
            shelf.database.execute(statement, &[]).await.unwrap();
            assert_eq!(read().await, written, "{statement}");
            let kept = "SELECT terms FROM document_terms WHERE document_version = 1";
            let kept = shelf.database.query(kept, &[]).await.unwrap();
            let of = |row: &Row| DocumentTerms::from_bytes(&row.get::<Vec<u8>>("terms").unwrap());
            assert!(
                kept.len() == 2 && kept.iter().all(|row| of(row).is_some_and(|own| written.contains(&own)))
            );
        }
        assert!(shelf.store.delete_document(TENANT, ids[0]).await.unwrap());
        assert_eq!((read().await.len(), rows(&shelf.database, "document_terms").await), (1, 1));
    }

    pub async fn changes_tell_what_happened_since(shelf: Shelf) {
        shelf.index("1", &[staged(0, "a", "x"), staged(1, "b", "y")]).await;
        let before = shelf.base().await.version;
        let all = shelf.store.changes(TENANT, shelf.base, 0).await.unwrap();
        assert_eq!((all.len(), all[1].version, all[1].chunks), (2, before, 1));
        assert!(shelf.store.delete_document(TENANT, all[0].document).await.unwrap());
        assert!(!shelf.store.delete_document(TENANT, all[0].document).await.unwrap());
        let since = shelf.store.changes(TENANT, shelf.base, before).await.unwrap();
        assert_eq!(since, [Change { document: all[0].document, version: before + 1, chunks: 0 }]);
        let both = [all[0].document, all[1].document];
        let left = shelf.store.chunked(TENANT, &both).await.unwrap();
        assert_eq!(left.iter().map(|document| document.facts.id).collect::<Vec<_>>(), [both[1]]);
        assert_eq!(shelf.base().await.version, before + 1);
        let stranger = TenantId::from_u128(8);
        assert!(shelf.store.changes(stranger, shelf.base, 0).await.unwrap().is_empty());
        assert!(shelf.store.chunked(stranger, &both).await.unwrap().is_empty());
    }

    pub async fn an_old_holder_writes_nothing(shelf: Shelf) {
        shelf.upload("1", &[staged(0, "a", "x"), staged(1, "b", "y")]).await;
        let old = shelf.claim(1000).await.unwrap();
        assert_eq!(shelf.claim(1005).await, None, "the lease goes on");
        let new = shelf.claim(1011).await.unwrap();
        assert_eq!((new.id, new.fence), (old.id, old.fence + 1));
        assert!(!shelf.work(&old).await);
        assert!(!shelf.store.finish_job(&old, 1).await.unwrap());
        assert_eq!(rows(&shelf.database, "document").await, 0);
        assert!(shelf.work(&new).await);
        assert_eq!(rows(&shelf.database, "document").await, 1);
    }

    pub async fn a_job_is_taken_by_one_worker(shelf: Shelf) {
        for at in 1..=6 {
            let shelf = Shelf::new(shelf.database.clone(), TenantId::from_u128(100 + at)).await;
            shelf.upload("1", &[staged(0, "a", "x")]).await;
        }
        let claims = (0..9).map(|_| {
            let store = shelf.store.clone();
            tokio::spawn(async move { store.claim(1000, 2000, &[]).await.unwrap() })
        });
        let mut taken = Vec::new();
        for claim in claims.collect::<Vec<_>>() {
            taken.extend(claim.await.unwrap().map(|job| job.id));
        }
        // A worker that met another one's lock may have come away empty: the next turn finds what is left.
        while let Some(job) = shelf.claim(1000).await {
            taken.push(job.id);
        }
        taken.sort_unstable();
        taken.dedup();
        assert_eq!(taken.len(), 6);
    }

    pub async fn tenants_take_turns(shelf: Shelf) {
        let other = Shelf::new(shelf.database.clone(), TenantId::from_u128(8)).await;
        let [first, second] = [("1", "a"), ("2", "b")]
            .map(|(request, key)| (request, [staged(0, key, "x"), staged(1, "later", "y")]));
        let first = shelf.upload(first.0, &first.1).await.id;
        let second = shelf.upload(second.0, &second.1).await.id;
        let job = shelf.claim(1000).await.unwrap();
        assert!(shelf.work(&job).await);
        assert!(!shelf.store.give_way(&job, 2000).await.unwrap(), "only their own wait");
        let others = other.upload("1", &[staged(0, "c", "z")]).await.id;
        assert!(shelf.store.give_way(&job, 2000).await.unwrap());
        assert!(!shelf.store.give_way(&job, 2001).await.unwrap(), "it is given back once");
        assert!(!shelf.work(&job).await, "and no longer held");

        let next = shelf.claim(2000).await.unwrap();
        assert_eq!((next.id, next.tenant), (others, other.tenant));
        assert!(other.work(&next).await);
        assert!(other.store.finish_job(&next, 2500).await.unwrap());
        other.upload("2", &[staged(0, "d", "z")]).await;
        let next = shelf.claim(3000).await.unwrap();
        assert!([first, second].contains(&next.id), "the other was served later");
        assert_ne!(next.id, others);
    }

    pub async fn staging_is_emptied_unless_it_was_stored(shelf: Shelf) {
        let (stored, broken) = (IngestionId::generate(), IngestionId::generate());
        for id in [stored, broken] {
            shelf.store.stage(TENANT, id, &[staged(0, "a", "x"), staged(1, "b", "y")], 100).await.unwrap();
        }
        assert!(matches!(shelf.commit(stored, "1", 2).await, Created::New(_)));
        assert!(matches!(shelf.commit(broken, "1", 2).await, Created::Before(before) if before.id == stored));
        shelf.store.abandon(TENANT, stored).await.unwrap();
        shelf.store.abandon(TenantId::from_u128(8), broken).await.unwrap();
        assert_eq!(rows(&shelf.database, "ingestion_item").await, 4);
        shelf.store.abandon(TENANT, broken).await.unwrap();
        assert_eq!(rows(&shelf.database, "ingestion_item").await, 2);
        shelf.store.stage(TENANT, broken, &[staged(0, "a", "x")], 100).await.unwrap();
        shelf.store.recover(100, 100).await.unwrap();
        assert_eq!(rows(&shelf.database, "ingestion_item").await, 3, "an upload of this process goes on");
        shelf.store.recover(101, 100).await.unwrap();
        // A file is ours alone; a server may have an upload of another process.
        let left = if shelf.database.dialect() == Dialect::Sqlite { 2 } else { 3 };
        assert_eq!(rows(&shelf.database, "ingestion_item").await, left);
        shelf.store.recover(101, 101).await.unwrap();
        assert_eq!(rows(&shelf.database, "ingestion_item").await, 2);
    }

    pub async fn a_deleted_knowledge_base_ends_its_jobs(shelf: Shelf) {
        shelf.upload("1", &[staged(0, "a", "x")]).await;
        let job = shelf.claim(1000).await.unwrap();
        let item = shelf.store.next_item(&job).await.unwrap().unwrap().staged;
        assert!(shelf.store.delete_knowledge_base(TENANT, shelf.base).await.unwrap());
        assert_eq!(shelf.finish(&job, &item, &indexed(&item)).await, Finished::NotHeld);
        assert!(!shelf.store.finish_job(&job, 1).await.unwrap());
        assert_eq!(shelf.commit(IngestionId::generate(), "2", 0).await, Created::NoKnowledgeBase);
        for table in ["document", "ingestion", "ingestion_item", "request", "document_change"] {
            assert_eq!(rows(&shelf.database, table).await, 0, "{table}");
        }
    }

    pub async fn a_job_left_half_way_is_finished_by_the_next_process(shelf: Shelf) {
        let texts = ["one okapi", "two okapis", "three okapis", "four okapis", "five okapis"];
        let documents: Vec<_> =
            texts.iter().enumerate().map(|(at, text)| staged(at as u32, &format!("{at}"), text)).collect();
        let ingestion = shelf.upload("1", &documents).await;
        let job = shelf.claim(1000).await.unwrap();
        for _ in 0..2 {
            assert!(shelf.work(&job).await);
        }
        let half = shelf.store.ingestion(TENANT, ingestion.id).await.unwrap().unwrap();
        assert_eq!((half.state, half.done), (IngestionState::Running, 2));

        let context = testing::context(&std::env::temp_dir());
        let two = Model::new("two", 2, 0);
        let service = assemble(Config::default(), shelf.database.clone(), context, Some(two), None);
        let channel = testing::local(service);
        let bench = Bench { name: "next", channel, database: shelf.database.clone() };
        let tenant = bench.tenant(TENANT.as_u128());
        let states = tenant.watched(&ingestion.id.to_string()).await;
        assert!(states[0].documents_done >= 2, "what was done stays done");
        let last = states.last().unwrap();
        assert_eq!((last.documents_done, last.documents_unchanged), (5, 0));
        assert_eq!(tenant.search(&shelf.base.to_string(), "okapi", 9).await.len(), 5);
        let base = shelf.base().await;
        assert_eq!((base.documents, base.chunks), (5, rows(&shelf.database, "chunk").await as u64));
    }
}
