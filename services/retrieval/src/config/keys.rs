//! Keys that stand outside the configuration.

use std::path::PathBuf;

use copydesk_types::{Secret, SecretFault, SecretPlace};

use super::{Config, IndexBackend};

/// The three places of a key: itself, an environment variable, a file.
type Places<'a> = (&'static str, &'a mut Option<Secret>, &'a mut Option<String>, &'a mut Option<PathBuf>);

/// Puts every key that stands in an environment variable or a file into its place, and takes the reference away. Blanks
/// around a key do not count. The result is every fault, as `key: what is wrong`; a key itself is never in it. The program
/// calls this when it has read the configuration: the service reads no environment and no file. The keys of servers that
/// are not used are not asked for. onnxruntime's library may stand in `ORT_DYLIB_PATH`, as for other programs.
pub fn resolve_keys(config: &mut Config, env: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    if config.embedding.onnxruntime.as_os_str().is_empty() {
        config.embedding.onnxruntime = env("ORT_DYLIB_PATH").unwrap_or_default().into();
    }
    let faults = places(config).into_iter().filter_map(|place| resolve(place, env).err());
    faults.collect()
}

fn places(config: &mut Config) -> Vec<Places<'_>> {
    let search = config.web.search.as_mut().map(|search| {
        let places = (&mut search.api_key, &mut search.api_key_env, &mut search.api_key_file);
        ("web.search.api_key", places.0, places.1, places.2)
    });
    let github = &mut config.sources.github;
    let github = ("sources.github.token", &mut github.token, &mut github.token_env, &mut github.token_file);
    let wanted = config.index.backend == IndexBackend::Qdrant;
    let qdrant = &mut config.qdrant;
    let qdrant = ("qdrant.api_key", &mut qdrant.api_key, &mut qdrant.api_key_env, &mut qdrant.api_key_file);
    let s3 = config.objects.uses_s3();
    let objects = &mut config.objects;
    let access = (&mut objects.access_key, &mut objects.access_key_env, &mut objects.access_key_file);
    let secret = (&mut objects.secret_key, &mut objects.secret_key_env, &mut objects.secret_key_file);
    let access = ("objects.access_key", access.0, access.1, access.2);
    let secret = ("objects.secret_key", secret.0, secret.1, secret.2);
    let servers = wanted.then_some(qdrant).into_iter().chain([access, secret].into_iter().filter(|_| s3));
    search.into_iter().chain([github]).chain(servers).collect()
}

fn resolve(
    (name, key, variable, file): Places<'_>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<(), String> {
    let Some(place) = SecretPlace::take(variable, file) else { return Ok(()) };
    let found = place.fetch(env).map_err(|fault| match fault {
        SecretFault::Place(_) => format!("{name}_{}: {fault}", place.ending()),
        SecretFault::Content(_) => format!("{name}: {fault}"),
    })?;
    *key = Some(found);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::WebSearch;

    fn with(search: WebSearch) -> Config {
        let mut config = Config::default();
        config.web.search = Some(search);
        config
    }

    #[test]
    fn keys_are_fetched_and_faults_never_show_them() {
        let env = |name: &str| match name {
            "GOOD" => Some(" s3cret\n".to_owned()),
            "LINES" => Some("hush\nhush".to_owned()),
            _ => None,
        };
        let named =
            |name: &str| with(WebSearch { api_key_env: Some(name.to_owned()), ..WebSearch::default() });
        let mut good = named("GOOD");
        assert_eq!(resolve_keys(&mut good, &env), Vec::<String>::new());
        assert_eq!(good.web.search.unwrap().api_key.unwrap().expose(), "s3cret");
        for (name, fault) in [("ABSENT", "web.search.api_key_env: "), ("LINES", "web.search.api_key: ")] {
            let faults = resolve_keys(&mut named(name), &env);
            assert!(
                faults.len() == 1 && faults[0].starts_with(fault) && !faults[0].contains("hush"),
                "{faults:?}"
            );
        }
        let file = Some("/does/not/exist".into());
        let faults = resolve_keys(&mut with(WebSearch { api_key_file: file, ..WebSearch::default() }), &env);
        assert!(
            faults[0].starts_with("web.search.api_key_file: /does/not/exist cannot be read"),
            "{faults:?}"
        );
    }
}
