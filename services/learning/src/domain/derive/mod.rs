//! From a verdict to what it asks for: fixed patterns and a word diff, no model, nothing invented.
//!
//! `clause` splits a comment, `length`, `phrase` and `opening` know the patterns, `comment` puts them
//! together; `edit` compares a draft with the text that a person made of it.

mod clause;
mod comment;
mod edit;
mod length;
mod opening;
mod phrase;

use copydesk_guard::text;

use super::feedback::{FeedbackKind, Verdict};
use super::lesson::Wish;
use super::prose;

/// The most proposals that one verdict makes.
pub const MOST_PROPOSALS: usize = 8;

/// What a verdict on a draft asks for, each thing once; the comment goes before the edit, since it says in words what
/// the edit only shows. Of two limits for one thing the named one stands, wherever it is said.
pub fn derive(verdict: &Verdict, draft: &str) -> Vec<Wish> {
    let measured = Draft::measure(draft);
    let mut found = comment::wishes(&verdict.comment, &measured);
    if verdict.kind == FeedbackKind::Edit {
        found.extend(edit::wishes(draft, &verdict.edited_text));
    }
    let mut once: Vec<Wish> = Vec::new();
    for wish in found {
        match once.iter_mut().find(|known| known.asks.key(None) == wish.asks.key(None)) {
            Some(known) if known.measured && !wish.measured => *known = wish,
            Some(_) => {}
            None => once.push(wish),
        }
    }
    once.truncate(MOST_PROPOSALS);
    once
}

/// What the patterns need to know of a draft.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Draft {
    /// Its words.
    words: u32,
    /// Mean words in a sentence; 0 without sentences.
    sentence_words: f64,
    /// Its hashtags.
    hashtags: u32,
}

impl Draft {
    fn measure(draft: &str) -> Self {
        let body = prose::without_front_matter(draft);
        let lengths: Vec<usize> = prose::paragraphs(draft)
            .iter()
            .flat_map(|paragraph| {
                let words = |s: text::Sentence| text::words(&paragraph[s.span]).len();
                text::sentences(paragraph).into_iter().map(words).collect::<Vec<_>>()
            })
            .collect();
        let total: usize = lengths.iter().sum();
        let sentence_words = if lengths.is_empty() { 0.0 } else { total as f64 / lengths.len() as f64 };
        Self {
            words: count(text::words(body).len()),
            sentence_words,
            hashtags: count(prose::hashtags(draft)),
        }
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::lesson::{Proposal, Rule};
    use proptest::prelude::*;

    fn verdict(kind: FeedbackKind, comment: &str, edited_text: &str) -> Verdict {
        Verdict { kind, rating: 0, comment: comment.into(), edited_text: edited_text.into() }
    }

    #[test]
    fn the_comment_speaks_before_the_edit() {
        let draft = "We grow fast. ".repeat(20);
        let edited = "We grow fast. ".repeat(10);
        let found = derive(&verdict(FeedbackKind::Edit, "At most 20 words.", &edited), &draft);
        assert_eq!(found, [Wish::said(Proposal::of(Rule::MaxWords(20)))]);
        let silent = derive(&verdict(FeedbackKind::Edit, "", &edited), &draft);
        assert_eq!(silent, [Wish::measured(Rule::MaxWords(30))]);
        let both = derive(&verdict(FeedbackKind::Reject, "Too long. At most 20 words.", ""), &draft);
        assert_eq!(both, [Wish::said(Proposal::of(Rule::MaxWords(20)))], "the number is what is wanted");
        assert_eq!(derive(&verdict(FeedbackKind::Approve, "Love it!", ""), &draft), []);
    }

    #[test]
    fn proposals_are_bounded_and_different() {
        let comment = (0..50).map(|i| format!("Never say 'word{i}'. ")).collect::<String>();
        let found = derive(&verdict(FeedbackKind::Reject, &comment, ""), "Draft.");
        assert_eq!(found.len(), MOST_PROPOSALS);
        let twice = derive(&verdict(FeedbackKind::Reject, "Never say 'x1'. Avoid 'x1'.", ""), "Draft.");
        assert_eq!(twice.len(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn never_panics(comment in any::<String>(), draft in any::<String>(), edited in any::<String>()) {
            derive(&verdict(FeedbackKind::Edit, &comment, &edited), &draft);
        }

        #[test]
        fn never_panics_on_near_misses(
            words in prop::collection::vec(prop::sample::select(vec![
                "avoid", "don't", "use", "\"", "'", "“", "”", "say", "at", "most", "100", "words", "too", "long",
                "sentences", "start", "with", "a", "number", ",", "and", ".", "hashtags", "fewer", "mention", "é",
            ]), 0..30),
        ) {
            let comment = words.join(" ");
            let found = derive(&verdict(FeedbackKind::Edit, &comment, &comment), &comment);
            prop_assert!(found.len() <= MOST_PROPOSALS);
            let bounded = |text: &str| !text.trim().is_empty() && text.chars().count() <= 300;
            prop_assert!(found.iter().all(|wish| bounded(&wish.asks.text)));
        }
    }
}
