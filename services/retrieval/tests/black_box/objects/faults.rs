//! Servers that are not as they should be: absent, busy, late, of other keys.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use copydesk_proto::retrieval::v1::RetryIngestionRequest;
use copydesk_retrieval::adapters::{MIGRATOR, objects};
use copydesk_retrieval::ports::{ObjectError, ObjectLedger, ObjectPlace, StoredObject};
use copydesk_retrieval::{Error, Objects, adapters::DatabaseStore};
use copydesk_types::{ObjectId, TenantId};
use tonic::Code;

use super::places::{self, Place, server, until};
use super::service::{bench, content, page};
use crate::common::site::{Heard, Say, Site, answer};

const CLOSE: &[&str] = &["connection: close"];

/// A server that keeps what it is given, after it has answered its first calls with something else.
async fn faulty(faults: Arc<AtomicUsize>, fault: impl Fn() -> Say + Send + Sync + 'static) -> Site {
    let kept = Mutex::new(HashMap::<String, Vec<u8>>::new());
    Site::start(move |heard: &Heard| {
        let spent = |left: usize| left.checked_sub(1);
        if faults.fetch_update(Ordering::SeqCst, Ordering::SeqCst, spent).is_ok() {
            return fault();
        }
        let mut kept = kept.lock().unwrap();
        match (heard.method.as_str(), kept.get(&heard.path)) {
            ("PUT", _) => {
                kept.insert(heard.path.clone(), heard.body.clone());
                answer(200, &["connection: close", "etag: \"1\""], "")
            }
            ("GET", Some(bytes)) => {
                let last = bytes.len() - 1;
                let range = format!("content-range: bytes 0-{last}/{}", bytes.len());
                let dated = "last-modified: Tue, 01 Dec 2026 12:00:00 GMT";
                answer(206, &["connection: close", "etag: \"1\"", dated, &range], bytes)
            }
            ("DELETE", _) => {
                kept.remove(&heard.path);
                answer(204, CLOSE, "")
            }
            _ => answer(404, CLOSE, "<Error><Code>NoSuchKey</Code></Error>"),
        }
    })
    .await
}

fn place(site: &Site, change: impl Fn(&mut Objects)) -> Place {
    let mut settings = server(&site.url(""), "docs");
    change(&mut settings);
    Place { name: "double", settings, folder: tempfile::tempdir().unwrap() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_or_late_server_is_asked_again() {
    let busy = || answer(503, CLOSE, "<Error><Code>SlowDown</Code></Error>");
    let broken = || answer(500, CLOSE, "<Error><Code>InternalError</Code></Error>");
    let cut = || Say::Bytes(b"HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\nhalf".to_vec());
    type Saying = (&'static str, fn() -> Say);
    let all: [Saying; 4] = [("busy", busy), ("broken", broken), ("silent", || Say::Silence), ("cut", cut)];
    for (name, fault) in all {
        println!("{name}");
        let faults = Arc::new(AtomicUsize::new(0));
        let site = faulty(Arc::clone(&faults), fault).await;
        let place = place(&site, |settings| settings.timeout_ms = 300);
        let database = copydesk_store::testing::sqlite(&MIGRATOR).await;
        let tenant = bench(&place, "double", &database).await.tenant(1);
        let base = tenant.new_base("x").await.knowledge_base_id;
        faults.store(2, Ordering::SeqCst);
        let ingested = tenant.ingest("1", &base, &[page("a", "walnut")]).await;
        assert_eq!(ingested.documents_done, 1, "{ingested:?}");
        let id = tenant.documents(&base).await.remove(0).document_id;
        faults.store(2, Ordering::SeqCst);
        assert_eq!(tenant.original_of(&id).await.unwrap(), content(&page("a", "walnut")));
        assert_eq!(faults.load(Ordering::SeqCst), 0, "it was asked again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stays_away_fails_the_document_which_is_tried_again() {
    let faults = Arc::new(AtomicUsize::new(0));
    let site =
        faulty(Arc::clone(&faults), || answer(503, CLOSE, "<Error><Code>SlowDown</Code></Error>")).await;
    let place = place(&site, |settings| settings.attempts = 2);
    let database = copydesk_store::testing::sqlite(&MIGRATOR).await;
    let tenant = bench(&place, "double", &database).await.tenant(1);
    let base = tenant.new_base("x").await.knowledge_base_id;
    faults.store(usize::MAX, Ordering::SeqCst);
    let changes = {
        let stored = tenant.send(crate::common::parts("1", &base, &[page("a", "walnut")])).await.unwrap();
        tenant.watch(&stored.ingestion_id).await
    };
    let told = format!("{changes:?}");
    assert!(told.contains("ORIGINAL_NOT_STORED") && !told.contains("SlowDown"), "{told}");
    let ingestion = changes.last().unwrap().ingestion.clone().unwrap();
    assert_eq!((ingestion.documents_failed, tenant.documents(&base).await.len()), (1, 0));
    let snapshot = tenant.make_snapshot(&base).await.unwrap_err();
    assert_eq!(snapshot.code(), Code::Unavailable, "{snapshot:?}");

    faults.store(0, Ordering::SeqCst);
    let again =
        RetryIngestionRequest { request_id: "2".into(), ingestion_id: ingestion.ingestion_id.clone() };
    tenant.run(tenant.ingestions().retry_ingestion(again)).await.unwrap();
    let ended = tenant.watched(&ingestion.ingestion_id).await.pop().unwrap();
    assert_eq!((ended.documents_done, ended.documents_failed), (1, 0));
    // What the failures left on the list is cleared away.
    until(async || crate::common::rows(&database, "object").await == 1).await;
}

async fn refused(settings: &Objects) -> String {
    let database = copydesk_store::testing::sqlite(&MIGRATOR).await;
    let folder = tempfile::tempdir().unwrap();
    match objects::open(settings, folder.path(), &database).await {
        Err(Error::Objects(error @ ObjectError::Refused(_))) => error.to_string(),
        Err(other) => unreachable!("{other:?}"),
        Ok(_) => unreachable!("it is taken"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_keys_and_an_absent_bucket_are_told_at_the_start_and_an_absent_server_is_waited_for() {
    let body = "<Error><Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>test</AWSAccessKeyId></Error>";
    let site = Site::start(move |_| answer(403, CLOSE, body)).await;
    let told = refused(&server(&site.url(""), "docs")).await;
    assert_eq!(told, "the keys are refused (SignatureDoesNotMatch)");
    let elsewhere = Site::start(|_| answer(301, CLOSE, "")).await;
    assert!(refused(&server(&elsewhere.url(""), "docs")).await.contains("region"));
    if let Some(place) = places::s3().await {
        let settings = Objects { bucket: "not-there".into(), ..place.settings };
        assert_eq!(refused(&settings).await, "the bucket is not there (NoSuchBucket)");
    }
    let database = copydesk_store::testing::sqlite(&MIGRATOR).await;
    let folder = tempfile::tempdir().unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let settings = Objects { attempts: 1, ..server(&format!("http://{closed}"), "docs") };
    assert!(objects::open(&settings, folder.path(), &database).await.is_ok());
}

/// A process that ends between the list and the transaction leaves an object, or half of one; the next one clears it away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_ended_process_left_pending_is_removed() {
    for place in places::all().await {
        println!("in {}", place.name);
        let database = copydesk_store::testing::sqlite(&MIGRATOR).await;
        let (store, opened) = (DatabaseStore::new(database.clone()), place.open(&database).await);
        let here: &dyn ObjectPlace = opened.here.as_ref();
        let tenant = TenantId::from_u128(1);
        for (size, whole) in [(5, true), (20 << 20, false), (5, false)] {
            let object = StoredObject {
                id: ObjectId::generate(),
                place: here.name().to_owned(),
                size,
                hash: String::new(),
            };
            let key = copydesk_retrieval::ports::ObjectKey { tenant, id: object.id };
            store.list_object(tenant, &object, i64::MAX).await.unwrap();
            let begun = here.begin(key, size).await.unwrap();
            store.note_begun(key, &begun).await.unwrap();
            if whole {
                let mut parts = std::iter::once(Ok(vec![1; size as usize].into()));
                here.write(key, &begun, size, &mut parts).await.unwrap();
            }
        }
        assert_eq!(place.objects(&database).await, 1);
        let tenant = bench(&place, "again", &database).await.tenant(1);
        assert_eq!(crate::common::rows(&database, "object").await, 3, "others may be at work on them");
        store.recover_objects().await.unwrap();
        until(async || crate::common::rows(&database, "object").await == 0).await;
        assert_eq!((place.objects(&database).await, place.uploads().await), (0, 0));
        drop(tenant);
    }
}
