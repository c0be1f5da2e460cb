//! Which settings are others than before.
use serde_json::Value;

use crate::config::Config;

/// The keys of the settings that differ, but for those of the llm-router, which takes new ones while it runs.
pub(super) fn between(old: &Config, new: &Config) -> Vec<String> {
    let mut keys = Vec::new();
    compare("", &value(old), &value(new), &mut keys);
    keys.retain(|key| !key.starts_with("llm_router."));
    // A secret is written as `***`, so that one looks like another.
    let url = |config: &Config| config.database.url.as_ref().map(|url| url.expose().to_owned());
    let named = "database.url".to_owned();
    if url(old) != url(new) && !keys.contains(&named) {
        keys.push(named);
    }
    keys.sort_unstable();
    keys
}

fn value(config: &Config) -> Value {
    serde_json::to_value(config).unwrap_or_default()
}

fn compare(key: &str, old: &Value, new: &Value, keys: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(a), Value::Object(b)) => {
            let only_new = b.keys().filter(|name| !a.contains_key(*name));
            for name in a.keys().chain(only_new) {
                let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                let at = |map: &serde_json::Map<String, Value>| map.get(name).cloned().unwrap_or_default();
                compare(&key, &at(a), &at(b), keys);
            }
        }
        _ if old != new => keys.push(key.to_owned()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use copydesk_types::Secret;

    use super::*;

    #[test]
    fn names_what_differs_and_leaves_the_router_out() {
        let old = Config::default();
        assert_eq!(between(&old, &old), Vec::<String>::new());
        let mut new = Config::default();
        new.llm_router.answer_retention_h = 1;
        assert_eq!(between(&old, &new), Vec::<String>::new());
        new.gateway.rate_limits.generate += 1;
        new.identity.dir = Some("elsewhere".into());
        new.server.listen = "127.0.0.1:1".to_owned();
        assert_eq!(between(&old, &new), ["gateway.rate_limits.generate", "identity.dir", "server.listen"]);
    }

    #[test]
    fn a_secret_that_changes_is_named_though_both_look_alike() {
        let with = |url: &str| {
            let mut config = Config::default();
            config.database.url = Some(Secret::new(url));
            config
        };
        assert_eq!(between(&with("postgres://a"), &with("postgres://b")), ["database.url"]);
        assert_eq!(between(&Config::default(), &with("postgres://b")), ["database.url"]);
        assert_eq!(between(&with("postgres://b"), &with("postgres://b")), Vec::<String>::new());
    }
}
