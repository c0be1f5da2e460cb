//! Names in a sentence: capitalised runs, acronyms, identifiers, handles, addresses.
//!
//! There is no dictionary here. A capital inside a sentence is taken for a name; the first word, which is
//! capitalised anyway, is one only when it looks like a name and does what names do.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::LazyLock;

use crate::text::{Word, is_stop_word};

/// A name in a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entity {
    /// Positions in the words of the sentence.
    pub(crate) words: Range<usize>,
    /// Bytes in the sentence.
    pub(crate) span: Range<usize>,
}

/// All names of a sentence whose words are given, in reading order.
pub(crate) fn entities(sentence: &str, words: &[Word]) -> Vec<Entity> {
    let title = is_title_case(sentence, words);
    let mut found: Vec<Entity> = Vec::new();
    let mut run: Option<Range<usize>> = None;
    for at in 0..words.len() {
        let names = if is_ordinary(sentence, &words[at]) {
            false
        } else if title {
            is_distinct(sentence, &words[at])
        } else {
            is_name(sentence, words, at)
        };
        match &mut run {
            Some(open) if names && open.end == at && is_blank_gap(sentence, words, at) => open.end = at + 1,
            _ => {
                found.extend(run.take().map(|done| entity(words, done)));
                run = names.then_some(at..at + 1);
            }
        }
    }
    found.extend(run.map(|done| entity(words, done)));
    found
}

fn entity(words: &[Word], run: Range<usize>) -> Entity {
    Entity { span: words[run.start].span.start..words[run.end - 1].span.end, words: run }
}

fn is_blank_gap(sentence: &str, words: &[Word], at: usize) -> bool {
    sentence.get(words[at - 1].span.end..words[at].span.start).is_some_and(|gap| gap == " ")
}

/// Small letters only, as most words: nothing that a name shows.
fn is_ordinary(sentence: &str, word: &Word) -> bool {
    sentence[word.span.clone()].bytes().all(|b| b.is_ascii_lowercase())
}

fn is_name(sentence: &str, words: &[Word], at: usize) -> bool {
    let word = &words[at];
    if is_distinct(sentence, word) {
        return true;
    }
    let raw = &sentence[word.span.clone()];
    if !raw.starts_with(char::is_uppercase) || raw.chars().count() < 2 || is_common(&word.lower) {
        return false;
    }
    !opens(sentence, word.span.start) || opens_as_name(sentence, words, at)
}

/// Written as no ordinary word is: inner capitals, digits, underscores, paths, handles, addresses, acronyms.
fn is_distinct(sentence: &str, word: &Word) -> bool {
    let raw = &sentence[word.span.clone()];
    let letter = |c: char| c.is_alphabetic();
    if !raw.contains(letter) || raw.starts_with(|c: char| c.is_ascii_digit() || crate::text::is_currency(c)) {
        return false;
    }
    let marked = raw.contains(['_', '@', '/']) || raw.contains("::");
    let numbered = raw.contains(|c: char| c.is_ascii_digit()) && !is_version(&word.lower);
    let dotted = raw.contains('.') && raw.split('.').all(|part| part.chars().count() > 1);
    let inner = raw.chars().skip(1).any(char::is_uppercase) && raw.chars().any(char::is_lowercase);
    let acronym = raw.chars().count() > 1 && raw.chars().all(char::is_uppercase);
    let known = is_common(&word.lower);
    marked || (numbered && !known) || dotted || inner || (acronym && !known)
}

fn is_common(lower: &str) -> bool {
    COMMON_ACRONYMS.contains(&lower) || is_stop_word(lower)
}

fn is_version(lower: &str) -> bool {
    lower.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// Whether a capital at `at` is due to the place: start of the sentence, or after a colon, quote or bracket.
fn opens(sentence: &str, at: usize) -> bool {
    let before = sentence[..at].trim_end_matches(['*', '_', '`', ' ']);
    before.is_empty()
        || before.ends_with([':', '"', '“', '‘', '\'', '(', '[', '—', '–', '|', '.', '!', '?', '>'])
        || !before.contains(char::is_alphanumeric)
}

fn opens_as_name(sentence: &str, words: &[Word], at: usize) -> bool {
    let word = &words[at];
    if OPENERS.contains(word.lower.as_str()) || word.lower.len() < 3 || has_common_ending(&word.lower) {
        return false;
    }
    let rest = &sentence[word.span.end..];
    if rest.starts_with("'s") || rest.starts_with("’s") {
        return true;
    }
    let Some(next) = words.get(at + 1).filter(|_| rest.starts_with(' ')) else { return false };
    let raw = &sentence[next.span.clone()];
    if raw.starts_with(char::is_uppercase) {
        return !is_stop_word(&next.lower);
    }
    VERBS.contains(&next.lower.as_str())
        || (next.lower.len() > 3 && next.lower.ends_with("ed"))
        || is_third(&next.lower)
}

/// `announces`, `ships`: a verb in the third person, as far as the ending tells.
fn is_third(lower: &str) -> bool {
    lower.len() > 3 && lower.ends_with('s') && !lower.ends_with("ss") && !is_stop_word(lower)
}

fn has_common_ending(lower: &str) -> bool {
    COMMON_ENDINGS.iter().any(|ending| lower.ends_with(ending))
}

/// More than three in five longer words begin with a capital and no full stop ends them: a title, where capitals say
/// nothing.
fn is_title_case(sentence: &str, words: &[Word]) -> bool {
    if sentence.ends_with('.') {
        return false;
    }
    let long: Vec<bool> = words
        .iter()
        .filter(|word| word.lower.len() > 3 && word.lower.chars().all(char::is_alphabetic))
        .map(|word| sentence[word.span.clone()].starts_with(char::is_uppercase))
        .collect();
    let capitals = long.iter().filter(|capital| **capital).count();
    long.len() > 3 && capitals * 5 > long.len() * 3
}

const COMMON_ACRONYMS: [&str; 44] = [
    "ai", "api", "apis", "ceo", "cto", "cfo", "coo", "vp", "hr", "pr", "it", "usa", "us", "uk", "eu", "url",
    "http", "https", "faq", "faqs", "roi", "b2b", "b2c", "ok", "tl;dr", "fyi", "ps", "q&a", "r&d", "id",
    "ui", "ux", "pdf", "cpu", "os", "pc", "tv", "kpi", "kpis", "seo", "json", "cli", "sdk", "saas",
];

const COMMON_ENDINGS: [&str; 26] = [
    "ing", "ly", "ed", "tion", "sion", "ment", "ness", "ity", "ism", "ance", "ence", "ship", "s", "er", "or",
    "est", "ful", "less", "able", "ous", "al", "ive", "ize", "age", "ure", "dom",
];

/// What a name is followed by, beyond regular endings.
const VERBS: [&str; 50] = [
    "is", "was", "has", "had", "will", "can", "does", "did", "says", "said", "cut", "built", "won", "sold",
    "made", "grew", "ran", "led", "hit", "set", "put", "took", "got", "gave", "went", "saw", "came", "began",
    "spent", "bought", "kept", "left", "lost", "paid", "sent", "beat", "broke", "chose", "drove", "became",
    "rose", "fell", "wrote", "brought", "held", "found", "met", "now", "also", "and",
];

/// Ordinary words that often open a sentence and have no telling ending.
static OPENERS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| OPENER_LIST.split_whitespace().collect());

const OPENER_LIST: &str = "
well yes yeah no oh sure also company business firm agent client speaker author email
about according add ask back bad begin beyond big book both brand bring budget build buy call care case cash
change chat check code content cost culture customer data day debt demand design despite detail draft early
easy email end even every fact fast feedback find first fix focus free full fun give given go goal good
great group half hard help hence high hope however idea instead join keep key know last late later lead
learn less life light list long look low make market maybe meanwhile money month music need network new next
night note old open overall part people perhaps plan please power product profit quick rate research result
risk run search second set simple since small sometimes speed staff start support system talk team tech test
third thus time today together tomorrow traffic trust value week welcome work world yesterday
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::words;

    fn names(sentence: &str) -> Vec<&str> {
        entities(sentence, &words(sentence)).into_iter().map(|e| &sentence[e.span]).collect()
    }

    #[test]
    fn finds_names() {
        for (sentence, expected) in [
            ("Yesterday Maria Chen joined Acme Cloud in Berlin.", vec!["Maria Chen", "Acme Cloud", "Berlin"]),
            ("Globex cut its costs.", vec!["Globex"]),
            ("Globex's teams use load_config and @acme_hq.", vec!["Globex", "load_config", "@acme_hq"]),
            ("The builds run on GitHub Actions with gpt-4.", vec!["GitHub Actions", "gpt-4"]),
            ("Teams reported fewer errors.", vec![]),
            ("Speed matters. Trust was lost", vec![]),
            ("\"Caching helps,\" it says, with an API for v2.1.", vec![]),
            ("How Small Teams Build Better Products Faster", vec![]),
            ("We met NASA on Monday.", vec!["NASA", "Monday"]),
        ] {
            assert_eq!(names(sentence), expected, "{sentence}");
        }
    }
}
