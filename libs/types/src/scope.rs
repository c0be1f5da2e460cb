//! Scopes: what an identity may do.
use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// One permission, `<area>:<read|write>`, for example `runs:write`; or `*`, or `<area>:*`.
pub type Scope = String;

/// The scopes that an identity holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scopes(BTreeSet<Scope>);

impl Scopes {
    /// Every scope but `platform:*`.
    pub fn all() -> Self {
        ["*"].into_iter().collect()
    }

    /// True when `needed` is held: by name, by `<area>:*`, or by `*`. `*` does not hold `platform:…`: the operator's
    /// scopes are always named.
    pub fn allow(&self, needed: &str) -> bool {
        let area = needed.split(':').next().unwrap_or_default();
        let wildcard = self.0.iter().any(|s| s.strip_suffix(":*").is_some_and(|a| a == area));
        self.0.contains(needed) || wildcard || (area != "platform" && self.0.contains("*"))
    }

    /// True when every scope of `other` is allowed by this set, so that `other` may be handed out by its holder.
    pub fn cover(&self, other: &Scopes) -> bool {
        other.iter().all(|scope| self.0.contains(scope) || (scope != "*" && self.allow(scope)))
    }

    /// Each scope, in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// True when nothing is allowed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True for a text that can be a scope: `*`, or two lower-case words (or `*` for the second) with a colon between.
    pub fn is_valid(scope: &str) -> bool {
        let word = |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        scope == "*" || scope.split_once(':').is_some_and(|(a, b)| word(a) && (word(b) || b == "*"))
    }
}

impl<S: Into<String>> FromIterator<S> for Scopes {
    fn from_iter<I: IntoIterator<Item = S>>(iter: I) -> Self {
        Self(iter.into_iter().map(Into::into).collect())
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iter().collect::<Vec<_>>().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(list: &[&str]) -> Scopes {
        list.iter().copied().collect()
    }

    #[test]
    fn wildcards_stop_before_the_platform() {
        assert!(scopes(&["runs:write"]).allow("runs:write"));
        assert!(!scopes(&["runs:read"]).allow("runs:write"));
        assert!(scopes(&["runs:*"]).allow("runs:write"));
        assert!(Scopes::all().allow("runs:write"));
        assert!(!Scopes::all().allow("platform:write"));
        assert!(scopes(&["*", "platform:*"]).allow("platform:write"));
        assert!(!Scopes::default().allow("runs:read"));
    }

    #[test]
    fn nobody_hands_out_more_than_they_hold() {
        assert!(Scopes::all().cover(&scopes(&["runs:read", "*"])));
        assert!(!scopes(&["runs:*"]).cover(&Scopes::all()));
        assert!(!Scopes::all().cover(&scopes(&["platform:write"])));
        assert!(scopes(&["runs:*"]).cover(&scopes(&["runs:read", "runs:*"])));
    }

    #[test]
    fn knows_the_form() {
        for good in ["*", "runs:write", "platform:*"] {
            assert!(Scopes::is_valid(good), "{good}");
        }
        for bad in ["", "runs", "Runs:write", "runs:", ":read", "runs:read:x", "runs: read"] {
            assert!(!Scopes::is_valid(bad), "{bad}");
        }
    }
}
