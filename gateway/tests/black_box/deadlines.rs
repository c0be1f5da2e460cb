//! The clock of a call goes on at the peer with what is left of it.
use std::future::pending;
use std::time::Duration;

use copydesk_gateway::Config;
use copydesk_proto::retrieval::v1::{WatchIngestionRequest, WatchIngestionResponse};
use http::HeaderValue;
use tonic::body::Body;
use tonic::{Code, Request, Response};

use crate::door::{Door, Identity, every_wiring, query, store, why};
use crate::script::{Items, Script};
use crate::spy::{self, send, spy};

const SEARCH: &str = "/copydesk.retrieval.v1.SearchService/Search";
const WATCH: &str = "/copydesk.retrieval.v1.IngestionService/WatchIngestion";

/// `grpc-timeout` in microseconds.
fn micros(value: &HeaderValue) -> u64 {
    let text = value.to_str().expect("text");
    let (digits, unit) = text.split_at(text.len() - 1);
    let scale = match unit {
        "u" => 1,
        "m" => 1_000,
        "S" => 1_000_000,
        other => panic!("{other} is a unit that we do not send"),
    };
    digits.parse::<u64>().expect("digits") * scale
}

#[tokio::test]
async fn the_peer_gets_less_time_than_the_client_gave() {
    every_wiring(async |wiring| {
        let (peer, calls) = spy(|_| spy::empty());
        let door = Door::open(wiring, &Identity::new(), peer).await;
        // Asked for, and the most that may come on: the rule of Search is 10 s by default and 60 s at most.
        let cases =
            [(Some("20S"), 20), (Some("20000m"), 20), (None, 10), (Some("1H"), 60), (Some("nonsense"), 10)];
        for (asked, limit) in cases {
            let mut request = spy::call(SEARCH, &door.secret, Body::default());
            if let Some(asked) = asked {
                request.headers_mut().insert("grpc-timeout", HeaderValue::from_static(asked));
            }
            send(&door.channel, request).await;
            let sent = calls.pop();
            assert_eq!(sent.headers.get_all("grpc-timeout").iter().count(), 1, "{wiring:?} {asked:?}");
            let (passed, limit) = (micros(&sent.headers["grpc-timeout"]), limit * 1_000_000);
            assert!(passed < limit, "{wiring:?} {asked:?}: {passed} µs is not less");
            assert!(passed > limit - 9_000_000, "{wiring:?} {asked:?}: {passed} µs is another limit");
        }
        send(&door.channel, spy::call(WATCH, &door.secret, Body::default())).await;
        assert_eq!(calls.pop().headers.get("grpc-timeout"), None, "{wiring:?}: a watch has no total");
    })
    .await;
}

#[tokio::test]
async fn a_call_without_time_left_is_not_begun() {
    every_wiring(async |wiring| {
        let (peer, calls) = spy(|_| spy::empty());
        let door = Door::open(wiring, &Identity::new(), peer).await;
        let mut request = spy::call(SEARCH, &door.secret, Body::default());
        request.headers_mut().insert("grpc-timeout", HeaderValue::from_static("0m"));
        let got = send(&door.channel, request).await;
        let status = tonic::Status::from_header_map(&got.headers).expect("a status");
        assert_eq!(status.code(), Code::DeadlineExceeded, "{wiring:?}");
        assert_eq!(calls.count(), 0, "{wiring:?}");
    })
    .await;
}

/// In process and in virtual time: a minute passes at once.
#[tokio::test]
async fn a_peer_that_takes_too_long_is_cut_off() {
    let script = Script::new().on_search(async |request| match request.into_inner().query.as_str() {
        "hang" => pending().await,
        _ => Ok(Response::new(Default::default())),
    });
    let door = Door::local(&script, Config::default(), store().await).await;
    // Known from here on: the database, which works in real time, is not asked again.
    door.search_with(&door.secret).await.expect("an answer");
    tokio::time::pause();
    for (asked, limit) in
        [(Some(Duration::from_secs(3)), 3), (None, 10), (Some(Duration::from_secs(600)), 60)]
    {
        let mut request = Request::new(query("hang"));
        if let Some(asked) = asked {
            request.set_timeout(asked);
        }
        let began = tokio::time::Instant::now();
        let answer = door.enter(door.search().search(request)).await;
        assert_eq!(why(answer), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".to_owned()));
        let took = began.elapsed();
        assert!(
            took.abs_diff(Duration::from_secs(limit)) < Duration::from_millis(500),
            "{asked:?} took {took:?}"
        );
    }
}

/// Four hours of virtual time.
#[tokio::test]
async fn a_watch_has_no_total_but_may_not_fall_silent() {
    const ITEMS: usize = 72;
    let script = Script::new().on_watch(async |_| {
        let items = futures_util::stream::unfold(0, |sent| async move {
            match sent {
                ITEMS => pending().await,
                _ => tokio::time::sleep(Duration::from_secs(200)).await,
            }
            Some((Ok(WatchIngestionResponse::default()), sent + 1))
        });
        Ok(Response::new(Box::pin(items) as Items<_>))
    });
    let door = Door::local(&script, Config::default(), store().await).await;
    door.search_with(&door.secret).await.expect("an answer");
    tokio::time::pause();
    let watch = door.enter(door.ingestion().watch_ingestion(WatchIngestionRequest::default())).await;
    let mut watch = watch.expect("a stream").into_inner();
    for _ in 0..ITEMS {
        assert!(watch.message().await.expect("an item").is_some());
    }
    let began = tokio::time::Instant::now();
    assert_eq!(why(watch.message().await), (Code::DeadlineExceeded, "STREAM_IDLE".to_owned()));
    let took = began.elapsed();
    assert!(took.abs_diff(Duration::from_secs(300)) < Duration::from_secs(1), "{took:?}");
}
