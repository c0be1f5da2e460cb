//! `up` and `serve`: run until told to stop.
use copydesk_runtime::{Telemetry, telemetry};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{ServeArgs, ServiceName};
use crate::config::Config;
use crate::mesh::{Mesh, Topology};
use crate::reload::{Reloader, Source};

pub(super) async fn up(args: ServeArgs) -> anyhow::Result<()> {
    serve(args, Topology::All, "copydesk").await
}

pub(super) async fn one(service: ServiceName, args: ServeArgs) -> anyhow::Result<()> {
    serve(args, Topology::One(service.name()), service.name()).await
}

async fn serve(args: ServeArgs, topology: Topology, name: &'static str) -> anyhow::Result<()> {
    let ServeArgs { source, listen, admin } = args;
    let mut flags = source.settings;
    flags.extend(listen.map(|text| ("server.listen".to_owned(), text)));
    flags.extend(admin.map(|text| ("server.admin".to_owned(), text)));
    let data = source.data.clone();
    let mut source = Source::new(source.config, source.data, flags);
    let config = source.load().await?;
    let telemetry = telemetry::start(&config.telemetry, name)?;
    // Asked for before the mesh starts, so that a signal during the start is not lost.
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let hang_up = signal(SignalKind::hangup())?;
    let (reloader, updates) = Reloader::new(source, config.clone());
    let mesh = tokio::select! {
        mesh = Mesh::start(&config, &data, topology, &telemetry, Some(updates)) => mesh?,
        _ = terminate.recv() => return end(telemetry).await,
        _ = interrupt.recv() => return end(telemetry).await,
    };
    if let Err(error) = announce(&mesh, &config, topology) {
        tracing::warn!(%error, "standard output cannot be written");
    }
    let died = tokio::select! {
        _ = terminate.recv() => false,
        _ = interrupt.recv() => false,
        () = mesh.died() => true,
        () = reloader.run(hang_up) => true,
    };
    tracing::info!("stopping: calls in flight go on to their end");
    tokio::select! {
        () = mesh.stop() => {}
        // Asked twice, a person means it.
        _ = interrupt.recv() => tracing::warn!("stopped at once"),
    }
    end(telemetry).await?;
    // Not a success: whoever started this should start it again.
    anyhow::ensure!(!died, "background work died; see the log");
    Ok(())
}

async fn end(telemetry: Telemetry) -> anyhow::Result<()> {
    telemetry.shutdown().await;
    Ok(())
}

/// Adds the models that the surroundings offer, unless some are configured.
pub(crate) async fn discover(config: &mut Config) {
    let router = &mut config.llm_router;
    if !router.discovery || !router.providers.is_empty() {
        return;
    }
    router.providers = copydesk_llm_router::discover(&|name| std::env::var(name).ok());
    if router.providers.is_empty() {
        let host = std::env::var("OLLAMA_HOST").ok().filter(|host| host.starts_with("http"));
        let host = host.unwrap_or_else(|| "http://127.0.0.1:11434".to_owned());
        router.providers.extend(copydesk_llm_router::discover_ollama(&host).await);
    }
}

/// Who writes, and what that means for the documents. To be said before there is work.
pub(crate) fn writer(config: &Config) -> String {
    let router = &config.llm_router;
    let models: Vec<_> = router
        .providers
        .iter()
        .flat_map(|p| p.models.iter().map(move |model| format!("{}/{}", p.name, model.name)))
        .collect();
    match models.len() {
        0 if !router.providers.is_empty() => "writing with the offline writer (configured)".to_owned(),
        0 if !router.discovery => "writing with the offline writer (discovery is off)".to_owned(),
        0 => "writing with the offline writer (no key found)".to_owned(),
        number => {
            let them = if number == 1 { "it" } else { "them" };
            format!("writing with {}: passages of your documents are sent to {them}", models.join(", "))
        }
    }
}

fn announce(mesh: &Mesh, config: &Config, topology: Topology) -> std::io::Result<()> {
    match topology {
        Topology::All => {
            outln!("copydesk is up: gRPC on {}, metrics and health on http://{}", mesh.address, mesh.admin)?;
            outln!("  {}", writer(config))?;
        }
        Topology::One(name) => {
            outln!("{name} is up: gRPC on {}, metrics and health on http://{}", mesh.address, mesh.admin)?;
            if name == copydesk_llm_router::NAME {
                outln!("  {}", writer(config))?;
            }
        }
    }
    if let Some(path) = &mesh.dev_key {
        outln!("  development key: {}", path.display())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use copydesk_llm_router::{ModelConfig, ProviderConfig};

    #[test]
    fn who_writes_is_said_with_what_is_sent_to_it() {
        let mut config = Config::default();
        assert_eq!(writer(&config), "writing with the offline writer (no key found)");
        config.llm_router.discovery = false;
        assert_eq!(writer(&config), "writing with the offline writer (discovery is off)");
        let model = ModelConfig { name: "small".to_owned(), ..ModelConfig::default() };
        let provider =
            ProviderConfig { name: "acme".to_owned(), models: vec![model], ..ProviderConfig::default() };
        config.llm_router.providers = vec![provider];
        assert_eq!(writer(&config), "writing with acme/small: passages of your documents are sent to it");
    }
}
