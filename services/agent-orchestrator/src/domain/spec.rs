//! What is to be made, and for whom.
use copydesk_types::{BrandId, KnowledgeBaseId};
use serde::{Deserialize, Serialize};

/// What kind of content is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContentType {
    /// An article in Markdown.
    Blog,
    /// A social post in plain text.
    Social,
    /// A short advertisement.
    Ad,
}

impl ContentType {
    /// The word for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blog => "blog",
            Self::Social => "social",
            Self::Ad => "ad",
        }
    }
}

/// What is to be made. As the caller gave it, or with the brand's values filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSpec {
    /// For whom.
    pub brand_id: BrandId,
    /// The workflow's name.
    pub workflow: String,
    /// What it is about.
    pub topic: String,
    /// What kind of content.
    pub content_type: ContentType,
    /// Voice in a few words.
    pub voice: String,
    /// Tone.
    pub tone: String,
    /// Style.
    pub style: String,
    /// Readers.
    pub audience: String,
    /// BCP 47 tag.
    pub language: String,
    /// The most the run may spend, in nano-dollars, 0 or more; see [`is_exhausted`].
    pub budget_nanos: Option<i64>,
    /// When it must have ended, in milliseconds since 1970; `None`: an hour after it was made.
    pub deadline_ms: Option<i64>,
    /// The knowledge bases to draw on.
    pub knowledge_base_ids: Vec<KnowledgeBaseId>,
    /// Whether research may search the web.
    #[serde(default)]
    pub with_web: bool,
}

/// Whether a budget allows no further model call; both in nano-dollars. As long as nothing was spent, calls may cost
/// nothing, which even a budget of 0 pays for.
pub fn is_exhausted(budget: i64, spent: i64) -> bool {
    spent > 0 && spent >= budget
}

/// What a run keeps of its brand, so that a later change does not reach into it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brand {
    /// Its name.
    pub name: String,
    /// Its voice.
    pub voice: String,
    /// Its readers.
    pub audience: String,
    /// Its language; empty means `en`.
    pub language: String,
    /// Its knowledge bases.
    pub knowledge_base_ids: Vec<KnowledgeBaseId>,
}

impl RunSpec {
    /// Takes the brand's word where the caller left something open.
    pub fn with_defaults_of(mut self, brand: &Brand) -> Self {
        let fill = |field: &mut String, value: &str| {
            if field.trim().is_empty() {
                value.clone_into(field);
            }
        };
        fill(&mut self.voice, &brand.voice);
        fill(&mut self.audience, &brand.audience);
        fill(&mut self.language, &brand.language);
        fill(&mut self.language, "en");
        if self.knowledge_base_ids.is_empty() {
            self.knowledge_base_ids.clone_from(&brand.knowledge_base_ids);
        }
        self
    }
}

/// True for a text with the form of a BCP 47 tag: a language of 2 to 8 letters, then subtags of 1 to 8 letters or
/// digits; 35 characters at most.
pub fn is_language_tag(tag: &str) -> bool {
    let mut parts = tag.split('-');
    let language = parts.next().unwrap_or_default();
    tag.len() <= 35
        && (2..=8).contains(&language.len())
        && language.bytes().all(|b| b.is_ascii_alphabetic())
        && parts.all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn spec() -> RunSpec {
        RunSpec {
            brand_id: BrandId::from_u128(1),
            workflow: "content".into(),
            topic: "cold brew at home".into(),
            content_type: ContentType::Social,
            voice: String::new(),
            tone: String::new(),
            style: String::new(),
            audience: "baristas".into(),
            language: String::new(),
            budget_nanos: None,
            deadline_ms: None,
            knowledge_base_ids: Vec::new(),
            with_web: false,
        }
    }

    #[test]
    fn a_budget_is_used_up_only_by_what_was_spent() {
        assert!(!is_exhausted(0, 0) && !is_exhausted(5, 4));
        assert!(is_exhausted(0, 1) && is_exhausted(5, 5) && is_exhausted(5, 9));
    }

    #[test]
    fn the_callers_word_wins_over_the_brands() {
        let brand = Brand {
            name: "Kettle".into(),
            voice: "warm".into(),
            audience: "everyone".into(),
            language: String::new(),
            knowledge_base_ids: vec![KnowledgeBaseId::from_u128(3)],
        };
        let filled = spec().with_defaults_of(&brand);
        assert_eq!((filled.voice.as_str(), filled.audience.as_str()), ("warm", "baristas"));
        assert_eq!(filled.language, "en");
        assert_eq!(filled.knowledge_base_ids, brand.knowledge_base_ids);
    }

    #[test]
    fn knows_the_form_of_a_language_tag() {
        for good in ["en", "de-CH", "zh-Hant-TW", "sr-Latn-RS", "es-419", "de-CH-1996"] {
            assert!(is_language_tag(good), "{good}");
        }
        for bad in ["", "e", "english!", "en_US", "-en", "en-", "en--US", "en-toolongpart", "12"] {
            assert!(!is_language_tag(bad), "{bad}");
        }
    }
}
