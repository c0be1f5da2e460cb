//! For black-box tests: a service behind its full server stack, in process and over loopback, with keys made for the
//! test process. Nothing here is for production: the keys are random and known to every test.
use std::future::Future;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use copydesk_types::{Scopes, TenantId};
use http::HeaderValue;
use tokio_util::sync::CancellationToken;

use crate::server::{self, Limits, ServerStack, TokenAuthenticator, TransportOptions};
use crate::{
    AccessTable, CallContext, Caller, Channel, Delegation, HttpService, Minter, RpcMetrics, Service,
    ServiceContext, SigningKey, Trust, Verifier,
};

const ACTOR: &str = "test-service";

struct Keys {
    gateway: Minter,
    service: Vec<u8>,
    trust: Trust,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let key = || SigningKey::generate().unwrap_or_default();
    let (gateway, service) = (key(), key());
    let open = |issuer: &str, bytes: &[u8]| match SigningKey::from_pkcs8(issuer, bytes) {
        Ok(key) => key,
        Err(error) => unreachable!("a key that was just made: {error}"),
    };
    let trust = Trust::new()
        .with("gateway", open("gateway", &gateway).public_key())
        .with(ACTOR, open(ACTOR, &service).public_key());
    Keys { gateway: Minter::new(open("gateway", &gateway), ["mesh"], Scopes::default()), service, trust }
});

/// A minter that every stack of this module believes, acting as `test-service` with every scope.
pub fn minter() -> Minter {
    match SigningKey::from_pkcs8(ACTOR, &KEYS.service) {
        Ok(key) => Minter::new(key, ["mesh"], Scopes::all()),
        Err(error) => unreachable!("a key that was just made: {error}"),
    }
}

/// A context for `build`, with `dir` as the service's folder.
pub fn context(dir: &Path) -> ServiceContext {
    ServiceContext {
        data_dir: dir.to_path_buf(),
        minter: minter(),
        meter: opentelemetry::global::meter("test"),
    }
}

/// The service behind its stack. Its tasks run until the runtime of the test ends.
pub fn stack(service: Service) -> HttpService {
    stack_until(service, CancellationToken::new())
}

/// The same; its tasks are cancelled by `stop`.
pub fn stack_until(service: Service, stop: CancellationToken) -> HttpService {
    for task in service.tasks {
        tokio::spawn((task.run)(stop.child_token()));
    }
    let access = match AccessTable::from_descriptors(service.descriptors) {
        Ok(access) => access,
        Err(error) => unreachable!("descriptors without rules: {error}"),
    };
    let verifier = Verifier::new(service.name, KEYS.trust.clone());
    let authenticator = Arc::new(TokenAuthenticator::new(verifier, minter()));
    let config = ServerStack {
        access,
        authenticator,
        metrics: metrics(),
        limits: Limits::default(),
        trust_trace: true,
    };
    server::stack(service.routes, config)
}

/// The service in process.
pub fn local(service: Service) -> Channel {
    let name = service.name;
    Channel::local(name, stack(service), metrics())
}

/// The service over a loopback port.
pub async fn remote(service: Service) -> Channel {
    let name = service.name;
    remote_stack(name, stack(service), CancellationToken::new()).await
}

/// Any stack over a loopback port, until `stop`.
pub async fn remote_stack(name: &str, stack: HttpService, stop: CancellationToken) -> Channel {
    let listener = match tokio::net::TcpListener::bind("127.0.0.1:0").await {
        Ok(listener) => listener,
        Err(error) => unreachable!("no loopback port: {error}"),
    };
    let address = listener.local_addr().map(|a| a.to_string()).unwrap_or_default();
    let options = TransportOptions { drain: Duration::from_secs(1), ..TransportOptions::default() };
    tokio::spawn(server::listen(listener, stack, options, stop));
    let uri = http::Uri::try_from(format!("http://{address}")).unwrap_or_default();
    Channel::remote(name, uri, metrics())
}

/// Instruments that go nowhere.
pub fn metrics() -> RpcMetrics {
    RpcMetrics::new(&opentelemetry::global::meter("test"))
}

/// The `authorization` value of a user of `tenant`.
pub fn user_token(tenant: TenantId, scopes: Scopes) -> HeaderValue {
    let caller = Caller { tenant, principal: "test-user".to_owned(), scopes, actor: None, run: None };
    let token = KEYS.gateway.user_token(&caller, Duration::from_secs(600)).unwrap_or_default();
    HeaderValue::try_from(format!("Bearer {token}")).unwrap_or_else(|_| HeaderValue::from_static("Bearer"))
}

/// Runs `work` as a user of `tenant`: calls made inside carry their identity.
pub async fn as_caller<F: Future>(tenant: TenantId, scopes: Scopes, work: F) -> F::Output {
    CallContext::bearer(user_token(tenant, scopes)).scope(work).await
}

/// Runs `work` as a service of the mesh acting for a user of `tenant`.
pub async fn as_service<F: Future>(tenant: TenantId, scopes: Scopes, work: F) -> F::Output {
    let delegation = Delegation {
        tenant,
        principal: "test-user".to_owned(),
        scopes: scopes.iter().map(str::to_owned).collect(),
        run: None,
        traceparent: None,
    };
    CallContext::delegated(minter(), delegation).scope(work).await
}
