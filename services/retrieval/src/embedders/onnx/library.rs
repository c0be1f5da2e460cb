//! onnxruntime itself: a library that is loaded once, with the first model that needs it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ort::environment::Environment;
use ort::logging::LogLevel;

use crate::ports::EmbedError;

/// The library of this process, and where it came from. It is never unloaded: the binding allows one for a process's life.
static LOADED: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

/// What onnxruntime says, as an error.
pub(super) fn said<R>(error: &ort::Error<R>) -> EmbedError {
    EmbedError::fault(format!("onnxruntime says: {}", error.message()))
}

/// The library, loaded from a path or, where that is empty, from where the system looks for libraries. It is one of the
/// operator's: its code runs in this process.
pub(super) fn environment(library: &Path) -> Result<Environment, EmbedError> {
    let name = format!("{}onnxruntime{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let path = if library.as_os_str().is_empty() { PathBuf::from(name) } else { library.to_owned() };
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    match &*loaded {
        Some((from, environment)) if *from == path => return Ok(environment.clone()),
        Some((from, _)) => {
            let (from, path) = (from.display(), path.display());
            return Err(EmbedError::fault(format!(
                "the library {path} is not loaded: one process has one onnxruntime, and this one has {from}"
            )));
        }
        None => {}
    }
    let environment = load(&path)?;
    *loaded = Some((path, environment.clone()));
    Ok(environment)
}

fn load(path: &Path) -> Result<Environment, EmbedError> {
    let failed = |error: &dyn std::fmt::Display| {
        EmbedError::fault(format!(
            "onnxruntime cannot be loaded: {error} (set embedding.onnxruntime or ORT_DYLIB_PATH to its library, 1.{} or newer)",
            ort::MINOR_VERSION
        ))
    };
    let builder = ort::init_from(path).map_err(|error| failed(&error))?;
    let log = |level: LogLevel, _: &str, _: &str, place: &str, words: &str| {
        if level >= LogLevel::Error {
            tracing::warn!(place, words, "onnxruntime reports an error");
        } else {
            tracing::debug!(place, words, "onnxruntime reports");
        }
    };
    let environment = builder.with_name("copydesk").with_telemetry(false).with_logger(Arc::new(log)).build();
    let environment = environment.map_err(|error| failed(&error))?;
    environment.set_log_level(LogLevel::Warning);
    Ok(environment)
}
