//! What every place promises.

use bytes::Bytes;
use copydesk_retrieval::adapters::MIGRATOR;
use copydesk_retrieval::ports::{ObjectError, ObjectKey, ObjectPlace};
use copydesk_store::StoreError;
use copydesk_types::{ObjectId, TenantId};
use futures_util::StreamExt;

use super::places;

const MIB: usize = 1 << 20;

fn key() -> ObjectKey {
    ObjectKey { tenant: TenantId::from_u128(1), id: ObjectId::generate() }
}

/// Bytes that differ everywhere.
fn bytes(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

async fn write(place: &dyn ObjectPlace, key: ObjectKey, content: &[u8]) {
    let begun = place.begin(key, content.len() as u64).await.unwrap();
    let mut parts = content.chunks(MIB).map(|part| Ok(Bytes::copy_from_slice(part)));
    place.write(key, &begun, content.len() as u64, &mut parts).await.unwrap();
}

async fn read(place: &dyn ObjectPlace, key: ObjectKey, size: usize) -> Result<Vec<u8>, ObjectError> {
    let (mut content, mut pieces) = (Vec::new(), place.read(key, size as u64));
    while let Some(piece) = pieces.next().await {
        content.extend(piece?);
    }
    Ok(content)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_is_read_and_what_was_removed_is_not() {
    for place in places::all().await {
        println!("in {}", place.name);
        let database = copydesk_store::testing::sqlite(&MIGRATOR).await;
        let opened = place.open(&database).await;
        let here = opened.here.as_ref();
        assert!(matches!(read(here, key(), 5).await, Err(ObjectError::Absent)));
        let mut all = Vec::new();
        // The last two are written in several parts to a bucket.
        for size in [1, MIB, 8 * MIB, 8 * MIB + 1, 17 * MIB + 3] {
            let (key, content) = (key(), bytes(size));
            write(here, key, &content).await;
            assert!(read(here, key, size).await.unwrap() == content, "{size}");
            all.push(key);
        }
        assert_eq!(place.uploads().await, 0);
        for key in &all {
            here.remove(*key, "").await.unwrap();
            here.remove(*key, "").await.unwrap();
            assert!(matches!(read(here, *key, 5).await, Err(ObjectError::Absent)));
        }
        assert_eq!(place.objects(&database).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_writing_shows_nothing_and_can_be_undone() {
    for place in places::all().await.into_iter().filter(|place| place.name != "rows") {
        println!("in {}", place.name);
        let database = copydesk_store::testing::sqlite(&MIGRATOR).await;
        let opened = place.open(&database).await;
        let (here, key, size) = (opened.here.as_ref(), key(), 20 * MIB as u64);
        let begun = here.begin(key, size).await.unwrap();
        let broken = || StoreError::Invalid { reason: "the disk is gone".into(), source: None };
        let good = (0..17).map(|_| Ok(Bytes::from(vec![7; MIB])));
        let mut parts = good.chain([Err(broken())]);
        let failed = here.write(key, &begun, size, &mut parts).await;
        assert!(matches!(failed, Err(ObjectError::Store(_))), "{failed:?}");
        assert!(matches!(read(here, key, 5).await, Err(ObjectError::Absent)));
        if place.name == "local" {
            // As a process that was killed in the middle leaves it.
            let unfinished = place.folder.path().join(format!("objects/{}/{}#1", key.tenant, key.id));
            std::fs::write(unfinished, b"half").unwrap();
        } else {
            assert_eq!(place.uploads().await, 1);
        }
        here.remove(key, &begun).await.unwrap();
        here.remove(key, &begun).await.unwrap();
        assert_eq!((place.objects(&database).await, place.uploads().await), (0, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_keeps_its_name_and_no_other_folder_has_it() {
    let database = copydesk_store::testing::sqlite(&MIGRATOR).await;
    let place = places::all().await.remove(0);
    let name = place.open(&database).await.here.name().to_owned();
    assert_eq!(place.open(&database).await.here.name(), name);
    let other = places::all().await.remove(0);
    assert_ne!(other.open(&database).await.here.name(), name);
}
