//! API keys in, identity tokens out.
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use copydesk_rpc::server::{Authenticator, bearer};
use copydesk_rpc::{CallContext, Caller, Kind, MethodAccess, Minter, ServiceError};
use copydesk_types::KeyId;
use http::{HeaderMap, HeaderValue};
use moka::sync::Cache;

use crate::app::Desk;
use crate::quota::Quota;

/// A token outlives the time for which it is used again, so that it is good on arrival.
const LIFETIME: Duration = Duration::from_secs(120);
const REUSE: Duration = Duration::from_secs(60);

/// Recognises keys, charges quotas, and mints one token per key and minute.
pub(crate) struct KeyAuthenticator {
    desk: Arc<Desk>,
    quota: Arc<Quota>,
    minter: Minter,
    tokens: Cache<String, HeaderValue>,
}

impl KeyAuthenticator {
    pub(crate) fn new(desk: Arc<Desk>, quota: Arc<Quota>, minter: Minter) -> Self {
        let tokens = Cache::builder().max_capacity(100_000).time_to_live(REUSE).build();
        Self { desk, quota, minter, tokens }
    }

    fn mint(&self, caller: &Caller) -> Result<HeaderValue, ServiceError> {
        let token = self.minter.user_token(caller, LIFETIME).map_err(ServiceError::internal)?;
        let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(ServiceError::internal)?;
        value.set_sensitive(true);
        Ok(value)
    }
}

#[async_trait]
impl Authenticator for KeyAuthenticator {
    async fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, ServiceError> {
        let key = self.desk.recognise(bearer(headers)?).await?;
        let key = key.ok_or_else(|| {
            ServiceError::new(Kind::Unauthenticated, "BAD_CREDENTIAL", "the key is not valid or was revoked")
        })?;
        Ok(Caller {
            tenant: key.tenant,
            principal: key.id.to_string(),
            scopes: key.scopes.clone(),
            actor: None,
            run: None,
        })
    }

    fn admit(&self, caller: &Caller, access: &MethodAccess) -> Result<(), ServiceError> {
        debug_assert!(caller.principal.starts_with(KeyId::PREFIX));
        self.quota.charge(&caller.principal, access)
    }

    fn context(&self, caller: &Caller) -> Result<CallContext, ServiceError> {
        if let Some(value) = self.tokens.get(&caller.principal) {
            return Ok(CallContext::bearer(value));
        }
        let value = self.mint(caller)?;
        self.tokens.insert(caller.principal.clone(), value.clone());
        Ok(CallContext::bearer(value))
    }
}
