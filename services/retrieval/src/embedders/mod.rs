//! The family of embedders: one file per kind. Each turns texts into vectors; without one, searches are lexical and
//! say so. There is no stand-in: a vector that means nothing would only look like an answer.

mod folder;
mod local;
#[cfg(feature = "ort")]
mod onnx;
mod router;
mod tokens;
mod weigher;

use std::path::Path;
use std::sync::Arc;

use copydesk_rpc::Channel;

use crate::config::{Config, EmbedderConfig, EmbedderKind, EmbedderRuntime};
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
        let opened = open_one(embedder, &config.embedding.onnxruntime, llm_router)
            .map_err(|error| EmbedError { reason: format!("{name}: {}", error.reason), ..error })?;
        if let Some(same) = list.iter().find(|entry| entry.embedder.id() == opened.id()) {
            return Err(EmbedError::fault(format!("{name} and {} are the same model", same.name)));
        }
        list.push(Entry { name: name.clone(), kind: embedder.kind.word(), embedder: opened });
    }
    Ok(Embedders::new(list, config.default_embedder()))
}

/// Loads a local model. Takes a second: not for a runtime's own thread. `onnxruntime` is that runtime's library, for a model
/// that it runs; empty: where the system looks for libraries.
///
/// # Errors
/// When its files cannot be read or are not of a supported model, when its vectors have other dimensions than the settings
/// say, and when it is onnxruntime's and that cannot be loaded.
pub fn open_local(config: &EmbedderConfig, onnxruntime: &Path) -> Result<Arc<dyn Embedder>, EmbedError> {
    match config.runtime {
        EmbedderRuntime::Rust => Ok(Arc::new(local::LocalEmbedder::open(config)?)),
        EmbedderRuntime::Onnxruntime => open_onnx(config, onnxruntime),
    }
}

#[cfg(feature = "ort")]
fn open_onnx(config: &EmbedderConfig, library: &Path) -> Result<Arc<dyn Embedder>, EmbedError> {
    Ok(Arc::new(onnx::OnnxEmbedder::open(config, library)?))
}

#[cfg(not(feature = "ort"))]
fn open_onnx(_: &EmbedderConfig, _: &Path) -> Result<Arc<dyn Embedder>, EmbedError> {
    Err(EmbedError::fault(WITHOUT_ONNXRUNTIME))
}

/// What an operator reads who has a build without it.
const WITHOUT_ONNXRUNTIME: &str = "onnxruntime is not part of this build: it needs the cargo feature `ort`";

fn open_one(
    config: &EmbedderConfig,
    onnxruntime: &Path,
    llm_router: Option<&Channel>,
) -> Result<Arc<dyn Embedder>, EmbedError> {
    Ok(match config.kind {
        EmbedderKind::Local => open_local(config, onnxruntime)?,
        EmbedderKind::Router => {
            let channel = llm_router.ok_or_else(|| EmbedError::fault("there is no llm-router"))?;
            Arc::new(router::RouterEmbedder::new(config, channel.clone()))
        }
    })
}

/// The dimensions of a local model's vectors, if they are those that the settings want.
fn checked_width(width: usize, config: &EmbedderConfig) -> Result<usize, EmbedError> {
    let wanted = config.dimensions as usize;
    if wanted == 0 || wanted == width {
        return Ok(width);
    }
    Err(EmbedError::fault(format!("the model's vectors have {width} dimensions, not {wanted}")))
}

/// Runs work beside the runtime's own threads.
async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EmbedError> + Send + 'static,
) -> Result<T, EmbedError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| EmbedError::fault(error.to_string()))?
}

/// What is wrong with one embedder's settings, each as `key: fault`.
pub(crate) fn faults(config: &EmbedderConfig) -> Vec<String> {
    faults_of(config, cfg!(feature = "ort"))
}

fn faults_of(config: &EmbedderConfig, with_onnxruntime: bool) -> Vec<String> {
    let mut faults = Vec::new();
    let mut check = |good: bool, fault: String| {
        if !good {
            faults.push(fault);
        }
    };
    match config.kind {
        EmbedderKind::Local => {
            let onnx = config.runtime == EmbedderRuntime::Onnxruntime;
            check(!onnx || with_onnxruntime, format!("runtime: {WITHOUT_ONNXRUNTIME}"));
            let graph = [folder::CONFIG, folder::TOKENIZER, config.onnx.graph.as_str()];
            let files = if onnx { &graph } else { &local::FILES };
            let missing = files.iter().find(|file| !config.model_dir.join(file).is_file());
            let dir = config.model_dir.display();
            check(
                missing.is_none(),
                format!("model_dir: there is no file {} in {dir}", missing.unwrap_or(&"")),
            );
            check(
                config.dimensions <= 16_384,
                "dimensions: must be 1 to 16,384, or 0 for the model's".into(),
            );
            check(config.onnx.threads <= 1_024, "onnx.threads: must be 0 to 1,024".into());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn onnxruntime_is_refused_by_a_build_without_it() {
        let folder = tempfile::tempdir().unwrap();
        for file in [folder::CONFIG, folder::TOKENIZER, "model.onnx"] {
            std::fs::write(folder.path().join(file), "").unwrap();
        }
        let mut config = EmbedderConfig {
            model_dir: folder.path().to_owned(),
            runtime: EmbedderRuntime::Onnxruntime,
            ..EmbedderConfig::default()
        };
        assert_eq!(faults_of(&config, true), Vec::<String>::new());
        let faults = faults_of(&config, false);
        assert!(faults.len() == 1 && faults[0].contains("cargo feature `ort`"), "{faults:?}");
        config.onnx.graph = "model_int8.onnx".into();
        assert!(faults_of(&config, true)[0].contains("there is no file model_int8.onnx"));
        config.runtime = EmbedderRuntime::Rust;
        assert!(faults_of(&config, false)[0].contains("there is no file model.safetensors"));
    }
}
