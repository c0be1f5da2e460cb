//! A panic anywhere in a handler is one INTERNAL answer: nothing of it is told, nothing else is harmed.
use std::pin::Pin;
use std::task::{Context, Poll};

use copydesk_proto::llm_router::v1::{StreamGenerateRequest, StreamGenerateResponse};
use copydesk_rpc::{ServiceError, produce};
use futures_util::Stream;
use tonic::{Code, Response, Status};

use crate::script::{Items, Script};
use crate::topology::{Peer, as_user, both, delta, found, query, reason};

fn assert_faulty(status: &Status) {
    assert_eq!((status.code(), status.message()), (Code::Internal, "internal error"), "{status:?}");
    assert_eq!(reason(status), "INTERNAL");
    assert!(!format!("{status:?}").contains("secret"), "the payload stays inside");
}

async fn assert_alive(peer: &Peer) {
    let answer = as_user(peer.search().search(query("fine"))).await.expect("other calls go on").into_inner();
    assert_eq!(answer.degraded_reason, "fine");
}

fn searching() -> Script {
    Script::new().on_search(|request| async move {
        let text = request.into_inner().query;
        assert!(text != "panic", "a secret in a panic");
        Ok(found(text))
    })
}

#[tokio::test]
async fn in_a_unary_handler() {
    both(&searching(), async |peer: Peer| {
        for _ in 0..3 {
            let (panicking, fine) = tokio::join!(
                as_user(async { peer.search().search(query("panic")).await }),
                as_user(async { peer.search().search(query("fine")).await }),
            );
            assert_faulty(&panicking.expect_err("it panicked"));
            assert_eq!(fine.expect("untouched").into_inner().degraded_reason, "fine");
        }
        assert_alive(&peer).await;
    })
    .await;
}

#[tokio::test]
async fn before_a_handler_is_even_a_future() {
    let script = Script::new().on_search(|_| -> std::future::Pending<_> { panic!("a secret in a panic") });
    both(&script, async |peer: Peer| {
        assert_faulty(&as_user(peer.search().search(query("q"))).await.expect_err("it panicked"));
    })
    .await;
}

#[tokio::test]
async fn in_the_task_that_feeds_a_stream() {
    let script = searching().on_generate(|_| async {
        let items: Items<_> = Box::pin(produce(1, |sink| async move {
            sink.send(delta("one")).await.map_err(ServiceError::internal)?;
            panic!("a secret in a panic")
        }));
        Ok(Response::new(items))
    });
    both(&script, assert_one_item_then_fault).await;
}

#[tokio::test]
async fn in_the_poll_of_a_hand_made_stream() {
    struct Panicking(u8);
    impl Stream for Panicking {
        type Item = Result<StreamGenerateResponse, Status>;
        fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            let step = self.0;
            self.0 += 1;
            match step {
                0 => Poll::Ready(Some(Ok(delta("one")))),
                1 => {
                    // The item leaves when the stream pauses; one that is still being encoded dies with it.
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                _ => panic!("a secret in a panic"),
            }
        }
    }
    let script = searching().on_generate(|_| async {
        let items: Items<_> = Box::pin(Panicking(0));
        Ok(Response::new(items))
    });
    both(&script, assert_one_item_then_fault).await;
}

async fn assert_one_item_then_fault(peer: Peer) {
    let request = StreamGenerateRequest::default();
    let mut stream = as_user(peer.llm().stream_generate(request)).await.expect("a stream").into_inner();
    assert_eq!(stream.message().await.expect("an item"), Some(delta("one")));
    assert_faulty(&stream.message().await.expect_err("it panicked"));
    assert_alive(&peer).await;
}
