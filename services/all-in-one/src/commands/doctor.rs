//! `doctor` and `healthcheck`: is everything there, and what to do when it is not.
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use copydesk_store::{DatabaseConfig, FileLock, LockError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::cli::SourceArgs;
use crate::config::Config;
use crate::identity;

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
            if !running {
                ports(&config, &mut say).await;
            }
            super::discover(&mut config).await;
            models(&config, &mut say);
            embedder(&config, &mut say);
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
    let admin = crate::mesh::admin_address(config, crate::mesh::Topology::All);
    for (what, address, key) in
        [("gRPC port", listen, "--listen"), ("admin port", &admin, "--admin")]
    {
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
}

fn embedder(config: &Config, say: &mut impl FnMut(&'static str, State, String)) {
    match &config.retrieval.embedder {
        Some(embedder) => say("embedder", State::Good, format!("{}", embedder.model_dir.display())),
        None => say(
            "embedder",
            State::Note,
            "none: search is lexical (BM25); set retrieval.embedder.model_dir for hybrid".to_owned(),
        ),
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
    let uri: Option<http::Uri> = endpoint.parse().ok();
    let authority = uri.as_ref().and_then(|u| u.authority()).map(|a| a.to_string()).unwrap_or_default();
    match tokio::time::timeout(ANSWER_LIMIT, TcpStream::connect(&authority)).await {
        Ok(Ok(_)) => say("collector", State::Good, format!("{endpoint} answers")),
        _ => say(
            "collector",
            State::Bad,
            format!("{endpoint} does not answer; spans and metrics will be dropped"),
        ),
    }
}

/// Asks the admin port; the one line of HTTP needs no client library.
pub(super) async fn healthcheck(admin: &str) -> anyhow::Result<ExitCode> {
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
        Ok(Err(error)) => {
            eprintln!("copydesk: {admin}: {error}");
            return Ok(ExitCode::FAILURE);
        }
        Err(_) => {
            eprintln!("copydesk: {admin}: no answer");
            return Ok(ExitCode::FAILURE);
        }
    };
    let text = String::from_utf8_lossy(&answer);
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    crate::out::text(body.as_bytes())?;
    Ok(if text.starts_with("HTTP/1.1 200") { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
