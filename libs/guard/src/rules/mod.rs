//! Rules for text that will be published, whoever wrote it and whatever the sources say about its claims.

mod link;
mod personal;
mod promise;
mod style;

use std::ops::Range;

use serde::Serialize;

use crate::report::Source;
use crate::text::{Word, words};

/// What a violation means for publishing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// A person should look.
    Warn,
    /// Must not be published.
    Block,
}

/// One place where a text breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Stable id of the rule, such as `unknown-link`.
    pub rule: &'static str,
    /// What it means for publishing.
    pub severity: Severity,
    /// Bytes in the text, on character boundaries.
    pub span: Range<usize>,
    /// What is wrong, for people; does not repeat personal data.
    pub message: String,
}

/// Checks a text by every rule; the violations come in reading order.
///
/// Superlatives, guarantees, addresses, phone and card numbers and links are no violation when a source has them.
/// Promises of income or health, profanity, more than five hashtags and shouting always are.
pub fn check(text: &str, sources: &[Source<'_>]) -> Vec<Violation> {
    let page = Page { text, words: words(text) };
    let known = Known::new(sources);
    let mut found = promise::check(&page, &known);
    found.extend(personal::check(&page, &known));
    found.extend(link::check(&page, &known));
    found.extend(style::check(&page));
    found.sort_by(|a, b| (a.span.start, a.rule).cmp(&(b.span.start, b.rule)));
    found
}

/// A text and its words.
struct Page<'t> {
    text: &'t str,
    words: Vec<Word>,
}

/// What the sources hold, as far as a rule may ask.
struct Known<'s> {
    pages: Vec<Page<'s>>,
    /// The words of each source in a row, one blank around each.
    rows: Vec<String>,
}

impl<'s> Known<'s> {
    fn new(sources: &[Source<'s>]) -> Self {
        let pages: Vec<Page<'s>> =
            sources.iter().map(|source| Page { text: source.text, words: words(source.text) }).collect();
        let rows = pages.iter().map(|page| row(&page.words)).collect();
        Self { pages, rows }
    }

    /// Whether a source has these words in a row.
    fn says(&self, words: &[Word]) -> bool {
        let wanted = row(words);
        self.rows.iter().any(|row| row.contains(&wanted))
    }
}

fn row(words: &[Word]) -> String {
    let mut row = String::from(" ");
    for word in words {
        row.push_str(&word.lower);
        row.push(' ');
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<(&'static str, &str)> {
        let source = Source {
            id: "s1",
            text: "Acme is the fastest builder. Refunds are guaranteed. Write to help@acme.dev, call +49 30 1234567 \
                   or see https://acme.dev/docs.",
        };
        check(text, &[source]).into_iter().map(|violation| (violation.rule, &text[violation.span])).collect()
    }

    #[test]
    fn what_the_sources_have_is_fine() {
        let text = "Acme is the fastest builder: refunds are guaranteed. help@acme.dev, +49 30 1234567, \
                    https://acme.dev/docs or acme.dev. #Rust #Builds";
        assert_eq!(rules(text), []);
    }

    #[test]
    fn each_rule_finds_its_case() {
        for (text, rule, place) in [
            ("The best tool there is.", "unsupported-superlative", "best"),
            ("It is second to none.", "unsupported-superlative", "second to none"),
            ("Results are 100% guaranteed.", "unsupported-guarantee", "100% guaranteed"),
            ("Try it risk-free.", "unsupported-guarantee", "risk-free"),
            ("Earn $5,000 a month from home.", "income-promise", "Earn $5,000 a month"),
            ("This tea cures anxiety.", "health-promise", "cures anxiety"),
            ("Write to jane-doe@corp.example today.", "personal-email", "jane-doe@corp.example"),
            ("Call (555) 123-4567 now.", "personal-phone", "(555) 123-4567"),
            ("Card 4111 1111 1111 1111 works.", "payment-card", "4111 1111 1111 1111"),
            ("See https://evil.example/login now.", "unknown-link", "https://evil.example/login"),
            ("See evil-acme.com now.", "unknown-link", "acme.com"),
            ("Go to ftp://files.acme now.", "unknown-link", "ftp://files"),
            ("This is bullshit.", "profanity", "bullshit"),
            ("BUY THIS GREAT THING NOW", "shouting", "BUY THIS GREAT THING NOW"),
            ("#a1 #b2 #c3 #d4 #e5 #f6 #g7", "too-many-hashtags", "#f6 #g7"),
        ] {
            assert_eq!(rules(text), [(rule, place)], "{text}");
        }
    }

    #[test]
    fn look_alikes_are_fine() {
        for text in [
            "Version 1.4.2 of 2024-03-31 handles 1,234,567,890 rows at 10:30.",
            "Card 4111 1111 1111 1112 fails the check digit.",
            "Edit main.rs and node.js files, e.g. config.toml.",
            "We moved AWS and GCP to API v2.",
            "The order id is 1234567890123.",
            "She earned a degree and cured the ham.",
        ] {
            assert_eq!(rules(text), [], "{text}");
        }
    }

    #[test]
    fn messages_do_not_repeat_personal_data() {
        for violation in check("Mail jane@corp.example or call (555) 123-4567", &[]) {
            assert!(!violation.message.contains("jane") && !violation.message.contains("555"));
        }
    }
}
