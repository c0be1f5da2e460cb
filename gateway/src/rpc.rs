//! The wire form of tenants and keys.
use std::sync::Arc;

use copydesk_proto::gateway::v1::key_service_server::KeyService;
use copydesk_proto::gateway::v1::tenant_service_server::TenantService;
use copydesk_proto::gateway::v1::{
    ApiKey, CreateKeyRequest, CreateKeyResponse, CreateTenantRequest, CreateTenantResponse, GetTenantRequest,
    GetTenantResponse, ListKeysRequest, ListKeysResponse, ListTenantsRequest, ListTenantsResponse,
    RevokeKeyRequest, RevokeKeyResponse, Tenant,
};
use copydesk_rpc::{Caller, ServiceError, Violations, paging};
use copydesk_types::{KeyId, Scopes};
use prost_types::Timestamp;
use tonic::{Request, Response, Status};

use crate::app::Desk;
use crate::ports::{KeyRecord, TenantRecord};

const NAME_LENGTH: usize = 200;
const MAX_SCOPES: usize = 64;
/// All scopes of a key are in every call's identity token, and the token in its metadata.
const SCOPE_LENGTH: usize = 64;

pub(crate) struct Tenants(pub(crate) Arc<Desk>);
pub(crate) struct Keys(pub(crate) Arc<Desk>);

#[tonic::async_trait]
impl TenantService for Tenants {
    async fn create_tenant(
        &self,
        request: Request<CreateTenantRequest>,
    ) -> Result<Response<CreateTenantResponse>, Status> {
        let request = request.into_inner();
        let mut violations = Violations::new();
        check_name(&mut violations, &request.name);
        violations.finish()?;
        let (tenant, key, secret) = self.0.create_tenant(&request.name).await.map_err(ServiceError::from)?;
        Ok(Response::new(CreateTenantResponse { tenant: Some(tenant.into()), key: Some(key.into()), secret }))
    }

    async fn list_tenants(
        &self,
        request: Request<ListTenantsRequest>,
    ) -> Result<Response<ListTenantsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let page = Page::read(&caller, "ListTenants", request.page_size, &request.page_token)?;
        let found = self.0.tenants(page.before.as_deref(), page.fetch()).await.map_err(ServiceError::from)?;
        let (found, next_page_token) = page.cut(found, |tenant| tenant.id.to_string());
        Ok(Response::new(ListTenantsResponse {
            tenants: found.into_iter().map(Into::into).collect(),
            next_page_token,
        }))
    }

    async fn get_tenant(
        &self,
        request: Request<GetTenantRequest>,
    ) -> Result<Response<GetTenantResponse>, Status> {
        let caller = Caller::of(&request)?;
        let tenant = self.0.tenant(caller.tenant).await.map_err(ServiceError::from)?;
        Ok(Response::new(GetTenantResponse { tenant: Some(tenant.into()) }))
    }
}

#[tonic::async_trait]
impl KeyService for Keys {
    async fn create_key(
        &self,
        request: Request<CreateKeyRequest>,
    ) -> Result<Response<CreateKeyResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let mut violations = Violations::new();
        check_name(&mut violations, &request.name);
        let count = request.scopes.len();
        violations.check(
            (1..=MAX_SCOPES).contains(&count),
            "scopes",
            format!("must name 1 to {MAX_SCOPES} scopes"),
        );
        for (i, scope) in request.scopes.iter().enumerate() {
            let good = Scopes::is_valid(scope) && scope.len() <= SCOPE_LENGTH;
            violations.check(
                good,
                format!("scopes[{i}]"),
                format!("`{}` is not of the form area:action", clip(scope)),
            );
        }
        violations.finish()?;
        let scopes = request.scopes.into_iter().collect();
        let made = self.0.create_key(caller.tenant, &caller.scopes, &request.name, scopes).await;
        let (key, secret) = made.map_err(ServiceError::from)?;
        Ok(Response::new(CreateKeyResponse { key: Some(key.into()), secret }))
    }

    async fn list_keys(
        &self,
        request: Request<ListKeysRequest>,
    ) -> Result<Response<ListKeysResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let page = Page::read(&caller, "ListKeys", request.page_size, &request.page_token)?;
        let found = self
            .0
            .keys(caller.tenant, page.before.as_deref(), page.fetch())
            .await
            .map_err(ServiceError::from)?;
        let (found, next_page_token) = page.cut(found, |key| key.id.to_string());
        Ok(Response::new(ListKeysResponse {
            keys: found.into_iter().map(Into::into).collect(),
            next_page_token,
        }))
    }

    async fn revoke_key(
        &self,
        request: Request<RevokeKeyRequest>,
    ) -> Result<Response<RevokeKeyResponse>, Status> {
        let caller = Caller::of(&request)?;
        let mut violations = Violations::new();
        let id: Option<KeyId> = violations.parse("key_id", &request.get_ref().key_id);
        violations.finish()?;
        let id = id.ok_or_else(|| Status::internal("internal error"))?;
        let key = self.0.revoke_key(caller.tenant, id).await.map_err(ServiceError::from)?;
        Ok(Response::new(RevokeKeyResponse { key: Some(key.into()) }))
    }
}

/// A page of a list that is read newest first, its cursor the last id.
struct Page<'a> {
    caller: &'a Caller,
    method: &'static str,
    size: u32,
    before: Option<String>,
}

impl<'a> Page<'a> {
    fn read(caller: &'a Caller, method: &'static str, size: u32, token: &str) -> Result<Self, ServiceError> {
        let mut violations = Violations::new();
        let size = paging::size(size, &mut violations);
        let before = paging::decode(caller.tenant, method, token, &mut violations);
        violations.finish()?;
        Ok(Self { caller, method, size, before })
    }

    /// One more than the page, to know whether another follows.
    fn fetch(&self) -> u32 {
        self.size + 1
    }

    fn cut<T>(&self, mut found: Vec<T>, id: impl Fn(&T) -> String) -> (Vec<T>, String) {
        let more = found.len() > self.size as usize;
        found.truncate(self.size as usize);
        let token = found
            .last()
            .filter(|_| more)
            .map(|last| paging::encode(self.caller.tenant, self.method, &id(last)));
        (found, token.unwrap_or_default())
    }
}

fn check_name(violations: &mut Violations, name: &str) {
    violations.length("name", name, 1, NAME_LENGTH);
    violations.check(!name.contains(char::is_control), "name", "must not contain control characters");
}

fn clip(text: &str) -> String {
    text.chars().take(40).collect()
}

fn timestamp(ms: i64) -> Timestamp {
    Timestamp { seconds: ms.div_euclid(1_000), nanos: (ms.rem_euclid(1_000) * 1_000_000) as i32 }
}

impl From<TenantRecord> for Tenant {
    fn from(tenant: TenantRecord) -> Self {
        let TenantRecord { id, name, created_ms } = tenant;
        Self { tenant_id: id.to_string(), name, create_time: Some(timestamp(created_ms)) }
    }
}

impl From<KeyRecord> for ApiKey {
    fn from(key: KeyRecord) -> Self {
        Self {
            key_id: key.id.to_string(),
            name: key.name,
            scopes: key.scopes.iter().map(str::to_owned).collect(),
            create_time: Some(timestamp(key.created_ms)),
            revoke_time: key.revoked_ms.map(timestamp),
        }
    }
}
