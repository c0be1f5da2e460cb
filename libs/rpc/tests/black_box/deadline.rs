//! Deadlines: always DEADLINE_EXCEEDED, to the last byte, smaller at every hop, never above the method's rule.
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use copydesk_proto::llm_router::v1::StreamGenerateRequest;
use copydesk_proto::retrieval::v1::search_service_client::SearchServiceClient;
use copydesk_proto::retrieval::v1::{Ingestion, WatchIngestionRequest, WatchIngestionResponse};
use copydesk_rpc::{CallContext, ServiceError, produce, testing};
use copydesk_types::Scopes;
use futures_util::StreamExt;
use tokio::time::Instant;
use tonic::{Code, Request, Response, Status};

use crate::rules::with_duration;
use crate::script::{Items, Script};
use crate::topology::{
    Peer, Ringer, Server, as_user, both, change, delta, found, query, reason, soon, tenant,
};

fn never_searching() -> Script {
    Script::new().on_search(|_| pending())
}

fn assert_late(status: &Status) {
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    assert_eq!(reason(status), "DEADLINE_EXCEEDED");
}

/// The context of a user whose calls must end after `left`.
fn user_until(left: Duration) -> CallContext {
    let token = testing::user_token(tenant(), Scopes::all());
    CallContext::bearer(token).with_deadline(Some(Instant::now() + left))
}

#[tokio::test]
async fn the_contexts_deadline_ends_a_silent_unary_call() {
    both(&never_searching(), async |peer: Peer| {
        let began = Instant::now();
        let call = async { peer.search().search(query("q")).await };
        let status = user_until(peer.patience()).scope(call).await.expect_err("nobody answers");
        assert_late(&status);
        assert!(began.elapsed() >= peer.patience(), "not before its time");
    })
    .await;
}

#[tokio::test]
async fn the_requests_own_timeout_ends_a_silent_unary_call() {
    both(&never_searching(), async |peer: Peer| {
        let mut request = Request::new(query("q"));
        request.set_timeout(peer.patience());
        let status = as_user(peer.search().search(request)).await.expect_err("nobody answers");
        assert_late(&status);
    })
    .await;
}

#[tokio::test]
async fn the_earlier_of_two_deadlines_counts() {
    both(&never_searching(), async |peer: Peer| {
        for (own, outer) in [(1, 100), (100, 1)] {
            let began = Instant::now();
            let mut request = Request::new(query("q"));
            request.set_timeout(peer.patience() * own);
            let call = async { peer.search().search(request).await };
            assert_late(&user_until(peer.patience() * outer).scope(call).await.expect_err("nobody answers"));
            assert!(began.elapsed() < peer.patience() * 20, "{own} {outer}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_passed_deadline_never_reaches_the_handler() {
    let (ringer, mut rung) = Ringer::new();
    let script = Script::new().on_search(move |_| {
        ringer.ring();
        async { Ok(found("")) }
    });
    both(&script, async |peer: Peer| {
        let call = async { peer.search().search(query("q")).await };
        assert_late(&user_until(Duration::ZERO).scope(call).await.expect_err("too late"));
    })
    .await;
    assert!(rung.try_recv().is_err(), "the handler was not called");
}

#[tokio::test]
async fn the_server_itself_answers_a_client_that_keeps_no_clock() {
    let limit = Duration::from_millis(80);
    let rules = with_duration("SearchService", "Search", "max_deadline", limit);
    let script = never_searching().with_descriptors(rules);
    let server = Server::start(testing::stack(script.service()), Duration::ZERO).await;
    // A client of the library's own, as any foreign one: it sends no deadline and keeps none.
    let uri = format!("http://{}", server.address).parse().expect("a uri");
    let bare = tonic::transport::Channel::builder(uri).connect_lazy();
    let mut request = Request::new(query("q"));
    let token = testing::user_token(tenant(), Scopes::all()).to_str().expect("ascii").to_owned();
    request.metadata_mut().insert("authorization", token.parse().expect("metadata"));
    let status = soon(SearchServiceClient::new(bare).search(request)).await.expect_err("nobody answers");
    assert_late(&status);
}

#[tokio::test]
async fn a_deadline_follows_the_body_of_a_stream() {
    let script = Script::new().on_generate(|_| async {
        let items: Items<_> = Box::pin(produce(4, |sink| async move {
            sink.send(delta("first")).await.map_err(ServiceError::internal)?;
            pending().await
        }));
        Ok(Response::new(items))
    });
    both(&script, async |peer: Peer| {
        let mut request = Request::new(StreamGenerateRequest::default());
        request.set_timeout(peer.patience());
        let mut stream = as_user(peer.llm().stream_generate(request)).await.expect("a stream").into_inner();
        assert_eq!(stream.message().await.expect("an item"), Some(delta("first")));
        assert_late(&stream.message().await.expect_err("the stream stalls"));
        assert_eq!(stream.message().await.expect("a clean end"), None);
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_ends_in_time_ends_cleanly() {
    let script = Script::new().on_generate(|_| async {
        let items: Items<_> = Box::pin(produce(1, |sink| async move {
            for _ in 0..100 {
                sink.send(delta("x")).await.map_err(ServiceError::internal)?;
            }
            Ok(())
        }));
        Ok(Response::new(items))
    });
    both(&script, async |peer: Peer| {
        let request = StreamGenerateRequest::default();
        let mut stream = as_user(peer.llm().stream_generate(request)).await.expect("a stream").into_inner();
        let mut count = 0;
        while stream.message().await.expect("no error").is_some() {
            count += 1;
        }
        assert_eq!(count, 100);
    })
    .await;
}

#[tokio::test]
async fn a_silent_watch_ends_as_idle_and_every_message_restarts_the_clock() {
    let idle = Duration::from_millis(200);
    let step = idle / 5;
    let script = Script::new()
        .with_descriptors(with_duration("IngestionService", "WatchIngestion", "idle_timeout", idle))
        .on_watch(move |_| async move {
            let items: Items<_> = Box::pin(produce(1, move |sink| async move {
                let mut tick = tokio::time::interval(step);
                for _ in 0..8 {
                    tick.tick().await;
                    sink.send(change()).await.map_err(ServiceError::internal)?;
                }
                pending().await
            }));
            Ok(Response::new(items))
        });
    both(&script, async |peer: Peer| {
        let request = WatchIngestionRequest::default();
        let mut watch =
            as_user(peer.ingestion().watch_ingestion(request)).await.expect("a watch").into_inner();
        for _ in 0..8 {
            // In all longer than the limit, never silent for as long.
            assert_eq!(watch.message().await.expect("a change"), Some(change()));
        }
        let status = watch.message().await.expect_err("silence");
        assert_eq!((status.code(), reason(&status)), (Code::DeadlineExceeded, "STREAM_IDLE".to_owned()));
    })
    .await;
}

#[tokio::test]
async fn a_client_stream_that_stalls_ends_as_idle() {
    let idle = Duration::from_millis(100);
    let script = Script::new()
        .with_descriptors(with_duration("IngestionService", "Ingest", "idle_timeout", idle))
        .on_ingest(|request| async move {
            let mut parts = request.into_inner();
            while parts.message().await?.is_some() {}
            Ok(Response::new(Default::default()))
        });
    both(&script, async |peer: Peer| {
        let parts =
            futures_util::stream::iter(vec![Default::default(); 2]).chain(futures_util::stream::pending());
        let status = as_user(peer.ingestion().ingest(parts)).await.expect_err("the upload stalls");
        assert_eq!((status.code(), reason(&status)), (Code::DeadlineExceeded, "STREAM_IDLE".to_owned()));
        let parts = futures_util::stream::iter(vec![Default::default(); 200]);
        as_user(peer.ingestion().ingest(parts)).await.expect("an upload that goes on is not idle");
    })
    .await;
}

#[tokio::test]
async fn a_longer_wish_is_cut_to_the_methods_rule() {
    let seen = Arc::new(Mutex::new(None));
    let tell = seen.clone();
    let script = Script::new().on_search(move |_| {
        *tell.lock().expect("lock") = CallContext::current().deadline().map(|at| at - Instant::now());
        async { Ok(found("")) }
    });
    both(&script, async |peer: Peer| {
        let left = async |wish: Option<u64>| {
            let mut request = Request::new(query("q"));
            if let Some(seconds) = wish {
                request.set_timeout(Duration::from_secs(seconds));
            }
            as_user(peer.search().search(request)).await.expect("an answer");
            let left = seen.lock().expect("lock").take().expect("a deadline");
            left.as_secs_f64().ceil() as u64
        };
        assert_eq!(left(Some(3_600)).await, 60, "the longest");
        assert_eq!(left(None).await, 10, "the default");
        assert_eq!(left(Some(3)).await, 3, "a wish within the rule");
    })
    .await;
}

/// What is left to the call that this is in.
fn left() -> Duration {
    CallContext::current().deadline().expect("a deadline") - Instant::now()
}

#[tokio::test]
async fn every_hop_has_less_time_than_the_one_before() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let tell_outer = tell.clone();
    let inner = Script::new().on_search(move |_| {
        let _ = tell.send(left());
        async { Ok(found("")) }
    });
    let told = &tokio::sync::Mutex::new(&mut told);
    both(&inner, async |inner: Peer| {
        let (is_local, next, tell) = (inner.is_local, inner.clone(), tell_outer.clone());
        let outer = Script::new().on_search(move |_| {
            let _ = tell.send(left());
            let next = next.clone();
            async move {
                if is_local {
                    tokio::time::advance(Duration::from_secs(1)).await;
                }
                // A longer wish of its own does not help.
                let mut wish = Request::new(query("q"));
                wish.set_timeout(Duration::from_secs(30));
                next.search().search(wish).await
            }
        });
        let outer = match inner.is_local {
            true => testing::local(outer.service()),
            false => testing::remote(outer.service()).await,
        };
        let mut request = Request::new(query("q"));
        request.set_timeout(Duration::from_secs(5));
        as_user(SearchServiceClient::new(outer).search(request)).await.expect("an answer");
        let mut told = told.lock().await;
        let (first, second) = (told.recv().await.expect("outer"), told.recv().await.expect("inner"));
        assert!(first <= Duration::from_secs(5) && first > Duration::from_secs(4), "{first:?}");
        assert!(second < first && second > Duration::from_secs(3), "{first:?}, then {second:?}");
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_nobody_reads_ends_at_its_deadline_all_the_same() {
    let limit = Duration::from_millis(150);
    let (ringer, rung) = Ringer::new();
    let rung = tokio::sync::Mutex::new(rung);
    let flood = move || {
        let bell = ringer.bell();
        produce(1, |sink| async move {
            let _bell = bell;
            while sink.send("x".repeat(32 << 10)).await.is_ok() {}
            Ok(())
        })
    };
    let flood_watch = flood.clone();
    let script = Script::new()
        .with_descriptors(with_duration("LlmService", "StreamGenerate", "max_deadline", limit))
        .on_generate(move |_| {
            let items: Items<_> = Box::pin(flood().map(|item| item.map(delta)));
            async { Ok(Response::new(items)) }
        });
    both(&script, async |peer: Peer| {
        let request = StreamGenerateRequest::default();
        let mut stream = as_user(peer.llm().stream_generate(request)).await.expect("a stream").into_inner();
        assert!(stream.message().await.expect("an item").is_some());
        rung.lock().await.recv().await.expect("the task ended, though nobody reads");
        let status = loop {
            if let Err(status) = stream.message().await {
                break status;
            }
        };
        assert_late(&status);
    })
    .await;

    let script = Script::new()
        .with_descriptors(with_duration("IngestionService", "WatchIngestion", "idle_timeout", limit))
        .on_watch(move |_| {
            let items: Items<_> = Box::pin(flood_watch().map(|item| {
                item.map(|text| {
                    let ingestion = Ingestion { ingestion_id: text, ..Ingestion::default() };
                    WatchIngestionResponse { ingestion: Some(ingestion), ..Default::default() }
                })
            }));
            async { Ok(Response::new(items)) }
        });
    both(&script, async |peer: Peer| {
        let request = WatchIngestionRequest::default();
        let mut watch =
            as_user(peer.ingestion().watch_ingestion(request)).await.expect("a watch").into_inner();
        assert!(watch.message().await.expect("an item").is_some());
        rung.lock().await.recv().await.expect("the task ended, though nobody reads");
        let status = loop {
            if let Err(status) = watch.message().await {
                break status;
            }
        };
        assert_eq!((status.code(), reason(&status)), (Code::DeadlineExceeded, "STREAM_IDLE".to_owned()));
    })
    .await;
}
