//! Whether a sentence can stand alone: torn from its place it must still say who does what.
use copydesk_guard::text;
use copydesk_proto::types::v1::SourceKind;

use super::deixis;

/// The fewest and the most words of a sentence that is quoted.
const WORDS: std::ops::RangeInclusive<usize> = 5..=36;

/// First words that point back to a sentence before.
const LEANING: &str = "it its it's this that these those they their he she his her such both however therefore thus \
    hence also but and so or nor yet then instead otherwise moreover furthermore additionally besides meanwhile \
    nevertheless nonetheless consequently accordingly similarly likewise first second third finally firstly secondly \
    lastly next here there neither either still afterwards later because which who where while although though yes no \
    not only same another others again too above below note example hello hi thanks thank please";

/// First two words that point back.
const LEANING_PAIRS: &str = "the same|the other|the others|the latter|the former|the following|the two|the three|\
    the first|the second|the third|the above|in this|in that|in these|in those|for this|for that|for example|\
    for instance|of these|of those|with this|with that|at this|at that|a second|after that|after this|before that|\
    by then|to do|one of|all of|some of|most of|each of|none of|about two|since then|until then";

/// After `in the`, `on the` and `as a` these point back: "in the other 23 cases", not "in the field study".
const LEANING_THIRDS: &str =
    "same other others first second third latter former next following previous result end meantime";

/// Verbs that, at the head of a sentence and before a small word, tell the reader what to do.
const COMMANDS: &str = "add allow ask avoid begin book build call change check choose click close compare configure \
    connect consider contact copy create delete disable do don't download edit enable enter find fit follow get give go \
    ignore import install keep leave let look make mark mount move never open pair pick place press print pull push put \
    read remember remove repeat replace restart run save see select send set sign start stop switch take tap tell test \
    try turn type update use verify visit wait wire write";

/// Whether the sentence names its own subject, is whole, is plain text, and speaks to nobody.
pub(super) fn alone(sentence: &str, kind: SourceKind) -> bool {
    let words: Vec<String> = text::words(sentence).into_iter().map(|word| word.lower).collect();
    WORDS.contains(&words.len())
        && whole(sentence)
        && plain(sentence)
        && !leans(&words)
        && !deixis::leans(&words)
        && !commands(&words)
        && !labelled(sentence)
        && voice_fits(&words, kind)
}

/// Whether the sentence can open a text: short, and understood without anything before it.
pub(super) fn opens(sentence: &str, words: usize) -> bool {
    (6..=26).contains(&words) && !sentence.contains(['"', '“', '(', ':', ';'])
}

/// Begins like a sentence and ends like one.
fn whole(sentence: &str) -> bool {
    let begins = sentence.starts_with(|c: char| c.is_uppercase() || c.is_ascii_digit());
    let end = sentence.trim_end_matches(['"', '”', '\'', ')']);
    // A question has no fact; an ellipsis has no end.
    begins && end.ends_with(['.', '!']) && !end.ends_with("..") && balanced(sentence)
}

fn balanced(sentence: &str) -> bool {
    let count = |c: char| sentence.matches(c).count();
    count('(') == count(')') && count('[') == count(']') && count('"') % 2 == 0 && count('“') == count('”')
}

/// Without markup, addresses and code, which do not survive in plain text.
fn plain(sentence: &str) -> bool {
    let marked = ["](", "**", "__", "`", "://", "www.", "<", ">", "|", "{", "}", "\\", "@", "#", "~~", "--"];
    !marked.iter().any(|mark| sentence.contains(mark)) && !sentence.contains(char::is_control)
}

fn leans(words: &[String]) -> bool {
    let at = |i: usize| words.get(i).map(String::as_str).unwrap_or_default();
    let pair = format!("{} {}", at(0), at(1));
    let open = matches!(pair.as_str(), "in the" | "on the" | "as a");
    listed(LEANING, at(0))
        || LEANING_PAIRS.split('|').any(|p| p == pair)
        || open && listed(LEANING_THIRDS, at(2))
        || connects(words)
        || words.windows(2).any(|w| refers(&w[0], &w[1]))
}

fn listed(list: &str, word: &str) -> bool {
    list.split_whitespace().any(|w| w == word)
}

/// "88 percent of them", "only 28 percent of those alerts", "the same day", "on that route".
fn refers(first: &str, second: &str) -> bool {
    let pointer = matches!(second, "them" | "those" | "these" | "this" | "it" | "theirs" | "him");
    let before = matches!(first, "of" | "for" | "with" | "from" | "by" | "in" | "on" | "than");
    let that = second == "that" && before && first != "than";
    pointer && before || that || first == "the" && matches!(second, "same" | "latter" | "former")
}

/// Words in the middle that still answer a sentence before: "a stop therefore raises no alert".
fn connects(words: &[String]) -> bool {
    let early = words.iter().take(5).any(|word| word == "also" || word == "too");
    let answers = |word: &str| {
        matches!(word, "therefore" | "however" | "thus" | "hence" | "nevertheless" | "moreover" | "likewise")
    };
    let instead = words.iter().position(|word| word == "instead");
    let replaced = instead.is_some_and(|at| words.get(at + 1).is_none_or(|next| next != "of"));
    early || replaced || words.iter().any(|word| answers(word))
}

fn commands(words: &[String]) -> bool {
    let first = words.first().map(String::as_str).unwrap_or_default();
    let second = words.get(1).map(String::as_str).unwrap_or_default();
    let numeric = second.starts_with(|c: char| c.is_ascii_digit());
    listed(COMMANDS, first)
        && (text::is_stop_word(second) || numeric || first == "ignore" || first == "never")
}

/// `Fixed: …`, `State: closed …`: a label and not a sentence.
fn labelled(sentence: &str) -> bool {
    sentence.split_once(": ").is_some_and(|(label, _)| label.split_whitespace().count() <= 3)
}

/// The brand may say "we" where it speaks itself; in other papers nobody knows who "we" is.
fn voice_fits(words: &[String], kind: SourceKind) -> bool {
    // "We'd" and "you've" speak as "we" and "you" do.
    let base = |word: &String| word.split('\'').next().unwrap_or_default().to_owned();
    let has = |list: &[&str]| words.iter().any(|word| list.contains(&base(word).as_str()));
    let single = has(&["i", "me", "my", "mine", "myself"]);
    let plural = has(&["we", "us", "our", "ours", "ourselves"]);
    let reader = has(&["you", "your", "yours", "yourself"]);
    !(single || plural && kind != SourceKind::Post || reader && kind == SourceKind::Issue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_that_stand() {
        for good in [
            "Drivers acknowledged 88 percent of graded alerts within five minutes.",
            "In a field study with 41 vans, graded alerts cut temperature alerts to 3.4 per shift.",
            "In the field study, drivers answered nine out of ten alerts.",
            "14 euros per van per month is the price of the Fleet plan.",
            "Open doors during a delivery caused 64 percent of the alerts.",
            "Chillwright pauses the clock when it sees an open door.",
            "The planner uses measured times instead of guesses.",
            "A graded alert says \"close rear door\" in a loud voice.",
        ] {
            assert!(alone(good, SourceKind::Document), "{good}");
        }
    }

    #[test]
    fn sentences_that_do_not() {
        for bad in [
            "It stores 72 hours of readings.",
            "However, the box stores 72 hours of readings.",
            "The same vans produced fewer alerts than before.",
            "In the other 23 cases, the alert was one more sound.",
            "Drivers answered 88 percent of them within five minutes.",
            "Drivers acknowledged only 28 percent of those alerts.",
            "Open the door before you mount the probe.",
            "Never mount a probe beside the fan of the unit.",
            "Fixed: the planner accepts a depot at the border.",
            "How many alerts did your drivers get?",
            "the box stores 72 hours of readings.",
            "The box stores 72 hours of readings",
            "The box (see below stores 72 hours of readings.",
            "Run `chillwright init` before the first start of all.",
            "Please write to someone@example.com for more about boxes.",
            "We tried the higher limit with 24 vans.",
            "I have looked at the readings of 41 vans.",
            "Too short here.",
            "A normal delivery stop therefore raises no temperature alert.",
            "Graded alerts also recognise the defrost cycle of a unit.",
            "A temperature alarm is spoken in the cab instead.",
            "Drivers of the fleet muted the phone last week.",
            "Yesterday the fleet of Lindgrove drove 4,400 kilometres.",
            "Such a box stores 72 hours of readings.",
            "Graded alerts help drivers more than the other two.",
            "Drivers counted their alerts in each period.",
            "Customers of the fleet pay on that route.",
            "The audit is what we'd wanted for two years.",
        ] {
            assert!(!alone(bad, SourceKind::Document), "{bad}");
        }
        assert!(!alone("The audit is what we've wanted for two years.", SourceKind::Issue));
        assert!(alone("We tried the higher limit with 24 vans.", SourceKind::Post));
    }
}
