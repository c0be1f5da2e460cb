//! Something to heed in the next text.

use copydesk_guard::text;
use copydesk_types::{BrandId, LessonId, RunId};
use serde::{Deserialize, Serialize};

use super::outcome::ContentType;

/// The newest runs that a lesson keeps as its sources.
pub const MOST_SOURCES: usize = 50;
/// The longest text of a lesson, in characters.
pub const LONGEST_TEXT: usize = 300;

coded! {
    /// Where a lesson came from.
    Origin {
        /// Derived from outcomes.
        Auto = 1,
        /// From a person's comment or edit.
        Human = 2,
    }
}

/// What a lesson asks for in a form that needs no model to follow. Phrases are in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// At most so many words in the text.
    MaxWords(u32),
    /// At most so many words in a sentence.
    MaxSentenceWords(u32),
    /// Never use the phrase.
    AvoidPhrase(String),
    /// Prefer sentences with the phrase.
    PreferPhrase(String),
    /// Open with a sentence that carries a number.
    OpenWithNumber,
    /// Open with a question.
    OpenWithQuestion,
    /// At most so many hashtags.
    MaxHashtags(u32),
}

impl Rule {
    /// The rule's number in the contract and in the database, its limit (0 for none) and its phrase (empty for none).
    pub fn parts(&self) -> (i32, u32, &str) {
        match self {
            Self::MaxWords(limit) => (1, *limit, ""),
            Self::MaxSentenceWords(limit) => (2, *limit, ""),
            Self::AvoidPhrase(phrase) => (3, 0, phrase),
            Self::PreferPhrase(phrase) => (4, 0, phrase),
            Self::OpenWithNumber => (5, 0, ""),
            Self::OpenWithQuestion => (6, 0, ""),
            Self::MaxHashtags(limit) => (7, *limit, ""),
        }
    }

    /// The rule of these parts; `None` for words only and for numbers that are not known.
    pub fn from_parts(code: i32, limit: u32, phrase: String) -> Option<Self> {
        Some(match code {
            1 => Self::MaxWords(limit),
            2 => Self::MaxSentenceWords(limit),
            3 => Self::AvoidPhrase(phrase),
            4 => Self::PreferPhrase(phrase),
            5 => Self::OpenWithNumber,
            6 => Self::OpenWithQuestion,
            7 => Self::MaxHashtags(limit),
            _ => return None,
        })
    }

    /// The rule as a sentence for a writer.
    pub fn text(&self) -> String {
        self.text_on(self.parts().2)
    }

    /// The sentence with its phrase spelt so.
    fn text_on(&self, phrase: &str) -> String {
        match self {
            Self::MaxWords(limit) => format!("Keep the text to at most {limit} words."),
            Self::MaxSentenceWords(limit) => format!("Keep every sentence to at most {limit} words."),
            Self::AvoidPhrase(_) => {
                let noun = if phrase.split_whitespace().nth(1).is_some() { "words" } else { "word" };
                format!("Never use the {noun} “{phrase}”.")
            }
            Self::PreferPhrase(_) => format!("Talk about “{phrase}”."),
            Self::OpenWithNumber => "Open with a sentence that carries a number.".to_owned(),
            Self::OpenWithQuestion => "Open with a question.".to_owned(),
            Self::MaxHashtags(0) => "Use no hashtags.".to_owned(),
            Self::MaxHashtags(1) => "Use at most 1 hashtag.".to_owned(),
            Self::MaxHashtags(limit) => format!("Use at most {limit} hashtags."),
        }
    }

    /// The rule that cannot be followed together with this one. A text has one opening, and a phrase is either
    /// wanted or not.
    pub fn opposite(&self) -> Option<Rule> {
        match self {
            Self::AvoidPhrase(phrase) => Some(Self::PreferPhrase(phrase.clone())),
            Self::PreferPhrase(phrase) => Some(Self::AvoidPhrase(phrase.clone())),
            Self::OpenWithNumber => Some(Self::OpenWithQuestion),
            Self::OpenWithQuestion => Some(Self::OpenWithNumber),
            Self::MaxWords(_) | Self::MaxSentenceWords(_) | Self::MaxHashtags(_) => None,
        }
    }
}

/// What a lesson asks for: a rule with its sentence, or words only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The rule, where there is one.
    pub rule: Option<Rule>,
    /// What to do, in words, up to [`LONGEST_TEXT`] characters.
    pub text: String,
}

impl Proposal {
    /// The rule with its own sentence.
    pub fn of(rule: Rule) -> Self {
        Self { text: rule.text(), rule: Some(rule) }
    }

    /// The rule with its own sentence, in which the phrase keeps its capitals; the rule's own is in lower case.
    pub fn spelt(rule: Rule, phrase: &str) -> Self {
        Self { text: rule.text_on(phrase), rule: Some(rule) }
    }

    /// Words only.
    pub fn words(text: &str) -> Self {
        Self { rule: None, text: text.chars().take(LONGEST_TEXT).collect() }
    }

    /// What makes two lessons of one brand the same: content type, rule and phrase, but not the limit; words alone
    /// are the same when their content words are.
    pub fn key(&self, content_type: Option<ContentType>) -> String {
        key(content_type, self.rule.as_ref(), &self.text)
    }
}

/// What one verdict asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// What it is.
    pub asks: Proposal,
    /// True when the limit was measured on a text (`shorter`, an edit) and not named. Such a wish is for less than
    /// there was, and never for more than a lesson already allows.
    pub measured: bool,
}

impl Wish {
    /// Asked for in so many words.
    pub fn said(asks: Proposal) -> Self {
        Self { asks, measured: false }
    }

    /// With a limit that was measured on a text.
    pub fn measured(rule: Rule) -> Self {
        Self { asks: Proposal::of(rule), measured: true }
    }

    /// What a lesson with the same key asks for after this wish: the named limit, or the smaller of the two.
    pub fn after(&self, known: &Proposal) -> Proposal {
        let limit = |asks: &Proposal| asks.rule.as_ref().map_or(0, |rule| rule.parts().1);
        let keeps = self.measured && limit(known) <= limit(&self.asks);
        if keeps { known.clone() } else { self.asks.clone() }
    }
}

/// See [`Proposal::key`].
pub fn key(content_type: Option<ContentType>, rule: Option<&Rule>, words: &str) -> String {
    let content_type = content_type.map_or(0, ContentType::code);
    match rule {
        Some(rule) => {
            let (code, _, phrase) = rule.parts();
            format!("{content_type}/{code}/{phrase}")
        }
        None => {
            let mut terms = text::terms(words);
            terms.sort_unstable();
            terms.dedup();
            format!("{content_type}/0/{}", terms.join(" "))
        }
    }
}

/// A run that a lesson was learned from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The run.
    pub run: RunId,
    /// What the run was about.
    pub topic: String,
}

/// A stored lesson.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lesson {
    /// Its id.
    pub id: LessonId,
    /// Whose it is.
    pub brand: BrandId,
    /// For which content type; `None` for all.
    pub content_type: Option<ContentType>,
    /// Where it came from.
    pub origin: Origin,
    /// What it asks for.
    pub asks: Proposal,
    /// Verdicts that support it.
    pub support: u32,
    /// Verdicts that speak against it.
    pub contra: u32,
    /// The runs it was learned from, oldest first, [`MOST_SOURCES`] at most.
    pub sources: Vec<Source>,
    /// When it was learned, in ms since 1970.
    pub created_ms: i64,
    /// When it was last asked for in so many words; decides between opposites.
    pub asserted_ms: i64,
    /// When a verdict last supported it; decides how fresh it is.
    pub supported_ms: i64,
}

impl Lesson {
    /// See [`Proposal::key`].
    pub fn key(&self) -> String {
        self.asks.key(self.content_type)
    }

    /// Whether this lesson wins over its opposite: people before derivation, then the one asked for later, then the
    /// smaller id, so that there is always exactly one winner.
    pub fn beats(&self, other: &Lesson) -> bool {
        let rank = |lesson: &Lesson| (lesson.origin, lesson.asserted_ms, std::cmp::Reverse(lesson.id));
        rank(self) > rank(other)
    }

    /// Whether the two cannot be followed together.
    pub fn opposes(&self, other: &Lesson) -> bool {
        let both = self.asks.rule.as_ref().zip(other.asks.rule.as_ref());
        let same_text = self.content_type == other.content_type
            || self.content_type.is_none()
            || other.content_type.is_none();
        same_text && both.is_some_and(|(mine, theirs)| mine.opposite().as_ref() == Some(theirs))
    }

    /// Adds a run as a source; a run that is there already is not added again.
    pub fn learn_from(&mut self, source: Source) {
        if self.sources.iter().all(|known| known.run != source.run) {
            self.sources.push(source);
            let surplus = self.sources.len().saturating_sub(MOST_SOURCES);
            self.sources.drain(..surplus);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_go_both_ways() {
        for rule in [
            Rule::MaxWords(80),
            Rule::MaxSentenceWords(12),
            Rule::AvoidPhrase("synergy".into()),
            Rule::PreferPhrase("cold chain".into()),
            Rule::OpenWithNumber,
            Rule::OpenWithQuestion,
            Rule::MaxHashtags(3),
        ] {
            let (code, limit, phrase) = rule.parts();
            assert_eq!(Rule::from_parts(code, limit, phrase.to_owned()), Some(rule.clone()));
            assert!(rule.opposite().is_none_or(|o| o.opposite() == Some(rule.clone())));
        }
        assert_eq!(Rule::from_parts(0, 0, String::new()), None);
    }

    #[test]
    fn a_phrase_keeps_its_capitals_and_its_number_in_the_sentence() {
        let one = Proposal::spelt(Rule::AvoidPhrase("kubernetes".into()), "Kubernetes");
        assert_eq!(one.text, "Never use the word “Kubernetes”.");
        assert_eq!(one.rule, Some(Rule::AvoidPhrase("kubernetes".into())));
        assert_eq!(Rule::AvoidPhrase("game changer".into()).text(), "Never use the words “game changer”.");
        assert_eq!(
            Proposal::spelt(Rule::PreferPhrase("eu rules".into()), "EU rules").text,
            "Talk about “EU rules”."
        );
    }

    #[test]
    fn keys_ignore_limits_and_word_order() {
        let social = Some(ContentType::Social);
        assert_eq!(
            Proposal::of(Rule::MaxWords(80)).key(social),
            Proposal::of(Rule::MaxWords(60)).key(social)
        );
        assert_ne!(Proposal::of(Rule::MaxWords(80)).key(social), Proposal::of(Rule::MaxWords(80)).key(None));
        let (a, b) = (Proposal::words("Name a customer."), Proposal::words("A customer: name them!"));
        assert_eq!(a.key(social), b.key(social));
        assert_ne!(a.key(social), Proposal::words("Name a price.").key(social));
    }
}
