//! Whether two requests with one `request_id` say the same.

/// A digest of the parts in order, 64 hexadecimal digits. Each part is preceded by its length, so that moving a
/// character from one part to the next gives another digest.
pub fn fingerprint<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_parts_apart() {
        assert_eq!(fingerprint(["a", "b"]), fingerprint(["a", "b"]));
        for other in [vec!["ab", ""], vec!["a"], vec!["b", "a"], vec!["a", "b", ""]] {
            assert_ne!(fingerprint(["a", "b"]), fingerprint(other));
        }
    }
}
