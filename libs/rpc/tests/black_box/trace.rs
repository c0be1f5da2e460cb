//! One call is one unbroken tree of spans, whatever lies between; stored work goes on in the trace that asked for it.
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use copydesk_proto::llm_router::v1::StreamGenerateRequest;
use copydesk_proto::retrieval::v1::search_service_client::SearchServiceClient;
use copydesk_rpc::server::{self, Limits, ServerStack, TokenAuthenticator};
use copydesk_rpc::{
    AccessTable, Caller, Channel, Delegation, HttpService, ServiceError, Verifier, produce, testing, trace,
};
use opentelemetry::trace::{SpanId, SpanKind, Status as SpanStatus, TraceId, TracerProvider};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use tonic::{Response, Status};
use tracing::{Dispatch, Instrument};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;

use crate::script::{Items, NAME, Script};
use crate::topology::{Peer, as_user, both, both_stacks, delta, found, query, tenant};

/// Keeps every ended span.
#[derive(Debug, Clone, Default)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Kept {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().expect("lock").extend(batch);
        Ok(())
    }
}

/// While there is one subscriber only, a call site that another thread comes to first asks that thread's subscriber,
/// finds none, and stays silent for all. With a second one, which nobody uses, every subscriber is asked.
static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(tracing_subscriber::registry()));

/// Traces everything on this thread into `Kept` until the guard is dropped.
fn tracing_here() -> (Kept, SdkTracerProvider, tracing::subscriber::DefaultGuard) {
    LazyLock::force(&SECOND);
    let kept = Kept::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(kept.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let subscriber = tracing_subscriber::registry().with(layer).with(LevelFilter::INFO);
    let guard = tracing::subscriber::set_default(subscriber);
    (kept, provider, guard)
}

impl Kept {
    /// Takes the spans once there are `count`: a server ends its span a moment after the client has its answer.
    async fn take(&self, count: usize) -> Vec<SpanData> {
        for _ in 0..10_000 {
            if self.0.lock().expect("lock").len() >= count {
                break;
            }
            tokio::task::yield_now().await;
        }
        let spans = std::mem::take(&mut *self.0.lock().expect("lock"));
        assert_eq!(
            spans.len(),
            count,
            "{:?}",
            spans.iter().map(|s| (&s.name, &s.span_kind)).collect::<Vec<_>>()
        );
        spans
    }
}

/// The kinds of the spans from the root down; every span but the root has its parent among them, and there is no fork.
fn chain(spans: &[SpanData]) -> Vec<&SpanData> {
    let trace: TraceId = spans[0].span_context.trace_id();
    assert!(spans.iter().all(|s| s.span_context.trace_id() == trace), "one trace");
    let by_parent: HashMap<SpanId, &SpanData> = spans.iter().map(|s| (s.parent_span_id, s)).collect();
    let (mut chain, mut at) = (Vec::new(), SpanId::INVALID);
    while let Some(span) = by_parent.get(&at) {
        chain.push(*span);
        at = span.span_context.span_id();
    }
    assert_eq!(chain.len(), spans.len(), "an unbroken chain");
    chain
}

fn attribute(span: &SpanData, key: &str) -> Option<String> {
    span.attributes.iter().find(|a| a.key.as_str() == key).map(|a| a.value.to_string())
}

const SEARCH: &str = "copydesk.retrieval.v1.SearchService/Search";
const GENERATE: &str = "copydesk.llm_router.v1.LlmService/StreamGenerate";

#[tokio::test]
async fn two_hops_are_one_tree() {
    let (kept, _provider, _guard) = tracing_here();
    let inner = Script::new().on_generate(|_| async {
        let items: Items<_> = Box::pin(produce(1, |sink| async move {
            sink.send(delta("one")).await.map_err(ServiceError::internal)
        }));
        Ok(Response::new(items))
    });
    both(&inner, async |inner: Peer| {
        let next = inner.clone();
        let outer = Script::new().on_search(move |_| {
            let next = next.clone();
            async move {
                let mut stream =
                    next.llm().stream_generate(StreamGenerateRequest::default()).await?.into_inner();
                while stream.message().await?.is_some() {}
                Ok(found(copydesk_rpc::current_trace_id().unwrap_or_default()))
            }
        });
        let outer = match inner.is_local {
            true => testing::local(outer.service()),
            false => testing::remote(outer.service()).await,
        };
        let call = async { SearchServiceClient::new(outer).search(query("q")).await };
        let answer = as_user(call).await.expect("an answer").into_inner();

        let spans = kept.take(4).await;
        let chain = chain(&spans);
        let shape: Vec<_> = chain.iter().map(|s| (s.name.as_ref(), s.span_kind.clone())).collect();
        let (client, server) = (SpanKind::Client, SpanKind::Server);
        let expected =
            [(SEARCH, client.clone()), (SEARCH, server.clone()), (GENERATE, client), (GENERATE, server)];
        assert_eq!(shape, expected);
        assert_eq!(answer.degraded_reason, spans[0].span_context.trace_id().to_string());
        for span in chain {
            assert_eq!(attribute(span, "rpc.system.name").as_deref(), Some("grpc"));
            assert_eq!(attribute(span, "rpc.method").as_deref(), Some(span.name.as_ref()));
            assert_eq!(attribute(span, "rpc.response.status_code").as_deref(), Some("OK"));
            assert_eq!(span.status, SpanStatus::Unset);
        }
    })
    .await;
}

#[tokio::test]
async fn a_fault_marks_both_sides_and_a_refusal_only_the_client() {
    let (kept, _provider, _guard) = tracing_here();
    let script = Script::new().on_search(|request| async move {
        match request.into_inner().query.as_str() {
            "fault" => Err(Status::data_loss("gone")),
            _ => Err(Status::not_found("no such thing")),
        }
    });
    both(&script, async |peer: Peer| {
        for (text, code, server_fails) in [("fault", "DATA_LOSS", true), ("refusal", "NOT_FOUND", false)] {
            as_user(peer.search().search(query(text))).await.expect_err("an error");
            let spans = kept.take(2).await;
            let [client, server] = chain(&spans)[..] else { panic!("two spans") };
            for span in [client, server] {
                assert_eq!(attribute(span, "rpc.response.status_code").as_deref(), Some(code), "{text}");
            }
            assert!(matches!(client.status, SpanStatus::Error { .. }), "{text}");
            assert_eq!(matches!(server.status, SpanStatus::Error { .. }), server_fails, "{text}");
        }
    })
    .await;
}

#[tokio::test]
async fn stored_work_goes_on_in_the_trace_that_asked_for_it() {
    let (kept, _provider, _guard) = tracing_here();
    both(&Script::new(), async |peer: Peer| {
        let caller = Caller {
            tenant: tenant(),
            principal: "key_1".into(),
            scopes: Default::default(),
            actor: None,
            run: None,
        };
        let request = tracing::info_span!("the request");
        let stored = request.in_scope(|| serde_json::to_string(&Delegation::of(&caller)).expect("json"));
        drop(request);
        let asked = kept.take(1).await.remove(0);

        let delegation: Delegation = serde_json::from_str(&stored).expect("json");
        let elsewhere = tracing::info_span!("a worker's loop");
        let call = async { peer.search().search(query("q")).await };
        testing::minter()
            .act(&delegation, None, "job.step", call)
            .instrument(elsewhere)
            .await
            .expect("an answer");
        let mut spans = kept.take(4).await;
        spans.retain(|s| s.name != "a worker's loop");
        spans.push(asked.clone());
        let chain = chain(&spans);
        let names: Vec<_> = chain.iter().map(|s| s.name.as_ref()).collect();
        assert_eq!(names, ["the request", "job.step", SEARCH, SEARCH]);
    })
    .await;
}

/// A door that does not believe its callers' trace.
fn distrusting(script: &Script) -> HttpService {
    let config = ServerStack {
        access: AccessTable::from_descriptors(script.descriptors()).expect("rules"),
        authenticator: Arc::new(TokenAuthenticator::new(
            Verifier::new(NAME, Default::default()),
            testing::minter(),
        )),
        metrics: testing::metrics(),
        limits: Limits::default(),
        trust_trace: false,
    };
    server::stack(script.routes(), config)
}

#[tokio::test]
async fn an_untrusted_caller_does_not_choose_the_trace() {
    let (kept, _provider, _guard) = tracing_here();
    let script = Script::new();
    both_stacks(
        || distrusting(&script),
        async |peer: Peer| {
            as_user(peer.search().search(query("q"))).await.expect_err("nobody is trusted");
            let spans = kept.take(2).await;
            let traces: Vec<_> = spans.iter().map(|s| s.span_context.trace_id()).collect();
            assert_ne!(traces[0], traces[1]);
        },
    )
    .await;
}

#[tokio::test]
async fn a_strangers_path_is_not_written_down() {
    let (kept, _provider, _guard) = tracing_here();
    let stack = testing::stack(Script::new().service());
    let request =
        http::Request::post("/stranger.Service/Path").body(tonic::body::Body::empty()).expect("a request");
    let Ok(_) = tower::ServiceExt::oneshot(stack, request).await;
    let spans = kept.take(1).await;
    assert_eq!(
        (spans[0].name.as_ref(), attribute(&spans[0], "rpc.method").as_deref()),
        ("_OTHER", Some("_OTHER"))
    );
}

#[tokio::test]
async fn without_a_subscriber_there_is_no_trace() {
    assert_eq!((trace::current_traceparent(), trace::current_trace_id()), (None, None));
    let channel: Channel = testing::local(Script::new().service());
    as_user(SearchServiceClient::new(channel).search(query("q"))).await.expect("calls go on untraced");
}
