//! What an operator may set about the place of originals and snapshots.

use std::path::PathBuf;

use copydesk_types::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the bytes of originals and snapshots stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ObjectsBackend {
    /// In a folder of this machine.
    Local,
    /// In a bucket of an S3 server.
    S3,
    /// In the database: one file has everything, and replicas need nothing else in common.
    Rows,
}

/// Where originals (the bytes of documents whose text is not all of them) and snapshots stand. What stands elsewhere, as far
/// as it is still configured, is read there and moved here in the background.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Objects {
    /// `local`, `s3` or `rows`. Absent: `local` with SQLite, `rows` with PostgreSQL, whose replicas need not have a folder
    /// in common.
    pub backend: Option<ObjectsBackend>,
    /// The folder of `local`. Absent: `objects` in the data folder.
    pub folder: Option<PathBuf>,
    /// The bucket of `s3`; it must be there. Named although `backend` is another: what stands there is read, and moved.
    pub bucket: String,
    /// What the keys of all objects begin with: up to 200 of letters, digits and `-_./`. Two installations in one bucket
    /// need two.
    pub prefix: String,
    /// The server's address, `https://host:port`; `http://` for this machine, elsewhere with `allow_http`. The bucket is
    /// named in the path. Empty: Amazon's, by the region.
    pub endpoint: String,
    /// Whether `endpoint` may be `http://` on another machine: documents then travel in the clear.
    pub allow_http: bool,
    /// The region.
    pub region: String,
    /// The access key's id.
    #[schemars(with = "Option<String>")]
    pub access_key: Option<Secret>,
    /// The environment variable that holds it, instead of `access_key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key_env: Option<String>,
    /// The file that holds it, instead of `access_key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key_file: Option<PathBuf>,
    /// The secret that belongs to it.
    #[schemars(with = "Option<String>")]
    pub secret_key: Option<Secret>,
    /// The environment variable that holds it, instead of `secret_key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key_env: Option<String>,
    /// The file that holds it, instead of `secret_key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key_file: Option<PathBuf>,
    /// How long a connection may take to come about, in milliseconds, 10 to 60,000.
    pub connect_timeout_ms: u64,
    /// How long one request with its reply may take, in milliseconds, 10 to 600,000: eight mebibytes travel in it.
    pub timeout_ms: u64,
    /// How often a request is made in all when the server is not there, busy or late, 1 to 20, with growing random waits in
    /// between.
    pub attempts: u32,
    /// The longest wait between two attempts, in milliseconds, 1 to 60,000.
    pub longest_wait_ms: u64,
}

impl Default for Objects {
    fn default() -> Self {
        Self {
            backend: None,
            folder: None,
            bucket: String::new(),
            prefix: "copydesk".into(),
            endpoint: String::new(),
            allow_http: false,
            region: "us-east-1".into(),
            access_key: None,
            access_key_env: None,
            access_key_file: None,
            secret_key: None,
            secret_key_env: None,
            secret_key_file: None,
            connect_timeout_ms: 5_000,
            timeout_ms: 60_000,
            attempts: 5,
            longest_wait_ms: 5_000,
        }
    }
}

impl Objects {
    /// Whether a server is written to or read.
    pub(super) fn uses_s3(&self) -> bool {
        self.backend == Some(ObjectsBackend::S3) || !self.bucket.is_empty()
    }

    /// Every fault as `key: what is wrong`.
    pub(super) fn faults(&self) -> Vec<String> {
        let folder = self.folder.as_ref().is_none_or(|folder| !folder.as_os_str().is_empty());
        let mut good = vec![(folder, "folder: must not be empty")];
        if self.uses_s3() {
            good.extend(self.server());
        }
        good.iter().filter(|(good, _)| !good).map(|(_, fault)| format!("objects.{fault}")).collect()
    }

    fn server(&self) -> [(bool, &'static str); 11] {
        let bucket = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        let bucket = (3..=63).contains(&self.bucket.len()) && self.bucket.bytes().all(bucket);
        let part = |part: &str| !["", ".", ".."].contains(&part);
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
        let prefix = self.prefix.is_empty()
            || (self.prefix.len() <= 200
                && self.prefix.bytes().all(letters)
                && self.prefix.split('/').all(part));
        let region = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let region = (1..=64).contains(&self.region.len()) && self.region.bytes().all(region);
        let address = self.endpoint.is_empty() || host(&self.endpoint).is_some();
        let plain = self.endpoint.strip_prefix("http://").and_then(|_| host(&self.endpoint));
        let here = |host: &str| host == "localhost" || host == "[::1]" || host.starts_with("127.");
        let safe = self.allow_http || plain.is_none_or(here);
        let one = |keys: [bool; 3]| keys.into_iter().filter(|set| *set).count() == 1;
        let access =
            [self.access_key.is_some(), self.access_key_env.is_some(), self.access_key_file.is_some()];
        let secret =
            [self.secret_key.is_some(), self.secret_key_env.is_some(), self.secret_key_file.is_some()];
        [
            (bucket, "bucket: must be 3 to 63 letters, digits, dots, hyphens and underscores"),
            (
                prefix,
                "prefix: must be up to 200 letters, digits and -_./, without empty parts and dots alone",
            ),
            (address, "endpoint: must be http://host:port or https://host:port"),
            (safe, "endpoint: http:// on another machine needs allow_http"),
            (region, "region: must be 1 to 64 letters, digits, hyphens and underscores"),
            (
                one(access),
                "access_key: exactly one of access_key, access_key_env and access_key_file must be set",
            ),
            (
                one(secret),
                "secret_key: exactly one of secret_key, secret_key_env and secret_key_file must be set",
            ),
            ((10..=60_000).contains(&self.connect_timeout_ms), "connect_timeout_ms: must be 10 to 60,000"),
            ((10..=600_000).contains(&self.timeout_ms), "timeout_ms: must be 10 to 600,000"),
            ((1..=20).contains(&self.attempts), "attempts: must be 1 to 20"),
            ((1..=60_000).contains(&self.longest_wait_ms), "longest_wait_ms: must be 1 to 60,000"),
        ]
    }
}

/// The host of an address without a path, a query or a user.
fn host(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"))?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (rest, None),
    };
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    let good =
        !host.is_empty() && host.bytes().all(letters) && (host.starts_with('[') || !host.contains(':'));
    (good && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::super::{Config, resolve_keys};
    use super::*;

    fn keys(faults: &[String]) -> Vec<&str> {
        faults.iter().filter_map(|fault| fault.split(':').next()).collect()
    }

    fn s3() -> Objects {
        let key = |key: &str| Some(Secret::new(key));
        Objects {
            bucket: "docs".into(),
            access_key: key("id"),
            secret_key: key("hush"),
            ..Objects::default()
        }
    }

    #[test]
    fn every_fault_is_told_at_once() {
        assert_eq!(Objects::default().faults(), Vec::<String>::new());
        assert_eq!(s3().faults(), Vec::<String>::new());
        let bad = Objects {
            backend: Some(ObjectsBackend::S3),
            folder: Some("".into()),
            prefix: "a/../b".into(),
            endpoint: "minio:9000".into(),
            region: "eu west".into(),
            access_key: Some(Secret::new("id")),
            access_key_env: Some("ID".into()),
            connect_timeout_ms: 0,
            timeout_ms: 0,
            attempts: 0,
            longest_wait_ms: 0,
            ..Objects::default()
        };
        let expected = [
            "folder",
            "bucket",
            "prefix",
            "endpoint",
            "region",
            "access_key",
            "secret_key",
            "connect_timeout_ms",
            "timeout_ms",
            "attempts",
            "longest_wait_ms",
        ];
        assert_eq!(keys(&bad.faults()), expected.map(|key| format!("objects.{key}")));
    }

    #[test]
    fn in_the_clear_only_on_this_machine_unless_allowed() {
        for (endpoint, good) in [
            ("http://127.0.0.1:9000", true),
            ("http://[::1]:9000/", true),
            ("http://localhost", true),
            ("http://minio.intern:9000", false),
            ("https://minio.intern:9000", true),
            ("https://user@minio.intern", false),
            ("https://minio.intern/path", false),
            ("https://minio.intern:0", false),
        ] {
            let faults = Objects { endpoint: endpoint.into(), ..s3() }.faults();
            assert_eq!(faults.is_empty(), good, "{endpoint}: {faults:?}");
        }
        let allowed = Objects { endpoint: "http://minio.intern".into(), allow_http: true, ..s3() };
        assert_eq!(allowed.faults(), Vec::<String>::new());
    }

    #[test]
    fn both_keys_come_from_elsewhere_and_are_never_shown() {
        let env = |name: &str| (name == "ID").then(|| "id\n".to_owned());
        let objects = Objects {
            access_key: None,
            access_key_env: Some("ID".into()),
            secret_key: None,
            secret_key_file: Some("/does/not/exist".into()),
            ..s3()
        };
        let mut config = Config { objects: objects.clone(), ..Config::default() };
        assert_eq!(keys(&resolve_keys(&mut config, &env)), ["objects.secret_key_file"]);
        assert_eq!(config.objects.access_key.as_ref().map(|key| key.expose()), Some("id"));
        let shown = format!("{:?} {}", s3(), serde_json::to_string(&s3()).unwrap());
        assert!(!shown.contains("hush"), "{shown}");
        let unused = Objects { bucket: String::new(), ..objects };
        let mut config = Config { objects: unused, ..Config::default() };
        assert_eq!(resolve_keys(&mut config, &env), Vec::<String>::new(), "nobody asks for them");
    }
}
