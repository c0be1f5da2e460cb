//! Three routers that share a Redis keep one provider's limits together.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    dead_code,
    reason = "a failed step must stop the test; the support code serves several tests"
)]

#[path = "support/redis.rs"]
mod redis_server;
mod support;

use copydesk_llm_router::{CacheConfig, Config, ProviderConfig};
use copydesk_types::Secret;
use futures_util::future::join_all;
use support::mesh::{Mesh, ask, completion, generate, only, openai};
use support::server::{Server, json};

/// A name that no other test has: the limits are kept under the provider's name.
fn name(kind: &str) -> String {
    format!("{kind}-{:08x}", fastrand::u32(..))
}

async fn three(url: &str, limited: ProviderConfig, second: &str) -> [Mesh; 3] {
    let cache = CacheConfig { redis_url: Some(Secret::new(url)), ..CacheConfig::default() };
    let providers = vec![ProviderConfig { queue_ms: 0, ..limited }, openai("b", second)];
    let config = Config { cache, ..only(providers) };
    [Mesh::local(config.clone()).await, Mesh::local(config.clone()).await, Mesh::local(config).await]
}

#[tokio::test]
async fn a_hundred_callers_at_three_replicas_get_exactly_the_rate() {
    let Some(url) = redis_server::url() else { return };
    let good = || vec![json("200 OK", "", &completion("Hello."))];
    let (first, second) = (Server::start(good()).await, Server::start(good()).await);
    let limits = ProviderConfig { requests_per_minute: 10, ..openai(&name("calls"), &first.url) };
    let meshes = three(&url, limits, &second.url).await;
    let answers = join_all((0..100).map(|n| generate(&meshes[n % 3], 1, ask("Hi")))).await;
    assert!(answers.iter().all(Result::is_ok), "the second model answers the rest");
    assert_eq!((first.seen().len(), second.seen().len()), (10, 90));
}
