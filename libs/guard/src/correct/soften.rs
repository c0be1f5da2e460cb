//! Saying less: a sentence without the part that its sources do not bear out.
//!
//! What may go is what a sentence stands without: an aside in brackets or dashes, a clause between commas, one that
//! trails behind a comma, a dash, a semicolon or an "and", and a single strong word. Whether what is left holds is not
//! decided here.

use std::ops::Range;

use crate::text::{Word, words};

/// The least words that a sentence keeps.
const LEAST_WORDS: usize = 4;
/// The most ways that are proposed for one sentence.
const MOST: usize = 24;

/// Words that a sentence can lose without another word: they say how sure, how much or how good.
const STRONG: [&str; 24] = [
    "absolutely",
    "always",
    "best",
    "biggest",
    "cheapest",
    "completely",
    "easily",
    "entirely",
    "ever",
    "every",
    "exclusively",
    "fastest",
    "fully",
    "greatest",
    "guaranteed",
    "highest",
    "largest",
    "leading",
    "only",
    "perfectly",
    "simplest",
    "strongest",
    "totally",
    "truly",
];

/// Words after which a part that begins with "and" is one of a pair: it cannot go alone.
const PAIRS: [&str; 3] = ["between", "both", "either"];

/// Words that cannot end a sentence, so that what follows them cannot be cut off.
const OPEN_ENDS: [&str; 30] = [
    "a", "an", "and", "as", "at", "by", "for", "from", "in", "into", "is", "are", "was", "were", "of", "on",
    "or", "our", "per", "than", "that", "the", "their", "to", "up", "which", "with", "without", "its",
    "your",
];

/// The sentence with one part less, for each part that may go; the one that loses least comes first.
pub(super) fn softened(sentence: &str) -> Vec<String> {
    let mut cuts = asides(sentence);
    cuts.extend(trailing(sentence));
    cuts.extend(strong_words(sentence));
    cuts.sort_by_key(|cut| (cut.len(), cut.start));
    cuts.dedup();
    cuts.into_iter().take(MOST).filter_map(|cut| without(sentence, &cut)).collect()
}

/// Parts in brackets, and parts between two commas or two dashes, with their marks.
fn asides(sentence: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut open = None;
    let mut last: Option<(usize, char)> = None;
    for (at, mark) in sentence.char_indices() {
        match mark {
            '(' => open = Some(at),
            ')' => found.extend(open.take().map(|start| start..at + 1)),
            ',' | '–' | '—' if is_break(sentence, at, mark) => {
                if let Some((start, _)) = last.filter(|(_, before)| *before == mark) {
                    found.push(start..at + mark.len_utf8());
                }
                last = Some((at, mark));
            }
            _ => {}
        }
    }
    found
}

/// Parts from a mark, or from an "and" or "but", to the end; the sentence's own last mark stays.
fn trailing(sentence: &str) -> Vec<Range<usize>> {
    let end = sentence.trim_end_matches(|c: char| c.is_ascii_punctuation() || c == '…').len();
    let marks = sentence.char_indices();
    let marks = marks.filter(|(at, mark)| *at < end && is_break(sentence, *at, *mark)).map(|(at, _)| at);
    let joins = [" and ", " but ", " while ", " so that "].into_iter();
    let joins = joins.flat_map(|join| sentence.match_indices(join)).map(|(at, _)| at);
    let pair = |at: usize| {
        words(&sentence[..at]).iter().any(|word| PAIRS.contains(&lower(sentence, &word.span).as_str()))
    };
    let joins = joins.filter(|at| *at < end && !pair(*at));
    marks.chain(joins).map(|at| at..end).collect()
}

/// Whether a mark parts two clauses: commas in numbers and dashes in words do not.
fn is_break(sentence: &str, at: usize, mark: char) -> bool {
    let after = sentence[at + mark.len_utf8()..].chars().next();
    match mark {
        ',' | ';' => after.is_some_and(char::is_whitespace),
        '–' | '—' => {
            let before = sentence[..at].chars().next_back();
            mark == '—' || (before.is_some_and(char::is_whitespace) && after.is_some_and(char::is_whitespace))
        }
        _ => false,
    }
}

fn strong_words(sentence: &str) -> Vec<Range<usize>> {
    let words = words(sentence);
    // One that says something of the next word: "the fastest cache", and not "the fastest of all".
    let beside = |pair: &[Word]| {
        let (strong, next) = (&pair[0].span, &pair[1].span);
        let touching = sentence[strong.end..next.start] == *" ";
        let says = STRONG.contains(&lower(sentence, strong).as_str());
        let of_next = !OPEN_ENDS.contains(&lower(sentence, next).as_str());
        (says && touching && of_next).then_some(strong.start..next.start)
    };
    words.windows(2).filter_map(beside).collect()
}

fn lower(sentence: &str, span: &Range<usize>) -> String {
    sentence[span.clone()].to_lowercase()
}

/// The sentence without a part, or nothing when what is left is no sentence.
fn without(sentence: &str, cut: &Range<usize>) -> Option<String> {
    let (before, after) = (sentence[..cut.start].trim_end(), &sentence[cut.end..]);
    let closed =
        after.starts_with(|c: char| c.is_ascii_punctuation()) || after.is_empty() || before.is_empty();
    let kept = if closed {
        format!("{before}{}", after.trim_start())
    } else {
        format!("{before} {}", after.trim_start())
    };
    let words = words(&kept);
    let last = words.last().map(|word| lower(&kept, &word.span))?;
    let whole = words.len() >= LEAST_WORDS && !OPEN_ENDS.contains(&last.as_str());
    whole.then(|| capitalised(&kept, sentence))
}

/// Begins with a capital letter if the sentence did.
fn capitalised(kept: &str, sentence: &str) -> String {
    let mut rest = kept.chars();
    match rest.next() {
        Some(first) if sentence.starts_with(char::is_uppercase) => first.to_uppercase().chain(rest).collect(),
        _ => kept.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_that_goes_leaves_a_sentence() {
        for (sentence, expected) in [
            ("Acme cut build times by 40 %, the fastest of all.", "Acme cut build times by 40 %."),
            (
                "The cache keeps artefacts for 30 days and serves 900 teams.",
                "The cache keeps artefacts for 30 days.",
            ),
            (
                "Maria Chen, who won 12 medals, leads the platform team.",
                "Maria Chen leads the platform team.",
            ),
            ("The Team plan (our cheapest) costs $20 per month.", "The Team plan costs $20 per month."),
            ("The fastest cache keeps artefacts for 30 days!", "The cache keeps artefacts for 30 days!"),
            ("Builds are quick — nobody beats them.", "Builds are quick."),
        ] {
            let ways = softened(sentence);
            let least = if expected.split(' ').count() < LEAST_WORDS { 0 } else { 1 };
            assert_eq!(ways.iter().filter(|way| *way == expected).count(), least, "{sentence}: {ways:?}");
        }
    }

    #[test]
    fn what_would_leave_a_torso_is_not_proposed() {
        for sentence in [
            "The plan costs between 20 and 50 dollars.",
            "It runs on Linux and.",
            "Yes, and no.",
            "It costs 1,000 dollars a month",
            "",
            "—",
            "(all of it)",
        ] {
            assert_eq!(softened(sentence), Vec::<String>::new(), "{sentence}");
        }
    }
}
