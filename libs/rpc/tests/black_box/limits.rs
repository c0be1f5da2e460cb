//! Overload is refused at once, by tenant, with a time to come back; a permit lasts to the last byte.
use std::sync::Arc;

use copydesk_proto::llm_router::v1::{StreamGenerateRequest, StreamGenerateResponse};
use copydesk_proto::retrieval::v1::WatchIngestionRequest;
use copydesk_rpc::server::{self, Authenticator, Limits, ServerStack};
use copydesk_rpc::{
    AccessTable, CallContext, Caller, HttpService, Kind, MethodAccess, ServiceError, produce, testing,
};
use copydesk_types::{Scopes, TenantId};
use http::HeaderMap;
use tokio::sync::watch;
use tonic::{Code, Response, Status, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::script::{Items, Script};
use crate::topology::{Peer, both_stacks, change, delta, has_retry_delay, query, reason};

/// Believes the metadata `x-tenant`, and refuses a caller named in `x-quota`: identity is not this file's subject.
struct ByName;

#[tonic::async_trait]
impl Authenticator for ByName {
    async fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, ServiceError> {
        let name = headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default();
        let (number, principal) = name.split_once(' ').unwrap_or((name, ""));
        let tenant = TenantId::from_u128(number.parse().map_err(ServiceError::internal)?);
        Ok(Caller { tenant, principal: principal.to_owned(), scopes: Scopes::all(), actor: None, run: None })
    }

    fn admit(&self, caller: &Caller, access: &MethodAccess) -> Result<(), ServiceError> {
        match caller.principal.as_str() {
            "spent" => Err(ServiceError::new(Kind::ResourceExhausted, "RATE_LIMITED", "too fast")
                .with_metadata("cost", access.cost.to_string())),
            _ => Ok(()),
        }
    }

    fn context(&self, _: &Caller) -> Result<CallContext, ServiceError> {
        Ok(CallContext::default())
    }
}

fn stack_of(script: &Script, limits: Limits) -> HttpService {
    let (_reporter, health) = tonic_health::server::health_reporter();
    let config = ServerStack {
        access: AccessTable::from_descriptors(script.descriptors()).expect("rules"),
        authenticator: Arc::new(ByName),
        metrics: testing::metrics(),
        limits,
        trust_trace: true,
    };
    server::stack(script.routes().add_service(health), config)
}

async fn as_tenant<F: Future>(name: &'static str, work: F) -> F::Output {
    CallContext::bearer(http::HeaderValue::from_static(name)).scope(work).await
}

fn assert_overloaded(status: &Status) {
    assert_eq!(
        (status.code(), reason(status).as_str()),
        (Code::ResourceExhausted, "OVERLOADED"),
        "{status:?}"
    );
    assert!(has_retry_delay(status));
}

/// Streams one item, then holds until the gate opens; watches hold for ever.
fn holding(gate: watch::Receiver<bool>) -> Script {
    let script = Script::new().on_generate(move |_| {
        let mut gate = gate.clone();
        async move {
            let items: Items<_> = Box::pin(produce(1, |sink| async move {
                sink.send(delta("one")).await.map_err(ServiceError::internal)?;
                gate.wait_for(|open| *open).await.map_err(ServiceError::internal)?;
                Ok(())
            }));
            Ok(Response::new(items))
        }
    });
    script.on_watch(|_| async {
        let items: Items<_> = Box::pin(produce(1, |sink| async move {
            sink.send(change()).await.map_err(ServiceError::internal)?;
            std::future::pending().await
        }));
        Ok(Response::new(items))
    })
}

async fn generate(peer: &Peer, name: &'static str) -> Result<Streaming<StreamGenerateResponse>, Status> {
    let request = StreamGenerateRequest::default();
    let mut stream = as_tenant(name, peer.llm().stream_generate(request)).await?.into_inner();
    assert_eq!(stream.message().await?, Some(delta("one")));
    Ok(stream)
}

#[tokio::test]
async fn a_tenant_over_its_share_is_refused_until_its_streams_have_ended() {
    let (open, gate) = watch::channel(false);
    let script = holding(gate);
    let limits = Limits { calls: 3, calls_per_tenant: 2, watches: 8, ..Limits::default() };
    both_stacks(
        || stack_of(&script, limits),
        async |peer: Peer| {
            open.send_replace(false);
            let mut first = generate(&peer, "1").await.expect("one of two");
            let second = generate(&peer, "1").await.expect("two of two");
            assert_overloaded(&generate(&peer, "1").await.expect_err("three of two"));
            let search = as_tenant("1", peer.search().search(query("q"))).await;
            assert_overloaded(&search.expect_err("unary calls count too"));
            let mut third = generate(&peer, "2").await.expect("another tenant gets in");
            assert_overloaded(
                &as_tenant("3", peer.search().search(query("q"))).await.expect_err("three of three"),
            );

            let health = HealthClient::new(peer.channel.clone()).check(HealthCheckRequest::default()).await;
            assert_eq!(health.expect("health answers under overload").into_inner().status, 1);

            // The permit is given back when the body ends: by its end, or because its reader goes.
            open.send_replace(true);
            assert_eq!(first.message().await.expect("a clean end"), None);
            assert_eq!(third.message().await.expect("a clean end"), None);
            as_tenant("1", peer.search().search(query("q"))).await.expect("a permit came back");
            drop((first, second, third));
        },
    )
    .await;
}

#[tokio::test]
async fn a_dropped_stream_gives_its_permit_back() {
    let (_open, gate) = watch::channel(false);
    let script = holding(gate);
    let limits = Limits { calls: 1, calls_per_tenant: 1, watches: 1, ..Limits::default() };
    both_stacks(
        || stack_of(&script, limits),
        async |peer: Peer| {
            for _ in 0..20 {
                // Over the wire the reset arrives before the next call, because it was sent before it.
                let stream = generate(&peer, "1").await.expect("the one permit is free");
                drop(stream);
                tokio::task::yield_now().await;
            }
        },
    )
    .await;
}

#[tokio::test]
async fn watches_take_no_calls_permit_and_have_a_limit_of_their_own() {
    let (_open, gate) = watch::channel(false);
    let script = holding(gate);
    let limits = Limits { calls: 1, calls_per_tenant: 1, watches: 2, ..Limits::default() };
    both_stacks(
        || stack_of(&script, limits),
        async |peer: Peer| {
            let watch = async || {
                let request = WatchIngestionRequest::default();
                let mut watch = as_tenant("1", peer.ingestion().watch_ingestion(request)).await?.into_inner();
                assert_eq!(watch.message().await?, Some(change()));
                Ok::<_, Status>(watch)
            };
            let held = (watch().await.expect("one"), watch().await.expect("two"));
            assert_overloaded(&watch().await.expect_err("three of two"));
            as_tenant("1", peer.search().search(query("q"))).await.expect("calls are apart");
            drop(held);
        },
    )
    .await;
}

#[tokio::test]
async fn a_spent_quota_is_refused_before_a_permit_is_taken() {
    let (_open, gate) = watch::channel(false);
    let script = holding(gate);
    let limits = Limits { calls: 0, calls_per_tenant: 0, watches: 0, ..Limits::default() };
    both_stacks(
        || stack_of(&script, limits),
        async |peer: Peer| {
            let status = as_tenant("1 spent", peer.search().search(query("q"))).await.expect_err("spent");
            assert_eq!(reason(&status), "RATE_LIMITED");
        },
    )
    .await;
}
