//! The key files with which services know each other: `<service>.key` (PKCS#8, read by its service only) and
//! `<service>.pub` (the 32 bytes that the others believe).
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use copydesk_rpc::{Minter, SigningKey, Trust};
use copydesk_store::{FileLock, LockError};
use copydesk_types::Scopes;

/// The services by rank: a service calls lower ranks only.
pub const RANKS: [&str; 5] = [
    copydesk_llm_router::NAME,
    copydesk_retrieval::NAME,
    copydesk_learning::NAME,
    copydesk_agent_orchestrator::NAME,
    copydesk_gateway::NAME,
];

/// The bytes of a public key (Ed25519).
const PUBLIC_BYTES: usize = 32;
/// How long to wait for another process that is making keys.
const PATIENCE: Duration = Duration::from_secs(10);

/// Makes the keys that are missing, and public ones anew that do not belong to a private key at hand. A sound folder is
/// not written to, so it may be mounted read-only.
///
/// # Errors
/// When the folder cannot be written, a key is broken and cannot be made from another, or another process has the folder
/// locked for ten seconds.
pub fn ensure(dir: &Path) -> anyhow::Result<()> {
    if unsound(dir)?.is_empty() {
        return Ok(());
    }
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    // Several services may start at once on the same folder: one makes the keys, the others wait for it.
    let _lock = lock(dir, PATIENCE)?;
    for name in unsound(dir)? {
        let private = private_file(dir, name);
        if !private.is_file() {
            write_private(&private, &SigningKey::generate()?)?;
        }
        let bytes = fs::read(&private).with_context(|| format!("cannot read {}", private.display()))?;
        write_durably(
            &public_file(dir, name),
            "pub-part",
            0o644,
            &signing_key(&private, name, &bytes)?.public_key(),
        )?;
    }
    Ok(())
}

/// The services whose public key is missing, or is not that of the private key where this process may read it.
fn unsound(dir: &Path) -> anyhow::Result<Vec<&'static str>> {
    let mut names = Vec::new();
    for name in RANKS {
        let (private, public) = (private_file(dir, name), public_file(dir, name));
        let (key, known) = (read_if_may(&private)?, read_if_may(&public)?);
        let sound = match (key, known) {
            (Some(key), known) => {
                let own = signing_key(&private, name, &key)?.public_key();
                known.is_some_and(|known| known == own)
            }
            (None, Some(known)) if known.len() != PUBLIC_BYTES => bail!(
                "{} has {} bytes and a public key has {PUBLIC_BYTES}; copy it again from where {} is",
                public.display(),
                known.len(),
                private.display()
            ),
            (None, known) => known.is_some(),
        };
        if !sound {
            names.push(name);
        }
    }
    Ok(names)
}

/// A file's bytes; `None` when it is absent or not for this process to read.
fn read_if_may(file: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    match fs::read(file) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
}

fn signing_key(file: &Path, name: &str, bytes: &[u8]) -> anyhow::Result<SigningKey> {
    SigningKey::from_pkcs8(name, bytes).with_context(|| format!("{} is no key", file.display()))
}

/// Locks the folder, waiting so long for another process.
fn lock(dir: &Path, patience: Duration) -> anyhow::Result<FileLock> {
    let begin = Instant::now();
    loop {
        match FileLock::acquire(dir.join("lock")) {
            Err(LockError::Held { .. }) if begin.elapsed() < patience => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(error @ LockError::Held { .. }) => {
                return Err(error).with_context(|| {
                    format!("another process keeps the identity folder {} locked", dir.display())
                });
            }
            taken => return taken.context("cannot lock the identity folder"),
        }
    }
}

/// The keys of every service that the folder knows.
///
/// # Errors
/// When a public key is missing.
pub fn trust(dir: &Path) -> anyhow::Result<Trust> {
    RANKS.iter().try_fold(Trust::new(), |trust, name| {
        let file = public_file(dir, name);
        let bytes = fs::read(&file).with_context(|| {
            format!(
                "{} is missing; `copydesk identity init --dir {}` makes all keys",
                file.display(),
                dir.display()
            )
        })?;
        Ok(trust.with(*name, bytes))
    })
}

/// What mints a service's tokens: for lower ranks only, with the scopes that its own work needs.
///
/// # Errors
/// When its private key is missing or broken.
pub fn minter(dir: &Path, service: &str) -> anyhow::Result<Minter> {
    let Some(rank) = RANKS.iter().position(|name| *name == service) else {
        bail!("there is no service `{service}`")
    };
    let file = private_file(dir, service);
    let bytes = fs::read(&file).with_context(|| {
        format!(
            "{} is missing; `copydesk identity init --dir {}` makes all keys",
            file.display(),
            dir.display()
        )
    })?;
    let key = signing_key(&file, service, &bytes)?;
    // A user's token goes from the gateway to every service, and from there on with the same call.
    let audience = if service == copydesk_gateway::NAME { vec!["mesh"] } else { RANKS[..rank].to_vec() };
    Ok(Minter::new(key, audience, grants(service)))
}

/// What a service's own work needs inside the mesh, beside what the user may do.
fn grants(service: &str) -> Scopes {
    let list: &[&str] = match service {
        copydesk_agent_orchestrator::NAME => {
            &["llm:write", "knowledge:read", "web:read", "brands:read", "lessons:read", "outcomes:write"]
        }
        copydesk_learning::NAME => &["llm:write", "knowledge:read"],
        copydesk_retrieval::NAME => &["llm:write"],
        _ => &[],
    };
    list.iter().copied().collect()
}

fn private_file(dir: &Path, service: &str) -> PathBuf {
    dir.join(format!("{service}.key"))
}

fn public_file(dir: &Path, service: &str) -> PathBuf {
    dir.join(format!("{service}.pub"))
}

/// Writes a file that only its owner reads, whole or not at all.
///
/// # Errors
/// When the folder cannot be written.
pub fn write_private(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    write_durably(path, "part", 0o600, bytes)
}

/// Writes a file whole or not at all, by way of one with another extension; it survives a power cut.
fn write_durably(path: &Path, extension: &str, mode: u32, bytes: &[u8]) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let part = path.with_extension(extension);
    let failed = || format!("cannot write {}", path.display());
    let _ = fs::remove_file(&part);
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&part).with_context(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).with_context(failed)?;
    fs::rename(&part, path).with_context(failed)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(folder).and_then(|folder| folder.sync_all()).with_context(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use copydesk_rpc::{Caller, Verifier};
    use copydesk_types::TenantId;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn keys_are_made_once_and_read_by_their_owner_only() {
        let dir = tempfile::tempdir().expect("dir");
        ensure(dir.path()).expect("made");
        let file = private_file(dir.path(), "gateway");
        let first = fs::read(&file).expect("key");
        assert_eq!(fs::metadata(&file).expect("meta").permissions().mode() & 0o777, 0o600);
        ensure(dir.path()).expect("still there");
        assert_eq!(fs::read(&file).expect("key"), first);
    }

    #[test]
    fn a_public_key_that_is_not_of_its_private_one_is_made_anew() {
        let dir = tempfile::tempdir().expect("dir");
        ensure(dir.path()).expect("made");
        let read = |name: &str| fs::read(public_file(dir.path(), name)).expect("public key");
        let before: Vec<_> = RANKS.iter().map(|name| read(name)).collect();
        fs::write(public_file(dir.path(), RANKS[0]), b"").expect("emptied");
        fs::write(public_file(dir.path(), RANKS[1]), &before[2]).expect("another's");
        fs::remove_file(public_file(dir.path(), RANKS[3])).expect("removed");
        // Of the last only the public key is here: it is believed and stays, and no other private key is made for it.
        fs::remove_file(private_file(dir.path(), RANKS[4])).expect("removed");
        ensure(dir.path()).expect("mended");
        assert_eq!(RANKS.iter().map(|name| read(name)).collect::<Vec<_>>(), before);
        assert!(!private_file(dir.path(), RANKS[4]).exists());
    }

    #[test]
    fn what_cannot_be_mended_is_named() {
        let dir = tempfile::tempdir().expect("dir");
        ensure(dir.path()).expect("made");
        fs::remove_file(private_file(dir.path(), "learning")).expect("removed");
        fs::write(public_file(dir.path(), "learning"), b"short").expect("written");
        let error = ensure(dir.path()).expect_err("no key to make it from").to_string();
        assert!(error.contains("learning.pub has 5 bytes"), "{error}");
        fs::remove_file(public_file(dir.path(), "learning")).expect("removed");
        fs::write(private_file(dir.path(), "gateway"), b"").expect("emptied");
        let error = ensure(dir.path()).expect_err("a broken key").to_string();
        assert!(error.contains("gateway.key is no key"), "{error}");
    }

    #[test]
    fn a_lock_that_is_kept_is_not_waited_for_for_ever() {
        let dir = tempfile::tempdir().expect("dir");
        let held = lock(dir.path(), Duration::ZERO).expect("free");
        let error = lock(dir.path(), Duration::ZERO).expect_err("held").to_string();
        assert!(error.contains("another process keeps the identity folder"), "{error}");
        drop(held);
        lock(dir.path(), Duration::ZERO).expect("free again");
    }

    #[test]
    fn a_users_token_is_believed_everywhere() {
        let dir = tempfile::tempdir().expect("dir");
        ensure(dir.path()).expect("made");
        let tenant = TenantId::from_u128(5);
        let caller =
            Caller { tenant, principal: "key_x".to_owned(), scopes: Scopes::all(), actor: None, run: None };
        let token =
            minter(dir.path(), "gateway").expect("minter").user_token(&caller, Duration::from_secs(60));
        for service in &RANKS[..4] {
            let verifier = Verifier::new(*service, trust(dir.path()).expect("trust"));
            assert_eq!(verifier.verify(token.as_deref().expect("signed")).map(|c| c.tenant), Ok(tenant));
        }
    }
}
