//! Page tokens: opaque, bound to tenant, method and filter.
//!
//! A token is the cursor and a digest of what it belongs to. The digest is no secret and protects no data (every query
//! is filtered by tenant all the same); it makes a foreign or altered token a clear fault instead of a strange page.
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use copydesk_types::TenantId;
use ring::digest;

use crate::Violations;

/// Items on a page when the request says 0.
pub const DEFAULT: u32 = 50;
/// The most items on a page.
pub const MAX: u32 = 500;
const SEAL: usize = 12;

/// The size to use: 0 means [`DEFAULT`]; more than [`MAX`] is a fault of `page_size`.
pub fn size(page_size: u32, violations: &mut Violations) -> u32 {
    violations.check(page_size <= MAX, "page_size", format!("must be 0 to {MAX}"));
    if page_size == 0 { DEFAULT } else { page_size.min(MAX) }
}

/// The token for the page after `cursor`. `filter` names the method and the values of its filters.
pub fn encode(tenant: TenantId, filter: &str, cursor: &str) -> String {
    let mut bytes = seal(tenant, filter, cursor);
    bytes.extend_from_slice(cursor.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The cursor in a token. An empty token is the first page (`None`); a foreign or altered one is a fault.
pub fn decode(tenant: TenantId, filter: &str, token: &str, violations: &mut Violations) -> Option<String> {
    if token.is_empty() {
        return None;
    }
    let cursor = open(tenant, filter, token);
    violations.check(
        cursor.is_some(),
        "page_token",
        "is not a token of this list, its filter and its caller",
    );
    cursor
}

fn open(tenant: TenantId, filter: &str, token: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (sealed, cursor) = bytes.split_at_checked(SEAL)?;
    let cursor = std::str::from_utf8(cursor).ok()?;
    (sealed == seal(tenant, filter, cursor)).then(|| cursor.to_owned())
}

fn seal(tenant: TenantId, filter: &str, cursor: &str) -> Vec<u8> {
    let text = format!("{tenant}\n{filter}\n{cursor}");
    digest::digest(&digest::SHA256, text.as_bytes()).as_ref()[..SEAL].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_own_list_only() {
        let (mine, other) = (TenantId::from_u128(1), TenantId::from_u128(2));
        let token = encode(mine, "ListRuns brand=1", "cursor|7");
        let read = |tenant, filter: &str, token: &str| {
            let mut violations = Violations::new();
            let cursor = decode(tenant, filter, token, &mut violations);
            (cursor, violations.is_empty())
        };
        assert_eq!(read(mine, "ListRuns brand=1", &token), (Some("cursor|7".to_owned()), true));
        assert_eq!(read(mine, "", ""), (None, true));
        assert_eq!(read(other, "ListRuns brand=1", &token), (None, false));
        assert_eq!(read(mine, "ListRuns brand=2", &token), (None, false));
        for bad in ["x", "!!!", "AAAAAAAAAAAAAAAAAAAAAAAA", &token[1..]] {
            assert_eq!(read(mine, "ListRuns brand=1", bad), (None, false), "{bad}");
        }
    }
}
