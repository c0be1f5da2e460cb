//! Where the bytes of originals and snapshots stand: a folder, a bucket of an S3 server, or rows.

mod bucket;
mod fault;
mod http;
mod rows;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use copydesk_store::{Database, Dialect};
use copydesk_types::ObjectId;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Prefix;
use object_store::{BackoffConfig, RetryConfig};

pub use bucket::Bucket;
pub use rows::{ROWS, RowsPlace};

use crate::config::{Objects, ObjectsBackend};
use crate::error::Error;
use crate::ports::{ObjectError, ObjectPlace, Places};

/// The file that holds a folder's name, so that another folder is never taken for it.
const NAME: &str = "place";
/// The first wait before a request is repeated.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// Rows alone: for hosts that bring a database and no settings.
pub(crate) fn only_rows(database: &Database) -> Places {
    Places { here: Arc::new(RowsPlace::new(database.clone())), others: Vec::new() }
}

/// Opens the place that is configured, and whatever else may hold older objects: rows always, the folder where there is
/// one, the bucket where one is named.
///
/// # Errors
/// `Objects` when the folder cannot be made, or the bucket is not there or refuses what it is asked. A server that is only
/// away at the moment is warned of: everything else works without it.
pub async fn open(settings: &Objects, data_dir: &Path, database: &Database) -> Result<Places, Error> {
    let backend = settings.backend.unwrap_or(match database.dialect() {
        Dialect::Sqlite => ObjectsBackend::Local,
        // Replicas on several machines have the database in common and no folder.
        Dialect::Postgres => ObjectsBackend::Rows,
    });
    let root = settings.folder.clone().unwrap_or_else(|| data_dir.join("objects"));
    let mut places: Vec<(ObjectsBackend, Arc<dyn ObjectPlace>)> =
        vec![(ObjectsBackend::Rows, Arc::new(RowsPlace::new(database.clone())))];
    if backend == ObjectsBackend::Local || root.join(NAME).exists() {
        places.push((ObjectsBackend::Local, Arc::new(folder(root)?)));
    }
    if backend == ObjectsBackend::S3 || !settings.bucket.is_empty() {
        places.push((ObjectsBackend::S3, Arc::new(s3(settings)?)));
    }
    let at = places.iter().position(|(kind, _)| *kind == backend).unwrap_or_default();
    let (_, here) = places.swap_remove(at);
    match here.check().await {
        Ok(()) => {}
        Err(error @ ObjectError::Unavailable(_)) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the store of originals and snapshots does not answer"
            );
        }
        Err(error) => return Err(Error::Objects(error)),
    }
    Ok(Places { here, others: places.into_iter().map(|(_, place)| place).collect() })
}

fn folder(root: PathBuf) -> Result<Bucket, Error> {
    let named = std::fs::create_dir_all(&root).and_then(|()| name_of(&root)).map_err(Error::Folder)?;
    let store = LocalFileSystem::new_with_prefix(&root);
    let store = store.map_err(|error| Error::Objects(fault::told(error)))?.with_fsync(true);
    Ok(Bucket::folder(format!("local:{named}"), root, store))
}

/// The name in a folder; one without gets one, whole and once.
fn name_of(root: &Path) -> io::Result<String> {
    let path = root.join(NAME);
    if !path.exists() {
        let mut file = tempfile::NamedTempFile::new_in(root)?;
        write!(file, "{}", ObjectId::generate())?;
        file.as_file().sync_all()?;
        match file.persist_noclobber(&path) {
            Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => return Err(error.error),
            _ => {}
        }
    }
    Ok(std::fs::read_to_string(path)?.trim().to_owned())
}

fn s3(settings: &Objects) -> Result<Bucket, Error> {
    let secret = |key: &Option<copydesk_types::Secret>| {
        key.as_ref().map(|key| key.expose().to_owned()).unwrap_or_default()
    };
    let plain = settings.endpoint.starts_with("http://");
    let connector = http::Connector {
        connect: Duration::from_millis(settings.connect_timeout_ms),
        exchange: Duration::from_millis(settings.timeout_ms),
        plain,
    };
    let longest = Duration::from_millis(settings.longest_wait_ms);
    let waits = BackoffConfig {
        // Not above the longest: the crate takes a number between the two and panics when there is none.
        init_backoff: FIRST_WAIT.min(longest / 2),
        max_backoff: longest,
        base: 2.0,
    };
    let attempts = settings.attempts as usize;
    let all = Duration::from_millis((settings.timeout_ms + settings.longest_wait_ms) * attempts as u64);
    let retry = RetryConfig { backoff: waits, max_retries: attempts - 1, retry_timeout: all };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&settings.bucket)
        .with_region(&settings.region)
        .with_access_key_id(secret(&settings.access_key))
        .with_secret_access_key(secret(&settings.secret_key))
        .with_allow_http(plain)
        // One by one: not every server takes a list, and the sweeper wants to know of each.
        .with_disable_bulk_delete(true)
        .with_retry(retry)
        .with_http_connector(connector);
    if !settings.endpoint.is_empty() {
        builder = builder.with_endpoint(settings.endpoint.trim_end_matches('/'));
    }
    let store = builder.build().map_err(|error| Error::Objects(fault::told(error)))?;
    let prefix = Prefix::from(settings.prefix.as_str());
    Ok(Bucket::s3(format!("s3:{}/{prefix}", settings.bucket), prefix, store))
}
