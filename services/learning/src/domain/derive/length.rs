//! Patterns about length: of the text, of its sentences, of its row of hashtags.

use super::Draft;
use super::clause::Clause;
use crate::domain::lesson::{Proposal, Rule, Wish};

/// A text shorter than this cannot be cut by a fifth and still be a round number.
const SHORTEST_LIMIT: u32 = 10;
/// Nobody asks for sentences below this many words.
const SHORTEST_SENTENCE: u32 = 5;
/// A limit above this is one of the text even when sentences were spoken of just before.
const LONGEST_SENTENCE: u32 = 60;

/// What a clause about length speaks of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Subject {
    /// The text as a whole.
    #[default]
    Text,
    /// Its sentences.
    Sentences,
    /// A part for which there is no rule, such as the title.
    Part,
}

const SENTENCES: [&str; 2] = ["sentence", "sentences"];
const TEXTS: [&str; 10] =
    ["text", "post", "article", "draft", "copy", "piece", "whole", "overall", "everything", "ad"];
const PARTS: [&str; 24] = [
    "title",
    "titles",
    "headline",
    "headlines",
    "hook",
    "paragraph",
    "paragraphs",
    "intro",
    "introduction",
    "opening",
    "opener",
    "caption",
    "heading",
    "headings",
    "line",
    "lines",
    "bullet",
    "bullets",
    "list",
    "ending",
    "conclusion",
    "cta",
    "section",
    "sections",
];

impl Subject {
    /// What a clause speaks of; `None` when it does not say, so that the clause before decides.
    pub(super) fn of(clause: &Clause) -> Option<Self> {
        if clause.has(&SENTENCES) {
            Some(Self::Sentences)
        } else if clause.has(&PARTS) {
            Some(Self::Part)
        } else {
            clause.has(&TEXTS).then_some(Self::Text)
        }
    }
}

/// `too long`, `shorter sentences`, `at most 80 words`.
pub(super) fn rule(clause: &Clause, subject: Subject, draft: &Draft) -> Option<Wish> {
    match words_limit(clause) {
        Some(limit) if subject == Subject::Sentences && limit <= LONGEST_SENTENCE => {
            Some(named(Rule::MaxSentenceWords(limit)))
        }
        Some(limit) if subject != Subject::Part => Some(named(Rule::MaxWords(limit))),
        None if wants_shorter(clause) => match subject {
            Subject::Text => shorter_text(draft).map(Wish::measured),
            Subject::Sentences => shorter_sentences(draft).map(Wish::measured),
            Subject::Part => None,
        },
        _ => None,
    }
}

fn named(rule: Rule) -> Wish {
    Wish::said(Proposal::of(rule))
}

/// Four fifths of the draft, rounded down to ten.
fn shorter_text(draft: &Draft) -> Option<Rule> {
    let limit = draft.words / 5 * 4 + draft.words % 5 * 4 / 5;
    let limit = limit / 10 * 10;
    (limit >= SHORTEST_LIMIT).then_some(Rule::MaxWords(limit))
}

/// Four fifths of the draft's mean.
fn shorter_sentences(draft: &Draft) -> Option<Rule> {
    let limit = (draft.sentence_words * 0.8).floor() as u32;
    (limit >= SHORTEST_SENTENCE).then_some(Rule::MaxSentenceWords(limit))
}

fn wants_shorter(clause: &Clause) -> bool {
    let too = clause.find(0, &["too", "overly"]).filter(|at| !clause.negated(*at));
    let too_long = too.is_some_and(|at| {
        clause.find(at, &["long", "lengthy", "wordy", "verbose"]).is_some_and(|long| long - at <= 2)
    });
    let shorter = clause
        .find(0, &["shorter", "shorten", "condense", "tighten", "trim", "tighter"])
        .is_some_and(|at| !clause.negated(at) && !clause.has(&["than", "if"]));
    too_long || shorter || no_long_sentences(clause)
}

/// `avoid long sentences`, `fewer long sentences`.
fn no_long_sentences(clause: &Clause) -> bool {
    let long = clause.find(0, &["long", "lengthy"]).filter(|at| SENTENCES.contains(&clause.word(at + 1)));
    let wanted_fewer = ["avoid", "fewer", "less", "no", "don't", "dont", "not", "never", "many"];
    long.is_some_and(|at| clause.find(0, &wanted_fewer).is_some_and(|less| less < at))
}

/// The number before `words` when the clause makes an upper limit of it.
fn words_limit(clause: &Clause) -> Option<u32> {
    let at = clause.find(0, &["words", "word"]).filter(|at| *at > 0)?;
    let number = number(clause.word(at - 1)).filter(|n| (1..=20_000).contains(n))?;
    is_upper_limit(clause, at - 1, at).then_some(number)
}

/// Whether the number at `at`, counting the thing at `noun`, is a most and not a least.
fn is_upper_limit(clause: &Clause, at: usize, noun: usize) -> bool {
    let before: Vec<&str> = (at.saturating_sub(4)..at).map(|i| clause.word(i)).collect();
    let after: Vec<&str> = (noun + 1..=noun + 3).map(|i| clause.word(i)).collect();
    let said = |list: &[&str], word: &str| list.contains(&word);
    let ends = |tail: &[&str]| before.ends_with(tail);
    let no_more =
        said(&before, "more") && (said(&before, "no") || said(&before, "not") || said(&before, "never"));
    let tail = before.last().copied().unwrap_or("");
    matches!(tail, "max" | "maximum" | "most" | "under" | "below" | "within" | "only" | "just" | "exceed")
        || ends(&["maximum", "of"])
        || ends(&["max", "of"])
        || ends(&["limit", "of"])
        || (tail == "than" && (no_more || said(&before, "fewer") || said(&before, "less")))
        || (tail == "to"
            && ["up", "limit", "it", "keep", "down", "cut", "stick"].iter().any(|w| said(&before, w)))
        || matches!(after.first().copied(), Some("max" | "maximum" | "tops" | "only" | "most"))
        || (after.first() == Some(&"at") && after.get(1) == Some(&"most"))
}

/// `fewer hashtags`, `at most 3 hashtags`, `no hashtags`.
pub(super) fn hashtags(clause: &Clause, draft: &Draft) -> Option<Wish> {
    let at = clause.find(0, &["hashtags", "hashtag"])?;
    if let Some(limit) = at.checked_sub(1).and_then(|i| number(clause.word(i)))
        && is_upper_limit(clause, at - 1, at)
    {
        return (limit <= 30).then_some(named(Rule::MaxHashtags(limit)));
    }
    let right_before = (at.saturating_sub(3)..at).map(|i| clause.word(i)).collect::<Vec<_>>();
    let said = |words: &[&str]| right_before.iter().any(|w| words.contains(w));
    let not_used = clause.find(0, &["don't", "dont", "never", "not"]).is_some_and(|not| {
        not < at && matches!(clause.word(not + 1), "use" | "add" | "include" | "want" | "need")
    });
    // `not too many` is content, `don't use so many` is not.
    let too_many = said(&["many"]) && said(&["too", "so"]);
    let many = too_many && (not_used || !clause.negated(at.saturating_sub(2)));
    if many || said(&["fewer", "less", "reduce"]) {
        // Half of them, rounded down: always fewer than there are.
        return (draft.hashtags > 0).then_some(Wish::measured(Rule::MaxHashtags(draft.hashtags / 2)));
    }
    let without = said(&["no", "without", "remove", "drop", "avoid", "skip", "delete", "lose"]);
    ((without || not_used) && !said(&["more", "many", "only"])).then_some(named(Rule::MaxHashtags(0)))
}

/// A number in digits (thousands may be parted by commas), or a word up to twelve.
fn number(word: &str) -> Option<u32> {
    const WORDS: [&str; 13] = [
        "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
        "twelve",
    ];
    let by_name = WORDS.iter().position(|name| *name == word).and_then(|n| u32::try_from(n).ok());
    by_name.or_else(|| word.replace(',', "").parse().ok())
}

#[cfg(test)]
mod tests {
    use super::super::clause::clauses;
    use super::*;

    const DRAFT: Draft = Draft { words: 117, sentence_words: 15.5, hashtags: 5 };

    fn found(sentence: &str) -> Option<Rule> {
        let clause = clauses(sentence).remove(0);
        let subject = Subject::of(&clause).unwrap_or_default();
        rule(&clause, subject, &DRAFT).or_else(|| hashtags(&clause, &DRAFT))?.asks.rule
    }

    #[test]
    fn upper_limits() {
        for (sentence, expected) in [
            ("at most 80 words please", Rule::MaxWords(80)),
            ("Keep it under 1,200 words", Rule::MaxWords(1_200)),
            ("No more than 100 words", Rule::MaxWords(100)),
            ("It should not be more than 100 words", Rule::MaxWords(100)),
            ("max 60 words", Rule::MaxWords(60)),
            ("60 words max", Rule::MaxWords(60)),
            ("maximum of 60 words", Rule::MaxWords(60)),
            ("Cut it down to 90 words", Rule::MaxWords(90)),
            ("at most 15 words per sentence", Rule::MaxSentenceWords(15)),
            ("Sentences under twelve words", Rule::MaxSentenceWords(12)),
            ("Use at most three hashtags", Rule::MaxHashtags(3)),
            ("only 2 hashtags", Rule::MaxHashtags(2)),
            ("no more than 3 hashtags", Rule::MaxHashtags(3)),
        ] {
            assert_eq!(found(sentence), Some(expected), "{sentence}");
        }
        for sentence in
            ["at least 100 words", "more than 80 words", "80 words", "a title under 8 words", "the words"]
        {
            assert_eq!(found(sentence), None, "{sentence}");
        }
    }

    #[test]
    fn relative_lengths_are_measured_on_the_draft() {
        for (sentence, expected) in [
            ("Too long", Rule::MaxWords(90)),
            ("much too long for a post", Rule::MaxWords(90)),
            ("Make it shorter", Rule::MaxWords(90)),
            ("shorter sentences", Rule::MaxSentenceWords(12)),
            ("the sentences are too long", Rule::MaxSentenceWords(12)),
            ("Avoid long sentences", Rule::MaxSentenceWords(12)),
            ("fewer hashtags", Rule::MaxHashtags(2)),
            ("too many hashtags", Rule::MaxHashtags(2)),
            ("don't use so many hashtags", Rule::MaxHashtags(2)),
            ("No hashtags", Rule::MaxHashtags(0)),
            ("don't use hashtags", Rule::MaxHashtags(0)),
        ] {
            assert_eq!(found(sentence), Some(expected), "{sentence}");
        }
        for sentence in [
            "not too long",
            "the intro is too long",
            "shorter than the last one",
            "more hashtags",
            "not too many hashtags",
            "nice",
        ] {
            assert_eq!(found(sentence), None, "{sentence}");
        }
    }

    #[test]
    fn nothing_is_cut_from_nothing() {
        let clause = clauses("too long").remove(0);
        for words in [0, 5, 12] {
            assert_eq!(rule(&clause, Subject::Text, &Draft { words, ..DRAFT }), None);
        }
        assert_eq!(rule(&clause, Subject::Sentences, &Draft { sentence_words: 5.0, ..DRAFT }), None);
        assert_eq!(
            rule(&clause, Subject::Text, &Draft { words: u32::MAX, ..DRAFT }),
            Some(Wish::measured(Rule::MaxWords(3_435_973_830)))
        );
    }
}
