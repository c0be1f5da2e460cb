//! For whom content is written.

use copydesk_types::{BrandId, KnowledgeBaseId};

/// What a caller may set of a brand; shapes and lengths were checked at the door.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BrandFields {
    /// Its name, 1 to 200 characters.
    pub name: String,
    /// Its voice in a few words, up to 1,000 characters.
    pub voice: String,
    /// Its readers, up to 1,000 characters.
    pub audience: String,
    /// A BCP 47 tag; empty means `en`.
    pub language: String,
    /// The knowledge bases it draws on, up to 16.
    pub knowledge_bases: Vec<KnowledgeBaseId>,
}

/// A stored brand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brand {
    /// Its id.
    pub id: BrandId,
    /// What the caller set.
    pub fields: BrandFields,
    /// From 1, one more with every update; the wire's `etag` is this number.
    pub version: i64,
    /// When it was made, in ms since 1970.
    pub created_ms: i64,
    /// When it last changed, in ms since 1970.
    pub updated_ms: i64,
}

impl Brand {
    /// The text that changes with every update.
    pub fn etag(&self) -> String {
        self.version.to_string()
    }

    /// The brand after `patch`, changed at `now_ms`.
    pub fn patched(mut self, patch: BrandPatch, now_ms: i64) -> Self {
        let fields = &mut self.fields;
        set(&mut fields.name, patch.name);
        set(&mut fields.voice, patch.voice);
        set(&mut fields.audience, patch.audience);
        set(&mut fields.language, patch.language);
        set(&mut fields.knowledge_bases, patch.knowledge_bases);
        self.version += 1;
        self.updated_ms = self.updated_ms.max(now_ms);
        self
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

/// New values for some fields; `None` leaves a field alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BrandPatch {
    /// As in [`BrandFields`].
    pub name: Option<String>,
    /// As in [`BrandFields`].
    pub voice: Option<String>,
    /// As in [`BrandFields`].
    pub audience: Option<String>,
    /// As in [`BrandFields`].
    pub language: Option<String>,
    /// As in [`BrandFields`].
    pub knowledge_bases: Option<Vec<KnowledgeBaseId>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_changes_what_it_names_and_the_etag() {
        let fields = BrandFields { name: "Old".into(), voice: "calm".into(), ..BrandFields::default() };
        let brand = Brand { id: BrandId::from_u128(1), fields, version: 1, created_ms: 10, updated_ms: 10 };
        let changed =
            brand.clone().patched(BrandPatch { name: Some("New".into()), ..BrandPatch::default() }, 5);
        assert_eq!((changed.fields.name.as_str(), changed.fields.voice.as_str()), ("New", "calm"));
        assert_ne!(changed.etag(), brand.etag());
        assert_eq!(
            changed.updated_ms, 10,
            "a clock that steps back does not make a change older than the last"
        );
    }
}
