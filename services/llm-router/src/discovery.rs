//! Providers found in the surroundings: keys in the environment, and a local Ollama. The program calls this; the
//! service itself reads no environment.
use std::time::Duration;

use copydesk_types::Secret;
use http_body_util::Full;
use serde::Deserialize;

use crate::config::{ModelConfig, ProviderConfig};
use crate::providers::http;

/// How long a local Ollama may take to say what it has.
const OLLAMA_LIMIT: Duration = Duration::from_millis(300);

/// The most of a list of models that is read, in bytes.
const LIST_LIMIT: usize = 1 << 20;

/// The context window asked of a local model, in tokens: room for a brief with its evidence on an ordinary machine.
const OLLAMA_CONTEXT: u32 = 8_192;

/// The providers whose keys `env` knows, in the order in which they will be tried: OpenAI (`OPENAI_API_KEY`, its
/// address by `OPENAI_BASE_URL`), Anthropic (`ANTHROPIC_API_KEY`), Groq (`GROQ_API_KEY`), Cerebras (`CEREBRAS_API_KEY`),
/// DeepSeek (`DEEPSEEK_API_KEY`), Gemini (`GEMINI_API_KEY`, else `GOOGLE_API_KEY`). Blank values count as absent.
pub fn discover(env: &dyn Fn(&str) -> Option<String>) -> Vec<ProviderConfig> {
    let value = |name: &str| env(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
    let mut found = Vec::new();
    if let Some(key) = value("OPENAI_API_KEY") {
        let mut model = priced("gpt-4o-mini", [150_000_000, 75_000_000, 600_000_000], 128_000);
        // Not every model that speaks this protocol sees pictures, so the kind does not claim it.
        model.capabilities = ["chat", "tools", "images", "json_schema"].map(str::to_owned).to_vec();
        found.push(keyed("openai", "openai", value("OPENAI_BASE_URL"), key, model));
    }
    if let Some(key) = value("ANTHROPIC_API_KEY") {
        let model = priced("claude-haiku-4-5", [1_000_000_000, 100_000_000, 5_000_000_000], 200_000);
        found.push(keyed("anthropic", "anthropic", None, key, model));
    }
    if let Some(key) = value("GROQ_API_KEY") {
        let model = priced("openai/gpt-oss-20b", [100_000_000, 50_000_000, 500_000_000], 131_072);
        let address = Some("https://api.groq.com/openai/v1".to_owned());
        found.push(keyed("groq", "openai", address, key, model));
    }
    if let Some(key) = value("CEREBRAS_API_KEY") {
        let model = priced("gpt-oss-120b", [350_000_000, 350_000_000, 750_000_000], 131_072);
        found.push(keyed("cerebras", "cerebras", None, key, model));
    }
    if let Some(key) = value("DEEPSEEK_API_KEY") {
        let model = priced("deepseek-chat", [280_000_000, 28_000_000, 420_000_000], 128_000);
        found.push(keyed("deepseek", "deepseek", None, key, model));
    }
    if let Some(key) = value("GEMINI_API_KEY").or_else(|| value("GOOGLE_API_KEY")) {
        let model = priced("gemini-2.5-flash", [300_000_000, 30_000_000, 2_500_000_000], 1_048_576);
        found.push(keyed("gemini", "gemini", None, key, model));
    }
    found
}

/// The Ollama at `base_url` with its first chat model, or `None` when nobody answers within 300 ms or it has none.
pub async fn discover_ollama(base_url: &str) -> Option<ProviderConfig> {
    let list = tokio::time::timeout(OLLAMA_LIMIT, tags(base_url)).await.ok()??;
    let model = list.models.into_iter().map(|m| m.name).find(|name| is_chat_model(name))?;
    Some(ProviderConfig {
        name: "ollama".to_owned(),
        kind: "ollama".to_owned(),
        base_url: Some(base_url.to_owned()),
        models: vec![priced(&model, [0, 0, 0], OLLAMA_CONTEXT)],
        first_token_timeout_s: 120.0,
        timeout_s: 600.0,
        ..ProviderConfig::default()
    })
}

#[derive(Deserialize)]
struct Tags {
    #[serde(default)]
    models: Vec<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    name: String,
}

async fn tags(base_url: &str) -> Option<Tags> {
    let url = http::join(base_url, "/api/tags");
    let request = ::http::Request::get(&url).body(Full::default()).ok()?;
    let reply = http::Client::new(&url).ok()?.send(request).await.ok()?;
    let body = http::read(reply.status().is_success().then_some(reply)?, LIST_LIMIT).await.ok()?;
    serde_json::from_slice(&body).ok()
}

/// Ollama lists embedding models beside chat models and marks neither; their names give them away.
fn is_chat_model(name: &str) -> bool {
    let lower = name.to_lowercase();
    !["embed", "bge-", "minilm", "rerank"].iter().any(|mark| lower.contains(mark))
}

fn keyed(
    name: &str,
    kind: &str,
    base_url: Option<String>,
    key: String,
    model: ModelConfig,
) -> ProviderConfig {
    ProviderConfig {
        name: name.to_owned(),
        kind: kind.to_owned(),
        base_url,
        api_key: Some(Secret::new(key)),
        models: vec![model],
        ..ProviderConfig::default()
    }
}

fn priced(name: &str, [input, cached, output]: [i64; 3], context_tokens: u32) -> ModelConfig {
    ModelConfig {
        name: name.to_owned(),
        input_nanos_per_million: input,
        cached_input_nanos_per_million: cached,
        output_nanos_per_million: output,
        context_tokens,
        ..ModelConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::domain::Capabilities;
    use crate::providers;

    #[test]
    fn finds_keys_in_order_and_ignores_blank_ones() {
        let env = |name: &str| match name {
            "GROQ_API_KEY" => Some("g".to_owned()),
            "OPENAI_API_KEY" => Some(" o ".to_owned()),
            "OPENAI_BASE_URL" => Some("http://127.0.0.1:9/v1".to_owned()),
            "ANTHROPIC_API_KEY" => Some("  ".to_owned()),
            _ => None,
        };
        let found = discover(&env);
        let names: Vec<&str> = found.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["openai", "groq"]);
        assert_eq!(found[0].base_url.as_deref(), Some("http://127.0.0.1:9/v1"));
        assert_eq!(found[0].api_key.as_ref().map(Secret::expose), Some("o"));
        let config = Config { providers: found, ..Config::default() };
        assert!(config.validate().is_empty());
        assert!(discover(&|_| None).is_empty());
    }

    #[test]
    fn every_key_brings_a_provider_that_is_good() {
        let found = discover(&|name| name.ends_with("_API_KEY").then(|| format!("key of {name}")));
        let names: Vec<&str> = found.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["openai", "anthropic", "groq", "cerebras", "deepseek", "gemini"]);
        let gemini = found[5].api_key.as_ref().map(Secret::expose);
        assert_eq!(gemini, Some("key of GEMINI_API_KEY"), "the key of its own name comes first");
        for provider in &found {
            let of_kind = providers::entry(&provider.kind).unwrap().capabilities;
            let sees = provider.models[0].capabilities(of_kind).has(Capabilities::IMAGES);
            assert_eq!(
                sees,
                ["openai", "anthropic", "gemini"].contains(&provider.name.as_str()),
                "{}",
                provider.name
            );
        }
        let config = Config { providers: found, ..Config::default() };
        assert_eq!(config.validate(), Vec::<String>::new());
        let google = discover(&|name| (name == "GOOGLE_API_KEY").then(|| "g".to_owned()));
        assert_eq!(google[0].name, "gemini");
    }

    #[test]
    fn embedding_models_do_not_chat() {
        assert!(is_chat_model("llama3.2:3b"));
        assert!(!is_chat_model("nomic-embed-text:latest"));
        assert!(!is_chat_model("bge-m3:latest"));
    }
}
