//! Too much of anything is a clear answer, alike in both topologies, and the connection lives on.
use std::time::Duration;

use copydesk_proto::retrieval::v1::search_service_client::SearchServiceClient;
use copydesk_rpc::{Kind, ServiceError, Violations, testing};
use copydesk_types::Scopes;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use crate::script::Script;
use crate::topology::{Peer, Server, as_user, both, found, query, reason, soon, tenant};

const MIB: usize = 1 << 20;

async fn fails_with(peer: &Peer, text: &str) -> Status {
    as_user(peer.search().search(query(text))).await.expect_err("an error")
}

#[tokio::test]
async fn long_errors_arrive_clipped() {
    let script = Script::new().on_search(|request| async move {
        let long = "ä".repeat(10_000);
        Err(match request.into_inner().query.as_str() {
            "message" => ServiceError::new(Kind::FailedPrecondition, "LONG", long).into(),
            "metadata" => {
                ServiceError::new(Kind::FailedPrecondition, "LONG", "m").with_metadata("k", long).into()
            }
            "quota" => {
                ServiceError::new(Kind::FailedPrecondition, "LONG", "m").with_quota(&long, &long).into()
            }
            "resource" => ServiceError::not_found("copydesk.retrieval.v1.Document", long).into(),
            "violations" => {
                let mut violations = Violations::new();
                for n in 0..500 {
                    violations.push(format!("messages[{n}].{long}"), long.clone());
                }
                violations.finish().expect_err("many").into()
            }
            "bare" => Status::aborted(long),
            "bare details" => Status::with_details(Code::Aborted, "m", long.into_bytes().into()),
            other => Status::unknown(other),
        })
    });
    both(&script, async |peer: Peer| {
        for how in ["message", "metadata", "quota"] {
            let status = fails_with(&peer, how).await;
            assert_eq!(
                (status.code(), reason(&status).as_str()),
                (Code::FailedPrecondition, "LONG"),
                "{how}"
            );
        }
        let status = fails_with(&peer, "message").await;
        assert!(
            status.message().starts_with("ää") && status.message().ends_with('…'),
            "clipped, and says so"
        );

        let status = fails_with(&peer, "resource").await;
        assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "NOT_FOUND"));

        let status = fails_with(&peer, "violations").await;
        assert_eq!(reason(&status), "INVALID_FIELDS");
        assert!(status.message().contains("496 more"), "{}", status.message());
        let fields = status.get_error_details().bad_request().map(|b| b.field_violations.len());
        assert!(fields.is_some_and(|n| n >= 4), "the first faults are named: {fields:?}");

        let bare = fails_with(&peer, "bare").await;
        assert_eq!(bare.code(), Code::Aborted, "an error that nobody clipped: {bare:?}");
        assert!(bare.message().starts_with("ää"), "{bare:?}");
        assert_eq!(fails_with(&peer, "bare details").await.code(), Code::Aborted);
        assert_eq!(fails_with(&peer, "short").await.message(), "short");
    })
    .await;
}

#[tokio::test]
async fn a_refusal_fits_the_headers_of_every_language() {
    let mut violations = Violations::new();
    for n in 0..500 {
        violations.push(format!("field[{n}]"), "é".repeat(4_000));
    }
    let status: Status = violations.finish().expect_err("many").into();
    let mut headers = http::HeaderMap::new();
    status.add_header(&mut headers).expect("headers");
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
    assert!(bytes < 8 << 10, "{bytes} bytes on the wire");
}

#[tokio::test]
async fn oversized_metadata_is_refused_and_the_next_call_goes_through() {
    let script = Script::new().on_search(|_| async { Ok(found("fine")) });
    both(&script, async |peer: Peer| {
        for bytes in [33 << 10, 64 << 10] {
            let mut request = Request::new(query("q"));
            request.metadata_mut().insert("x-long", "v".repeat(bytes).parse().expect("metadata"));
            let status = as_user(peer.search().search(request)).await.expect_err("too large");
            let why = (status.code(), reason(&status));
            assert_eq!(why, (Code::ResourceExhausted, "METADATA_TOO_LARGE".to_owned()), "{status:?}");
        }
        let mut request = Request::new(query("q"));
        request.metadata_mut().insert("x-long", "v".repeat(8 << 10).parse().expect("metadata"));
        as_user(peer.search().search(request)).await.expect("8 KiB are fine");
    })
    .await;
}

#[tokio::test]
async fn a_foreign_client_with_oversized_metadata_harms_its_own_call_only() {
    let script = Script::new().on_search(|_| async { Ok(found("fine")) });
    let server = Server::start(testing::stack(script.service()), Duration::ZERO).await;
    let uri = format!("http://{}", server.address).parse().expect("a uri");
    let mut bare = SearchServiceClient::new(tonic::transport::Channel::builder(uri).connect_lazy());
    let mut send = async |bytes: usize| {
        let mut request = Request::new(query("q"));
        let token = testing::user_token(tenant(), Scopes::all()).to_str().expect("ascii").to_owned();
        request.metadata_mut().insert("authorization", token.parse().expect("metadata"));
        request.metadata_mut().insert("x-long", "v".repeat(bytes).parse().expect("metadata"));
        soon(bare.search(request)).await
    };
    for _ in 0..3 {
        let status = send(40 << 10).await.expect_err("too large");
        assert!(status.message().contains("431"), "{status:?}");
        send(20 << 10).await.expect("within the limit, on the same connection");
    }
}

#[tokio::test]
async fn a_message_over_the_limit_says_so_in_either_direction() {
    let script = Script::new().on_search(|request| async move {
        let size = request.into_inner().top_k as usize;
        Ok(found("x".repeat(size)))
    });
    both(&script, async |peer: Peer| {
        for _ in 0..5 {
            let up = as_user(peer.search().search(query("x".repeat(5 * MIB)))).await;
            let up = up.expect_err("the request is too large");
            assert_eq!(
                (up.code(), reason(&up)),
                (Code::ResourceExhausted, "MESSAGE_TOO_LARGE".to_owned()),
                "{up:?}"
            );

            let mut request = query("q");
            request.top_k = 5 * MIB as u32;
            let down = as_user(peer.search().search(request)).await.expect_err("the answer is too large");
            // The caller's own library says this one.
            assert_eq!(down.code(), Code::OutOfRange, "{down:?}");
            assert!(down.message().contains("too large"), "{down:?}");
        }
        let mut request = query("x".repeat(3 * MIB));
        request.top_k = 3 * MIB as u32;
        let answer = as_user(peer.search().search(request)).await.expect("3 MiB are fine").into_inner();
        assert_eq!(answer.degraded_reason.len(), 3 * MIB);
    })
    .await;
}
