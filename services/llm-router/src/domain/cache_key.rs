//! The names under which things are kept in the cache.
use std::fmt;

use copydesk_types::TenantId;

/// Part of every hash: another number, and what an older build kept is not found any more.
const FORMAT: u8 = 1;

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CacheKind {
    /// Answers.
    Answer,
    /// Vectors.
    Embedding,
}

impl CacheKind {
    /// The name in keys and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            CacheKind::Answer => "answer",
            CacheKind::Embedding => "embedding",
        }
    }
}

/// The name of one entry. It shows whose it is and of which kind; all else is hashed, the tenant included.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CacheKey {
    tenant: TenantId,
    kind: CacheKind,
    digest: [u8; 32],
}

impl CacheKey {
    /// The name of what these parts describe. Parts keep apart: `["ab", "c"]` is not `["a", "bc"]`.
    pub fn new(tenant: TenantId, kind: CacheKind, parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[FORMAT]);
        let (whose, what) = (tenant.to_string(), kind.as_str());
        for part in [whose.as_bytes(), what.as_bytes()].iter().chain(parts) {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Self { tenant, kind, digest: *hasher.finalize().as_bytes() }
    }

    /// Whose it is.
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// What is kept under it.
    pub fn kind(&self) -> CacheKind {
        self.kind
    }

    /// How the names of all entries of a tenant begin; without characters that a pattern could misread.
    pub fn prefix(tenant: TenantId) -> String {
        format!("copydesk:llm:{tenant}:")
    }
}

impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = blake3::Hash::from_bytes(self.digest).to_hex();
        write!(f, "{}{}:{digest}", Self::prefix(self.tenant), self.kind.as_str())
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: TenantId = TenantId::from_u128(1);
    const TWO: TenantId = TenantId::from_u128(2);

    fn key(tenant: TenantId, kind: CacheKind, parts: &[&str]) -> CacheKey {
        let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
        CacheKey::new(tenant, kind, &parts)
    }

    #[test]
    fn everything_counts_and_parts_keep_apart() {
        let all = [
            key(ONE, CacheKind::Answer, &["ab", "c"]),
            key(ONE, CacheKind::Answer, &["a", "bc"]),
            key(ONE, CacheKind::Answer, &["abc"]),
            key(ONE, CacheKind::Answer, &["abc", ""]),
            key(TWO, CacheKind::Answer, &["abc"]),
            key(ONE, CacheKind::Embedding, &["abc"]),
        ];
        let hashes: std::collections::BTreeSet<String> =
            all.iter().map(|key| key.to_string().rsplit(':').next().unwrap().to_owned()).collect();
        assert_eq!(hashes.len(), all.len(), "the hash alone tells them apart: {all:?}");
        assert_eq!(all[0], key(ONE, CacheKind::Answer, &["ab", "c"]));
    }

    #[test]
    fn a_name_shows_whose_it_is_and_not_what_was_said() {
        let name = key(ONE, CacheKind::Answer, &["a secret plan"]).to_string();
        assert!(name.starts_with(&CacheKey::prefix(ONE)) && !name.starts_with(&CacheKey::prefix(TWO)));
        assert!(name.contains(":answer:") && !name.contains("secret"));
        assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b':' || b == b'_'), "{name}");
    }
}
