//! Patterns about phrases: which to avoid and which to prefer.

use copydesk_guard::text;

use super::clause::{Clause, Item};
use crate::domain::lesson::{Proposal, Rule, Wish};

/// The most words of a phrase that is not quoted.
const MOST_WORDS: usize = 3;
/// The most characters and words of a quoted phrase.
const LONGEST_QUOTE: (usize, usize) = (80, 8);

const NEGATED: [&str; 8] = ["don't", "dont", "not", "never", "stop", "shouldn't", "can't", "mustn't"];
const SAY: [&str; 12] = [
    "use",
    "say",
    "write",
    "mention",
    "using",
    "saying",
    "writing",
    "mentioning",
    "repeat",
    "repeating",
    "include",
    "talk",
];
/// Words between the verb and the phrase.
const FILLERS: [&str; 27] = [
    "the",
    "a",
    "an",
    "any",
    "word",
    "words",
    "phrase",
    "phrases",
    "term",
    "terms",
    "expression",
    "of",
    "like",
    "such",
    "as",
    "our",
    "your",
    "their",
    "using",
    "saying",
    "mentioning",
    "about",
    "much",
    "many",
    "too",
    "so",
    "on",
];
/// Things that are spoken of, not said: avoiding the word would not avoid the thing.
const ABSTRACT: [&str; 30] = [
    "jargon",
    "buzzwords",
    "buzzword",
    "emojis",
    "emoji",
    "exclamation",
    "exclamations",
    "hashtags",
    "hashtag",
    "question",
    "questions",
    "superlatives",
    "clichés",
    "cliches",
    "adjectives",
    "adverbs",
    "passive",
    "hype",
    "bullet",
    "bullets",
    "link",
    "links",
    "caps",
    "capitals",
    "sentences",
    "numbers",
    "repetition",
    "fluff",
    "abbreviations",
    "acronyms",
];

/// `avoid 'x'`, `don't say x`, `never use the word x`, and more phrases of the same clause.
pub(super) fn avoid(clause: &Clause) -> Vec<Wish> {
    let Some(at) = avoid_trigger(clause) else { return Vec::new() };
    phrases(clause, at).iter().map(|said| wish(Rule::AvoidPhrase, said)).collect()
}

/// `mention x`, `talk about 'x'`, `focus on x`.
pub(super) fn prefer(clause: &Clause) -> Vec<Wish> {
    let Some(at) = prefer_trigger(clause) else { return Vec::new() };
    phrases(clause, at).iter().map(|said| wish(Rule::PreferPhrase, said)).collect()
}

/// The rule on the phrase, with the phrase spelt as the person spelt it.
pub(super) fn wish(rule: fn(String) -> Rule, said: &str) -> Wish {
    Wish::said(Proposal::spelt(rule(said.to_lowercase()), said))
}

/// The phrases, as they are spelt, of a clause that only goes on with a list: `… 'x' and 'y'`, `… x, y`.
pub(super) fn listed(clause: &Clause) -> Vec<String> {
    let quotes = clause.items.iter().all(|item| matches!(item, Item::Quote(_)));
    match clause.items.as_slice() {
        _ if quotes => quoted(&clause.items),
        [Item::Word { lower, said }] if is_listable(lower) => vec![said.clone()],
        _ => Vec::new(),
    }
}

/// Politeness and adverbs also stand alone behind a comma.
fn is_listable(word: &str) -> bool {
    const ASIDES: [&str; 12] = [
        "please", "thanks", "thank", "again", "anymore", "okay", "ideally", "though", "maybe", "however",
        "well", "great",
    ];
    word.chars().count() >= 4 && is_sayable(word) && !word.ends_with("ly") && !ASIDES.contains(&word)
}

/// Where the phrase begins.
fn avoid_trigger(clause: &Clause) -> Option<usize> {
    if let Some(at) = clause.find(0, &["avoid", "avoiding"]) {
        return Some(at + 1);
    }
    let said = clause.find(0, &SAY).filter(|at| {
        let before = (at.saturating_sub(2)..*at).map(|i| clause.word(i)).collect::<Vec<_>>();
        before.iter().any(|word| NEGATED.contains(word))
    });
    // `no more 'x'`, `drop the word 'x'`: only for what is quoted, or `drop the price` would ban the price.
    said.map(|at| at + 1).or_else(|| {
        let drop = clause.find(0, &["drop", "remove", "delete", "lose", "without", "no", "ban"])?;
        clause.items[drop..].iter().any(|item| matches!(item, Item::Quote(_))).then_some(drop + 1)
    })
}

fn prefer_trigger(clause: &Clause) -> Option<usize> {
    const ALONE: [&str; 5] = ["mention", "highlight", "emphasise", "emphasize", "stress"];
    const PAIRS: [(&str, &str); 7] = [
        ("talk", "about"),
        ("write", "about"),
        ("speak", "about"),
        ("focus", "on"),
        ("focus", "upon"),
        ("concentrate", "on"),
        ("refer", "to"),
    ];
    let verb = (0..clause.items.len()).find(|at| {
        ALONE.contains(&clause.word(*at)) || PAIRS.iter().any(|(verb, _)| *verb == clause.word(*at))
    })?;
    if clause.negated(verb) || !clause.commanded(verb) {
        return None;
    }
    let adverb = usize::from(matches!(clause.word(verb + 1), "more" | "also" | "always" | "only" | "mainly"));
    if ALONE.contains(&clause.word(verb)) {
        return Some(verb + 1 + adverb);
    }
    let next = clause.word(verb + 1 + adverb);
    PAIRS.contains(&(clause.word(verb), next)).then_some(verb + 2 + adverb)
}

/// As they are spelt: the quoted phrases from `at` on, else the noun phrase that begins there.
fn phrases(clause: &Clause, at: usize) -> Vec<String> {
    let rest = clause.items.get(at..).unwrap_or_default();
    let quotes = quoted(rest);
    if quotes.is_empty() { noun_phrase(rest).into_iter().collect() } else { quotes }
}

fn quoted(items: &[Item]) -> Vec<String> {
    let quotes = items.iter().filter_map(|item| match item {
        Item::Quote(quote) => Some(quote),
        Item::Word { .. } => None,
    });
    quotes.filter_map(|quote| usable(quote)).collect()
}

/// The quoted words, single-spaced, if they can be a phrase.
fn usable(quote: &str) -> Option<String> {
    let words = text::words(quote).len();
    let short = quote.chars().count() <= LONGEST_QUOTE.0 && (1..=LONGEST_QUOTE.1).contains(&words);
    short
        .then(|| quote.split_whitespace().collect::<Vec<_>>().join(" "))
        .map(|phrase| phrase.trim_matches(|c: char| !c.is_alphanumeric() && !"#+%$€£".contains(c)).to_owned())
        .filter(|phrase| !phrase.is_empty())
}

/// Up to three words that can be said, up to a word of grammar. A longer one is a description, not a phrase.
fn noun_phrase(items: &[Item]) -> Option<String> {
    let start = items.iter().position(|item| !item.is_one_of(&FILLERS))?;
    let items = &items[start..];
    let words: Vec<&str> = items.iter().map(Item::word).take_while(|word| is_phrase_word(word)).collect();
    let gerund = words.len() > 1 && words[0].ends_with("ing");
    let sayable =
        (1..=MOST_WORDS).contains(&words.len()) && words.iter().all(|word| !ABSTRACT.contains(word));
    // `avoid starting …` and `mention that …` go on with a clause of their own.
    let open = words.len() == 1 && words[0].ends_with("ing") && items.len() > 1;
    let said = || items[..words.len()].iter().map(Item::said).collect::<Vec<_>>().join(" ");
    (sayable && !gerund && !open).then(said)
}

fn is_phrase_word(word: &str) -> bool {
    !word.is_empty()
        && !text::is_stop_word(word)
        && !matches!(word, "please" | "anymore" | "instead" | "everywhere")
}

fn is_sayable(word: &str) -> bool {
    is_phrase_word(word) && !ABSTRACT.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::super::clause::clauses;
    use super::*;

    fn avoided(sentence: &str) -> Vec<String> {
        let first = &clauses(sentence)[0];
        told(avoid(first))
    }

    fn preferred(sentence: &str) -> Vec<String> {
        let first = &clauses(sentence)[0];
        told(prefer(first))
    }

    fn told(wishes: Vec<Wish>) -> Vec<String> {
        wishes.into_iter().filter_map(|wish| Some(wish.asks.rule?.parts().2.to_owned())).collect()
    }

    #[test]
    fn phrases_to_avoid() {
        for (sentence, expected) in [
            ("Avoid 'game changer'", vec!["game changer"]),
            ("Never say \"Best in class!\" please", vec!["best in class"]),
            ("Do not use the word synergy so often", vec!["synergy"]),
            ("please don't use our internal project name", vec!["internal project name"]),
            ("Don't mention competitors", vec!["competitors"]),
            ("stop saying “revolutionary”", vec!["revolutionary"]),
            ("Drop the word 'cutting-edge'", vec!["cutting-edge"]),
            ("Avoid words like 'leverage' 'unlock'", vec!["leverage", "unlock"]),
            ("Avoid jargon", vec![]),
            ("avoid starting with a question", vec![]),
            ("Don't say that we are first", vec![]),
            ("don't use very big shiny expensive things", vec![]),
            ("Drop the price", vec![]),
            ("I use synergy", vec![]),
            ("avoid", vec![]),
            ("avoid ''", vec![]),
        ] {
            assert_eq!(avoided(sentence), expected, "{sentence}");
        }
    }

    #[test]
    fn phrases_to_prefer() {
        for (sentence, expected) in [
            ("Mention 'free returns'", vec!["free returns"]),
            ("please talk more about the cold chain", vec!["cold chain"]),
            ("Focus on drivers", vec!["drivers"]),
            ("You should highlight our 24-hour support", vec!["24 hour support"]),
            ("You mention pricing twice", vec![]),
            ("Don't talk about pricing", vec![]),
            ("mention that we ship", vec![]),
            ("Focus", vec![]),
        ] {
            assert_eq!(preferred(sentence), expected, "{sentence}");
        }
        assert_eq!(avoided("Don't talk about pricing"), ["pricing"]);
    }
}
