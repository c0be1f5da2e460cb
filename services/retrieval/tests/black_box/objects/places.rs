//! Places to test, each looked at past the code that is tested: the folder's files, the bucket's own listing, the rows.

#![allow(clippy::panic, clippy::print_stderr, reason = "a failed set-up must stop the test")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use copydesk_retrieval::ports::Places;
use copydesk_retrieval::{Objects, ObjectsBackend, adapters};
use copydesk_store::Database;
use copydesk_types::Secret;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::common::rows;

const URL: &str = "COPYDESK_TEST_S3_URL";
const REQUIRED: &str = "COPYDESK_REQUIRE_S3";

/// A place, empty and private to the test.
pub struct Place {
    pub name: &'static str,
    pub settings: Objects,
    /// The data folder of the service.
    pub folder: TempDir,
}

/// One of each kind that is there.
pub async fn all() -> Vec<Place> {
    let of = |name, backend| {
        let settings = Objects { backend: Some(backend), ..Objects::default() };
        Place { name, settings, folder: tempfile::tempdir().unwrap() }
    };
    let mut all = vec![of("local", ObjectsBackend::Local), of("rows", ObjectsBackend::Rows)];
    all.extend(s3().await);
    all
}

/// A new bucket on the test server; `None` when there is no server.
pub async fn s3() -> Option<Place> {
    static BUCKETS: AtomicUsize = AtomicUsize::new(0);
    let url = match std::env::var(URL) {
        Ok(url) if !url.is_empty() => url,
        _ if std::env::var(REQUIRED).is_ok_and(|value| value == "1") => {
            panic!("{REQUIRED} is set, but {URL} names no server")
        }
        _ => {
            eprintln!("skipped: no S3 server");
            return None;
        }
    };
    let bucket = format!("t{}-{}", std::process::id(), BUCKETS.fetch_add(1, Ordering::SeqCst));
    let settings = server(&url, &bucket);
    let place = Place { name: "s3", settings, folder: tempfile::tempdir().unwrap() };
    assert_eq!(place.ask("PUT", "", b"").await.0, 200, "the bucket is made");
    Some(place)
}

/// Settings for a server, with short waits.
pub fn server(url: &str, bucket: &str) -> Objects {
    Objects {
        backend: Some(ObjectsBackend::S3),
        bucket: bucket.to_owned(),
        endpoint: url.to_owned(),
        access_key: Some(Secret::new("test")),
        secret_key: Some(Secret::new("hush")),
        longest_wait_ms: 20,
        ..Objects::default()
    }
}

/// Credentials in their form.
const ANYBODY: &str =
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";

impl Place {
    pub async fn open(&self, database: &Database) -> Places {
        adapters::objects::open(&self.settings, self.folder.path(), database).await.unwrap()
    }

    /// How many objects there are, unfinished ones in a folder included.
    pub async fn objects(&self, database: &Database) -> usize {
        match self.settings.backend.unwrap() {
            ObjectsBackend::Local => self.files().len(),
            ObjectsBackend::S3 => self.keys().await.len(),
            ObjectsBackend::Rows => rows(database, "object_part").await as usize,
        }
    }

    /// How many uploads are unfinished.
    pub async fn uploads(&self) -> usize {
        match self.settings.backend.unwrap() {
            ObjectsBackend::S3 => self.ask("GET", "?uploads", b"").await.1.matches("<UploadId>").count(),
            _ => 0,
        }
    }

    /// Puts these bytes in the place of every object, or nothing at all.
    pub async fn spoil(&self, database: &Database, with: Option<&[u8]>) {
        match (self.settings.backend.unwrap(), with) {
            (ObjectsBackend::Local, Some(bytes)) => {
                self.files().iter().for_each(|file| std::fs::write(file, bytes).unwrap());
            }
            (ObjectsBackend::Local, None) => {
                self.files().iter().for_each(|file| std::fs::remove_file(file).unwrap());
            }
            (ObjectsBackend::S3, with) => {
                for key in self.keys().await {
                    let method = if with.is_some() { "PUT" } else { "DELETE" };
                    let (status, _) = self.ask(method, &format!("/{key}"), with.unwrap_or_default()).await;
                    assert!(status < 300, "{status}");
                }
            }
            (ObjectsBackend::Rows, Some(bytes)) => {
                database.execute("UPDATE object_part SET content = $1", &[bytes.into()]).await.unwrap();
            }
            (ObjectsBackend::Rows, None) => {
                database.execute("DELETE FROM object_part", &[]).await.unwrap();
            }
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        files(&self.folder.path().join("objects"))
    }

    async fn keys(&self) -> Vec<String> {
        let (status, listing) = self.ask("GET", "?list-type=2", b"").await;
        assert_eq!(status, 200, "{listing}");
        let keys = listing.split("<Key>").skip(1).filter_map(|rest| rest.split_once("</Key>"));
        keys.map(|(key, _)| key.to_owned()).collect()
    }

    /// Asks the server for something in the bucket, unsigned: the test server takes that.
    async fn ask(&self, method: &str, path: &str, body: &[u8]) -> (u16, String) {
        let host = self.settings.endpoint.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(host).await.unwrap();
        // The server asks who changes an object, and checks no signature.
        let head = format!(
            "{method} /{}{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\nauthorization: {ANYBODY}\r\n\
             content-length: {}\r\n\r\n",
            self.settings.bucket,
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer)
    }
}

/// The files in a folder and below, but for the one with its name.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        match path.is_dir() {
            true => files.extend(self::files(&path)),
            false if path.file_name().is_some_and(|name| name != "place") => files.push(path),
            false => {}
        }
    }
    files
}

/// Waits until something is so.
pub async fn until(mut so: impl AsyncFnMut() -> bool) {
    let patience = async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), patience).await.unwrap();
}
