//! What kind of sentence it is. When in doubt it is a claim: a claim is checked, all else goes free.

use crate::report::SentenceClass;
use crate::text::{Sentence, Word, is_line_break, is_stop_word};

/// The class of one sentence of `text` whose words (with spans in the sentence) are given.
pub(crate) fn classify(text: &str, sentence: &Sentence, words: &[Word]) -> SentenceClass {
    let raw = &text[sentence.span.clone()];
    if raw.split_whitespace().all(|token| token.starts_with('#') && token.len() > 1) {
        return SentenceClass::Hashtags;
    }
    let body = raw.trim_end_matches(|c: char| "\"')]}»”’*_` ".contains(c));
    if body.ends_with(['?', '？']) {
        return SentenceClass::Question;
    }
    let lead: Vec<&str> = words.iter().take(6).map(|word| word.lower.as_str()).collect();
    if is_greeting(&lead, words.len()) {
        SentenceClass::Greeting
    } else if is_meta(&lead, body) {
        SentenceClass::Meta
    } else if is_heading(text, sentence, body, words) {
        SentenceClass::Heading
    } else if is_opinion(&lead, words) {
        SentenceClass::Opinion
    } else if is_call(&lead) {
        SentenceClass::CallToAction
    } else {
        SentenceClass::Claim
    }
}

/// A Markdown heading, a line all in bold, a lead-in that ends in a colon, or a line of at most four words without
/// a closing mark that is no list item.
fn is_heading(text: &str, sentence: &Sentence, body: &str, words: &[Word]) -> bool {
    let mark = |c: char| !is_line_break(c) && !c.is_alphanumeric();
    let before = text[..sentence.span.start].trim_end_matches(mark);
    let marker = text[before.len()..sentence.span.start].trim();
    let opens = before.is_empty() || before.ends_with(is_line_break);
    if opens && !marker.is_empty() && marker.bytes().all(|b| b == b'#') {
        return true;
    }
    let states = words.iter().any(|word| is_finite(&word.lower) || word.lower.ends_with("n't"));
    let after =
        text[sentence.span.end..].trim_start_matches(|c: char| c.is_whitespace() && !is_line_break(c));
    let alone = opens && (after.is_empty() || after.starts_with(is_line_break));
    let line = &text[sentence.span.clone()];
    let bold = line.len() > 4
        && line.starts_with("**")
        && line.ends_with("**")
        && !line[2..line.len() - 2].contains("**");
    let closed = body.ends_with(['.', '!', '…', '。', '！']);
    alone
        && ((bold && words.len() <= 12 && !closed)
            || (!closed && words.len() <= 4 && marker.is_empty() && !states))
        || (body.ends_with(':') && words.len() <= 8)
}

fn is_greeting(lead: &[&str], length: usize) -> bool {
    let opens = match lead {
        [
            "hi" | "hello" | "hey" | "dear" | "greetings" | "welcome" | "cheers" | "congrats"
            | "congratulations",
            ..,
        ] => true,
        ["thanks" | "thank", ..] => true,
        ["happy", day, ..] => day.ends_with("day") || matches!(*day, "new" | "holidays"),
        ["good", "morning" | "afternoon" | "evening", ..] => true,
        ["best" | "kind" | "warm", "regards" | "wishes", ..] => true,
        _ => false,
    };
    opens && length <= 9
}

fn is_meta(lead: &[&str], body: &str) -> bool {
    match lead {
        ["here" | "below", "is" | "are", ..] => true,
        ["here", ..] => body.ends_with(':'),
        ["in", "this" | "the", noun, ..] if TEXTS.contains(noun) => {
            lead.get(3).is_some_and(|w| matches!(*w, "we" | "i" | "you"))
        }
        ["this" | "the", noun, verb, ..] if TEXTS.contains(noun) => TELLING.contains(verb),
        ["read" | "keep", "on" | "reading", ..] => true,
        _ => false,
    }
}

const TEXTS: [&str; 14] = [
    "post",
    "article",
    "thread",
    "passage",
    "text",
    "document",
    "summary",
    "section",
    "guide",
    "newsletter",
    "piece",
    "story",
    "blog",
    "source",
];

const TELLING: [&str; 14] = [
    "describes",
    "explains",
    "discusses",
    "covers",
    "summarizes",
    "summarises",
    "mentions",
    "provides",
    "outlines",
    "shows",
    "looks",
    "walks",
    "presents",
    "explores",
];

fn is_opinion(lead: &[&str], words: &[Word]) -> bool {
    match lead {
        ["i", "think" | "believe" | "feel" | "love" | "hope" | "guess" | "suspect" | "wonder", ..] => true,
        ["we", "think" | "believe" | "feel" | "love" | "hope", ..] => true,
        ["in", "my" | "our", "opinion" | "view" | "experience", ..] => true,
        ["personally" | "imo" | "imho", ..] => true,
        ["we" | "i", "are" | "am", feeling, ..] | ["we're" | "i'm", feeling, ..] => {
            let content = words.iter().filter(|word| !is_stop_word(&word.lower)).count();
            content <= 4
                && matches!(
                    *feeling,
                    "excited" | "proud" | "thrilled" | "happy" | "glad" | "grateful" | "sorry"
                )
        }
        _ => false,
    }
}

/// An imperative to the reader: a verb of invitation, and next to it none of the words that would make a subject of it.
fn is_call(lead: &[&str]) -> bool {
    let (Some(first), next) = (lead.first(), lead.get(1)) else { return false };
    let bid = CALLS.contains(first) || *first == "let";
    let object = *first == "let"
        || next.is_none_or(|word| is_stop_word(word) && !is_finite(word) || AFTER_CALL.contains(word));
    bid && object
}

fn is_finite(word: &str) -> bool {
    matches!(
        word,
        "is" | "are" | "was" | "were" | "has" | "have" | "had" | "will" | "can" | "may" | "does" | "did"
    )
}

const CALLS: [&str; 36] = [
    "try",
    "check",
    "join",
    "sign",
    "read",
    "learn",
    "visit",
    "follow",
    "share",
    "comment",
    "subscribe",
    "download",
    "click",
    "book",
    "contact",
    "get",
    "start",
    "see",
    "discover",
    "drop",
    "tell",
    "dm",
    "register",
    "explore",
    "grab",
    "watch",
    "reach",
    "link",
    "save",
    "repost",
    "like",
    "imagine",
    "consider",
    "ask",
    "meet",
    "stay",
];

const AFTER_CALL: [&str; 6] = ["started", "free", "today", "ready", "tuned", "everything"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{sentences, words};

    fn classes(text: &str) -> Vec<SentenceClass> {
        sentences(text).iter().map(|s| classify(text, s, &words(&text[s.span.clone()]))).collect()
    }

    #[test]
    fn each_kind_is_known_by_its_form() {
        use SentenceClass::{CallToAction, Claim, Greeting, Hashtags, Heading, Meta, Opinion, Question};
        for (text, expected) in [
            ("Acme cut build times by 40 %.", Claim),
            ("Share prices fell by a third.", Claim),
            ("Book sales rose.", Claim),
            ("- Faster builds", Claim),
            ("We are thrilled that Acme bought Globex and doubled revenue.", Claim),
            ("The passage was written in 2020.", Claim),
            ("# Builds that scale with the team", Heading),
            ("**What changed in this release**", Heading),
            ("What changed:", Heading),
            ("A short line", Heading),
            ("Acme is unsafe", Claim),
            ("Want faster builds?", Question),
            ("Try it today.", CallToAction),
            ("Let's talk.", CallToAction),
            ("Get started with the guide.", CallToAction),
            ("I think small teams win.", Opinion),
            ("We're excited.", Opinion),
            ("Hi everyone!", Greeting),
            ("Here are three lessons from our migration:", Meta),
            ("In this post we look at caching.", Meta),
            ("The passage describes a migration.", Meta),
            ("#Rust #BuildTools", Hashtags),
        ] {
            assert_eq!(classes(text), [expected], "{text}");
        }
    }
}
