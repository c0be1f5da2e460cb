//! `doctor` and `healthcheck`: is everything there, and what to do when it is not.
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use copydesk_llm_router::{ModelConfig, ProviderConfig};
use copydesk_store::{DatabaseConfig, FileLock, LockError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::cli::SourceArgs;
use crate::config::Config;
use crate::identity;
use crate::mesh::{Topology, admin_address};

const ANSWER_LIMIT: Duration = Duration::from_secs(3);

/// One finding: what was looked at, what was found, and how to mend it.
struct Finding {
    what: &'static str,
    state: State,
    words: String,
}

#[derive(PartialEq)]
enum State {
    Good,
    Note,
    Bad,
}

pub(super) async fn doctor(source: &SourceArgs) -> anyhow::Result<ExitCode> {
    let mut findings = Vec::new();
    let mut say = |what, state, words: String| findings.push(Finding { what, state, words });
    match Config::load(source.config.as_deref(), &source.data, source.settings.clone()) {
        Err(error) => say("configuration", State::Bad, error.to_string()),
        Ok(mut config) => {
            say("configuration", State::Good, "is good".to_owned());
            let running = data_folder(&source.data, &mut say);
            identity_folder(&config, &source.data, &mut say);
            database(&config, &mut say).await;
            if running {
                mesh(&source.data, &mut say).await;
            } else {
                ports(&config, &mut say).await;
            }
            super::discover(&mut config).await;
            if let Err(error) = crate::reload::fetch_keys(&mut config) {
                say("keys", State::Bad, error.to_string());
            }
            models(&config, &mut say);
            providers(&config, &mut say).await;
            embedders(&config, &mut say);
            collector(&config, &mut say).await;
        }
    }
    let bad = findings.iter().any(|f| f.state == State::Bad);
    for Finding { what, state, words } in findings {
        let mark = match state {
            State::Good => "ok  ",
            State::Note => "note",
            State::Bad => "BAD ",
        };
        outln!("{mark}  {what:<14} {words}")?;
    }
    Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn data_folder(data: &Path, say: &mut impl FnMut(&'static str, State, String)) -> bool {
    let probe = data.join(copydesk_gateway::NAME);
    if let Err(error) = std::fs::create_dir_all(&probe) {
        say(
            "data folder",
            State::Bad,
            format!("{} cannot be written: {error}; choose another with --data", data.display()),
        );
        return false;
    }
    match FileLock::acquire(probe.join("lock")) {
        Ok(_) => say("data folder", State::Good, format!("{} is writable and free", data.display())),
        Err(LockError::Held { .. }) => {
            say("data folder", State::Note, format!("{} is in use by a running copydesk", data.display()));
            return true;
        }
        Err(error) => say("data folder", State::Bad, format!("{}: {error}", data.display())),
    }
    false
}

fn identity_folder(config: &Config, data: &Path, say: &mut impl FnMut(&'static str, State, String)) {
    let dir = config.identity.dir.clone().unwrap_or_else(|| data.join("identity"));
    match identity::trust(&dir) {
        Ok(_) => say("identity", State::Good, format!("keys of all services in {}", dir.display())),
        Err(_) if config.identity.dir.is_none() => {
            say("identity", State::Note, "keys are made at the first start".to_owned())
        }
        Err(error) => say("identity", State::Bad, format!("{error:#}")),
    }
}

async fn database(config: &Config, say: &mut impl FnMut(&'static str, State, String)) {
    let url = match crate::mesh::configured_database(config) {
        Ok(Some(url)) => url,
        Ok(None) => return say("database", State::Good, "SQLite files in the data folder".to_owned()),
        Err(error) => return say("database", State::Bad, format!("{error:#}")),
    };
    let config = DatabaseConfig::postgres(url.expose());
    // A pool tries for longer than a person likes to wait.
    let fault = match tokio::time::timeout(ANSWER_LIMIT, copydesk_store::probe(&config)).await {
        Ok(Ok(())) => return say("database", State::Good, "PostgreSQL answers".to_owned()),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", ANSWER_LIMIT.as_secs()),
    };
    let words = format!("PostgreSQL does not answer: {fault}; check database.url and that the server runs");
    say("database", State::Bad, words);
}

async fn ports(config: &Config, say: &mut impl FnMut(&'static str, State, String)) {
    let listen = if config.server.listen.is_empty() { "127.0.0.1:7700" } else { &config.server.listen };
    let admin = admin_address(config, Topology::All);
    for (what, address, key) in [("gRPC port", listen, "--listen"), ("admin port", &admin, "--admin")] {
        match TcpListener::bind(address).await {
            Ok(_) => say(what, State::Good, format!("{address} is free")),
            Err(error) => say(what, State::Bad, format!("{address}: {error}; choose another with {key}")),
        }
    }
}

fn models(config: &Config, say: &mut impl FnMut(&'static str, State, String)) {
    let providers = &config.llm_router.providers;
    if providers.is_empty() {
        let words = "none: the offline writer composes from your documents; set OPENAI_API_KEY, ANTHROPIC_API_KEY or \
                     GROQ_API_KEY, start Ollama, or configure llm_router.providers";
        return say("models", State::Note, words.to_owned());
    }
    let names: Vec<_> = providers
        .iter()
        .flat_map(|p| p.models.iter().map(move |m| format!("{}/{}", p.name, m.name)))
        .collect();
    say("models", State::Good, names.join(", "));
    for provider in providers {
        let free = |m: &&ModelConfig| m.input_nanos_per_million == 0 && m.output_nanos_per_million == 0;
        for model in provider.models.iter().filter(free).filter(|_| !is_local(provider)) {
            let words = format!(
                "{}/{} has no prices: its calls are counted as free and no budget holds",
                provider.name, model.name
            );
            say("models", State::Note, words);
        }
    }
}

/// A model on this machine costs nothing.
fn is_local(provider: &ProviderConfig) -> bool {
    let host = provider.base_url.as_deref().and_then(address_of);
    host.is_some_and(|host| ["localhost:", "127.", "[::1]:"].iter().any(|local| host.starts_with(local)))
}

/// Asks where each provider is configured to be; nothing is sent.
async fn providers(config: &Config, say: &mut impl FnMut(&'static str, State, String)) {
    for provider in &config.llm_router.providers {
        let Some(address) = provider.base_url.as_deref().and_then(address_of) else { continue };
        let fault = match tokio::time::timeout(ANSWER_LIMIT, TcpStream::connect(&address)).await {
            Ok(Ok(_)) => {
                say("provider", State::Good, format!("{}: {address} answers", provider.name));
                continue;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", ANSWER_LIMIT.as_secs()),
        };
        let words = format!(
            "{}: {address} does not answer: {fault}; check its base_url and that it runs",
            provider.name
        );
        say("provider", State::Bad, words);
    }
}

/// `host:port` of a URL, the port by its scheme when none is named.
fn address_of(url: &str) -> Option<String> {
    let uri: http::Uri = url.parse().ok()?;
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    Some(format!("{}:{port}", uri.host()?))
}

/// Whether the mesh that runs on the data folder is ready.
async fn mesh(data: &Path, say: &mut impl FnMut(&'static str, State, String)) {
    // A single service has none there; its own `healthcheck` tells.
    let Some(admin) = crate::client::endpoint(data, "admin") else { return };
    match ready(&admin).await {
        Ok((true, _)) => say("mesh", State::Good, format!("is ready, says http://{admin}")),
        Ok((false, words)) => {
            let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
            say("mesh", State::Bad, format!("is not ready, says http://{admin}: {words}; its log tells why"));
        }
        Err(fault) => {
            say("mesh", State::Bad, format!("http://{admin} does not answer: {fault}; start it anew"))
        }
    }
}

/// What the configuration says; whether a local model can be loaded, the configuration's own check says as far as its
/// folder shows.
fn embedders(config: &Config, say: &mut impl FnMut(&'static str, State, String)) {
    for (name, what) in config.retrieval.embedder_lines() {
        say("embedder", State::Good, format!("{name}: {what}"));
    }
    if config.retrieval.default_embedder().is_none() {
        let words = match config.retrieval.embedders.is_empty() {
            true => "none: search is lexical (BM25); configure one under retrieval.embedders for hybrid",
            false => "none by default: new knowledge bases are lexical unless they name one",
        };
        say("embedder", State::Note, words.to_owned());
    }
}

async fn collector(config: &Config, say: &mut impl FnMut(&'static str, State, String)) {
    let Some(endpoint) = &config.telemetry.otlp_endpoint else {
        return say(
            "collector",
            State::Note,
            "none: traces and metrics are not sent (telemetry.otlp_endpoint)".to_owned(),
        );
    };
    let address = address_of(endpoint).unwrap_or_default();
    match tokio::time::timeout(ANSWER_LIMIT, TcpStream::connect(&address)).await {
        Ok(Ok(_)) => say("collector", State::Good, format!("{endpoint} answers")),
        _ => say(
            "collector",
            State::Bad,
            format!("{endpoint} does not answer; spans and metrics will be dropped"),
        ),
    }
}

/// Asks the admin port whether a mesh or service is ready.
pub(super) async fn healthcheck(admin: &str) -> anyhow::Result<ExitCode> {
    match ready(admin).await {
        Ok((is_ready, words)) => {
            crate::out::text(words.as_bytes())?;
            Ok(if is_ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Err(fault) => {
            eprintln!("copydesk: {admin}: {fault}");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// The admin port's answer and its words, or why there is none; one line of HTTP needs no client library.
async fn ready(admin: &str) -> Result<(bool, String), String> {
    let ask = async {
        let mut stream = TcpStream::connect(admin).await?;
        let request = format!("GET /health/ready HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(64 << 10).read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = match tokio::time::timeout(ANSWER_LIMIT, ask).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_) => return Err("no answer".to_owned()),
    };
    let text = String::from_utf8_lossy(&answer);
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    Ok((text.starts_with("HTTP/1.1 200"), body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_tells_where_to_connect() {
        for (url, address) in [
            ("https://api.example/v1", Some("api.example:443")),
            ("http://127.0.0.1:11434", Some("127.0.0.1:11434")),
            ("http://[::1]/v1", Some("[::1]:80")),
            ("/nonsense", None),
        ] {
            assert_eq!(address_of(url).as_deref(), address, "{url}");
        }
    }
}
