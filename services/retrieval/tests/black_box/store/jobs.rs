//! What the store promises of jobs: order, losses, ends and second beginnings, quotas, retention.

use copydesk_retrieval::domain::records::{IngestionState, reason};
use copydesk_retrieval::domain::stages::{Allowance, IngestionDocument, Measure, OverQuota, Stage, Usage};
use copydesk_retrieval::ports::{
    Created, Finish, Finished, IndexSource, IngestionFilter, IngestionStore, ItemOutcome, Job,
    KnowledgeStore, NewIngestion, Retry,
};
use copydesk_types::{IngestionId, TenantId};

use super::{Shelf, TENANT, indexed, key, staged};
use crate::common::rows;

async fn documents(shelf: &Shelf, id: IngestionId) -> Vec<IngestionDocument> {
    shelf.store.ingestion_documents(TENANT, id, None, 0, 100).await.unwrap()
}

async fn stages(shelf: &Shelf, id: IngestionId) -> Vec<Stage> {
    documents(shelf, id).await.into_iter().map(|document| document.stage).collect()
}

async fn next_key(shelf: &Shelf, job: &Job) -> Option<String> {
    shelf.store.next_item(job).await.unwrap().map(|item| item.staged.key)
}

async fn fail(shelf: &Shelf, job: &Job) {
    let item = shelf.store.next_item(job).await.unwrap().unwrap().staged;
    let outcome = ItemOutcome::Failed { reason: reason::EMPTY, message: "nothing".into() };
    assert_eq!(shelf.finish(job, &item, &outcome).await, Finished::Written);
}

async fn retry(shelf: &Shelf, id: IngestionId, request: &str) -> Created<IngestionState> {
    let retry = Retry { id, delegation: "{}".into(), time: 400 };
    match shelf.store.retry(TENANT, &retry, &key(request, &id.to_string())).await.unwrap() {
        Created::Before(ingestion) => Created::Before(ingestion.state),
        Created::Reused => Created::Reused,
        Created::NoKnowledgeBase => Created::NoKnowledgeBase,
        other => unreachable!("{other:?}"),
    }
}

pub async fn uploads_into_a_knowledge_base_come_in_order(shelf: Shelf) {
    let first = shelf.upload("1", &[staged(0, "a", "old"), staged(1, "b", "old")]).await.id;
    let second = shelf.upload("2", &[staged(0, "a", "new")]).await.id;
    let job = shelf.claim(1000).await.unwrap();
    assert_eq!(job.id, first);
    assert_eq!(shelf.claim(1001).await, None, "the second waits for the first");
    assert!(shelf.work(&job).await);
    shelf.store.release(&job, 1002).await.unwrap();
    let job = shelf.claim(1003).await.unwrap();
    assert_eq!(job.id, first, "it still comes first");
    assert!(shelf.work(&job).await);
    assert!(shelf.store.finish_job(&job, 1004).await.unwrap());
    let job = shelf.claim(1005).await.unwrap();
    assert_eq!(job.id, second);
    assert!(shelf.work(&job).await);
    assert_eq!(rows(&shelf.database, "document").await, 2);
    let hash = "SELECT content_hash FROM document WHERE key = 'a'";
    let row = shelf.database.query_opt(hash, &[]).await.unwrap().unwrap();
    assert_eq!(row.get::<String>("content_hash").unwrap(), "hash of new");
}

pub async fn where_holders_are_lost_a_document_is_poisoned_and_the_others_go_on(shelf: Shelf) {
    let id = shelf.upload("1", &[staged(0, "bad", "x"), staged(1, "good", "y")]).await.id;
    let lose = async |now: i64, wanted: &str| {
        let job = shelf.claim(now).await.unwrap();
        let item = shelf.store.next_item(&job).await.unwrap().unwrap();
        assert_eq!(item.staged.key, wanted);
        if item.lost > 0 {
            assert!(shelf.store.begin_suspect(&job, item.staged.ordinal).await.unwrap());
        }
        job
    };
    lose(1000, "bad").await;
    // What was never lost comes first; the suspect is noted only when it is begun.
    let job = lose(1100, "good").await;
    assert_eq!(documents(&shelf, id).await[0].reason, reason::LOST);
    assert!(shelf.work(&job).await);
    assert_eq!(shelf.store.ingestion(TENANT, id).await.unwrap().unwrap().at, None);
    lose(1300, "bad").await;
    assert_eq!(stages(&shelf, id).await, [Stage::Waiting, Stage::Done]);
    lose(1400, "bad").await;
    let job = shelf.claim(1500).await.unwrap();
    assert_eq!(next_key(&shelf, &job).await, None, "it is not tried again");
    let bad = documents(&shelf, id).await.remove(0);
    assert_eq!((bad.stage, bad.attempts, bad.reason.as_str()), (Stage::Poisoned, 3, reason::LOST));
    assert!(shelf.store.finish_job(&job, 1501).await.unwrap());
    let ended = shelf.store.ingestion(TENANT, id).await.unwrap().unwrap();
    assert_eq!((ended.state, ended.done, ended.failed), (IngestionState::Failed, 1, 1));
    assert_eq!((ended.failures[0].key.as_str(), ended.bytes_done), ("bad", 2));

    assert_eq!(retry(&shelf, id, "again").await, Created::Before(IngestionState::Queued));
    let job = shelf.claim(1600).await.unwrap();
    assert_eq!(shelf.store.next_item(&job).await.unwrap().unwrap().lost, 0, "it is asked for anew");
    assert!(shelf.work(&job).await);
    assert_eq!(stages(&shelf, id).await, [Stage::Done, Stage::Done]);
    // Losses that the worker itself has seen count the same.
    let id = shelf.upload("2", &[staged(0, "worse", "z")]).await.id;
    assert!(shelf.store.finish_job(&job, 1700).await.unwrap());
    let job = shelf.claim(1800).await.unwrap();
    for lost in 1..=3 {
        let item = shelf.store.next_item(&job).await.unwrap().unwrap().staged;
        let outcome = ItemOutcome::Lost { reason: reason::INTERNAL, message: "a panic".into() };
        assert_eq!(shelf.finish(&job, &item, &outcome).await, Finished::Written);
        let worse = documents(&shelf, id).await.remove(0);
        let expected = if lost < 3 { Stage::Waiting } else { Stage::Poisoned };
        assert_eq!((worse.stage, worse.attempts), (expected, lost));
    }
}

pub async fn a_job_that_is_given_back_blames_nobody(shelf: Shelf) {
    let id = shelf.upload("1", &[staged(0, "a", "x")]).await.id;
    for at in 0..5 {
        // PostgreSQL may still be at the end of a transaction that was given up, and a locked row is passed over.
        let claim = async {
            loop {
                match shelf.claim(1000 + at * 100).await {
                    Some(job) => break job,
                    None => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
                }
            }
        };
        let job = tokio::time::timeout(std::time::Duration::from_secs(30), claim).await.unwrap();
        assert!(shelf.store.renew(&job, Stage::Embedding, 5000).await.unwrap());
        let running = shelf.store.ingestion(TENANT, id).await.unwrap().unwrap();
        assert_eq!(running.at, Some((0, Stage::Embedding)));
        shelf.store.release(&job, 1050 + at * 100).await.unwrap();
        assert!(!shelf.store.renew(&job, Stage::Storing, 5000).await.unwrap(), "it is not held any more");
        assert!(!shelf.work(&job).await);
    }
    let found = documents(&shelf, id).await.remove(0);
    assert_eq!((found.stage, found.attempts, found.reason.as_str()), (Stage::Waiting, 0, ""));
}

pub async fn busy_tenants_are_passed_over(shelf: Shelf) {
    let other = Shelf::new(shelf.database.clone(), TenantId::from_u128(8)).await;
    shelf.upload("1", &[staged(0, "a", "x")]).await;
    other.upload("1", &[staged(0, "a", "x")]).await;
    let claim = async |busy: &[TenantId]| shelf.store.claim(1000, 1010, busy).await.unwrap();
    assert_eq!(claim(&[TENANT, other.tenant]).await, None);
    assert_eq!(claim(&[TENANT]).await.unwrap().tenant, other.tenant);
    assert_eq!(claim(&[other.tenant]).await.unwrap().tenant, TENANT);
}

pub async fn what_was_cancelled_can_be_tried_again(shelf: Shelf) {
    let docs = [staged(0, "a", "one"), staged(1, "b", "two"), staged(2, "c", "three")];
    let id = shelf.upload("1", &docs).await.id;
    let job = shelf.claim(1000).await.unwrap();
    assert!(shelf.work(&job).await);
    assert_eq!(shelf.store.cancel(TenantId::from_u128(8), id, 1001).await.unwrap(), None);
    let ended = shelf.store.cancel(TENANT, id, 1001).await.unwrap().unwrap();
    assert_eq!((ended.state, ended.done, ended.cancelled), (IngestionState::Cancelled, 1, 2));
    assert_eq!((ended.finish_time, ended.at), (Some(1001), None));
    assert_eq!(shelf.store.cancel(TENANT, id, 1002).await.unwrap(), Some(ended), "it has ended already");
    let item = docs[1].clone();
    assert_eq!(shelf.finish(&job, &item, &indexed(&item)).await, Finished::NotHeld);
    assert!(!shelf.store.finish_job(&job, 1).await.unwrap());
    assert_eq!((rows(&shelf.database, "document").await, shelf.claim(2000).await), (1, None));
    assert_eq!(stages(&shelf, id).await, [Stage::Done, Stage::Cancelled, Stage::Cancelled]);

    assert_eq!(retry(&shelf, id, "again").await, Created::Before(IngestionState::Queued));
    let job = shelf.claim(3000).await.unwrap();
    assert_eq!((job.id, next_key(&shelf, &job).await.as_deref()), (id, Some("b")));
    assert!(shelf.work(&job).await && shelf.work(&job).await);
    assert!(shelf.store.finish_job(&job, 3001).await.unwrap());
    let ended = shelf.store.ingestion(TENANT, id).await.unwrap().unwrap();
    assert_eq!((ended.state, ended.done, ended.cancelled), (IngestionState::Succeeded, 3, 0));
    assert_eq!(ended.bytes_done, 11);
}

pub async fn failed_documents_are_tried_again_from_their_bytes(shelf: Shelf) {
    let id = shelf.upload("1", &[staged(0, "a", "one"), staged(1, "b", "two")]).await.id;
    let job = shelf.claim(1000).await.unwrap();
    fail(&shelf, &job).await;
    assert!(shelf.work(&job).await);
    assert!(shelf.store.finish_job(&job, 1001).await.unwrap());
    let kept = "SELECT COUNT(*) AS n FROM ingestion_item WHERE content IS NOT NULL";
    let kept =
        async || -> i64 { shelf.database.query_opt(kept, &[]).await.unwrap().unwrap().get("n").unwrap() };
    assert_eq!(kept().await, 1, "what is stored takes no room twice");

    assert_eq!(retry(&shelf, IngestionId::generate(), "r").await, Created::NoKnowledgeBase);
    assert_eq!(retry(&shelf, id, "r").await, Created::Before(IngestionState::Queued));
    let queued = shelf.store.ingestion(TENANT, id).await.unwrap().unwrap();
    assert_eq!((queued.failed, queued.bytes_done, queued.finish_time), (0, 3, None));
    let job = shelf.claim(2000).await.unwrap();
    assert_eq!(job.delegation, "{}", "whoever asked last is the one to act for");
    fail(&shelf, &job).await;
    assert!(shelf.store.finish_job(&job, 2001).await.unwrap());
    assert_eq!(retry(&shelf, id, "r").await, Created::Before(IngestionState::Failed), "once for each id");
    let other = shelf.upload("2", &[staged(0, "z", "z")]).await.id;
    assert_eq!(retry(&shelf, other, "r").await, Created::Reused);
    assert_eq!(retry(&shelf, id, "r2").await, Created::Before(IngestionState::Queued));
    let job = shelf.claim(3000).await.unwrap();
    assert!(shelf.work(&job).await);
    assert!(shelf.store.finish_job(&job, 3001).await.unwrap());
    let done = documents(&shelf, id).await.remove(0);
    assert_eq!((done.stage, done.attempts, done.chunks, done.reason.as_str()), (Stage::Done, 3, 1, ""));
    assert_eq!(retry(&shelf, id, "r3").await, Created::Before(IngestionState::Succeeded), "nothing is left");
}

pub async fn an_older_upload_never_replaces_a_newer_one(shelf: Shelf) {
    let old = shelf.upload("1", &[staged(0, "a", "old")]).await.id;
    let job = shelf.claim(1000).await.unwrap();
    fail(&shelf, &job).await;
    assert!(shelf.store.finish_job(&job, 1001).await.unwrap());
    let later = IngestionId::generate();
    shelf.store.stage(TENANT, later, &[staged(0, "a", "new")], 100).await.unwrap();
    let new = NewIngestion {
        id: later,
        knowledge_base: shelf.base,
        documents: 1,
        bytes: 3,
        delegation: "{}".into(),
        time: 101,
        source: None,
    };
    let made = shelf.store.commit(TENANT, &new, &key("2", "body"), &Allowance::default()).await.unwrap();
    assert!(matches!(made, Created::New(_)));
    let job = shelf.claim(2000).await.unwrap();
    assert!(shelf.work(&job).await);
    assert!(shelf.store.finish_job(&job, 2001).await.unwrap());
    retry(&shelf, old, "again").await;
    let job = shelf.claim(3000).await.unwrap();
    assert!(shelf.work(&job).await);
    let left = documents(&shelf, old).await.remove(0);
    assert_eq!((left.stage, left.reason.as_str()), (Stage::Unchanged, reason::SUPERSEDED));
    let document = shelf.only_document().await;
    assert_eq!((document.content_hash.as_str(), document.version), ("hash of new", 1));
    assert_eq!(left.document, Some(document.id));
}

/// What the rows say that a tenant has stored.
async fn counted(shelf: &Shelf) -> (i64, i64, i64) {
    let sql = "SELECT COUNT(*) AS documents, CAST(COALESCE(SUM(upload_bytes), 0) AS BIGINT) AS bytes
        FROM document WHERE tenant = $1";
    let row = shelf.database.query_opt(sql, &[TENANT.to_string().into()]).await.unwrap().unwrap();
    let chunks = rows(&shelf.database, "chunk").await;
    (row.get("documents").unwrap(), chunks, row.get("bytes").unwrap())
}

async fn usage(shelf: &Shelf) -> (i64, i64, i64) {
    let Usage { documents, chunks, bytes, .. } = shelf.store.usage(TENANT).await.unwrap();
    (documents as i64, chunks as i64, bytes as i64)
}

pub async fn usage_is_what_is_stored(shelf: Shelf) {
    assert_eq!(shelf.store.usage(TENANT).await.unwrap(), Usage::default());
    shelf.index("1", &[staged(0, "a", "ein zwei"), staged(1, "b", "drei")]).await;
    assert_eq!(usage(&shelf).await, (2, 3, 12));
    shelf.index("2", &[staged(0, "a", "ein"), staged(1, "b", "drei")]).await;
    assert_eq!((usage(&shelf).await, counted(&shelf).await), ((2, 2, 7), (2, 2, 7)));
    shelf.upload("3", &[staged(0, "c", "waits here")]).await;
    let now = shelf.store.usage(TENANT).await.unwrap();
    assert_eq!((now.open_ingestions, now.waiting_bytes), (1, 10));
    assert_eq!(shelf.store.usage(TenantId::from_u128(8)).await.unwrap(), Usage::default());
    let gone = shelf.store.changes(TENANT, shelf.base, 0).await.unwrap()[0].document;
    assert!(shelf.store.delete_document(TENANT, gone).await.unwrap());
    assert_eq!(usage(&shelf).await, counted(&shelf).await);
    assert_eq!(usage(&shelf).await.0, 1);
    assert!(shelf.store.delete_knowledge_base(TENANT, shelf.base).await.unwrap());
    assert_eq!(shelf.store.usage(TENANT).await.unwrap(), Usage::default());
}

pub async fn quotas_hold_in_the_transaction_and_at_the_upload(shelf: Shelf) {
    let allowance = |documents, chunks, bytes| Allowance { documents, chunks, bytes, open_ingestions: 2 };
    shelf.upload("1", &[staged(0, "a", "ein zwei drei")]).await;
    let job = shelf.claim(1000).await.unwrap();
    let item = shelf.store.next_item(&job).await.unwrap().unwrap().staged;
    let outcome = indexed(&item);
    let finish = async |allowance: Allowance| {
        let finish =
            Finish { item: &item, outcome: &outcome, allowance: &allowance, now: 1, lease_until: 2000 };
        shelf.store.finish_item(&job, finish).await.unwrap()
    };
    let over = |measure, limit| Finished::OverQuota(OverQuota { measure, limit });
    assert_eq!(finish(allowance(9, 2, 99)).await, over(Measure::Chunks, 2));
    assert_eq!(finish(allowance(9, 9, 12)).await, over(Measure::Bytes, 12));
    assert_eq!(
        (counted(&shelf).await, usage(&shelf).await),
        ((0, 0, 0), (0, 0, 0)),
        "nothing is half stored"
    );
    assert_eq!(finish(allowance(1, 3, 13)).await, Finished::Written);
    assert!(shelf.store.finish_job(&job, 3).await.unwrap());

    let upload = async |request: &str, documents: &[_], allowance: Allowance| {
        let id = IngestionId::generate();
        shelf.store.stage(TENANT, id, documents, 100).await.unwrap();
        let bytes =
            documents.iter().map(|document: &super::StagedDocument| document.content.len() as u64).sum();
        let new = NewIngestion {
            id,
            knowledge_base: shelf.base,
            documents: documents.len() as u32,
            bytes,
            delegation: "{}".into(),
            time: 100,
            source: None,
        };
        let made = shelf.store.commit(TENANT, &new, &key(request, "body"), &allowance).await.unwrap();
        if matches!(made, Created::OverQuota(_)) {
            shelf.store.abandon(TENANT, id).await.unwrap();
        }
        match made {
            Created::OverQuota(over) => Some(over.measure),
            Created::New(_) => None,
            other => unreachable!("{other:?}"),
        }
    };
    let (same, new) = (staged(0, "a", "vier"), staged(0, "b", "x"));
    assert_eq!(upload("2", std::slice::from_ref(&new), allowance(1, 0, 0)).await, Some(Measure::Documents));
    assert_eq!(upload("2", std::slice::from_ref(&new), allowance(2, 0, 13)).await, Some(Measure::Bytes));
    assert_eq!(upload("2", &[same], allowance(1, 3, 13)).await, None, "a replacement adds no document");
    assert_eq!(upload("3", std::slice::from_ref(&new), allowance(9, 9, 17)).await, Some(Measure::Bytes));
    assert_eq!(upload("3", std::slice::from_ref(&new), allowance(9, 9, 18)).await, None);
    assert_eq!(upload("4", &[new], allowance(9, 9, 99)).await, Some(Measure::OpenIngestions));
}

pub async fn ended_ingestions_expire(shelf: Shelf) {
    shelf.index("1", &[staged(0, "a", "x")]).await;
    shelf.index("2", &[staged(0, "b", "y")]).await;
    let open = shelf.upload("3", &[staged(0, "c", "z")]).await;
    assert_eq!(shelf.store.expire(300, 10).await.unwrap(), 0, "they ended at that very moment");
    assert_eq!(shelf.store.expire(301, 1).await.unwrap(), 1);
    assert_eq!(shelf.store.expire(301, 10).await.unwrap(), 1);
    assert_eq!(rows(&shelf.database, "ingestion").await, 1);
    assert_eq!(rows(&shelf.database, "ingestion_item").await, 1);
    assert_eq!(rows(&shelf.database, "request").await, 2, "that of the knowledge base and of the open one");
    assert_eq!(rows(&shelf.database, "document").await, 2, "what they have stored stays");
    let again = shelf.store.ingestion(TENANT, open.id).await.unwrap();
    assert_eq!(again, Some(open));
}

pub async fn lists_show_what_was_asked_for(shelf: Shelf) {
    let docs = [staged(0, "a", "one"), staged(1, "b", "two"), staged(2, "c", "three")];
    let first = shelf.upload("1", &docs).await.id;
    let second = shelf.upload("2", &docs[..1]).await.id;
    let job = shelf.claim(1000).await.unwrap();
    fail(&shelf, &job).await;
    assert!(shelf.work(&job).await);
    let list = async |tenant, filter, before| -> Vec<IngestionId> {
        let found = shelf.store.ingestions(tenant, filter, before, 10).await.unwrap();
        found.into_iter().map(|ingestion| ingestion.id).collect()
    };
    let all = IngestionFilter::default();
    assert_eq!(list(TENANT, all, None).await, [second, first]);
    assert_eq!(list(TENANT, all, Some(second)).await, [first]);
    assert_eq!(list(TenantId::from_u128(8), all, None).await, []);
    let running = IngestionFilter { state: Some(IngestionState::Running), ..all };
    assert_eq!(list(TENANT, running, None).await, [first]);
    let here = IngestionFilter { knowledge_base: Some(shelf.base), ..all };
    assert_eq!(list(TENANT, here, None).await.len(), 2);

    let of = async |state, from| -> Vec<String> {
        let found = shelf.store.ingestion_documents(TENANT, first, state, from, 10).await.unwrap();
        found.into_iter().map(|document| document.key).collect()
    };
    assert_eq!(of(None, 1).await, ["b", "c"]);
    assert_eq!(of(Some(Stage::Failed), 0).await, ["a"]);
    assert_eq!(of(Some(Stage::Waiting), 0).await, ["c"]);
    let stranger = TenantId::from_u128(8);
    assert!(shelf.store.ingestion_documents(stranger, first, None, 0, 9).await.unwrap().is_empty());
    let changed = shelf.store.changed_documents(TENANT, first, 1..=9, 10).await.unwrap();
    let changed: Vec<_> = changed.into_iter().map(|document| (document.key, document.stage)).collect();
    assert_eq!(changed, [("a".to_owned(), Stage::Failed), ("b".to_owned(), Stage::Done)]);
    assert_eq!(shelf.store.changed_documents(TENANT, first, 2..=9, 10).await.unwrap().len(), 1);
    let before = shelf.store.changed_documents(TENANT, first, 1..=1, 10).await.unwrap();
    assert_eq!(before.into_iter().map(|document| document.key).collect::<Vec<_>>(), ["a"]);
    assert_eq!(
        shelf.store.changed_documents(TENANT, first, 1..=9, 1).await.unwrap()[0].key,
        "b",
        "the newest"
    );
}
