//! The cache's contract, over both of its kinds, and what Redis alone can do wrong.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a failed step must stop the test"
)]

use crate::support::redis as redis_server;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use bytes::Bytes;
use copydesk_llm_router::cache::{Cache, MAX_VALUE_BYTES, MemoryCache, Patience, RedisCache};
use copydesk_llm_router::domain::{CacheKey, CacheKind};
use copydesk_llm_router::metrics::Metrics;
use copydesk_types::{Secret, TenantId};
use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::Registry;
use redis_server::Redis;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

const HOUR: Duration = Duration::from_secs(3_600);

fn metrics() -> Metrics {
    Metrics::new(&opentelemetry::global::meter("test"))
}

fn memory() -> MemoryCache {
    MemoryCache::new(64 << 20, metrics())
}

fn redis(url: &str, patience: Patience) -> RedisCache {
    RedisCache::new(&Secret::new(url), patience, metrics()).unwrap()
}

/// A loaded machine may take its time; only the tests of the limit have one.
const PATIENT: Patience = Patience { limit: HOUR, rest: Duration::ZERO };
/// After a failure it is never asked again.
const RESENTFUL: Patience = Patience { limit: HOUR, rest: HOUR };

/// Tests share the server, so each has tenants of its own.
fn tenant() -> TenantId {
    let half = || u128::from(RandomState::new().hash_one(0));
    TenantId::from_u128((half() << 64) | half())
}

fn key(tenant: TenantId, name: &str) -> CacheKey {
    CacheKey::new(tenant, CacheKind::Answer, &[name.as_bytes()])
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

async fn both() -> Vec<(&'static str, Box<dyn Cache>)> {
    let mut caches: Vec<(&'static str, Box<dyn Cache>)> = vec![("memory", Box::new(memory()))];
    if let Some(url) = redis_server::url() {
        caches.push(("redis", Box::new(redis(&url, PATIENT))));
    }
    caches
}

/// Asks until it is so.
async fn until(is_so: impl AsyncFn() -> bool) {
    tokio::time::timeout(Duration::from_secs(60), async {
        while !is_so().await {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it never became so");
}

#[tokio::test]
async fn what_is_put_is_found_and_overwritten() {
    for (name, cache) in both().await {
        let (key, other) = (key(tenant(), "a"), key(tenant(), "b"));
        assert_eq!(cache.get(&key).await, None, "{name}");
        cache.put(key, bytes("one"), HOUR).await;
        assert_eq!(cache.get(&key).await, Some(bytes("one")), "{name}");
        cache.put(key, bytes("two"), HOUR).await;
        assert_eq!(cache.get(&key).await, Some(bytes("two")), "{name}");
        cache.put(key, Bytes::new(), HOUR).await;
        assert_eq!(cache.get(&key).await, Some(Bytes::new()), "{name}: empty is not absent");
        assert_eq!(cache.get(&other).await, None, "{name}");
    }
}

#[tokio::test]
async fn every_entry_has_its_own_time() {
    for (name, cache) in both().await {
        let tenant = tenant();
        let (short, long, never) = (key(tenant, "short"), key(tenant, "long"), key(tenant, "never"));
        cache.put(long, bytes("long"), HOUR).await;
        cache.put(never, bytes("never"), Duration::ZERO).await;
        assert_eq!(cache.get(&never).await, None, "{name}");
        cache.put(short, bytes("short"), Duration::from_millis(20)).await;
        until(async || cache.get(&short).await.is_none()).await;
        assert_eq!(cache.get(&long).await, Some(bytes("long")), "{name}");
        // The time counts from the last writing, whichever way it changes.
        cache.put(long, bytes("long"), Duration::from_millis(20)).await;
        cache.put(short, bytes("short"), HOUR).await;
        until(async || cache.get(&long).await.is_none()).await;
        assert_eq!(cache.get(&short).await, Some(bytes("short")), "{name}");
    }
}

#[tokio::test]
async fn many_at_once_keep_their_order() {
    for (name, cache) in both().await {
        let tenant = tenant();
        let keys: Vec<CacheKey> = (0..1_000).map(|n| key(tenant, &n.to_string())).collect();
        let odd = keys.iter().enumerate().filter(|(n, _)| n % 2 == 1);
        cache.put_many(odd.map(|(n, key)| (*key, bytes(&n.to_string()))).collect(), HOUR).await;
        let found = cache.get_many(&keys).await;
        let expected: Vec<Option<Bytes>> =
            (0..1_000).map(|n| (n % 2 == 1).then(|| bytes(&n.to_string()))).collect();
        assert_eq!(found, expected, "{name}");
        assert_eq!(cache.get_many(&[]).await, Vec::<Option<Bytes>>::new(), "{name}");
        cache.put_many(Vec::new(), HOUR).await;
    }
}

#[tokio::test]
async fn large_values_are_kept_up_to_the_limit() {
    for (name, cache) in both().await {
        let tenant = tenant();
        let (fits, too_large) = (key(tenant, "fits"), key(tenant, "too large"));
        let value = Bytes::from(vec![0xA5; MAX_VALUE_BYTES]);
        cache.put(fits, value.clone(), HOUR).await;
        assert!(cache.get(&fits).await == Some(value), "{name}");
        cache.put(too_large, Bytes::from(vec![0; MAX_VALUE_BYTES + 1]), HOUR).await;
        assert_eq!(cache.get(&too_large).await, None, "{name}");
    }
}

#[tokio::test]
async fn tenants_are_apart_and_one_can_be_forgotten() {
    for (name, cache) in both().await {
        let (one, two) = (tenant(), tenant());
        let keys: Vec<CacheKey> = (0..2_500).map(|n| key(one, &n.to_string())).collect();
        cache.put_many(keys.iter().map(|key| (*key, bytes("one"))).collect(), HOUR).await;
        assert_eq!(cache.get(&key(two, "0")).await, None, "{name}");
        cache.put(key(two, "0"), bytes("two"), HOUR).await;
        assert_eq!(cache.get_many(&keys).await.iter().flatten().count(), keys.len(), "{name}");

        assert_eq!(cache.forget_tenant(one).await, Ok(()), "{name}");
        assert_eq!(cache.get_many(&keys).await.iter().flatten().count(), 0, "{name}");
        assert_eq!(cache.get(&key(two, "0")).await, Some(bytes("two")), "{name}");
        cache.put(key(one, "0"), bytes("again"), HOUR).await;
        assert_eq!(cache.get(&key(one, "0")).await, Some(bytes("again")), "{name}");
    }
}

/// How many look-ups of answers and of vectors ended this way.
fn counted(registry: &Registry, result: &str) -> [f64; 2] {
    let families = registry.gather();
    let series =
        families.iter().filter(|f| f.name().starts_with("copydesk_llm_cache")).flat_map(|f| f.get_metric());
    let with = |kind: &str| {
        let fits = |metric: &&prometheus::proto::Metric| {
            let has = |value: &str| metric.get_label().iter().any(|label| label.value() == value);
            has(kind) && has(result)
        };
        series.clone().filter(fits).map(|metric| metric.get_counter().get_value()).sum()
    };
    [with("answer"), with("embedding")]
}

#[tokio::test]
async fn every_look_up_is_counted() {
    let mut urls = vec![None];
    urls.extend(redis_server::url().map(Some));
    for url in urls {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter().with_registry(registry.clone()).build().unwrap();
        let provider = SdkMeterProvider::builder().with_reader(exporter).build();
        let metrics = Metrics::new(&provider.meter("test"));
        let dead = Secret::new("redis://127.0.0.1:1");
        let dead = RedisCache::new(&dead, PATIENT, metrics.clone()).unwrap();
        let cache: Box<dyn Cache> = match &url {
            None => Box::new(MemoryCache::new(1 << 20, metrics)),
            Some(url) => Box::new(RedisCache::new(&Secret::new(url.as_str()), PATIENT, metrics).unwrap()),
        };
        let (answer, vector) = (key(tenant(), "a"), CacheKey::new(tenant(), CacheKind::Embedding, &[]));
        cache.put_many(vec![(answer, bytes("a")), (vector, bytes("v"))], HOUR).await;
        cache.get_many(&[answer, vector, vector, key(tenant(), "nobody's")]).await;
        assert_eq!(counted(&registry, "hit"), [1.0, 2.0], "{url:?}");
        assert_eq!(counted(&registry, "miss"), [1.0, 0.0], "{url:?}");
        assert_eq!(counted(&registry, "error"), [0.0, 0.0], "{url:?}");
        dead.get_many(&[answer, vector]).await;
        dead.put(answer, bytes("a"), HOUR).await;
        assert_eq!(counted(&registry, "error"), [2.0, 1.0], "{url:?}");
        assert_eq!(counted(&registry, "miss"), [1.0, 0.0], "{url:?}: an error is no miss");
    }
}

#[tokio::test]
async fn memory_stays_within_its_bound() {
    let cache = MemoryCache::new(1 << 20, metrics());
    let tenant = tenant();
    let keys: Vec<CacheKey> = (0..64).map(|n| key(tenant, &n.to_string())).collect();
    for key in &keys {
        cache.put(*key, Bytes::from(vec![7; 64 << 10]), HOUR).await;
    }
    until(async || cache.get_many(&keys).await.iter().flatten().count() < 16).await;
    let last = keys[63];
    assert!(cache.get(&last).await.is_some(), "the newest are kept");
}

#[tokio::test]
async fn a_killed_redis_is_all_misses_and_comes_back() {
    let Some(server) = Redis::start() else { return };
    let cache = redis(&server.url(), PATIENT);
    let key = key(tenant(), "a");
    cache.put(key, bytes("kept"), HOUR).await;
    assert_eq!(cache.get(&key).await, Some(bytes("kept")));

    let port = server.kill();
    assert_eq!(cache.get_many(&[key, key]).await, [None, None]);
    cache.put(key, bytes("lost"), HOUR).await;
    assert_eq!(cache.get(&key).await, None);
    assert!(cache.forget_tenant(key.tenant()).await.is_err(), "nobody was reached, so nothing is promised");

    let _again = Redis::start_at(port).unwrap().expect("the port is still free");
    until(async || {
        cache.put(key, bytes("back"), HOUR).await;
        cache.get(&key).await == Some(bytes("back"))
    })
    .await;
}

#[tokio::test]
async fn a_redis_that_freezes_is_not_waited_for_and_comes_back() {
    let Some(server) = Redis::start() else { return };
    let cache = redis(&server.url(), Patience { limit: Duration::from_millis(200), rest: Duration::ZERO });
    let key = key(tenant(), "a");
    let works = async || {
        cache.put(key, bytes("kept"), HOUR).await;
        cache.get(&key).await == Some(bytes("kept"))
    };
    until(works).await;
    server.freeze();
    assert_eq!(cache.get(&key).await, None);
    server.thaw();
    until(works).await;
}

#[tokio::test]
async fn an_error_of_the_server_is_a_miss_and_no_reason_to_rest() {
    let Some(server) = Redis::start() else { return };
    let cache = redis(&server.url(), RESENTFUL);
    let (small, large) = (key(tenant(), "small"), key(tenant(), "large"));
    let client = redis::Client::open(server.url()).unwrap();
    let mut operator = client.get_multiplexed_async_connection().await.unwrap();
    let mut set = async |name: &str, value: &str| {
        let done: () =
            redis::cmd("CONFIG").arg("SET").arg(name).arg(value).query_async(&mut operator).await.unwrap();
        done
    };
    // Full, and told to drop nothing: every write is answered with an error.
    set("maxmemory", "1").await;
    cache.put(large, bytes("refused"), HOUR).await;
    assert_eq!(cache.get(&large).await, None);
    set("maxmemory", "0").await;
    cache.put(small, bytes("taken"), HOUR).await;
    assert_eq!(cache.get(&small).await, Some(bytes("taken")), "it did not rest for an hour");
}

/// A server that accepts and never says a word, and the peers that came, in order.
async fn frozen() -> (String, mpsc::UnboundedReceiver<std::net::SocketAddr>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let (tell, arrivals) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((socket, peer)) = listener.accept().await {
            held.push(socket);
            let _ = tell.send(peer);
        }
    });
    (url, arrivals)
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_the_limit() {
    let (url, _arrivals) = frozen().await;
    let cache = redis(&url, Patience::default());
    let key = key(tenant(), "a");
    let began = Instant::now();
    assert_eq!(cache.get(&key).await, None);
    assert!(began.elapsed() <= Patience::default().limit + Duration::from_millis(2), "{:?}", began.elapsed());
    let rested = Instant::now();
    assert_eq!(cache.get(&key).await, None);
    cache.put(key, bytes("x"), HOUR).await;
    assert!(cache.forget_tenant(key.tenant()).await.is_err());
    assert_eq!(rested.elapsed(), Duration::ZERO, "a server that rests is not waited for");
}

#[tokio::test]
async fn a_failed_server_is_asked_once_and_then_left_alone() {
    let (url, mut arrivals) = frozen().await;
    let cache = redis(&url, Patience { rest: HOUR, ..Patience::default() });
    let keys: Vec<CacheKey> = (0..500).map(|n| key(tenant(), &n.to_string())).collect();
    for _ in 0..10 {
        assert_eq!(cache.get_many(&keys).await, vec![None; keys.len()]);
    }
    // Connections are accepted in their order: what comes before ours was the cache's.
    let ours = TcpStream::connect(url.strip_prefix("redis://").unwrap()).await.unwrap();
    let mut before = 0;
    while arrivals.recv().await.unwrap() != ours.local_addr().unwrap() {
        before += 1;
    }
    assert_eq!(before, 1);
}

#[tokio::test]
async fn a_wrong_password_is_a_miss_and_is_not_shown() {
    let Some(server) = Redis::start() else { return };
    let url = server.url().replace("redis://", "redis://:s3cret@");
    let cache = redis(&url, PATIENT);
    assert_eq!(cache.get(&key(tenant(), "a")).await, None);
    let wrong = RedisCache::new(&Secret::new("http://:s3cret@cache"), Patience::default(), metrics());
    assert!(!wrong.err().unwrap().to_string().contains("s3cret"));
}
