//! Words that turn a statement round or overdo it: negations, opposites, superlatives.

use std::collections::HashMap;
use std::sync::LazyLock;

use foldhash::fast::RandomState;

use crate::text::{Word, stem, with_stem};

/// Positions of the words that deny something, in reading order. `not only`, `no doubt` and the like deny nothing.
pub(crate) fn negations(words: &[Word]) -> Vec<usize> {
    let next = |at: usize| words.get(at + 1).map_or("", |word| word.lower.as_str());
    (0..words.len())
        .filter(|at| is_negation(&words[*at].lower))
        .filter(|at| {
            !matches!(
                next(*at),
                "only"
                    | "just"
                    | "merely"
                    | "doubt"
                    | "matter"
                    | "least"
                    | "but"
                    | "wonder"
                    | "sure"
                    | "really"
                    | "much"
                    | "think"
            )
        })
        .collect()
}

/// Whether a lower-cased word denies.
pub(crate) fn is_negation(lower: &str) -> bool {
    matches!(
        lower,
        "not"
            | "no"
            | "never"
            | "none"
            | "nothing"
            | "nobody"
            | "neither"
            | "nor"
            | "without"
            | "cannot"
            | "nowhere"
    ) || lower.ends_with("n't")
}

/// Whether a lower-cased word may carry a denial by its meaning or form (`unable`, `lacks`, `wireless`).
pub(crate) fn is_soft_negation(lower: &str) -> bool {
    const STEMS: [&str; 23] = [
        "lack", "fail", "refus", "prevent", "stop", "avoid", "deni", "deny", "reject", "remov", "eliminat",
        "drop", "absen", "missing", "instead", "rather", "hardly", "barely", "rarely", "zero", "fix",
        "resolv", "solv",
    ];
    const PREFIXES: [&str; 5] = ["un", "non", "dis", "im", "in"];
    is_negation(lower)
        || STEMS.iter().any(|stem| lower.starts_with(stem))
        || lower == "free"
        || lower.ends_with("less")
        || (lower.len() > 6 && PREFIXES[..3].iter().any(|prefix| lower.starts_with(prefix)))
        || (lower.len() > 6
            && lower.ends_with("ble")
            && PREFIXES[3..].iter().any(|prefix| lower.starts_with(prefix)))
}

/// Stems of the words that mean the opposite of the word with this stem.
pub(crate) fn antonyms(stem: &str) -> &'static [String] {
    OPPOSITES.get(stem).map_or(&[], Vec::as_slice)
}

/// Whether a lower-cased word has an opposite.
pub(crate) fn has_opposite(lower: &str) -> bool {
    with_stem(lower, |stem| !antonyms(stem).is_empty())
}

type Opposites = HashMap<String, Vec<String>, RandomState>;

static OPPOSITES: LazyLock<Opposites> = LazyLock::new(|| {
    let mut map = Opposites::default();
    for line in PAIRS.lines() {
        let Some((left, right)) = line.split_once('/') else { continue };
        for (here, there) in [(left, right), (right, left)] {
            for word in here.split_whitespace() {
                map.entry(stem(word)).or_default().extend(there.split_whitespace().map(stem));
            }
        }
    }
    map
});

/// Opposites, one group a line; words of one side are opposite to all words of the other.
const PAIRS: &str = "increase increased rise rose risen grow grew grown gain climb / decrease decreased fall fell fallen drop dropped decline shrink shrank reduce lose lost cut
faster quicker / slower
fast quick / slow
more / less fewer
higher / lower
high / low
larger bigger / smaller
large big / small
maximum most / minimum least
before / after
above / below
always / never
cheaper / costlier dearer
cheap / expensive
first / last
open / closed
public / private
free / paid
success succeed succeeded / failure fail failed
enable enabled / disable disabled
allow allowed permit / forbid forbidden prohibit deny denied
include included / exclude excluded
accept accepted approve approved / reject rejected refuse refused
buy bought / sell sold
win won / lose lost
strong stronger / weak weaker
early earlier / late later
easy easier simple simpler / hard harder difficult complex
stable / unstable
reliable / unreliable
safe / unsafe dangerous
secure / insecure vulnerable
legal / illegal
local / remote
start started begin began / stop stopped end ended
add added / remove removed delete deleted
improve improved better / worsen worsened worse
internal / external
old older / new newer
positive / negative
advantage / disadvantage
optional / mandatory required
automatic automatically / manual manually
synchronous / asynchronous
temporary / permanent
support supported / oppose opposed
agree agreed / disagree disagreed
possible / impossible
able / unable
likely / unlikely
known / unknown
profit profitable / loss unprofitable
expand expanded / contract contracted
import imported / export exported
upgrade upgraded / downgrade downgraded
hot / cold
north northern / south southern
east eastern / west western
male men man / female women woman
arrive arrived / depart departed leave left
encrypted / unencrypted plaintext
deprecated / recommended";

/// How strongly a word claims the extreme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Superlative {
    /// A claim of its own (`fastest`, `guaranteed`).
    Strong,
    /// Common in loose talk (`every`, `always`).
    Absolute,
}

/// Whether the word at `at` is a superlative or an absolute.
pub(crate) fn superlative(words: &[Word], at: usize) -> Option<Superlative> {
    let near = |at: Option<usize>| at.and_then(|at| words.get(at)).map_or("", |word| word.lower.as_str());
    let (before, lower, after) = (near(at.checked_sub(1)), near(Some(at)), near(at.checked_add(1)));
    match lower {
        "best" if matches!(after, "practice" | "practices" | "effort" | "regards" | "wishes") => None,
        "leading" if matches!(before, "the" | "a" | "world" | "industry" | "market" | "our") => {
            Some(Superlative::Strong)
        }
        _ => by_form(lower),
    }
}

fn by_form(lower: &str) -> Option<Superlative> {
    if is_strong(lower) || (lower.len() > 5 && lower.ends_with("est") && !is_plain_est(lower)) {
        return Some(Superlative::Strong);
    }
    is_absolute(lower).then_some(Superlative::Absolute)
}

fn is_strong(lower: &str) -> bool {
    matches!(
        lower,
        "best"
            | "worst"
            | "unmatched"
            | "unrivaled"
            | "unrivalled"
            | "unparalleled"
            | "unbeatable"
            | "unprecedented"
            | "revolutionary"
            | "groundbreaking"
            | "perfect"
            | "flawless"
            | "guarantee"
            | "guaranteed"
            | "guarantees"
            | "ultimate"
            | "foremost"
            | "invincible"
            | "foolproof"
            | "bulletproof"
    )
}

fn is_absolute(lower: &str) -> bool {
    matches!(
        lower,
        "always"
            | "unique"
            | "never"
            | "every"
            | "everyone"
            | "everybody"
            | "all"
            | "only"
            | "nobody"
            | "entirely"
            | "completely"
    )
}

/// Words in `-est` that compare nothing.
fn is_plain_est(lower: &str) -> bool {
    matches!(
        lower,
        "request"
            | "latest"
            | "forest"
            | "interest"
            | "invest"
            | "reinvest"
            | "suggest"
            | "honest"
            | "dishonest"
            | "harvest"
            | "digest"
            | "ingest"
            | "manifest"
            | "protest"
            | "contest"
            | "modest"
            | "arrest"
            | "attest"
            | "earnest"
            | "tempest"
            | "conquest"
            | "bequest"
            | "divest"
            | "midwest"
            | "retest"
            | "unrest"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::words;

    #[test]
    fn negations_are_found_and_idioms_are_not() {
        assert_eq!(negations(&words("It does not store data and can't.")), [2, 6]);
        assert_eq!(negations(&words("Not only fast, no doubt.")), Vec::<usize>::new());
        assert!(is_soft_negation("unable") || is_soft_negation("lacks"));
        assert!(!is_soft_negation("include") && !is_soft_negation("under"));
    }

    #[test]
    fn opposites_go_both_ways() {
        assert!(antonyms(&stem("increased")).contains(&stem("decreases")));
        assert!(antonyms(&stem("slower")).contains(&stem("faster")));
        assert!(antonyms("acme").is_empty());
    }

    #[test]
    fn neighbours_decide_some_superlatives() {
        for (text, expected) in
            [("the leading tool", true), ("leading to it", false), ("the best practices", false)]
        {
            let found = words(text);
            assert_eq!((0..found.len()).any(|at| superlative(&found, at).is_some()), expected, "{text}");
        }
    }

    #[test]
    fn superlatives() {
        for (word, expected) in [
            ("fastest", Some(Superlative::Strong)),
            ("request", None),
            ("test", None),
            ("always", Some(Superlative::Absolute)),
            ("guaranteed", Some(Superlative::Strong)),
        ] {
            assert_eq!(by_form(word), expected, "{word}");
        }
    }
}
