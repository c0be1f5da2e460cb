//! Brands.

use copydesk_learning::domain::brand::BrandPatch;
use copydesk_learning::ports::{Store, Stored, Update};
use tokio::task::JoinSet;

use super::{after, brand, first, request, stores, tenant};

#[tokio::test]
async fn a_request_id_makes_one_brand() {
    for (name, store) in stores().await {
        let made = store.create_brand(tenant(1), &brand(1, 10), &request("a", "x")).await.expect(name);
        assert_eq!(made, Stored::New(brand(1, 10)), "{name}");
        let again = store.create_brand(tenant(1), &brand(2, 20), &request("a", "x")).await.expect(name);
        assert_eq!(again, Stored::Known(brand(1, 10)), "{name}");
        let other = store.create_brand(tenant(1), &brand(3, 20), &request("a", "y")).await.expect(name);
        assert_eq!(other, Stored::Reused, "{name}");
        let stranger = store.create_brand(tenant(2), &brand(4, 20), &request("a", "y")).await.expect(name);
        assert_eq!(stranger, Stored::New(brand(4, 20)), "{name}: request ids of tenants do not meet");
        assert_eq!(store.brands(tenant(1), &first(9)).await.expect(name), [brand(1, 10)], "{name}");
    }
}

#[tokio::test]
async fn lists_go_from_new_to_old_without_gaps() {
    for (name, store) in stores().await {
        for (n, ms) in [(1, 10), (2, 10), (3, 30), (4, 10), (5, 20)] {
            let key = request(&n.to_string(), "x");
            store.create_brand(tenant(1), &brand(n, ms), &key).await.expect(name);
        }
        let whole: Vec<u128> =
            store.brands(tenant(1), &first(9)).await.expect(name).iter().map(|b| b.id.as_u128()).collect();
        assert_eq!(whole, [3, 5, 4, 2, 1], "{name}");
        let mut walked = store.brands(tenant(1), &first(2)).await.expect(name);
        while let Some(last) = walked.last().cloned() {
            let page = store.brands(tenant(1), &after(2, last.created_ms, last.id)).await.expect(name);
            if page.is_empty() {
                break;
            }
            walked.extend(page);
        }
        assert_eq!(walked.iter().map(|b| b.id.as_u128()).collect::<Vec<_>>(), whole, "{name}");
    }
}

#[tokio::test]
async fn an_update_needs_the_stored_etag() {
    for (name, store) in stores().await {
        store.create_brand(tenant(1), &brand(1, 10), &request("a", "x")).await.expect(name);
        let id = brand(1, 10).id;
        let patch = BrandPatch { voice: Some("loud".into()), ..BrandPatch::default() };
        let update = store.update_brand(tenant(1), id, Some("1"), &patch, 50).await.expect(name);
        let Update::Changed(changed) = update else { panic!("{name}: {update:?}") };
        assert_eq!((changed.fields.voice.as_str(), changed.updated_ms), ("loud", 50), "{name}");
        assert_eq!(store.brand(tenant(1), id).await.expect(name), Some(changed), "{name}");
        for etag in ["1", "", "nonsense"] {
            let stale = store.update_brand(tenant(1), id, Some(etag), &patch, 60).await.expect(name);
            assert_eq!(stale, Update::Stale, "{name} {etag}");
        }
        let unchecked = store.update_brand(tenant(1), id, None, &patch, 60).await.expect(name);
        assert!(matches!(unchecked, Update::Changed(_)), "{name}");
        assert_eq!(
            store.update_brand(tenant(2), id, None, &patch, 70).await.expect(name),
            Update::Absent,
            "{name}"
        );
        assert_eq!(store.brand(tenant(2), id).await.expect(name), None, "{name}");
        assert!(store.brands(tenant(2), &first(9)).await.expect(name).is_empty(), "{name}");
    }
}

#[tokio::test]
async fn of_many_updates_with_one_etag_one_succeeds() {
    for (name, store) in stores().await {
        store.create_brand(tenant(1), &brand(1, 10), &request("a", "x")).await.expect(name);
        let id = brand(1, 10).id;
        let mut racers = JoinSet::new();
        for n in 0..16 {
            let store = store.clone();
            let patch = BrandPatch { name: Some(format!("racer {n}")), ..BrandPatch::default() };
            racers.spawn(async move { store.update_brand(tenant(1), id, Some("1"), &patch, 50).await });
        }
        let ends = racers.join_all().await;
        let changed = ends.iter().filter(|end| matches!(end, Ok(Update::Changed(_)))).count();
        let stale = ends.iter().filter(|end| matches!(end, Ok(Update::Stale))).count();
        assert_eq!((changed, stale), (1, 15), "{name}: {ends:?}");
    }
}
