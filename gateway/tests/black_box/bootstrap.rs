//! The first key of a fresh installation: made once, kept while it holds, replaced when it does not.
use std::sync::Arc;

use copydesk_gateway::{Config, MIGRATOR, SqlStore, Store};
use copydesk_proto::gateway::v1::{GetTenantRequest, ListTenantsRequest, RevokeKeyRequest};
use futures_util::future::join_all;

use crate::door::{Door, store, with_key};
use crate::script::Script;

async fn key_ids(store: &dyn Store) -> Vec<String> {
    let tenant = store.tenant_by_name("default").await.expect("read").expect("there");
    store.keys(tenant.id, None, 100).await.expect("read").iter().map(|key| key.id.to_string()).collect()
}

#[tokio::test]
async fn a_key_that_holds_is_kept() {
    let store = store().await;
    let door = Door::local(&Script::new(), Config::default(), store.clone()).await;
    for _ in 0..3 {
        assert_eq!(door.gateway.bootstrap(Some(&door.secret), true).await.expect("asked"), None);
    }
    assert_eq!(key_ids(&*store).await.len(), 1);
    assert_eq!(store.tenants(None, 10).await.expect("read").len(), 1);
    door.enter(door.tenants().list_tenants(ListTenantsRequest::default()))
        .await
        .expect("it is the operator's");
    door.search_with(&door.secret).await.expect("and a user's");
}

#[tokio::test]
async fn a_lost_key_is_replaced_within_the_tenant_and_a_revoked_one_is_not() {
    let store = store().await;
    let door = Door::local(&Script::new(), Config::default(), store.clone()).await;
    let tenant = door.enter(door.tenants().get_tenant(GetTenantRequest {})).await.expect("read").into_inner();

    let mut secrets = vec![door.secret.clone()];
    for current in [None, Some("cdk_nobody"), Some("not a key"), Some("")] {
        let secret = door.gateway.bootstrap(current, true).await.expect("asked").expect("a new key");
        assert!(!secrets.contains(&secret), "{current:?}");
        secrets.push(secret);
    }
    // The first key is the oldest, and lists are read newest first.
    let first = key_ids(&*store).await.pop().expect("a key");
    let other = &secrets[1];
    let revoked = with_key(other, door.keys().revoke_key(RevokeKeyRequest { key_id: first })).await;
    revoked.expect("revoked");
    // Revoked is revoked: a restart with the same file makes no other.
    assert_eq!(door.gateway.bootstrap(Some(&door.secret), true).await.expect("asked"), None);
    assert_eq!(door.gateway.bootstrap(None, false).await.expect("asked"), None, "nor does a replica");
    let after =
        with_key(other, door.tenants().get_tenant(GetTenantRequest {})).await.expect("it works").into_inner();
    assert_eq!(after, tenant, "the same tenant");
    assert_eq!(store.tenants(None, 10).await.expect("read").len(), 1);
    assert_eq!(key_ids(&*store).await.len(), 5);
}

#[tokio::test]
async fn replicas_that_start_together_share_one_tenant() {
    for (name, database) in copydesk_store::testing::both(&MIGRATOR).await {
        let script = Script::new();
        // Opening a door bootstraps it.
        let doors = join_all((0..8).map(|_| {
            let store = Arc::new(SqlStore::new(database.clone()));
            Door::local(&script, Config::default(), store)
        }));
        let doors = doors.await;
        let store = SqlStore::new(database);
        assert_eq!(store.tenants(None, 10).await.expect("read").len(), 1, "{name}");
        assert_eq!(key_ids(&store).await.len(), 8, "{name}: each has a key that it knows");
        for door in &doors {
            doors[0].search_with(&door.secret).await.expect("every key is good at every door");
        }
    }
}
