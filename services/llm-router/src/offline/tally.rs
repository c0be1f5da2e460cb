//! Words and pairs of words that a text is full of.
use std::collections::BTreeMap;

use copydesk_guard::text;

/// Words that count or measure, or that every text has: no theme and no hashtag.
const DULL: &str = "three four five seven eight nine eleven twelve hundred thousand million half percent minute minutes hour \
    hours second seconds days week weeks month months year years degree degrees euros dollars kilometres \
    metres january february march april june july august september october november december takes take \
    makes make shows show uses needs need gives give keeps keep runs sends send starts start stays stay fell \
    rose went came first last next average number figure figures time times page thing things part parts \
    kind case cases every than two six ten new old big low day end way lot bit per via may monday tuesday \
    wednesday thursday friday saturday sunday";

/// A word or a pair, how it is written, and how often it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frequent {
    /// Its stems, joined by a blank.
    pub stems: String,
    /// As it is written most often, lower case.
    pub surface: String,
    /// How often.
    pub count: usize,
}

/// The content words of texts, the most frequent first.
pub(super) fn words<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<Frequent> {
    tally(texts, |content| content.iter().map(|w| vec![w.clone()]).collect())
}

/// The pairs of neighbouring content words, the most frequent first.
pub(super) fn pairs<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<Frequent> {
    tally(texts, |content| content.windows(2).map(<[String]>::to_vec).collect())
}

fn tally<'a>(
    texts: impl Iterator<Item = &'a str>,
    cut: impl Fn(&[String]) -> Vec<Vec<String>>,
) -> Vec<Frequent> {
    let mut found: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for text in texts {
        for run in runs(text) {
            for words in cut(&run) {
                let stems: Vec<String> = words.iter().map(|w| text::stem(w)).collect();
                *found.entry(stems.join(" ")).or_default().entry(words.join(" ")).or_default() += 1;
            }
        }
    }
    let mut list: Vec<Frequent> = found
        .into_iter()
        .map(|(stems, surfaces)| {
            let count = surfaces.values().sum();
            let surface =
                surfaces.into_iter().rev().max_by_key(|(_, n)| *n).map(|(s, _)| s).unwrap_or_default();
            Frequent { stems, surface, count }
        })
        .collect();
    // Equals stay in alphabetical order.
    list.sort_by_key(|f| std::cmp::Reverse(f.count));
    list
}

/// Content words that stand side by side, without numbers, short words and names with marks in them.
fn runs(text: &str) -> Vec<Vec<String>> {
    let mut runs = vec![Vec::new()];
    let mut end = 0;
    for word in text::words(text) {
        let gap = text.get(end..word.span.start).unwrap_or_default();
        end = word.span.end;
        if gap.contains(|c: char| !c.is_whitespace() && c != '-') {
            runs.push(Vec::new());
        }
        match runs.last_mut() {
            Some(run) if is_content(&word.lower) => run.push(word.lower),
            _ => runs.push(Vec::new()),
        }
    }
    runs
}

/// Whether a lower-case word can be a theme: letters only, three or more, and neither grammar nor measure.
pub(super) fn is_content(word: &str) -> bool {
    word.chars().count() >= 3
        && word.chars().all(char::is_alphabetic)
        && !DULL.split_whitespace().any(|dull| dull == word)
        && !text::is_stop_word(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_words_and_pairs_by_stem() {
        let texts = ["Graded alerts help. A graded alert helps drivers.", "graded alerts, drivers"];
        let found = words(texts.into_iter());
        assert_eq!(found[0], Frequent { stems: "alert".into(), surface: "alerts".into(), count: 3 });
        let found = pairs(texts.into_iter());
        assert_eq!(
            found[0],
            Frequent { stems: "grade alert".into(), surface: "graded alerts".into(), count: 3 }
        );
        assert!(!found.iter().any(|f| f.surface == "alerts drivers"), "a comma stands between");
    }
}
