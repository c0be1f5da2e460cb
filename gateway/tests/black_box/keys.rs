//! Keys: a secret is shown once and kept as a hash, holds no more than its maker's, and ends when it is revoked.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use copydesk_gateway::{Config, KeyRecord, MIGRATOR, SqlStore, Store, TenantRecord};
use copydesk_proto::gateway::v1::{ApiKey, CreateKeyRequest, ListKeysRequest, RevokeKeyRequest};
use copydesk_store::StoreError;
use copydesk_types::{KeyId, TenantId};
use prost::Message;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::door::{Door, fields, store, why, with_key};
use crate::script::Script;

const BAD: Code = Code::Unauthenticated;

async fn door() -> Door {
    Door::local(&Script::new(), Config::default(), store().await).await
}

async fn create(door: &Door, secret: &str, name: &str, scopes: &[&str]) -> Result<(ApiKey, String), Status> {
    let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    let request = CreateKeyRequest { name: name.to_owned(), scopes };
    let made = with_key(secret, door.keys().create_key(request)).await?.into_inner();
    Ok((made.key.expect("a key"), made.secret))
}

async fn list(door: &Door) -> Vec<ApiKey> {
    let listed = door.enter(door.keys().list_keys(ListKeysRequest::default())).await;
    listed.expect("read").into_inner().keys
}

async fn revoke(door: &Door, key_id: &str) -> Result<ApiKey, Status> {
    let request = RevokeKeyRequest { key_id: key_id.to_owned() };
    let revoked = door.enter(door.keys().revoke_key(request)).await?.into_inner();
    Ok(revoked.key.expect("a key"))
}

#[tokio::test]
async fn a_secret_is_shown_once_and_stored_as_a_hash() {
    for (name, database) in copydesk_store::testing::both(&MIGRATOR).await {
        let store = Arc::new(SqlStore::new(database.clone()));
        let door = Door::local(&Script::new(), Config::default(), store).await;
        let (key, secret) = create(&door, &door.secret, "a key", &["keys:read"]).await.expect("made");
        let (_, other) =
            create(&door, &door.secret, "a key", &["keys:read"]).await.expect("names may repeat");
        assert_ne!(secret, other);
        // 256 random bits in base64 after the prefix.
        assert!(secret.starts_with("cdk_") && secret.len() == 4 + 43, "{name}");

        let listed =
            door.enter(door.keys().list_keys(ListKeysRequest::default())).await.expect("read").into_inner();
        let bytes = listed.encode_to_vec();
        let shown = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(shown(&key.key_id) && !shown(&secret) && !shown(&secret[4..24]), "{name}");

        let rows = database
            .query("SELECT id, tenant, name, scopes, secret_hash FROM api_key", &[])
            .await
            .expect("read");
        assert_eq!(rows.len(), 3, "{name}");
        let mut hashes = Vec::new();
        for row in &rows {
            for column in ["id", "tenant", "name", "scopes"] {
                let text: String = row.get(column).expect("text");
                assert!(!text.contains(&secret[4..]) && !text.contains("cdk_"), "{name}: {column}");
            }
            hashes.push(row.get::<Vec<u8>>("secret_hash").expect("bytes"));
        }
        for secret in [&secret, &other, &door.secret] {
            let hash = ring::digest::digest(&ring::digest::SHA256, secret.as_bytes());
            assert!(
                hashes.iter().any(|kept| kept == hash.as_ref()),
                "{name}: SHA-256 of the secret and nothing else"
            );
        }
    }
}

#[tokio::test]
async fn a_key_cannot_make_one_that_may_do_more() {
    let door = door().await;
    let (_, maker) =
        create(&door, &door.secret, "maker", &["keys:*", "runs:*", "llm:read"]).await.expect("made");
    for more in [&["llm:write"][..], &["llm:*"], &["*"], &["runs:read", "brands:read"], &["platform:read"]] {
        let refused = create(&door, &maker, "more", more).await;
        assert_eq!(why(refused), (Code::PermissionDenied, "SCOPES_EXCEEDED".to_owned()), "{more:?}");
    }
    assert_eq!(list(&door).await.len(), 2, "nothing was stored");
    for less in [&["runs:write"][..], &["runs:*", "keys:read"], &["llm:read"]] {
        let (key, _) = create(&door, &maker, "less", less).await.expect("made");
        let mut scopes = less.to_vec();
        scopes.sort_unstable();
        assert_eq!(key.scopes, scopes);
    }
    let (_, reader) = create(&door, &door.secret, "reader", &["keys:read"]).await.expect("made");
    let refused = create(&door, &reader, "more", &["keys:read"]).await;
    assert_eq!(why(refused), (Code::PermissionDenied, "SCOPE_MISSING".to_owned()));
}

#[tokio::test]
async fn every_fault_of_a_wish_is_named() {
    let door = door().await;
    let long = format!("{}:read", "a".repeat(80));
    let status = create(&door, &door.secret, "", &["runs:read", "Runs:read", "runs", &long])
        .await
        .expect_err("faults");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(fields(&status), ["name", "scopes[1]", "scopes[2]", "scopes[3]"]);
    let many = vec!["runs:read"; 65];
    for (name, scopes, field) in
        [("k", &many[..], "scopes"), ("k", &[][..], "scopes"), ("a\0b", &["*"][..], "name")]
    {
        let status = create(&door, &door.secret, name, scopes).await.expect_err("a fault");
        assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, vec![field.to_owned()]));
    }
    assert_eq!(list(&door).await.len(), 1, "nothing was stored");
    for bad in ["", "key_1", "ten_00000000000000000000000001"] {
        let status = revoke(&door, bad).await.expect_err("no id");
        assert_eq!(
            (status.code(), fields(&status)),
            (Code::InvalidArgument, vec!["key_id".to_owned()]),
            "{bad}"
        );
    }
    let unknown = revoke(&door, &KeyId::from_u128(5).to_string()).await;
    assert_eq!(why(unknown), (Code::NotFound, "NOT_FOUND".to_owned()));
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once_however_well_known() {
    let door = door().await;
    let (key, secret) = create(&door, &door.secret, "short-lived", &["*"]).await.expect("made");
    for _ in 0..3 {
        door.search_with(&secret).await.expect("it holds");
    }
    let revoked = revoke(&door, &key.key_id).await.expect("revoked");
    let when = revoked.revoke_time.expect("a time");
    assert_eq!(why(door.search_with(&secret).await), (BAD, "BAD_CREDENTIAL".to_owned()));
    let own = with_key(&secret, door.keys().list_keys(ListKeysRequest::default())).await;
    assert_eq!(why(own), (BAD, "BAD_CREDENTIAL".to_owned()), "the door's own methods too");
    door.search_with(&door.secret).await.expect("the other key still holds");

    let again = revoke(&door, &key.key_id).await.expect("revoked before");
    assert_eq!(again.revoke_time, Some(when), "the first time holds");
    let listed = list(&door).await.into_iter().find(|listed| listed.key_id == key.key_id);
    assert_eq!(listed.and_then(|key| key.revoke_time), Some(when), "and is still listed");
}

/// A store whose lookups a test can count, hold and break.
struct Slow {
    inner: Arc<dyn Store>,
    lookups: AtomicUsize,
    answers: AtomicUsize,
    /// A lookup that has read waits here with what it read.
    gate: Semaphore,
    broken: AtomicBool,
}

impl Slow {
    async fn open(free: usize) -> Arc<Self> {
        let (lookups, answers) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (gate, broken) = (Semaphore::new(free), AtomicBool::new(false));
        Arc::new(Self { inner: store().await, lookups, answers, gate, broken })
    }

    fn lookups(&self) -> usize {
        self.lookups.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Store for Slow {
    async fn add_tenant(
        &self,
        tenant: &TenantRecord,
        key: &KeyRecord,
        hash: &[u8],
    ) -> Result<(), StoreError> {
        self.inner.add_tenant(tenant, key, hash).await
    }
    async fn tenant(&self, id: TenantId) -> Result<Option<TenantRecord>, StoreError> {
        self.inner.tenant(id).await
    }
    async fn tenant_by_name(&self, name: &str) -> Result<Option<TenantRecord>, StoreError> {
        self.inner.tenant_by_name(name).await
    }
    async fn tenants(&self, before: Option<&str>, limit: u32) -> Result<Vec<TenantRecord>, StoreError> {
        self.inner.tenants(before, limit).await
    }
    async fn add_key(&self, key: &KeyRecord, hash: &[u8]) -> Result<(), StoreError> {
        self.inner.add_key(key, hash).await
    }
    async fn key_by_secret(&self, hash: &[u8]) -> Result<Option<KeyRecord>, StoreError> {
        self.lookups.fetch_add(1, Ordering::SeqCst);
        let found = self.inner.key_by_secret(hash).await;
        self.answers.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.expect("open").forget();
        if self.broken.load(Ordering::SeqCst) {
            let source = copydesk_store::Cause::from(std::io::Error::other("no connection"));
            return Err(StoreError::Unavailable { source });
        }
        found
    }
    async fn keys(
        &self,
        tenant: TenantId,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<KeyRecord>, StoreError> {
        self.inner.keys(tenant, before, limit).await
    }
    async fn revoke_key(
        &self,
        tenant: TenantId,
        id: KeyId,
        now_ms: i64,
    ) -> Result<Option<KeyRecord>, StoreError> {
        self.inner.revoke_key(tenant, id, now_ms).await
    }
    async fn ping(&self) -> Result<(), StoreError> {
        self.inner.ping().await
    }
}

/// Starts this many calls with one secret and lets each come as far as it can.
async fn crowd(door: &Door, store: &Slow, callers: usize) -> JoinSet<Result<(), Status>> {
    let (mut calls, before) = (JoinSet::new(), store.answers.load(Ordering::SeqCst));
    for _ in 0..callers {
        let client = door.client.clone();
        calls.spawn(async move { client.search_with(&client.secret).await.map(drop) });
    }
    while store.answers.load(Ordering::SeqCst) == before {
        tokio::task::yield_now().await;
    }
    // One thread runs them all: after a turn for each, nobody has anything left to do but to wait.
    for _ in 0..callers * 4 {
        tokio::task::yield_now().await;
    }
    calls
}

#[tokio::test]
async fn sixty_four_first_calls_ask_the_store_once() {
    let store = Slow::open(0).await;
    let door = Door::local(&Script::new(), Config::default(), store.clone()).await;
    let calls = crowd(&door, &store, 64).await;
    assert_eq!(store.lookups(), 1, "one asks, the others wait");
    store.gate.add_permits(1);
    for answer in calls.join_all().await {
        answer.expect("they share the answer");
    }
    assert_eq!(store.lookups(), 1);
}

#[tokio::test]
async fn a_failed_lookup_is_shared_and_not_remembered() {
    let store = Slow::open(0).await;
    let door = Door::local(&Script::new(), Config::default(), store.clone()).await;
    store.broken.store(true, Ordering::SeqCst);
    let calls = crowd(&door, &store, 8).await;
    store.gate.add_permits(1);
    for answer in calls.join_all().await {
        let status = answer.expect_err("the store is broken");
        assert!(status.get_error_details().retry_info().is_some(), "{status:?}");
        assert_eq!(why(Err::<(), _>(status)), (Code::Unavailable, "DATABASE_UNAVAILABLE".to_owned()));
    }
    assert_eq!(store.lookups(), 1);
    store.broken.store(false, Ordering::SeqCst);
    store.gate.add_permits(1);
    door.search_with(&door.secret).await.expect("the next call asks again");
    assert_eq!(store.lookups(), 2);
}

#[tokio::test]
async fn a_lookup_that_began_before_the_revocation_is_not_believed_after_it() {
    let store = Slow::open(1).await;
    let door = Door::local(&Script::new(), Config::default(), store.clone()).await;
    let tenant = store.tenant_by_name("default").await.expect("read").expect("there");
    let key = store.keys(tenant.id, None, 1).await.expect("read").remove(0);
    let other = door.gateway.bootstrap(None, true).await.expect("asked").expect("another key");
    door.search_with(&other).await.expect("known from here on");

    let late = crowd(&door, &store, 1).await;
    let request = RevokeKeyRequest { key_id: key.id.to_string() };
    with_key(&other, door.keys().revoke_key(request)).await.expect("revoked");
    // The late one may come through, for it was there before; but nobody may profit from what it read.
    store.gate.add_permits(2);
    late.join_all().await;
    assert_eq!(why(door.search_with(&door.secret).await), (BAD, "BAD_CREDENTIAL".to_owned()));
}

#[tokio::test]
async fn a_strangers_secret_is_asked_for_once_and_a_text_that_is_none_never() {
    let store = Slow::open(2).await;
    let door = Door::local(&Script::new(), Config::default(), store.clone()).await;
    for _ in 0..5 {
        assert_eq!(why(door.search_with("cdk_stranger").await), (BAD, "BAD_CREDENTIAL".to_owned()));
    }
    assert_eq!(store.lookups(), 1);
    let long = format!("cdk_{}", "a".repeat(200));
    for text in ["nonsense", "CDK_stranger", "eyJhbGciOiJFZERTQSJ9.e30.x", &long] {
        assert_eq!(why(door.search_with(text).await), (BAD, "BAD_CREDENTIAL".to_owned()), "{text}");
    }
    assert_eq!(store.lookups(), 1);
}
