//! `keys`, `token`, `identity`: credentials.
use std::time::Duration;

use anyhow::{Context, bail};
use copydesk_proto::gateway::v1::{
    ApiKey, CreateKeyRequest, GetTenantRequest, ListKeysRequest, RevokeKeyRequest,
};
use copydesk_rpc::Caller;
use copydesk_types::{Scopes, TenantId};

use crate::cli::{ClientArgs, IdentityAction, KeysAction, TokenAction};
use crate::client::{Client, explain};
use crate::identity;

pub(super) async fn keys(action: KeysAction, args: &ClientArgs) -> anyhow::Result<()> {
    let client = Client::connect(args)?;
    client.scope(with_client(&client, action)).await
}

async fn with_client(client: &Client, action: KeysAction) -> anyhow::Result<()> {
    match action {
        KeysAction::Create { name, scopes } => {
            let made =
                client.keys().create_key(CreateKeyRequest { name, scopes }).await.map_err(|s| explain(&s))?;
            let made = made.into_inner();
            outln!(
                "{}\nsecret: {}\nThe secret is not shown again.",
                line(&made.key.unwrap_or_default()),
                made.secret
            )?;
        }
        KeysAction::List => {
            let tenant = client.tenants().get_tenant(GetTenantRequest {}).await.map_err(|s| explain(&s))?;
            let tenant = tenant.into_inner().tenant.unwrap_or_default();
            outln!("tenant {}  {}", tenant.tenant_id, tenant.name)?;
            let mut page_token = String::new();
            loop {
                let request = ListKeysRequest { page_size: 500, page_token };
                let page = client.keys().list_keys(request).await.map_err(|s| explain(&s))?.into_inner();
                for key in &page.keys {
                    outln!("{}", line(key))?;
                }
                page_token = page.next_page_token;
                if page_token.is_empty() {
                    break;
                }
            }
        }
        KeysAction::Revoke { key_id } => {
            let revoked =
                client.keys().revoke_key(RevokeKeyRequest { key_id }).await.map_err(|s| explain(&s))?;
            outln!("{}", line(&revoked.into_inner().key.unwrap_or_default()))?;
        }
    }
    Ok(())
}

fn line(key: &ApiKey) -> String {
    let state = if key.revoke_time.is_some() { "revoked" } else { "holds" };
    format!("{}  {state:<7}  {}  [{}]", key.key_id, key.name, key.scopes.join(" "))
}

pub(super) fn token(action: TokenAction) -> anyhow::Result<()> {
    let TokenAction::Mint { tenant, scopes, ttl, identity, data } = action;
    let tenant: TenantId = tenant.parse().with_context(|| format!("--tenant: `{tenant}`"))?;
    if let Some(bad) = scopes.iter().find(|scope| !Scopes::is_valid(scope)) {
        bail!("--scope: `{bad}` is not of the form area:action");
    }
    let dir = identity.unwrap_or_else(|| data.join("identity"));
    let minter = identity::minter(&dir, copydesk_gateway::NAME)?;
    let principal = "token-mint".to_owned();
    let caller = Caller { tenant, principal, scopes: scopes.into_iter().collect(), actor: None, run: None };
    outln!("{}", minter.user_token(&caller, Duration::from_secs(ttl))?)?;
    Ok(())
}

pub(super) fn identity(action: IdentityAction) -> anyhow::Result<()> {
    let IdentityAction::Init { dir } = action;
    identity::ensure(&dir)?;
    outln!("keys of {} in {}", identity::RANKS.join(", "), dir.display())?;
    Ok(())
}
