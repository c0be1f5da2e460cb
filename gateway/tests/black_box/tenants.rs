//! Tenants and what separates them.
use copydesk_gateway::Config;
use copydesk_proto::gateway::v1::{
    CreateKeyRequest, CreateTenantRequest, CreateTenantResponse, GetTenantRequest, ListKeysRequest,
    ListTenantsRequest, RevokeKeyRequest,
};
use tonic::Code;

use crate::door::{Door, fields, store, why, with_key};
use crate::script::Script;

async fn door() -> Door {
    Door::local(&Script::new(), Config::default(), store().await).await
}

async fn tenant(door: &Door, name: &str) -> CreateTenantResponse {
    let request = CreateTenantRequest { name: name.to_owned() };
    door.enter(door.tenants().create_tenant(request)).await.expect("made").into_inner()
}

#[tokio::test]
async fn a_new_tenant_has_a_key_for_everything_but_the_platform() {
    let door = door().await;
    let made = tenant(&door, "Nordlicht “é”").await;
    let own = with_key(&made.secret, door.tenants().get_tenant(GetTenantRequest {}))
        .await
        .expect("read")
        .into_inner();
    assert_eq!(own.tenant, made.tenant);
    assert_eq!(own.tenant.expect("a tenant").name, "Nordlicht “é”");
    door.search_with(&made.secret).await.expect("it may search");

    let create = CreateTenantRequest { name: "a third".to_owned() };
    let refused = with_key(&made.secret, door.tenants().create_tenant(create)).await;
    assert_eq!(why(refused), (Code::PermissionDenied, "SCOPE_MISSING".to_owned()));
    let refused = with_key(&made.secret, door.tenants().list_tenants(ListTenantsRequest::default())).await;
    assert_eq!(why(refused), (Code::PermissionDenied, "SCOPE_MISSING".to_owned()));
    let request = CreateKeyRequest { name: "more".to_owned(), scopes: vec!["platform:read".to_owned()] };
    let refused = with_key(&made.secret, door.keys().create_key(request)).await;
    assert_eq!(why(refused), (Code::PermissionDenied, "SCOPES_EXCEEDED".to_owned()));
}

#[tokio::test]
async fn a_name_is_given_once_and_is_well_formed() {
    let door = door().await;
    tenant(&door, "taken").await;
    let again =
        door.enter(door.tenants().create_tenant(CreateTenantRequest { name: "taken".to_owned() })).await;
    assert_eq!(why(again), (Code::AlreadyExists, "ALREADY_EXISTS".to_owned()));
    for bad in [String::new(), "é".repeat(201), "nul\0".to_owned(), "two\nlines".to_owned()] {
        let answer =
            door.enter(door.tenants().create_tenant(CreateTenantRequest { name: bad.clone() })).await;
        let status = answer.expect_err("refused");
        assert_eq!(
            (status.code(), fields(&status)),
            (Code::InvalidArgument, vec!["name".to_owned()]),
            "{bad:?}"
        );
    }
    tenant(&door, &"é".repeat(200)).await;
    let all = door
        .enter(door.tenants().list_tenants(ListTenantsRequest::default()))
        .await
        .expect("read")
        .into_inner();
    assert_eq!(all.tenants.len(), 3, "nothing was stored of what was refused");
}

#[tokio::test]
async fn tenants_page_newest_first() {
    let door = door().await;
    for n in 0..6 {
        tenant(&door, &format!("tenant {n}")).await;
    }
    let (mut names, mut page_token) = (Vec::new(), String::new());
    for size in [2, 2, 2, 1] {
        let request = ListTenantsRequest { page_size: 2, page_token };
        let page = door.enter(door.tenants().list_tenants(request)).await.expect("read").into_inner();
        assert_eq!(page.tenants.len(), size);
        names.extend(page.tenants.into_iter().map(|tenant| tenant.name));
        page_token = page.next_page_token;
        assert_eq!(page_token.is_empty(), size == 1, "only the last page has no successor");
    }
    let expected = ["tenant 5", "tenant 4", "tenant 3", "tenant 2", "tenant 1", "tenant 0", "default"];
    assert_eq!(names, expected);
}

#[tokio::test]
async fn a_stranger_sees_and_changes_nothing() {
    let door = door().await;
    let (mine, theirs) = (tenant(&door, "mine").await, tenant(&door, "theirs").await);
    for n in 0..3 {
        let request = CreateKeyRequest { name: format!("key {n}"), scopes: vec!["keys:read".to_owned()] };
        with_key(&mine.secret, door.keys().create_key(request)).await.expect("made");
    }
    let key_id = mine.key.expect("a key").key_id;
    let refused =
        with_key(&theirs.secret, door.keys().revoke_key(RevokeKeyRequest { key_id: key_id.clone() })).await;
    assert_eq!(why(refused), (Code::NotFound, "NOT_FOUND".to_owned()));
    door.search_with(&mine.secret).await.expect("it still holds");

    let list = |page_size, page_token| ListKeysRequest { page_size, page_token };
    let page = with_key(&mine.secret, door.keys().list_keys(list(2, String::new())))
        .await
        .expect("read")
        .into_inner();
    assert_eq!(page.keys.len(), 2);
    let foreign =
        with_key(&theirs.secret, door.keys().list_keys(list(2, page.next_page_token.clone()))).await;
    let status = foreign.expect_err("refused");
    assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, vec!["page_token".to_owned()]));
    let rest =
        with_key(&mine.secret, door.keys().list_keys(list(2, page.next_page_token))).await.expect("read");
    assert_eq!(
        rest.get_ref().keys.last().map(|key| &key.key_id),
        Some(&key_id),
        "the first key is the last listed"
    );
    let own = with_key(&theirs.secret, door.keys().list_keys(list(0, String::new())))
        .await
        .expect("read")
        .into_inner();
    assert_eq!(own.keys.len(), 1);

    let status =
        with_key(&mine.secret, door.keys().list_keys(list(501, "x".to_owned()))).await.expect_err("refused");
    assert_eq!(fields(&status), ["page_size", "page_token"]);
}
