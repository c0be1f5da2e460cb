//! Who the peer sees: the key's tenant and id, never the key.
use std::sync::{Arc, Mutex};

use copydesk_gateway::Config;
use copydesk_proto::gateway::v1::{CreateTenantRequest, GetTenantRequest, ListKeysRequest};
use copydesk_rpc::{Caller, testing};
use copydesk_types::{Scopes, TenantId};
use tonic::{Request, Status};

use crate::door::{Door, Identity, Wiring, every_wiring, found, query, store, with_key};
use crate::script::Script;
use crate::spy::{self, send, spy};

type Seen = Arc<Mutex<Vec<(Caller, Vec<String>)>>>;

/// Writes down who called, and the names of the metadata that came along.
fn telling(seen: Seen) -> Script {
    Script::new().on_search(move |request| {
        let names = request.metadata().keys().map(|key| format!("{key:?}")).collect();
        let caller = Caller::of(&request).map_err(Status::from);
        let seen = seen.clone();
        async move {
            seen.lock().expect("lock").push((caller?, names));
            Ok(found(""))
        }
    })
}

#[tokio::test]
async fn the_peer_sees_the_keys_tenant_and_id() {
    every_wiring(async |wiring| {
        let (seen, identity) = (Seen::default(), Identity::new());
        let door = Door::open(wiring, &identity, identity.stack(&telling(seen.clone()))).await;
        let made = door
            .enter(door.tenants().create_tenant(CreateTenantRequest { name: "another".to_owned() }))
            .await;
        let made = made.expect("made").into_inner();
        let (key, tenant) = (made.key.expect("a key"), made.tenant.expect("a tenant"));
        let (reader, reader_secret) = door.make_key("a reader", &["knowledge:read", "keys:read"]).await;
        let own = with_key(&reader_secret, door.tenants().get_tenant(GetTenantRequest {})).await;
        let own = own.expect("an answer").into_inner().tenant.expect("a tenant");

        let callers = [
            (&made.secret, &tenant.tenant_id, &key.key_id, vec!["*"]),
            (&reader_secret, &own.tenant_id, &reader.key_id, vec!["keys:read", "knowledge:read"]),
        ];
        for (secret, tenant, key, scopes) in callers {
            let mut request = Request::new(query("q"));
            for name in ["x-copydesk-tenant", "x-copydesk-principal", "x-copydesk-actor"] {
                request.metadata_mut().insert(name, "forged".parse().expect("metadata"));
            }
            with_key(secret, door.search().search(request)).await.expect("an answer");
            let (caller, names) = seen.lock().expect("lock").pop().expect("called");
            assert_eq!((&caller.tenant.to_string(), &caller.principal), (tenant, key), "{wiring:?}");
            assert_eq!(caller.scopes.iter().collect::<Vec<_>>(), scopes, "{wiring:?}");
            assert_eq!((caller.actor, caller.run), (None, None), "{wiring:?}: nobody acts for a key");
            let names = names.join(" ");
            assert!(!names.contains("x-copydesk") && !names.contains("authorization"), "{wiring:?}: {names}");
        }
        assert_ne!(tenant.tenant_id, own.tenant_id);
    })
    .await;
}

#[tokio::test]
async fn a_client_cannot_bring_an_identity_of_its_own() {
    let (seen, identity) = (Seen::default(), Identity::new());
    let door = Door::open(Wiring::InProcess, &identity, identity.stack(&telling(seen.clone()))).await;
    // In process a client could leave an identity in the request's extensions; it must not reach the peer.
    let mut request = Request::new(query("q"));
    let stranger = Caller {
        tenant: TenantId::from_u128(99),
        principal: "forged".to_owned(),
        scopes: Scopes::all(),
        actor: Some("learning".to_owned()),
        run: None,
    };
    request.extensions_mut().insert(stranger.clone());
    door.enter(door.search().search(request)).await.expect("an answer");
    let (caller, _) = seen.lock().expect("lock").pop().expect("called");
    assert_ne!((caller.tenant, caller.principal), (stranger.tenant, stranger.principal));
    // A token that only the mesh may hold is no key.
    let token = testing::user_token(TenantId::from_u128(1), Scopes::all());
    let token = token.to_str().expect("text").trim_start_matches("Bearer ").to_owned();
    let refused = door.search_with(&token).await.expect_err("refused");
    assert_eq!(refused.code(), tonic::Code::Unauthenticated);
}

#[tokio::test]
async fn one_token_a_key_serves_many_calls() {
    let (peer, calls) = spy(|_| spy::empty());
    let door = Door::open(Wiring::InProcess, &Identity::new(), peer).await;
    let (_, other) = door.make_key("another", &["knowledge:read"]).await;
    let mut tokens = Vec::new();
    for secret in [&door.secret, &other, &door.secret, &other] {
        let path = "/copydesk.retrieval.v1.SearchService/Search";
        send(&door.channel, spy::call(path, secret, tonic::body::Body::default())).await;
        tokens.push(calls.pop().headers["authorization"].clone());
    }
    assert_eq!((&tokens[0], &tokens[1]), (&tokens[2], &tokens[3]), "minted once");
    assert_ne!(tokens[0], tokens[1], "and for each key");
}

#[tokio::test]
async fn the_doors_own_services_see_the_same_caller() {
    let door = Door::local(&Script::new(), Config::default(), store().await).await;
    let (key, secret) = door.make_key("a keeper", &["keys:read"]).await;
    let listed = with_key(&secret, door.keys().list_keys(ListKeysRequest::default())).await;
    let listed = listed.expect("an answer").into_inner().keys;
    assert_eq!(listed.first().map(|first| &first.key_id), Some(&key.key_id), "newest first");
    assert_eq!(listed.len(), 2);
}
