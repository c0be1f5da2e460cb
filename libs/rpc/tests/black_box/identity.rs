//! Who may call: every refusal says why in a stable word, and what the handler sees is what the token says.
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use copydesk_proto::learning::v1::RecordOutcomeRequest;
use copydesk_proto::learning::v1::outcome_service_client::OutcomeServiceClient;
use copydesk_proto::retrieval::v1::SearchResponse;
use copydesk_proto::retrieval::v1::search_service_client::SearchServiceClient;
use copydesk_rpc::server::{self, Limits, ServerStack, TokenAuthenticator};
use copydesk_rpc::{
    AccessTable, CallContext, Caller, Claims, HttpService, SigningKey, Trust, Verifier, reflection, testing,
};
use copydesk_types::{Scopes, TenantId};
use ring::signature::Ed25519KeyPair;
use tonic::{Code, Response, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;

use crate::script::{GRPC_SERVICES, NAME, Script};
use crate::topology::{Peer, both, both_stacks, found, query, reason, tenant};

/// A stack that believes this key, as the gateway's.
fn stack_trusting(script: &Script, gateway: &[u8]) -> HttpService {
    let key = SigningKey::from_pkcs8("gateway", gateway).expect("a key");
    let trust = Trust::new().with("gateway", key.public_key());
    let config = ServerStack {
        access: AccessTable::from_descriptors(script.descriptors()).expect("rules"),
        authenticator: Arc::new(TokenAuthenticator::new(Verifier::new(NAME, trust), testing::minter())),
        metrics: testing::metrics(),
        limits: Limits::default(),
        trust_trace: true,
    };
    server::stack(script.routes(), config)
}

fn claims() -> Claims {
    Claims {
        iss: "gateway".to_owned(),
        aud: vec![NAME.to_owned()],
        sub: "key_1".to_owned(),
        tenant: tenant(),
        scopes: Scopes::all(),
        act: None,
        run: None,
        iat: 0,
        exp: u64::from(u32::MAX),
    }
}

/// A token with exactly these claims, times included.
fn forge(key: &[u8], claims: &Claims) -> String {
    let pair = Ed25519KeyPair::from_pkcs8(key).expect("a key");
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","typ":"JWT"}"#);
    let body = format!("{header}.{}", URL_SAFE_NO_PAD.encode(serde_json::to_vec(claims).expect("json")));
    format!("{body}.{}", URL_SAFE_NO_PAD.encode(pair.sign(body.as_bytes()).as_ref()))
}

async fn search_with(peer: &Peer, authorization: Option<&str>) -> Result<Response<SearchResponse>, Status> {
    let call = async { peer.search().search(query("q")).await };
    match authorization {
        Some(value) => CallContext::bearer(value.parse().expect("a header")).scope(call).await,
        None => call.await,
    }
}

#[tokio::test]
async fn bad_credentials_are_refused_with_a_reason() {
    let gateway = SigningKey::generate().expect("a key");
    let stranger = SigningKey::generate().expect("a key");
    let script = Script::new();
    both_stacks(
        || stack_trusting(&script, &gateway),
        async |peer: Peer| {
            let good = forge(&gateway, &claims());
            search_with(&peer, Some(&format!("Bearer {good}"))).await.expect("the good one");
            search_with(&peer, Some(&format!("bearer {good}"))).await.expect("the scheme in any case");

            let expired = Claims { exp: 1_000_000_000, ..claims() };
            let elsewhere = Claims { aud: vec!["learning".to_owned()], ..claims() };
            let unknown = Claims { iss: "nobody".to_owned(), ..claims() };
            let acting = Claims { act: Some("learning".to_owned()), ..claims() };
            let refused = [
                (None, "NO_CREDENTIAL"),
                (Some(String::new()), "NO_CREDENTIAL"),
                (Some("Basic dXNlcjpwYXNz".to_owned()), "NO_CREDENTIAL"),
                (Some(good.clone()), "NO_CREDENTIAL"),
                (Some("Bearer ".to_owned()), "BAD_CREDENTIAL"),
                (Some("Bearer not-a-token".to_owned()), "BAD_CREDENTIAL"),
                (Some(format!("Bearer {}x", good)), "BAD_CREDENTIAL"),
                (Some(format!("Bearer {}", forge(&gateway, &expired))), "BAD_CREDENTIAL"),
                (Some(format!("Bearer {}", forge(&stranger, &claims()))), "BAD_CREDENTIAL"),
                (Some(format!("Bearer {}", forge(&gateway, &elsewhere))), "BAD_CREDENTIAL"),
                (Some(format!("Bearer {}", forge(&gateway, &unknown))), "BAD_CREDENTIAL"),
                (Some(format!("Bearer {}", forge(&gateway, &acting))), "BAD_CREDENTIAL"),
            ];
            for (value, word) in refused {
                let status = search_with(&peer, value.as_deref()).await.expect_err("refused");
                let why = (status.code(), reason(&status));
                assert_eq!(why, (Code::Unauthenticated, word.to_owned()), "{value:?}");
            }
        },
    )
    .await;
}

#[tokio::test]
async fn a_missing_scope_is_named() {
    both(&Script::new(), async |peer: Peer| {
        let scopes: Scopes = ["knowledge:write", "runs:*"].into_iter().collect();
        let call = async { peer.search().search(query("q")).await };
        let status = testing::as_caller(tenant(), scopes, call).await.expect_err("refused");
        let why = (status.code(), reason(&status));
        assert_eq!(why, (Code::PermissionDenied, "SCOPE_MISSING".to_owned()));
        let details = status.get_error_details();
        let scope = details.error_info().and_then(|info| info.metadata.get("scope").cloned());
        assert_eq!(scope.as_deref(), Some("knowledge:read"));

        let scopes: Scopes = ["knowledge:*"].into_iter().collect();
        let call = async { peer.search().search(query("q")).await };
        testing::as_caller(tenant(), scopes, call).await.expect("the area's wildcard");
    })
    .await;
}

#[tokio::test]
async fn a_mesh_method_is_for_acting_services() {
    let script = Script::new().on_record(|_| async { Ok(Response::new(Default::default())) });
    both(&script, async |peer: Peer| {
        let call = || async {
            OutcomeServiceClient::new(peer.channel.clone())
                .record_outcome(RecordOutcomeRequest::default())
                .await
        };
        let status = testing::as_caller(tenant(), Scopes::all(), call()).await.expect_err("a user");
        let why = (status.code(), reason(&status));
        assert_eq!(why, (Code::PermissionDenied, "MESH_ONLY".to_owned()));
        testing::as_service(tenant(), Scopes::default(), call()).await.expect("a service");
    })
    .await;
}

/// What a handler saw of its caller.
#[derive(Debug, Clone)]
struct Seen {
    caller: Caller,
    metadata: Vec<String>,
}

fn telling(seen: Arc<Mutex<Vec<Seen>>>) -> Script {
    Script::new().on_search(move |request| {
        let metadata = request.metadata().keys().map(|key| format!("{key:?}")).collect();
        let caller = Caller::of(&request).map_err(Status::from);
        let seen = seen.clone();
        async move {
            seen.lock().expect("lock").push(Seen { caller: caller?, metadata });
            Ok(found(""))
        }
    })
}

#[tokio::test]
async fn the_handler_sees_the_tokens_tenant_and_no_identity_metadata() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    both(&telling(seen.clone()), async |peer: Peer| {
        for number in [1, 2] {
            let tenant = TenantId::from_u128(number);
            let mut request = tonic::Request::new(query("q"));
            request.metadata_mut().insert("x-mine", "kept".parse().expect("metadata"));
            // What a local client leaves in the request's extensions is no identity either.
            let caller = Caller {
                tenant: TenantId::from_u128(99),
                principal: "forged".into(),
                scopes: Scopes::all(),
                actor: None,
                run: None,
            };
            request.extensions_mut().insert(caller);
            let call = async { peer.search().search(request).await };
            testing::as_caller(tenant, Scopes::all(), call).await.expect("an answer");
            let seen = seen.lock().expect("lock").pop().expect("called");
            assert_eq!((seen.caller.tenant, seen.caller.principal.as_str()), (tenant, "test-user"));
            assert_eq!(seen.caller.actor, None);
            let metadata = seen.metadata.join(" ");
            assert!(metadata.contains("x-mine"), "{metadata}");
            for gone in ["authorization", "traceparent", "grpc-timeout"] {
                assert!(!metadata.contains(gone), "{metadata}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_call_from_a_handler_acts_for_the_user() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    both(&telling(seen.clone()), async |inner: Peer| {
        let channel = inner.channel.clone();
        let outer = Script::new().on_search(move |_| {
            let mut next = SearchServiceClient::new(channel.clone());
            async move { next.search(query("next")).await }
        });
        let outer = match inner.is_local {
            true => testing::local(outer.service()),
            false => testing::remote(outer.service()).await,
        };
        let call = async { SearchServiceClient::new(outer).search(query("q")).await };
        let user: Scopes = ["knowledge:read"].into_iter().collect();
        testing::as_caller(tenant(), user, call).await.expect("an answer");
        let caller = seen.lock().expect("lock").pop().expect("called").caller;
        assert_eq!(caller.tenant, tenant());
        assert_eq!(caller.principal, "test-user");
        assert_eq!(caller.actor.as_deref(), Some("test-service"));
        assert!(caller.scopes.allow("knowledge:read"));
    })
    .await;
}

#[tokio::test]
async fn stored_work_acts_for_its_user_after_the_call() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    both(&telling(seen.clone()), async |peer: Peer| {
        let caller = Caller {
            tenant: tenant(),
            principal: "key_9".into(),
            scopes: Scopes::all(),
            actor: None,
            run: None,
        };
        let stored = serde_json::to_string(&copydesk_rpc::Delegation::of(&caller)).expect("json");
        let delegation = serde_json::from_str(&stored).expect("json");
        let deadline = Some(tokio::time::Instant::now() + Duration::from_secs(5));
        let call = async { peer.search().search(query("q")).await };
        testing::minter().act(&delegation, deadline, "job", call).await.expect("an answer");
        let caller = seen.lock().expect("lock").pop().expect("called").caller;
        assert_eq!((caller.principal.as_str(), caller.actor.as_deref()), ("key_9", Some("test-service")));
    })
    .await;
}

#[tokio::test]
async fn health_and_reflection_need_no_credential() {
    let (_reporter, health) = tonic_health::server::health_reporter();
    let gateway = SigningKey::generate().expect("a key");
    let script = Script::new();
    let stack = || {
        let routes = script.routes().add_service(health.clone());
        let routes = reflection::add(routes, &GRPC_SERVICES, script.descriptors()).expect("reflection");
        let key = SigningKey::from_pkcs8("gateway", &gateway).expect("a key");
        let trust = Trust::new().with("gateway", key.public_key());
        server::stack(
            routes,
            ServerStack {
                access: AccessTable::from_descriptors(script.descriptors()).expect("rules"),
                authenticator: Arc::new(TokenAuthenticator::new(
                    Verifier::new(NAME, trust),
                    testing::minter(),
                )),
                metrics: testing::metrics(),
                limits: Limits { calls: 0, calls_per_tenant: 0, watches: 0, ..Limits::default() },
                trust_trace: true,
            },
        )
    };
    both_stacks(stack, async |peer: Peer| {
        let check = HealthClient::new(peer.channel.clone()).check(HealthCheckRequest::default()).await;
        assert_eq!(check.expect("health answers").into_inner().status, 1);
        assert!(!crate::reflection::list_v1(&peer).await.is_empty());
        assert_eq!(search_with(&peer, None).await.expect_err("the rest does").code(), Code::Unauthenticated);
    })
    .await;
}
