//! Tenants see nothing of each other, keys do what their scopes say and no more. The walk goes over every method of
//! every contract: a new method without a case here fails the test.
#![allow(clippy::expect_used, reason = "a test says what it expects")]
use std::collections::BTreeSet;

use crate::support::contracts::{Method, methods};
use crate::support::walk::{Expect, Things, case, nobody, things};
use crate::support::*;
use bytes::Bytes;
use copydesk_proto::agent_orchestrator::v1 as runs;
use copydesk_proto::gateway::v1::{CreateKeyRequest, CreateTenantRequest, ListKeysRequest, RevokeKeyRequest};
use copydesk_testkit::client::{Client, Refusal};
use serde_json::Value;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Ends up in everything that the first tenant stores and nowhere else.
const MARK: &str = "Quendale";

async fn tenant(house: &House, name: &str) -> Client {
    let request = CreateTenantRequest { name: name.to_owned() };
    let made = house.client.tenants().create_tenant(request).await.expect("a tenant").into_inner();
    house.client.with_key(Some(&made.secret)).expect("a client")
}

async fn call(client: &Client, method: &Method, messages: &[Value]) -> Result<Vec<Bytes>, Status> {
    let messages = messages.iter().map(|message| method.request(message)).collect();
    within(client.call(&method.name, messages)).await
}

/// Everything that a tenant can read, in one text.
async fn all_of(client: &Client, mine: &Things) -> String {
    let mut all = String::new();
    for method in methods().iter().filter(|method| method.is_read()) {
        let answers = match case(&method.name, mine) {
            Some(case) if !matches!(case.expect, Expect::Denied | Expect::Reason(_)) => {
                call(client, method, &case.messages).await
            }
            _ => continue,
        };
        for answer in answers.unwrap_or_else(|status| panic!("{}: {status:?}", method.name)) {
            let mut answer = method.response(answer);
            // A lesson's score is for the moment of the question: it fades with time.
            for lesson in answer["lessons"].as_array_mut().into_iter().flatten() {
                lesson["score"] = Value::Null;
            }
            all.push_str(&format!("{} {answer}\n", method.name));
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_sees_and_changes_nothing() {
    let house = House::start().await;
    let (owner, stranger) = (tenant(&house, MARK).await, tenant(&house, "Stranger").await);
    let mine = things(&owner, MARK).await;
    let before = all_of(&owner, &mine).await;
    assert!(before.matches(MARK).count() > 20, "the owner's data is marked: {before}");

    let mut missing = Vec::new();
    for method in methods().iter().filter(|method| method.public) {
        let (Some(theirs), Some(nobodys)) = (case(&method.name, &mine), case(&method.name, &nobody())) else {
            missing.push(method.name.clone());
            continue;
        };
        let answer = call(&stranger, method, &theirs.messages).await;
        match (&answer, theirs.expect) {
            (Err(status), Expect::NotFound) => {
                assert_eq!(status.code(), Code::NotFound, "{}: {status}", method.name)
            }
            (Err(status), Expect::Reason(reason)) => {
                assert_eq!(Refusal::of(status).reason, reason, "{}", method.name)
            }
            (Err(status), Expect::Denied) => {
                assert_eq!(Refusal::of(status).reason, "SCOPE_MISSING", "{}", method.name)
            }
            (Ok(answers), Expect::Empty(list)) => {
                for answer in answers {
                    let answer = method.response(answer.clone());
                    assert!(answer.get(list).is_none(), "{}: {answer}", method.name);
                }
            }
            (Ok(answers), Expect::Errors(list)) => {
                for answer in answers {
                    let answer = method.response(answer.clone());
                    let results = answer[list].as_array().expect("a list");
                    let code = i32::from(Code::NotFound);
                    assert!(!results.is_empty() && results.iter().all(|one| one["error"]["code"] == code));
                }
            }
            (Ok(_), Expect::Own) => {}
            (answer, expect) => panic!("{}: {expect:?} was expected, not {answer:?}", method.name),
        }
        let sent = theirs.messages.iter().map(Value::to_string).collect::<String>();
        for answer in answer.iter().flatten() {
            let answer = method.response(answer.clone()).to_string();
            for word in mine.words(MARK).iter().filter(|word| !sent.contains(**word)) {
                assert!(!answer.contains(word), "{} tells a stranger {word}: {answer}", method.name);
            }
        }
        // What is another's and what is not there look alike, or ids could be probed.
        if let Err(status) = answer {
            let other = call(&stranger, method, &nobodys.messages).await.expect_err("nobody has it");
            assert_eq!(Refusal::of(&status), Refusal::of(&other), "{}", method.name);
        }
    }
    assert!(missing.is_empty(), "add a case in support/walk.rs for {missing:?}");
    let after = all_of(&owner, &mine).await;
    for (before, after) in before.lines().zip(after.lines()) {
        assert_eq!(before, after, "a stranger changed something");
    }
    assert_eq!(before.lines().count(), after.lines().count());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strangers_knowledge_is_never_drawn_on() {
    let house = House::start().await;
    let (owner, stranger) = (tenant(&house, "Owner").await, tenant(&house, "Stranger").await);
    let mine = things(&owner, MARK).await;
    // A brand may name any id; what another tenant has under it stays out of reach.
    let theirs = brand(&stranger, "Theirs", vec![mine.knowledge_base.clone()]).await;
    let run = create_run(&stranger, post(&theirs.brand_id)).await;
    events(&stranger, &run.run_id, 0).await;
    let run = get_run(&stranger, &run.run_id).await;
    assert_eq!(run.state(), runs::RunState::Failed);
    assert!(run.result.is_none() && !format!("{run:?}").contains(MARK), "{run:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn page_tokens_are_good_for_their_tenant_only() {
    let house = House::start().await;
    let (owner, stranger) = (tenant(&house, "Owner").await, tenant(&house, "Stranger").await);
    let mine = things(&owner, MARK).await;
    let lists: Vec<&Method> =
        methods().iter().filter(|method| method.public && method.has_field("page_token")).collect();
    assert!(lists.len() >= 9, "{} lists", lists.len());
    for method in lists {
        let mut message = case(&method.name, &mine).expect("a case").messages.remove(0);
        message["pageSize"] = 1.into();
        let platform = method.scope.starts_with("platform:");
        let (asks, reads) = if platform { (&house.client, &house.client) } else { (&owner, &stranger) };
        let first = call(asks, method, std::slice::from_ref(&message)).await.expect("a page").remove(0);
        message["pageToken"] = method.response(first)["nextPageToken"].clone();
        assert!(message["pageToken"].is_string(), "{}: the owner has more than one", method.name);
        let next = call(asks, method, std::slice::from_ref(&message)).await.expect("the owner's next page");
        assert_eq!(next.len(), 1);
        // All tenants are listed by the platform's operator only: there the token of another list is the foreign one.
        if platform {
            let token = "pageToken";
            let keys = ListKeysRequest {
                page_size: 0,
                page_token: message[token].as_str().expect("text").to_owned(),
            };
            let refused = house.client.keys().list_keys(keys).await.expect_err("another list's token");
            assert_eq!(Refusal::of(&refused).fields, ["page_token"]);
            continue;
        }
        let refused = call(reads, method, &[message]).await.expect_err("a stranger's token");
        let expected = Refusal {
            code: Code::InvalidArgument,
            reason: "INVALID_FIELDS".to_owned(),
            fields: vec!["page_token".to_owned()],
        };
        assert_eq!(Refusal::of(&refused), expected, "{}", method.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_method_asks_who_calls_and_whether_they_may() {
    let house = House::start().await;
    let owner = tenant(&house, "Owner").await;
    let scopes: BTreeSet<&str> =
        methods().iter().map(|m| m.scope.as_str()).filter(|s| !s.starts_with("platform:")).collect();
    let without_key = owner.with_key(None).expect("a client");
    let garbage =
        ["cdk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "not-a-key", "eyJhbGciOiJub25lIn0.e30."];
    let garbage = garbage.map(|key| owner.with_key(Some(key)).expect("a client"));
    let mut lacking = std::collections::BTreeMap::new();
    for missing in &scopes {
        let rest = scopes.iter().filter(|scope| *scope != missing).map(|scope| (*scope).to_owned()).collect();
        let request = CreateKeyRequest { name: format!("all but {missing}"), scopes: rest };
        let secret = owner.keys().create_key(request).await.expect("a key").into_inner().secret;
        lacking.insert(*missing, owner.with_key(Some(&secret)).expect("a client"));
    }
    for method in methods().iter().filter(|method| method.public) {
        let messages = case(&method.name, &nobody()).expect("a case").messages;
        let refused = async |client: &Client| {
            Refusal::of(&call(client, method, &messages).await.expect_err(&method.name))
        };
        let refusal = |code, reason: &str| Refusal { code, reason: reason.to_owned(), fields: Vec::new() };
        assert_eq!(
            refused(&without_key).await,
            refusal(Code::Unauthenticated, "NO_CREDENTIAL"),
            "{}",
            method.name
        );
        for client in &garbage {
            assert_eq!(
                refused(client).await,
                refusal(Code::Unauthenticated, "BAD_CREDENTIAL"),
                "{}",
                method.name
            );
        }
        let without_scope = lacking.get(method.scope.as_str()).unwrap_or(&owner);
        let denied = refusal(Code::PermissionDenied, "SCOPE_MISSING");
        assert_eq!(refused(without_scope).await, denied, "{}", method.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_door_knows_no_methods_of_the_mesh() {
    let house = House::start().await;
    let mesh: Vec<&Method> = methods().iter().filter(|method| !method.public).collect();
    assert!(!mesh.is_empty(), "RecordOutcome, at least");
    let unknown = ["copydesk.learning.v1.BrandService/DropBrands", "copydesk.nothing.v1.X/Y", "x/y"];
    for name in mesh.iter().map(|method| method.name.as_str()).chain(unknown) {
        let status = within(house.client.call(name, vec![Bytes::new()])).await.expect_err(name);
        assert_eq!(status.code(), Code::Unimplemented, "{name}: {status}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_key_is_refused_at_once() {
    let house = House::start().await;
    let request = CreateKeyRequest { name: "short-lived".to_owned(), scopes: vec!["*".to_owned()] };
    let made = house.client.keys().create_key(request).await.expect("a key").into_inner();
    let client = house.client.with_key(Some(&made.secret)).expect("a client");
    for _ in 0..3 {
        client.runs().list_runs(runs::ListRunsRequest::default()).await.expect("it holds");
    }
    let key_id = made.key.expect("a key").key_id;
    house.client.keys().revoke_key(RevokeKeyRequest { key_id }).await.expect("revoked");
    for _ in 0..3 {
        let status = client.runs().list_runs(runs::ListRunsRequest::default()).await.expect_err("revoked");
        assert_eq!(
            (status.code(), Refusal::of(&status).reason.as_str()),
            (Code::Unauthenticated, "BAD_CREDENTIAL")
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_eleventh_run_of_a_minute_waits() {
    let house = House::start_with(&[("gateway.rate_limits.generate", "10")]).await;
    let client = &house.client;
    let brand = stocked_brand(client, "Chillwright", documents(&["products"])).await;
    // One wish eleven times: the limit counts calls, whatever they ask for, and one run is enough work.
    let request = runs::CreateRunRequest { request_id: request_id(), spec: Some(post(&brand.brand_id)) };
    for _ in 0..10 {
        client.runs().create_run(request.clone()).await.expect("within the limit");
    }
    let refused = client.runs().create_run(request.clone()).await.expect_err("the eleventh");
    assert_eq!(
        (refused.code(), Refusal::of(&refused).reason.as_str()),
        (Code::ResourceExhausted, "RATE_LIMITED")
    );
    let details = refused.get_error_details();
    let wait = details.retry_info().and_then(|info| info.retry_delay).expect("when to try again");
    assert!(!wait.is_zero() && wait.as_secs() <= 6, "ten a minute is one every six seconds, not {wait:?}");
    let quota = details.quota_failure().expect("which quota").violations.clone();
    assert!(
        quota.iter().any(|q| q.subject.starts_with("key_") && q.description.contains("10 generate")),
        "{quota:?}"
    );

    // Other calls and other keys go on.
    client.runs().list_runs(runs::ListRunsRequest::default()).await.expect("reads have their own limit");
    let other = CreateKeyRequest { name: "other".to_owned(), scopes: vec!["*".to_owned()] };
    let other = client.keys().create_key(other).await.expect("a key").into_inner();
    let other = client.with_key(Some(&other.secret)).expect("a client");
    other.runs().create_run(request).await.expect("another key has its own limit");
}
