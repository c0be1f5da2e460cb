//! Signature phrases: runs of words that a brand repeats far more often than ordinary English would.

use std::collections::{HashMap, HashSet};

use copydesk_guard::text;

use super::background;

/// The most phrases returned.
const MOST: usize = 20;
const SHORTEST: usize = 2;
const LONGEST: usize = 5;

/// A phrase that a brand uses often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignaturePhrase {
    /// The words in lower case, single-spaced.
    pub phrase: String,
    /// How often it occurs.
    pub count: u32,
}

/// The signature phrases of sentences, strongest first.
///
/// A phrase has 2 to 5 words of one sentence, at least one with more than 4 letters, none of grammar at its ends, and
/// occurs twice or more. Strength is Dunning's log-likelihood ratio against the background; of equally strong ones the
/// longer comes first, then the alphabet decides. A part of a phrase that is as frequent is no phrase of its own.
pub(super) fn signature(sentences: &[&[String]]) -> Vec<SignaturePhrase> {
    let (counts, totals) = count(sentences);
    let mut repeated: Vec<(&[String], u32)> = counts.into_iter().filter(|(_, n)| *n >= 2).collect();
    repeated.sort_unstable();
    let covered = covered(&repeated);
    let mut ranked: Vec<(f64, &[String], u32)> = repeated
        .into_iter()
        .filter(|(words, n)| is_phrase(words) && covered.get(words).is_none_or(|most| most < n))
        .map(|(words, n)| (strength(n, totals[words.len()], words), words, n))
        .collect();
    ranked.sort_by(|(a, x, _), (b, y, _)| b.total_cmp(a).then(y.len().cmp(&x.len())).then_with(|| x.cmp(y)));
    let told = |(_, words, count): (f64, &[String], u32)| SignaturePhrase { phrase: words.join(" "), count };
    ranked.into_iter().take(MOST).map(told).collect()
}

/// How often each run of words occurs, and how many runs there are of each length.
fn count<'a>(sentences: &[&'a [String]]) -> (HashMap<&'a [String], u32>, [u32; LONGEST + 1]) {
    let mut counts: HashMap<&[String], u32> = HashMap::new();
    let mut totals = [0u32; LONGEST + 1];
    for sentence in sentences {
        for (n, total) in totals.iter_mut().enumerate().skip(SHORTEST) {
            for run in sentence.windows(n) {
                *counts.entry(run).or_default() += 1;
                *total += 1;
            }
        }
    }
    (counts, totals)
}

/// For each run the count of the most frequent phrase that it is a part of.
fn covered<'a>(repeated: &[(&'a [String], u32)]) -> HashMap<&'a [String], u32> {
    let mut covered: HashMap<&[String], u32> = HashMap::new();
    for (words, n) in repeated.iter().filter(|(words, _)| is_phrase(words)) {
        for part in (SHORTEST..words.len()).flat_map(|len| words.windows(len)).collect::<HashSet<_>>() {
            let most = covered.entry(part).or_default();
            *most = (*most).max(*n);
        }
    }
    covered
}

fn is_phrase(words: &[String]) -> bool {
    let grammar = |word: Option<&String>| word.is_none_or(|word| text::is_stop_word(word));
    let telling = |word: &String| word.chars().filter(|c| c.is_alphabetic()).count() > 4;
    words.iter().any(telling) && !grammar(words.first()) && !grammar(words.last())
}

/// Dunning's ratio for `count` of `total` runs here against what the background would have of them.
fn strength(count: u32, total: u32, words: &[String]) -> f64 {
    let here = (f64::from(count), f64::from(total));
    let there = (background::expected(words), background::SIZE);
    let rate = (here.0 + there.0) / (here.1 + there.1);
    let part = |seen: f64, total: f64| if seen > 0.0 { seen * (seen / (total * rate)).ln() } else { 0.0 };
    let missing = |seen: f64, total: f64| {
        let rest = total - seen;
        if rest > 0.0 { rest * (rest / (total * (1.0 - rate))).ln() } else { 0.0 }
    };
    2.0 * (part(here.0, here.1)
        + part(there.0, there.1)
        + missing(here.0, here.1)
        + missing(there.0, there.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(sentences: &[&str]) -> Vec<(String, u32)> {
        let rows: Vec<Vec<String>> =
            sentences.iter().map(|s| s.split_whitespace().map(str::to_owned).collect()).collect();
        let rows: Vec<&[String]> = rows.iter().map(Vec::as_slice).collect();
        signature(&rows).into_iter().map(|p| (p.phrase, p.count)).collect()
    }

    #[test]
    fn parts_that_are_as_frequent_are_dropped() {
        let sentences = ["cold chain alarms help", "cold chain alarms warn", "the cold chain holds"];
        assert_eq!(found(&sentences), [("cold chain".into(), 3), ("cold chain alarms".into(), 2)]);
        assert_eq!(found(&["chain alarms help", "chain alarms warn"]), [("chain alarms".into(), 2)]);
    }

    #[test]
    fn grammar_short_words_and_single_uses_make_no_phrase() {
        assert_eq!(found(&["we keep it cold", "we keep it cold", "once upon drivers"]), []);
        assert_eq!(found(&["the drivers of", "the drivers of"]), []);
    }

    #[test]
    fn the_rarer_phrase_is_stronger() {
        let sentences =
            ["people make things", "people make things", "compressor hums loudly", "compressor hums loudly"];
        let phrases: Vec<String> = found(&sentences).into_iter().map(|(phrase, _)| phrase).collect();
        assert_eq!(phrases.first().map(String::as_str), Some("compressor hums loudly"));
    }

    #[test]
    fn strength_by_hand() {
        // 10 of 100 here, nothing of a million there, so a common rate of 10 / 1,000,100. By hand:
        // 2 (10 ln 10001 + 90 ln 0.9 + 90 * 1e-5 + 1e6 * 1e-5) = 2 (92.1044 - 9.4824 + 0.0009 + 9.9990).
        let words = ["zyx".to_owned(), "xyz".to_owned(), "yzx".to_owned()];
        let strength = strength(10, 100, &words);
        assert!((strength - 185.244).abs() < 0.01, "{strength}");
    }
}
