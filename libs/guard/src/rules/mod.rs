//! Rules for text that will be published, whoever wrote it and whatever the sources say about its claims.
//!
//! The rules stand in the built-in packs ([`crate::pack`]); this is the short way to apply those for published text.

pub(crate) mod link;
pub(crate) mod style;
pub(crate) mod superlative;

use std::ops::Range;

use serde::Serialize;

use crate::pack::{self, Scope};
use crate::report::Source;
use crate::text::Word;

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
    pub rule: String,
    /// What it means for publishing.
    pub severity: Severity,
    /// Bytes in the text, on character boundaries.
    pub span: Range<usize>,
    /// What is wrong, for people; does not repeat personal data.
    pub message: String,
}

/// The built-in packs that look at what is published.
const PACKS: [&str; 3] = ["marketing", "personal-data", "secrets"];

/// Checks a text by every rule of the built-in packs for published text; the violations come in reading order.
///
/// Superlatives, guarantees, addresses, phone and card numbers and links are no violation when a source has them.
/// Promises of income or health, profanity, more than five hashtags and shouting always are.
pub fn check(text: &str, sources: &[Source<'_>]) -> Vec<Violation> {
    let packs: Vec<&pack::ActivePack> = PACKS.iter().filter_map(|id| pack::built_in(id)).collect();
    let hits = pack::check(&packs, Scope::Output, text, sources).hits.into_iter();
    // A pack that is not there has checked nothing, and nothing checked must not look like nothing found.
    let lost = (packs.len() < PACKS.len()).then(|| Violation {
        rule: "rules-missing".to_owned(),
        severity: Severity::Block,
        span: 0..0,
        message: "a built-in rule pack does not prove itself".to_owned(),
    });
    let mut found: Vec<Violation> = hits
        .map(|hit| Violation {
            rule: hit.rule,
            severity: if hit.severity == pack::Severity::Warn { Severity::Warn } else { Severity::Block },
            span: hit.span,
            message: hit.message,
        })
        .chain(lost)
        .collect();
    found.sort_by(|a, b| (a.span.start, &a.rule).cmp(&(b.span.start, &b.rule)));
    found
}

/// A text and its words.
struct Page<'t> {
    text: &'t str,
    words: Vec<Word>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<(String, &str)> {
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
            assert_eq!(rules(text), [(rule.to_owned(), place)], "{text}");
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
