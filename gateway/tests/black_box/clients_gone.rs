//! A client who goes takes along, at the peer, the work that was done for it.
use std::future::pending;

use copydesk_proto::llm_router::v1::stream_generate_response::Event;
use copydesk_proto::llm_router::v1::{Delta, StreamGenerateRequest, StreamGenerateResponse};
use copydesk_proto::retrieval::v1::IngestRequest;
use copydesk_rpc::{ServiceError, produce};
use futures_util::StreamExt;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tonic::Response;

use crate::door::{Door, Identity, every_wiring, query, with_key};
use crate::script::{Items, Script};

/// Rings when it is dropped.
struct Bell(UnboundedSender<&'static str>);

impl Bell {
    fn began(rings: &UnboundedSender<&'static str>) -> Self {
        let _ = rings.send("began");
        Self(rings.clone())
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        let _ = self.0.send("dropped");
    }
}

#[tokio::test]
async fn a_unary_handler_ends_with_its_client() {
    every_wiring(async |wiring| {
        let (rings, mut heard) = unbounded_channel();
        let script = Script::new().on_search(move |_| {
            let rings = rings.clone();
            async move {
                let _bell = Bell::began(&rings);
                pending().await
            }
        });
        let identity = Identity::new();
        let door = Door::open(wiring, &identity, identity.stack(&script)).await;
        let (mut client, secret) = (door.search(), door.secret.clone());
        let call = tokio::spawn(async move { with_key(&secret, client.search(query("q"))).await });
        assert_eq!(heard.recv().await, Some("began"), "{wiring:?}");
        call.abort();
        assert_eq!(heard.recv().await, Some("dropped"), "{wiring:?}");
    })
    .await;
}

#[tokio::test]
async fn what_feeds_a_stream_ends_with_its_client() {
    every_wiring(async |wiring| {
        let (rings, mut heard) = unbounded_channel();
        let script = Script::new().on_stream(move |_| {
            let rings = rings.clone();
            async move {
                let items = produce(1, |sink| async move {
                    let _bell = Bell::began(&rings);
                    let event = Some(Event::Delta(Delta { text: "one".to_owned() }));
                    sink.send(StreamGenerateResponse { event }).await.map_err(ServiceError::internal)?;
                    pending().await
                });
                Ok(Response::new(Box::pin(items) as Items<_>))
            }
        });
        let identity = Identity::new();
        let door = Door::open(wiring, &identity, identity.stack(&script)).await;
        let stream = door.enter(door.llm().stream_generate(StreamGenerateRequest::default())).await;
        let mut stream = stream.expect("a stream").into_inner();
        assert!(stream.message().await.expect("an item").is_some(), "{wiring:?}");
        assert_eq!(heard.recv().await, Some("began"), "{wiring:?}");
        drop(stream);
        assert_eq!(heard.recv().await, Some("dropped"), "{wiring:?}");
    })
    .await;
}

#[tokio::test]
async fn an_upload_ends_with_its_client() {
    every_wiring(async |wiring| {
        let (rings, mut heard) = unbounded_channel();
        let script = Script::new().on_ingest(move |request| {
            let rings = rings.clone();
            async move {
                let mut upload = request.into_inner();
                upload.message().await?;
                let _bell = Bell::began(&rings);
                while upload.message().await?.is_some() {}
                let _ = rings.send("took a cut upload for a whole one");
                Ok(Response::new(Default::default()))
            }
        });
        let identity = Identity::new();
        let door = Door::open(wiring, &identity, identity.stack(&script)).await;
        let (mut client, secret) = (door.ingestion(), door.secret.clone());
        let upload = tokio_stream::iter([IngestRequest::default()]).chain(futures_util::stream::pending());
        let call = tokio::spawn(async move { with_key(&secret, client.ingest(upload)).await });
        assert_eq!(heard.recv().await, Some("began"), "{wiring:?}");
        call.abort();
        assert_eq!(heard.recv().await, Some("dropped"), "{wiring:?}");
    })
    .await;
}
