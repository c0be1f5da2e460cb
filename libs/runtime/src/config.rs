//! One configuration from four sources: defaults < file < environment < flags.
//!
//! The sources are parameters, so that tests need no environment. Every fault is reported at once; a key that nobody
//! reads is a fault.
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// What an environment variable must begin with; levels are parted by two underscores:
/// `COPYDESK__RETRIEVAL__CHILD_TOKENS=128`.
pub const ENV_PREFIX: &str = "COPYDESK__";

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Everything that is wrong, one fault a line.
    #[error("the configuration has {} {}:\n  {}", .0.len(), if .0.len() == 1 { "fault" } else { "faults" }, .0.join("\n  "))]
    Faults(Vec<String>),
}

/// Where settings come from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// A TOML file.
    pub file: Option<PathBuf>,
    /// Environment variables; those without [`ENV_PREFIX`] are passed over.
    pub env: Vec<(String, String)>,
    /// Settings given as flags, `("gateway.listen", "127.0.0.1:0")`.
    pub flags: Vec<(String, String)>,
}

/// Reads the configuration. `validate` returns further faults of a configuration that could be read.
///
/// # Errors
/// Every fault of every source together.
pub fn load<C>(sources: &Sources, validate: impl FnOnce(&C) -> Vec<String>) -> Result<C, ConfigError>
where
    C: DeserializeOwned + Serialize + Default,
{
    let mut faults = Vec::new();
    let mut table = defaults::<C>(&mut faults);
    if let Some(path) = &sources.file {
        merge(&mut table, read_file(path, &mut faults)?);
    }
    for (name, text) in &sources.env {
        if let Some(key) = name.strip_prefix(ENV_PREFIX) {
            let path: Vec<String> = key.split("__").map(str::to_lowercase).collect();
            set(&mut table, &path, text, name, &mut faults);
        }
    }
    for (key, text) in &sources.flags {
        let path: Vec<String> = key.split('.').map(str::to_owned).collect();
        set(&mut table, &path, text, key, &mut faults);
    }
    let config = read::<C>(table, &mut faults);
    if let Some(config) = &config {
        faults.extend(validate(config));
    }
    match config {
        Some(config) if faults.is_empty() => Ok(config),
        _ => Err(ConfigError::Faults(faults)),
    }
}

fn defaults<C: Serialize + Default>(faults: &mut Vec<String>) -> Table {
    match Value::try_from(C::default()) {
        Ok(Value::Table(table)) => table,
        Ok(_) => Table::new(),
        Err(error) => {
            faults.push(format!("the defaults cannot be written: {error}"));
            Table::new()
        }
    }
}

fn read_file(path: &Path, faults: &mut Vec<String>) -> Result<Table, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.to_path_buf(), source })?;
    Ok(text.parse::<Table>().unwrap_or_else(|error| {
        // The message holds the line; the text of the line could be a secret, so it is left out.
        let line = error.span().map(|span| text[..span.start.min(text.len())].lines().count().max(1));
        let place = line.map(|n| format!(" line {n}")).unwrap_or_default();
        faults.push(format!("{}{place}: {}", path.display(), error.message()));
        Table::new()
    }))
}

fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(value)) => merge(inner, value),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

/// Sets a value from text. It takes the type of what it replaces; where nothing stood, TOML decides, else it is text.
fn set(table: &mut Table, path: &[String], text: &str, name: &str, faults: &mut Vec<String>) {
    let Some((last, parents)) = path.split_last() else { return };
    let mut table = table;
    for key in parents {
        let next = table.entry(key.clone()).or_insert_with(|| Value::Table(Table::new()));
        match next {
            Value::Table(inner) => table = inner,
            _ => return faults.push(format!("{name}: `{key}` is no group of settings")),
        }
    }
    let value = match table.get(last) {
        Some(Value::String(_)) => Value::String(text.to_owned()),
        _ => parse_value(text),
    };
    table.insert(last.clone(), value);
}

fn parse_value(text: &str) -> Value {
    let parsed = format!("v = {text}").parse::<Table>().ok().and_then(|mut t| t.remove("v"));
    parsed.unwrap_or_else(|| Value::String(text.to_owned()))
}

fn read<C: DeserializeOwned>(table: Table, faults: &mut Vec<String>) -> Option<C> {
    let mut unknown = Vec::new();
    let result = serde_ignored::deserialize(Value::Table(table), |path| unknown.push(path.to_string()));
    faults.extend(
        unknown.into_iter().map(|path| format!("{}: there is no such setting", path.replace(".?", ""))),
    );
    result.map_err(|error: toml::de::Error| faults.push(keyed(&error))).ok()
}

/// `key: what is wrong`. The library tells the key in its last line; the file's text is not in it.
fn keyed(error: &toml::de::Error) -> String {
    let text = error.to_string();
    match text.trim_end().trim_end_matches('`').rsplit_once("\nin `") {
        Some((message, key)) => format!("{key}: {message}"),
        None => error.message().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Serialize, Deserialize, PartialEq)]
    #[serde(default)]
    struct Settings {
        name: String,
        limits: Limits,
        #[serde(skip_serializing_if = "Option::is_none")]
        url: Option<String>,
    }

    #[derive(Debug, Serialize, Deserialize, PartialEq)]
    #[serde(default)]
    struct Limits {
        calls: u32,
        watches: u32,
    }

    impl Default for Settings {
        fn default() -> Self {
            Self { name: "desk".to_owned(), limits: Limits::default(), url: None }
        }
    }

    impl Default for Limits {
        fn default() -> Self {
            Self { calls: 10, watches: 20 }
        }
    }

    fn pair(name: &str, text: &str) -> (String, String) {
        (name.to_owned(), text.to_owned())
    }

    #[test]
    fn later_sources_win() {
        let dir = tempfile::tempdir().expect("dir");
        let file = dir.path().join("copydesk.toml");
        std::fs::write(&file, "name = \"file\"\n[limits]\ncalls = 1\nwatches = 1\n").expect("written");
        let sources = Sources {
            file: Some(file),
            env: vec![
                pair("COPYDESK__LIMITS__CALLS", "2"),
                pair("PATH", "/bin"),
                pair("COPYDESK__NAME", "42"),
            ],
            flags: vec![pair("limits.calls", "3"), pair("url", "http://x:1")],
        };
        let got: Settings = load(&sources, |_| Vec::new()).expect("good");
        let limits = Limits { calls: 3, watches: 1 };
        assert_eq!(got, Settings { name: "42".to_owned(), limits, url: Some("http://x:1".to_owned()) });
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let sources = Sources {
            env: vec![
                pair("COPYDESK__LIMITS__CALL", "2"),
                pair("COPYDESK__NANE", "x"),
                pair("COPYDESK__NAME__X", "1"),
            ],
            ..Sources::default()
        };
        let error =
            load::<Settings>(&sources, |_| vec!["limits: odd".to_owned()]).expect_err("faults").to_string();
        for part in
            ["limits.call: there is no such setting", "nane: there", "COPYDESK__NAME__X", "limits: odd"]
        {
            assert!(error.contains(part), "{part} in {error}");
        }
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named_by_its_key() {
        let sources = Sources { flags: vec![pair("limits.calls", "many")], ..Sources::default() };
        let error = load::<Settings>(&sources, |_| Vec::new()).expect_err("no number").to_string();
        assert!(error.contains("has 1 fault:") && error.contains("limits.calls: invalid type"), "{error}");
    }

    #[test]
    fn a_broken_file_names_its_line_but_not_its_text() {
        let dir = tempfile::tempdir().expect("dir");
        let file = dir.path().join("copydesk.toml");
        std::fs::write(&file, "name = \"x\"\nurl = s3cret here\n").expect("written");
        let sources = Sources { file: Some(file), ..Sources::default() };
        let error = load::<Settings>(&sources, |_| Vec::new()).expect_err("broken").to_string();
        assert!(error.contains("line 2") && !error.contains("s3cret"), "{error}");
    }
}
