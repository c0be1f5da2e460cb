//! Keys that stand outside the configuration.
use copydesk_types::SecretPlace;

use super::Config;

/// Puts every key that `api_key_env` or `api_key_file` means into `api_key`, and takes the reference away. Blanks around
/// a key do not count. The result is every fault, as `key: what is wrong`; a key itself is never in it. The program calls
/// this each time it reads the configuration: the service reads no environment and no file.
pub fn resolve_keys(config: &mut Config, env: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let mut faults = Vec::new();
    for (i, provider) in config.providers.iter_mut().enumerate() {
        let place = SecretPlace::take(&mut provider.api_key_env, &mut provider.api_key_file);
        let Some(place) = place else { continue };
        match place.fetch(env) {
            Ok(key) => provider.api_key = Some(key),
            Err(fault) => faults.push(format!("providers[{i}].api_key_{}: {fault}", place.ending())),
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use copydesk_types::Secret;

    use super::*;
    use crate::config::ProviderConfig;

    fn with(provider: ProviderConfig) -> Config {
        Config { providers: vec![provider], ..Config::default() }
    }

    fn from_file(path: PathBuf) -> Config {
        with(ProviderConfig { api_key_file: Some(path), ..ProviderConfig::default() })
    }

    fn key(config: &Config) -> Option<&str> {
        config.providers[0].api_key.as_ref().map(Secret::expose)
    }

    #[test]
    fn a_key_is_fetched_from_the_environment_or_a_file() {
        let env = |name: &str| (name == "ACME").then(|| " s3cret\n".to_owned());
        let mut config =
            with(ProviderConfig { api_key_env: Some("ACME".to_owned()), ..ProviderConfig::default() });
        assert_eq!(resolve_keys(&mut config, &env), Vec::<String>::new());
        assert_eq!((key(&config), &config.providers[0].api_key_env), (Some("s3cret"), &None));

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "from-file\n").unwrap();
        let mut config = from_file(path);
        assert!(resolve_keys(&mut config, &env).is_empty());
        assert_eq!(key(&config), Some("from-file"));
    }

    #[test]
    fn a_key_that_stands_there_stays() {
        let mut config =
            with(ProviderConfig { api_key: Some(Secret::new("mine")), ..ProviderConfig::default() });
        assert!(resolve_keys(&mut config, &|_| None).is_empty());
        assert_eq!(key(&config), Some("mine"));
    }

    #[test]
    fn faults_name_the_setting_and_never_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            ProviderConfig { api_key_file: Some(path), ..ProviderConfig::default() }
        };
        let named =
            |name: &str| ProviderConfig { api_key_env: Some(name.to_owned()), ..ProviderConfig::default() };
        let mut config = Config {
            providers: vec![
                named("ABSENT"),
                named("BLANK"),
                file("blank", b" \n"),
                file("lines", b"hush\nhush"),
                file("bytes", b"\xff hush"),
                ProviderConfig {
                    api_key_file: Some(folder.path().join("absent")),
                    ..ProviderConfig::default()
                },
            ],
            ..Config::default()
        };
        let faults = resolve_keys(&mut config, &|name| (name == "BLANK").then(String::new));
        assert_eq!(faults.len(), 6, "{faults:?}");
        for (i, key) in [
            "api_key_env: the environment has no ABSENT",
            "api_key_env: the key is blank",
            "api_key_file: the key is blank",
            "api_key_file: the key is more than one line",
            "api_key_file: ",
            "api_key_file: ",
        ]
        .into_iter()
        .enumerate()
        {
            assert!(faults[i].starts_with(&format!("providers[{i}].{key}")), "{faults:?}");
        }
        assert!(!faults.join(" ").contains("hush"), "{faults:?}");
    }
}
