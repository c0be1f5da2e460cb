//! The service as the program serves it: its layers, its telemetry, its database and its queue on the disk.
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use copydesk_llm_router::{Config, ModelConfig, NAME, Peers, ProviderConfig, build};
use copydesk_rpc::server::{self, Limits, ServerStack, TokenAuthenticator, TransportOptions};
use copydesk_rpc::{AccessTable, Caller, Minter, RpcMetrics, ServiceContext, SigningKey, Trust, Verifier};
use copydesk_runtime::telemetry;
use copydesk_store::DatabaseConfig;
use copydesk_types::{Scopes, TenantId};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How many tenants call. The stack lets no tenant have a thousand streams.
pub const TENANTS: u128 = 8;

/// Who the callers are, as tokens, and the service that believes them. Serves for ever.
pub async fn serve(
    listener: TcpListener,
    upstream: &str,
    folder: &Path,
    ready: impl FnOnce(Vec<String>),
) -> anyhow::Result<()> {
    let telemetry = telemetry::start(&telemetry::TelemetryConfig::default(), NAME)?;
    let key = |issuer: &str| SigningKey::from_pkcs8(issuer, &SigningKey::generate()?);
    let (gateway, own) = (key("gateway")?, key(NAME)?);
    let trust = Trust::new().with("gateway", gateway.public_key()).with(NAME, own.public_key());
    let minter = Minter::new(own, ["mesh"], Scopes::all());
    let meter = telemetry.meter(NAME);
    let context =
        ServiceContext { data_dir: folder.to_owned(), minter: minter.clone(), meter: meter.clone() };
    let database = DatabaseConfig::file(folder.join("router.sqlite3"));
    let service = build(config(upstream), &database, context, Peers::default(), None).await?;
    let stop = CancellationToken::new();
    for task in service.tasks {
        tokio::spawn((task.run)(stop.child_token()));
    }
    let stack = ServerStack {
        access: AccessTable::from_descriptors(service.descriptors)?,
        authenticator: Arc::new(TokenAuthenticator::new(Verifier::new(NAME, trust), minter)),
        metrics: RpcMetrics::new(&meter),
        limits: Limits::default(),
        trust_trace: true,
    };
    ready(tokens(&Minter::new(gateway, ["mesh"], Scopes::default()))?);
    server::listen(listener, server::stack(service.routes, stack), TransportOptions::default(), stop).await;
    Ok(())
}

/// One provider with one model that has a price, and the offline writer behind it, as usual.
fn config(upstream: &str) -> Config {
    let model = ModelConfig {
        name: "m".into(),
        input_nanos_per_million: 150_000_000,
        output_nanos_per_million: 600_000_000,
        context_tokens: 128_000,
        ..ModelConfig::default()
    };
    let provider = ProviderConfig {
        name: "p".into(),
        kind: "openai".into(),
        base_url: Some(format!("http://{upstream}/v1")),
        models: vec![model],
        ..ProviderConfig::default()
    };
    Config { providers: vec![provider], ..Config::default() }
}

fn tokens(minter: &Minter) -> anyhow::Result<Vec<String>> {
    let token = |tenant| {
        let caller = Caller {
            tenant: TenantId::from_u128(tenant),
            principal: "bench".to_owned(),
            scopes: Scopes::all(),
            actor: None,
            run: None,
        };
        Ok(minter.user_token(&caller, Duration::from_secs(7_200))?)
    };
    (1..=TENANTS).map(token).collect()
}
