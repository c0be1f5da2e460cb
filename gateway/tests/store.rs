//! The contract of the store port, held by the database store on SQLite and on PostgreSQL.
#![cfg(test)]

use copydesk_gateway::{KeyRecord, MIGRATOR, SqlStore, Store, TenantRecord};
use copydesk_store::{Database, StoreError};
use copydesk_types::{KeyId, Scopes, TenantId};

/// One store of each kind with its name and its database, empty.
async fn stores() -> Vec<(&'static str, SqlStore, Database)> {
    let databases = copydesk_store::testing::both(&MIGRATOR).await;
    databases.into_iter().map(|(name, database)| (name, SqlStore::new(database.clone()), database)).collect()
}

fn tenant(n: u128) -> TenantRecord {
    TenantRecord {
        id: TenantId::from_u128(n),
        name: format!("Tenant {n} “é”"),
        created_ms: 1_700_000_000_000 + n as i64,
    }
}

fn key(n: u128, tenant: u128) -> KeyRecord {
    KeyRecord {
        id: KeyId::from_u128(n),
        tenant: TenantId::from_u128(tenant),
        name: format!("key {n}"),
        scopes: ["keys:read", "runs:*"].into_iter().collect(),
        created_ms: 1_700_000_000_500,
        revoked_ms: None,
    }
}

fn hash(n: u8) -> [u8; 32] {
    [n; 32]
}

#[tokio::test]
async fn a_tenant_comes_with_its_first_key() {
    for (database, store, _) in stores().await {
        store.add_tenant(&tenant(1), &key(11, 1), &hash(1)).await.expect("stored");
        assert_eq!(store.tenant(TenantId::from_u128(1)).await.expect("read"), Some(tenant(1)), "{database}");
        assert_eq!(store.tenant_by_name(&tenant(1).name).await.expect("read"), Some(tenant(1)), "{database}");
        assert_eq!(store.key_by_secret(&hash(1)).await.expect("read"), Some(key(11, 1)), "{database}");
        assert_eq!(store.tenant(TenantId::from_u128(2)).await.expect("read"), None, "{database}");
        assert_eq!(
            store.tenant_by_name("tenant 1 “é”").await.expect("read"),
            None,
            "{database}: case counts"
        );
        store.ping().await.expect("there");
    }
}

#[tokio::test]
async fn a_taken_name_stores_nothing() {
    for (database, store, _) in stores().await {
        store.add_tenant(&tenant(1), &key(11, 1), &hash(1)).await.expect("stored");
        let second = TenantRecord { name: tenant(1).name, ..tenant(2) };
        let taken = store.add_tenant(&second, &key(12, 2), &hash(2)).await;
        assert!(matches!(taken, Err(StoreError::Conflict { .. })), "{database}: {taken:?}");
        assert_eq!(store.tenant(TenantId::from_u128(2)).await.expect("read"), None, "{database}");
        assert_eq!(store.key_by_secret(&hash(2)).await.expect("read"), None, "{database}");
        assert_eq!(store.tenants(None, 10).await.expect("read"), [tenant(1)], "{database}");
    }
}

#[tokio::test]
async fn a_tenant_whose_key_cannot_be_stored_is_not_stored() {
    for (database, store, _) in stores().await {
        store.add_tenant(&tenant(1), &key(11, 1), &hash(1)).await.expect("stored");
        let taken = store.add_tenant(&tenant(2), &key(12, 2), &hash(1)).await;
        assert!(matches!(taken, Err(StoreError::Conflict { .. })), "{database}: {taken:?}");
        assert_eq!(store.tenant(TenantId::from_u128(2)).await.expect("read"), None, "{database}");
        assert_eq!(store.key_by_secret(&hash(1)).await.expect("read"), Some(key(11, 1)), "{database}");
    }
}

#[tokio::test]
async fn one_of_many_at_the_same_time_gets_the_name() {
    for (database, store, _) in stores().await {
        let mut adding = tokio::task::JoinSet::new();
        for n in 1..=8u8 {
            let store = store.clone();
            adding.spawn(async move {
                let number = u128::from(n);
                let record = TenantRecord { name: "contested".to_owned(), ..tenant(number) };
                store.add_tenant(&record, &key(10 + number, number), &hash(n)).await
            });
        }
        let results = adding.join_all().await;
        assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 1, "{database}: {results:?}");
        let conflicts = results.iter().filter(|r| matches!(r, Err(StoreError::Conflict { .. }))).count();
        assert_eq!(conflicts, 7, "{database}: {results:?}");
        let winner = store.tenant_by_name("contested").await.expect("read").expect("one");
        assert_eq!(store.keys(winner.id, None, 10).await.expect("read").len(), 1, "{database}");
    }
}

#[tokio::test]
async fn a_key_belongs_to_a_tenant_that_exists() {
    for (database, store, _) in stores().await {
        let orphan = store.add_key(&key(11, 1), &hash(1)).await;
        assert!(matches!(orphan, Err(StoreError::ForeignKey { .. })), "{database}: {orphan:?}");
        assert_eq!(store.key_by_secret(&hash(1)).await.expect("read"), None, "{database}");
    }
}

#[tokio::test]
async fn a_key_is_found_by_its_whole_hash_only() {
    for (database, store, _) in stores().await {
        store.add_tenant(&tenant(1), &key(11, 1), &hash(1)).await.expect("stored");
        let every: Scopes = ["*", "platform:*"].into_iter().collect();
        let second = KeyRecord { scopes: every, ..key(12, 1) };
        store.add_key(&second, &hash(2)).await.expect("stored");
        assert_eq!(store.key_by_secret(&hash(2)).await.expect("read"), Some(second), "{database}");
        for nobody in [&hash(1)[..31], &hash(3)[..], &[]] {
            assert_eq!(store.key_by_secret(nobody).await.expect("read"), None, "{database}");
        }
    }
}

#[tokio::test]
async fn a_key_is_revoked_once() {
    for (database, store, _) in stores().await {
        store.add_tenant(&tenant(1), &key(11, 1), &hash(1)).await.expect("stored");
        store.add_key(&key(12, 1), &hash(2)).await.expect("stored");
        let revoked = KeyRecord { revoked_ms: Some(5_000), ..key(11, 1) };
        for now in [5_000, 9_000] {
            let found =
                store.revoke_key(TenantId::from_u128(1), KeyId::from_u128(11), now).await.expect("revoked");
            assert_eq!(found.as_ref(), Some(&revoked), "{database}: the first time holds");
        }
        assert_eq!(
            store.key_by_secret(&hash(1)).await.expect("read"),
            Some(revoked),
            "{database}: still known"
        );
        assert_eq!(
            store.key_by_secret(&hash(2)).await.expect("read"),
            Some(key(12, 1)),
            "{database}: not the other"
        );
    }
}

#[tokio::test]
async fn a_stranger_can_neither_see_nor_revoke_a_key() {
    for (database, store, _) in stores().await {
        for n in [1, 2] {
            store.add_tenant(&tenant(n), &key(10 + n, n), &hash(n as u8)).await.expect("stored");
        }
        let stranger = TenantId::from_u128(2);
        assert_eq!(
            store.revoke_key(stranger, KeyId::from_u128(11), 5_000).await.expect("asked"),
            None,
            "{database}"
        );
        assert_eq!(
            store.key_by_secret(&hash(1)).await.expect("read"),
            Some(key(11, 1)),
            "{database}: still holds"
        );
        assert_eq!(store.keys(stranger, None, 10).await.expect("read"), [key(12, 2)], "{database}");
        let unknown =
            store.revoke_key(TenantId::from_u128(1), KeyId::from_u128(99), 5_000).await.expect("asked");
        assert_eq!(unknown, None, "{database}");
    }
}

#[tokio::test]
async fn lists_are_read_newest_first_and_to_their_end() {
    for (database, store, _) in stores().await {
        // Ids whose order a server's language would change: digits and letters, ends far apart.
        let numbers: Vec<u128> = (0..7).map(|n| (n * 13 + 5) << 118 | n).collect();
        for (i, n) in numbers.iter().enumerate() {
            store.add_tenant(&tenant(*n), &key(*n, *n), &hash(i as u8)).await.expect("stored");
            store.add_key(&key(*n + (1 << 64), numbers[0]), &hash(100 + i as u8)).await.expect("stored");
        }
        let mut tenants = Vec::new();
        while let Some(page) = Some(store.tenants(tenants.last().map(String::as_str), 3).await.expect("read"))
        {
            assert!(page.len() <= 3, "{database}");
            tenants.extend(page.iter().map(|tenant| tenant.id.to_string()));
            if page.len() < 3 {
                break;
            }
        }
        let mut expected: Vec<_> = numbers.iter().map(|n| TenantId::from_u128(*n).to_string()).collect();
        expected.sort_by(|a, b| b.as_bytes().cmp(a.as_bytes()));
        assert_eq!(tenants, expected, "{database}");

        let owner = TenantId::from_u128(numbers[0]);
        let all = store.keys(owner, None, 100).await.expect("read");
        let mut expected: Vec<_> =
            numbers.iter().map(|n| KeyId::from_u128(*n + (1 << 64)).to_string()).collect();
        expected.push(KeyId::from_u128(numbers[0]).to_string());
        expected.sort_by(|a, b| b.as_bytes().cmp(a.as_bytes()));
        assert_eq!(all.iter().map(|key| key.id.to_string()).collect::<Vec<_>>(), expected, "{database}");
        let after = store.keys(owner, Some(&expected[4]), 2).await.expect("read");
        assert_eq!(after, all[5..7], "{database}");
        assert_eq!(
            store.keys(owner, expected.last().map(String::as_str), 2).await.expect("read"),
            [],
            "{database}"
        );
    }
}

#[tokio::test]
async fn the_tables_can_be_taken_back_and_made_anew() {
    for (database, store, handle) in stores().await {
        store.add_tenant(&tenant(1), &key(11, 1), &hash(1)).await.expect("stored");
        handle.migrate_down_to(0).await.expect("down");
        assert_eq!(handle.version().await.expect("version"), 0, "{database}");
        store.tenants(None, 1).await.expect_err("no table");
        handle.migrate_up().await.expect("up");
        assert_eq!(store.tenants(None, 1).await.expect("read"), [], "{database}: made anew, empty");
        store.add_tenant(&tenant(1), &key(11, 1), &hash(1)).await.expect("stored");
        handle.migrate_up().await.expect("nothing to do");
        assert_eq!(store.tenants(None, 1).await.expect("read"), [tenant(1)], "{database}");
    }
}
