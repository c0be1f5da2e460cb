//! What a model can do.
use std::fmt;
use std::ops::BitOr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A set of abilities.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Capabilities(u8);

const NAMES: [(Capabilities, &str); 6] = [
    (Capabilities::CHAT, "chat"),
    (Capabilities::TOOLS, "tools"),
    (Capabilities::IMAGES, "images"),
    (Capabilities::JSON_SCHEMA, "json_schema"),
    (Capabilities::EMBED, "embed"),
    (Capabilities::RERANK, "rerank"),
];

impl Capabilities {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Writes text.
    pub const CHAT: Self = Self(1);
    /// Asks for tools.
    pub const TOOLS: Self = Self(1 << 1);
    /// Sees pictures.
    pub const IMAGES: Self = Self(1 << 2);
    /// Answers by a JSON schema, by itself or because the router asks it to in words and checks.
    pub const JSON_SCHEMA: Self = Self(1 << 3);
    /// Gives vectors.
    pub const EMBED: Self = Self(1 << 4);
    /// Ranks documents.
    pub const RERANK: Self = Self(1 << 5);

    /// The ability with this name.
    pub fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(_, known)| *known == name).map(|(one, _)| *one)
    }

    /// The names of all abilities there are.
    pub fn known() -> Vec<&'static str> {
        NAMES.iter().map(|(_, name)| *name).collect()
    }

    /// The names of those in the set.
    pub fn names(self) -> Vec<&'static str> {
        NAMES.iter().filter(|(one, _)| self.has(*one)).map(|(_, name)| *name).collect()
    }

    /// True when there is nothing in the set.
    pub const fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// True when every ability of `needed` is in the set.
    pub const fn has(self, needed: Self) -> bool {
        self.0 & needed.0 == needed.0
    }

    /// Those of `needed` that are not in the set.
    pub const fn missing(self, needed: Self) -> Self {
        Self(needed.0 & !self.0)
    }

    /// Both sets together, for constants.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOr for Capabilities {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        self.and(other)
    }
}

impl Serialize for Capabilities {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.names().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Capabilities {
    /// Names that are not known any more are left out: what is read was kept by another version.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        let known = names.iter().filter_map(|name| Self::named(name));
        Ok(known.fold(Self::NONE, |set, one| set | one))
    }
}

impl fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.names())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_know_what_they_miss() {
        let set = Capabilities::CHAT | Capabilities::TOOLS;
        assert!(set.has(Capabilities::CHAT) && set.has(Capabilities::NONE));
        let needed = Capabilities::CHAT | Capabilities::IMAGES;
        assert!(!set.has(needed));
        assert_eq!(set.missing(needed).names(), ["images"]);
        for name in Capabilities::known() {
            assert_eq!(Capabilities::named(name).map(Capabilities::names), Some(vec![name]));
        }
        assert_eq!(Capabilities::named("telepathy"), None);
        let kept = serde_json::to_string(&needed).unwrap();
        assert_eq!(kept, r#"["chat","images"]"#);
        assert_eq!(serde_json::from_str::<Capabilities>(&kept).unwrap(), needed);
        assert!(serde_json::from_str::<Capabilities>(r#"["telepathy"]"#).unwrap().is_empty());
    }
}
