//! The folder of a sentence model, as sentence-transformers lays it out: what stands in it beside the weights.

use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::config::EmbedderConfig;
use crate::ports::{EmbedError, Purpose};

/// How many tokens a text may have, and where they stand.
pub(super) const CONFIG: &str = "config.json";
/// The vocabulary and its rules.
pub(super) const TOKENIZER: &str = "tokenizer.json";

/// A model's folder.
pub(super) struct Folder<'a> {
    pub(super) dir: &'a Path,
}

/// Words before every text.
pub(super) struct Prefixes {
    pub(super) document: String,
    pub(super) query: String,
}

impl Prefixes {
    pub(super) fn of(&self, purpose: Purpose) -> &str {
        match purpose {
            Purpose::Document => &self.document,
            Purpose::Query => &self.query,
        }
    }
}

#[derive(Deserialize)]
struct Pooling {
    #[serde(default)]
    pooling_mode_cls_token: bool,
    #[serde(default)]
    pooling_mode_mean_tokens: bool,
}

#[derive(Deserialize)]
struct Sentence {
    max_seq_length: Option<usize>,
}

#[derive(Deserialize)]
struct Module {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Default, Deserialize)]
struct Prompts {
    #[serde(default)]
    prompts: std::collections::HashMap<String, String>,
}

/// A file of the folder cannot be used.
pub(super) fn fault(file: &str, error: &dyn std::fmt::Display) -> EmbedError {
    EmbedError::fault(format!("{file} cannot be used: {error}"))
}

impl Folder<'_> {
    /// Its name in lower case.
    pub(super) fn name(&self) -> String {
        self.dir.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default()
    }

    pub(super) fn read(&self, file: &str) -> Result<Vec<u8>, EmbedError> {
        std::fs::read(self.dir.join(file)).map_err(|error| fault(file, &error))
    }

    /// A file that need not be there.
    fn json<T: DeserializeOwned>(&self, file: &str) -> Result<Option<T>, EmbedError> {
        if !self.dir.join(file).is_file() {
            return Ok(None);
        }
        serde_json::from_slice(&self.read(file)?).map(Some).map_err(|error| fault(file, &error))
    }

    /// Whether a text's vector is that of its first token, or else the mean of all.
    pub(super) fn first_token(&self) -> Result<bool, EmbedError> {
        let modules: Vec<Module> = self.json("modules.json")?.unwrap_or_default();
        let known =
            |kind: &str| ["Transformer", "Pooling", "Normalize"].iter().any(|known| kind.ends_with(known));
        if let Some(module) = modules.iter().find(|module| !known(&module.kind)) {
            return Err(fault("modules.json", &format!("the module {} is not supported", module.kind)));
        }
        let file = "1_Pooling/config.json";
        let Some(pooling) = self.json::<Pooling>(file)? else { return Ok(false) };
        match (pooling.pooling_mode_cls_token, pooling.pooling_mode_mean_tokens) {
            (true, false) => Ok(true),
            (false, true) => Ok(false),
            _ => Err(fault(file, &"only pooling by the first token or by the mean of all is supported")),
        }
    }

    /// The most tokens of a text, of which the weights read `most`.
    pub(super) fn longest(&self, most: usize) -> Result<usize, EmbedError> {
        let said: Option<Sentence> = self.json("sentence_bert_config.json")?;
        let said = said.and_then(|sentence| sentence.max_seq_length).unwrap_or(usize::MAX);
        Ok(most.min(said).max(1))
    }

    /// The settings' prefixes, else the model's own.
    pub(super) fn prefixes(&self, config: &EmbedderConfig) -> Result<Prefixes, EmbedError> {
        let prompts: Prompts = self.json("config_sentence_transformers.json")?.unwrap_or_default();
        let of = |set: &Option<String>, names: &[&str]| {
            let own = names.iter().find_map(|name| prompts.prompts.get(*name));
            set.as_ref().or(own).cloned().unwrap_or_default()
        };
        Ok(Prefixes {
            document: of(&config.document_prefix, &["document", "passage"]),
            query: of(&config.query_prefix, &["query"]),
        })
    }
}
