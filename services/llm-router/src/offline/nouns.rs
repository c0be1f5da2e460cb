//! Which words are the names of things, told by how the evidence uses them: after "the" or "of", and before a small
//! word, a verb or a mark.
use std::collections::{BTreeMap, BTreeSet};

use copydesk_guard::text;

use super::tally::{self, Frequent};
use super::verbs::{is_participle, is_verb};

/// Small words that stand before the name of a thing.
const BEFORE: &str = "a an the of for in on with without by from at per each every no its their your our his her across \
    between through during all some any";

/// Adjectives that stand alone often enough to look like a thing.
const QUALITIES: &str = "good better best bad worse worst large larger small smaller great long longer short late later \
    early earlier high higher low lower open closed full empty free real whole different possible important useful simple \
    easy hard fast faster slow ready main common normal usual single double several similar typical cold warm hot wrong \
    right true false other general particular future past present";

/// The longest name of a thing or a brand, in words.
const WORDS: usize = 3;

/// The things of a text, one or two words, as stems joined by a blank: only where the words stand together and alone.
pub(super) fn things<'a>(texts: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for text in texts {
        let mut run = Run::default();
        let mut end = 0;
        for word in text::words(text) {
            let gap = text.get(end..word.span.start).unwrap_or_default();
            end = word.span.end;
            if gap.contains(|c: char| !c.is_whitespace() && c != '-') {
                run.close(&mut found);
                run.named = false;
            }
            run.read(word.lower, &mut found);
        }
        run.close(&mut found);
    }
    found
}

/// Content words side by side, and whether something before them says that they name a thing.
#[derive(Default)]
struct Run {
    words: Vec<String>,
    named: bool,
}

impl Run {
    fn read(&mut self, word: String, found: &mut BTreeSet<String>) {
        if tally::is_content(&word) && !is_verb(&word) {
            self.words.push(word);
            return;
        }
        self.close(found);
        let number = word.starts_with(|c: char| c.is_ascii_digit());
        self.named = number || is_verb(&word) || BEFORE.split_whitespace().any(|w| w == word);
    }

    fn close(&mut self, found: &mut BTreeSet<String>) {
        let words = std::mem::take(&mut self.words);
        if self.named && is_thing(&words) {
            found.insert(stems(&words));
        }
    }
}

/// One or two words of which the last can be the name of a thing.
fn is_thing(words: &[String]) -> bool {
    let Some(last) = words.last() else { return false };
    let ending = last.ends_with("ed") || last.ends_with("ly") || words.len() == 1 && last.ends_with("ing");
    let quality = |word: &String| QUALITIES.split_whitespace().any(|w| w == word);
    words.len() <= 2 && !ending && !words.iter().any(|word| quality(word) || is_participle(word))
}

fn stems(words: &[String]) -> String {
    words.iter().map(|word| text::stem(word)).collect::<Vec<_>>().join(" ")
}

/// The names in sentences: words with a capital that do not begin the sentence, the most frequent first, as written.
pub(super) fn names<'a>(sentences: impl Iterator<Item = &'a str>) -> Vec<Frequent> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for sentence in sentences {
        let mut chain: Vec<String> = Vec::new();
        let mut end = 0;
        for (at, word) in text::words(sentence).into_iter().enumerate() {
            let gap = sentence.get(end..word.span.start).unwrap_or_default();
            end = word.span.end;
            let written = sentence.get(word.span).unwrap_or_default();
            let named = at > 0 && written.starts_with(char::is_uppercase) && tally::is_content(&word.lower);
            if !named || gap != " " {
                count(&mut chain, &mut counts);
            }
            if named {
                chain.push(written.to_owned());
            }
        }
        count(&mut chain, &mut counts);
    }
    let frequent = |(surface, count): (String, usize)| {
        let words: Vec<String> = surface.split(' ').map(str::to_lowercase).collect();
        Frequent { stems: stems(&words), surface, count }
    };
    let mut list: Vec<Frequent> = counts.into_iter().map(frequent).collect();
    list.sort_by_key(|name| std::cmp::Reverse(name.count));
    list
}

fn count(chain: &mut Vec<String>, counts: &mut BTreeMap<String, usize>) {
    let words = std::mem::take(chain);
    if (1..=WORDS).contains(&words.len()) {
        *counts.entry(words.join(" ")).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_stand_after_small_words() {
        let texts = [
            "Drivers ignore the alerts of a van box.",
            "A complete temperature log has 400 stops.",
            "Good fleets reduce graded alerts, and the best is saved.",
        ];
        let found = things(texts.into_iter());
        for thing in ["alert", "van box", "stop", "grade alert"] {
            assert!(found.contains(thing), "{thing}: {found:?}");
        }
        for other in ["ignor", "ignor alert", "complet temperatur", "good", "best", "save", "driver"] {
            assert!(!found.contains(other), "{other}: {found:?}");
        }
    }

    #[test]
    fn names_keep_their_capitals() {
        let texts = ["Pumps of Chillwright run.", "The Fleet Plus plan of Chillwright in May."];
        let found: Vec<String> = names(texts.into_iter()).into_iter().map(|n| n.surface).collect();
        assert_eq!(found, ["Chillwright", "Fleet Plus"]);
    }
}
