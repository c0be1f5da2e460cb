//! The key files with which services know each other: `<service>.key` (PKCS#8, read by its service only) and
//! `<service>.pub` (the 32 bytes that the others believe).
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use copydesk_rpc::{Minter, SigningKey, Trust};
use copydesk_store::FileLock;
use copydesk_types::Scopes;

/// The services by rank: a service calls lower ranks only.
pub const RANKS: [&str; 5] = [
    copydesk_llm_router::NAME,
    copydesk_retrieval::NAME,
    copydesk_learning::NAME,
    copydesk_agent_orchestrator::NAME,
    copydesk_gateway::NAME,
];

/// Makes the keys that are missing. A complete folder is not written to, so it may be mounted read-only.
///
/// # Errors
/// When the folder cannot be written.
pub fn ensure(dir: &Path) -> anyhow::Result<()> {
    if RANKS.iter().all(|name| public_file(dir, name).is_file()) {
        return Ok(());
    }
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    // Several services may start at once on the same folder: one makes the keys, the others wait for it.
    let lock_file = dir.join("lock");
    let _lock = loop {
        match FileLock::acquire(&lock_file) {
            Ok(lock) => break lock,
            Err(copydesk_store::LockError::Held { .. }) => {
                std::thread::sleep(std::time::Duration::from_millis(20))
            }
            Err(error) => return Err(error).context("cannot lock the identity folder"),
        }
    };
    for name in RANKS {
        let (private, public) = (private_file(dir, name), public_file(dir, name));
        if !private.is_file() {
            write_private(&private, &SigningKey::generate()?)?;
        }
        let key = SigningKey::from_pkcs8(name, &fs::read(&private)?)?;
        write_whole(&public, &key.public_key())?;
    }
    Ok(())
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
    let key =
        SigningKey::from_pkcs8(service, &bytes).with_context(|| format!("{} is no key", file.display()))?;
    // A user's token goes from the gateway to every service, and from there on with the same call.
    let audience = if service == copydesk_gateway::NAME { vec!["mesh"] } else { RANKS[..rank].to_vec() };
    Ok(Minter::new(key, audience, grants(service)))
}

/// What a service's own work needs inside the mesh, beside what the user may do.
fn grants(service: &str) -> Scopes {
    let list: &[&str] = match service {
        copydesk_agent_orchestrator::NAME => {
            &["llm:write", "knowledge:read", "brands:read", "lessons:read", "outcomes:write"]
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
    use std::os::unix::fs::OpenOptionsExt;
    let part = path.with_extension("part");
    let failed = || format!("cannot write {}", path.display());
    let _ = fs::remove_file(&part);
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part).with_context(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).with_context(failed)?;
    fs::rename(&part, path).with_context(failed)
}

fn write_whole(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let part = path.with_extension("pub-part");
    fs::write(&part, bytes)
        .and_then(|()| fs::rename(&part, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use copydesk_rpc::{Caller, Verifier};
    use copydesk_types::TenantId;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

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
