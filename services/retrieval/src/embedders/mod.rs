//! The family of embedders: one file per kind. Each turns texts into vectors; without one, searches are lexical and
//! say so. There is no stand-in: a vector that means nothing would only look like an answer.

mod local;
mod router;

use std::sync::Arc;

use copydesk_rpc::Channel;

use crate::config::{Config, EmbedderConfig, EmbedderKind};
use crate::ports::{EmbedError, Embedder};

/// The word for "no embedder" where a caller or an operator names one.
pub const NONE: &str = "none";

/// The embedders of a process. Cheap to clone.
#[derive(Clone, Default)]
pub struct Embedders {
    list: Arc<[Entry]>,
    default: Option<usize>,
}

/// An embedder under its name.
#[derive(Clone)]
pub struct Entry {
    /// Its name in the configuration.
    pub name: String,
    /// Where it runs: `local` or `router`.
    pub kind: &'static str,
    /// The embedder.
    pub embedder: Arc<dyn Embedder>,
}

impl Embedders {
    /// These, in order of name; new knowledge bases get the one of the name `default`, if there is one.
    pub fn new(mut list: Vec<Entry>, default: Option<&str>) -> Self {
        list.sort_by(|left, right| left.name.cmp(&right.name));
        let default = list.iter().position(|entry| Some(entry.name.as_str()) == default);
        Self { list: list.into(), default }
    }

    /// This one alone, if there is one, as the default.
    pub fn only(embedder: Option<Arc<dyn Embedder>>) -> Self {
        let entry = |embedder| Entry { name: "only".to_owned(), kind: "local", embedder };
        Self::new(embedder.map(entry).into_iter().collect(), Some("only"))
    }

    /// All of them, in order of name.
    pub fn all(&self) -> &[Entry] {
        &self.list
    }

    /// The one that new knowledge bases get.
    pub fn default(&self) -> Option<&Entry> {
        self.list.get(self.default?)
    }

    /// The one with this id.
    pub fn with_id(&self, id: &str) -> Option<&Arc<dyn Embedder>> {
        self.list.iter().map(|entry| &entry.embedder).find(|embedder| embedder.id() == id)
    }

    /// What a caller means: a name or an id; `none` for no embedder; the default one for nothing. `Err` when it means
    /// none of them.
    pub fn named(&self, words: &str) -> Result<Option<&Arc<dyn Embedder>>, UnknownEmbedder> {
        match words {
            "" => Ok(self.default().map(|entry| &entry.embedder)),
            NONE => Ok(None),
            words => {
                let named = self.list.iter().find(|entry| entry.name == words).map(|entry| &entry.embedder);
                named.or_else(|| self.with_id(words)).map(Some).ok_or(UnknownEmbedder)
            }
        }
    }
}

/// There is no embedder of this name or id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownEmbedder;

/// Loads the configured embedders. Takes a second for a local model: not for a runtime's own thread.
///
/// # Errors
/// When a model's files cannot be read or are not of a supported model, or when two names mean the same model.
pub(crate) fn open(config: &Config, llm_router: Option<&Channel>) -> Result<Embedders, EmbedError> {
    let mut list: Vec<Entry> = Vec::new();
    for (name, embedder) in &config.embedders {
        let opened = open_one(embedder, llm_router)
            .map_err(|error| EmbedError { reason: format!("{name}: {}", error.reason), ..error })?;
        if let Some(same) = list.iter().find(|entry| entry.embedder.id() == opened.id()) {
            return Err(EmbedError::fault(format!("{name} and {} are the same model", same.name)));
        }
        list.push(Entry { name: name.clone(), kind: embedder.kind.word(), embedder: opened });
    }
    Ok(Embedders::new(list, config.default_embedder()))
}

/// Loads a local model. Takes a second: not for a runtime's own thread.
///
/// # Errors
/// When its files cannot be read or are not of a supported model.
pub fn open_local(config: &EmbedderConfig) -> Result<Arc<dyn Embedder>, EmbedError> {
    Ok(Arc::new(local::LocalEmbedder::open(config)?))
}

fn open_one(config: &EmbedderConfig, llm_router: Option<&Channel>) -> Result<Arc<dyn Embedder>, EmbedError> {
    Ok(match config.kind {
        EmbedderKind::Local => open_local(config)?,
        EmbedderKind::Router => {
            let channel = llm_router.ok_or_else(|| EmbedError::fault("there is no llm-router"))?;
            Arc::new(router::RouterEmbedder::new(config, channel.clone()))
        }
    })
}

/// What is wrong with one embedder's settings, each as `key: fault`.
pub(crate) fn faults(config: &EmbedderConfig) -> Vec<String> {
    let mut faults = Vec::new();
    let mut check = |good: bool, fault: String| {
        if !good {
            faults.push(fault);
        }
    };
    match config.kind {
        EmbedderKind::Local => {
            let missing = local::FILES.iter().find(|file| !config.model_dir.join(file).is_file());
            let dir = config.model_dir.display();
            check(
                missing.is_none(),
                format!("model_dir: there is no file {} in {dir}", missing.unwrap_or(&"")),
            );
        }
        EmbedderKind::Router => {
            check(
                !config.model.is_empty(),
                "model: must be a model of the llm-router, `<provider>/<model>`".into(),
            );
            check((1..=16_384).contains(&config.dimensions), "dimensions: must be 1 to 16,384".into());
            check((1..=2_048).contains(&config.batch), "batch: must be 1 to 2,048".into());
        }
    }
    faults
}
