//! Sentences with their places, in prose and in Markdown.

use std::borrow::Cow;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::stop::is_stop_word;

/// One sentence of a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sentence {
    /// Bytes in the input, on character boundaries, without surrounding blanks, list markers or heading marks.
    pub span: Range<usize>,
}

/// Splits a text into sentences, in order and without overlap; parts without a letter or digit belong to none.
///
/// A line break always ends a sentence. Abbreviations, initials, decimals, versions and URLs do not, nor does a
/// mark before a lower-case word, unless it stands free (`word . next`) as in tokenised text.
pub fn sentences(text: &str) -> Vec<Sentence> {
    let mut found = Vec::new();
    let (mut start, mut at) = (0, 0);
    loop {
        // All line breaks begin with one of these bytes; the other bytes need no decoding.
        at += first(&text.as_bytes()[at..], |b| (b.wrapping_sub(b'\n') < 4) | (b == 0xc2) | (b == 0xe2));
        let Some(c) = text[at..].chars().next() else { break };
        if is_line_break(c) {
            split_line(text, start..at, &mut found);
            start = at + c.len_utf8();
        }
        at += c.len_utf8();
    }
    split_line(text, start..text.len(), &mut found);
    found
}

/// The position of the first byte that stops, or past the last. Sixteen are looked at together, which a processor does at
/// once; the test must be without branches for that.
fn first(bytes: &[u8], stops: impl Fn(u8) -> bool) -> usize {
    let quiet = |chunk: &&[u8; 16]| !chunk.iter().fold(false, |any, b| any | stops(*b));
    let passed = bytes.as_chunks().0.iter().take_while(quiet).count() * 16;
    passed + bytes[passed..].iter().take_while(|b| !stops(**b)).count()
}

/// Whether this character ends a line.
pub(crate) fn is_line_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn split_line(text: &str, line: Range<usize>, found: &mut Vec<Sentence>) {
    if text[line.clone()].trim_start().starts_with("```") {
        return;
    }
    let mut start = line.start + marker_width(&text[line.clone()]);
    let mut at = start;
    loop {
        // All terminators begin with one of these bytes.
        at += first(&text.as_bytes()[at..line.end], |b| {
            (b == b'.') | (b == b'!') | (b == b'?') | (b == 0xe2) | (b == 0xe3) | (b == 0xef)
        });
        let Some(c) = text[at..line.end].chars().next() else { break };
        at += c.len_utf8();
        if is_terminator(c) {
            let end = closers_end(text, at, line.end);
            if ends_sentence(text, start, at, c, &text[end..line.end], end > at) {
                push(text, start..end, found);
                start = end;
            }
            at = end;
        }
    }
    push(text, start..line.end, found);
}

fn push(text: &str, span: Range<usize>, found: &mut Vec<Sentence>) {
    let raw = &text[span.clone()];
    if !raw.contains(char::is_alphanumeric) {
        return;
    }
    let edge = |c: char| c.is_whitespace() || c == '|';
    let start = span.start + (raw.len() - raw.trim_start_matches(edge).len());
    let end = span.end - (raw.len() - raw.trim_end_matches(edge).len());
    found.push(Sentence { span: start..end });
}

fn is_terminator(c: char) -> bool {
    matches!(c, '.' | '!' | '?' | '…' | '。' | '！' | '？')
}

/// Past repeated marks, closing quotes and brackets, emphasis, and a citation number such as `[2]`.
fn closers_end(text: &str, from: usize, line_end: usize) -> usize {
    let mut end = from;
    loop {
        let rest = &text[end..line_end];
        match rest.chars().next() {
            Some(
                c @ ('.' | '!' | '?' | '…' | '。' | '！' | '？' | '"' | '\'' | ')' | ']' | '}' | '»' | '”'
                | '’' | '*' | '_' | '`'),
            ) => end += c.len_utf8(),
            Some('[') => match citation_width(rest) {
                Some(width) => end += width,
                None => return end,
            },
            _ => return end,
        }
    }
}

fn citation_width(rest: &str) -> Option<usize> {
    let digits = rest[1..].bytes().take_while(u8::is_ascii_digit).count();
    ((1..=3).contains(&digits) && rest[1 + digits..].starts_with(']')).then_some(digits + 2)
}

/// Whether the mark `c`, which ends at `at`, closes the sentence that began at `start`; `rest` is the line after it.
fn ends_sentence(text: &str, start: usize, at: usize, c: char, rest: &str, closed: bool) -> bool {
    if matches!(c, '。' | '！' | '？') {
        return true;
    }
    let next = rest.trim_start();
    if next.is_empty() {
        return true;
    }
    if next.len() == rest.len() {
        return false;
    }
    let before = &text[start..at - c.len_utf8()];
    let free = before.ends_with(char::is_whitespace);
    let opening = |c: char| matches!(c, '"' | '\'' | '(' | '[' | '{' | '“' | '‘' | '*' | '_');
    if !free && next.trim_start_matches(opening).starts_with(char::is_lowercase) {
        return false;
    }
    free || closed || c != '.' || !abbreviates(before, next)
}

/// Whether the full stop after `before` belongs to an abbreviation, an initial or a list number.
fn abbreviates(before: &str, next: &str) -> bool {
    let parts = |c: char| c.is_whitespace() || matches!(c, '(' | '[' | '"' | '\'' | '“' | '*' | '_');
    let last = before.rsplit(parts).next().unwrap_or("");
    // A plain word that is longer than all abbreviations.
    if last.len() > LONGEST && last.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return false;
    }
    let is_lower = last.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase());
    let lower = if is_lower { Cow::Borrowed(last) } else { Cow::Owned(last.to_lowercase()) };
    if always_leads_on(&lower) {
        return true;
    }
    if leads_to_number(&lower) {
        return next.starts_with(|c: char| c.is_ascii_digit());
    }
    let mut letters = last.chars();
    let initial = letters.next().is_some_and(char::is_uppercase) && letters.next().is_none() && last != "I";
    let dotted = last.contains('.')
        && last.split('.').all(|part| part.chars().count() == 1 && part.chars().all(char::is_alphabetic));
    (may_close(&lower) || initial || dotted) && !opens_anew(next)
}

/// Whether the next word carries grammar, as one that begins a sentence often does.
fn opens_anew(next: &str) -> bool {
    // The next word is near or does not matter: looking for it to the end of the text, at every stop, would be quadratic.
    let near = &next[..next.floor_char_boundary(NEAR)];
    let opener =
        near.split(|c: char| !c.is_alphanumeric()).find(|w| !w.is_empty()).unwrap_or("").to_lowercase();
    is_stop_word(&opener)
}

/// How far the next word is looked for, in bytes.
const NEAR: usize = 64;

/// Letters of the longest abbreviation.
const LONGEST: usize = 6;

/// Abbreviations that always have something after them.
fn always_leads_on(lower: &str) -> bool {
    matches!(
        lower,
        "mr" | "mrs"
            | "ms"
            | "dr"
            | "prof"
            | "st"
            | "gen"
            | "rep"
            | "sen"
            | "gov"
            | "capt"
            | "e.g"
            | "i.e"
            | "vs"
            | "cf"
            | "approx"
            | "esp"
            | "resp"
            | "incl"
            | "dept"
            | "mt"
            | "ft"
            | "al"
            | "viz"
    )
}

/// Abbreviations only before a number.
fn leads_to_number(lower: &str) -> bool {
    matches!(
        lower,
        "no" | "nos"
            | "fig"
            | "figs"
            | "vol"
            | "sec"
            | "ch"
            | "p"
            | "pp"
            | "jan"
            | "feb"
            | "mar"
            | "apr"
            | "jun"
            | "jul"
            | "aug"
            | "oct"
            | "nov"
    )
}

/// Abbreviations that may end a sentence as well; the next word decides.
fn may_close(lower: &str) -> bool {
    matches!(
        lower,
        "inc"
            | "ltd"
            | "corp"
            | "co"
            | "llc"
            | "jr"
            | "sr"
            | "etc"
            | "dec"
            | "sept"
            | "a.m"
            | "p.m"
            | "u.s"
            | "u.k"
    )
}

/// The width of indentation, quote marks, a heading mark or a list marker at the start of a line.
fn marker_width(line: &str) -> usize {
    let mut rest = line.trim_start();
    while let Some(quoted) = rest.strip_prefix('>') {
        rest = quoted.trim_start();
    }
    rest = strip_mark(rest).trim_start();
    for task in ["[ ] ", "[x] ", "[X] "] {
        rest = rest.strip_prefix(task).unwrap_or(rest);
    }
    line.len() - rest.trim_start().len()
}

fn strip_mark(rest: &str) -> &str {
    let unmarked = rest.trim_start_matches('#');
    if unmarked.len() < rest.len()
        && rest.len() - unmarked.len() <= 6
        && unmarked.starts_with(char::is_whitespace)
    {
        return unmarked;
    }
    for bullet in ['-', '*', '+', '•', '–', '—', '·', '▪', '→'] {
        if let Some(item) = rest.strip_prefix(bullet).filter(|item| item.starts_with(char::is_whitespace)) {
            return item;
        }
    }
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let numbered = (1..=3).contains(&digits) && rest[digits..].starts_with(['.', ')']);
    match rest.get(digits + 1..) {
        Some(item) if numbered && item.starts_with(char::is_whitespace) => item,
        _ => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<&str> {
        sentences(text).into_iter().map(|s| &text[s.span]).collect()
    }

    #[test]
    fn prose() {
        for (text, expected) in [
            ("One. Two! Three?", vec!["One.", "Two!", "Three?"]),
            (
                "Dr. Lee uses v1.4.2 at 3.5 GHz. It works.",
                vec!["Dr. Lee uses v1.4.2 at 3.5 GHz.", "It works."],
            ),
            ("Tools, e.g. Make, help. See fig. 3.", vec!["Tools, e.g. Make, help.", "See fig. 3."]),
            (
                "The pump speaks protocol version 1.1. Operators of the pump save 30 percent of water.",
                vec![
                    "The pump speaks protocol version 1.1.",
                    "Operators of the pump save 30 percent of water.",
                ],
            ),
            ("Version 1.1 Beta runs. See A.1. More.", vec!["Version 1.1 Beta runs.", "See A.1.", "More."]),
            ("Acme Inc. The rest follows.", vec!["Acme Inc.", "The rest follows."]),
            ("Acme Inc. Berlin grew.", vec!["Acme Inc. Berlin grew."]),
            ("Made in the U.S. It sells.", vec!["Made in the U.S.", "It sells."]),
            ("J. Smith said \"Stop.\" Then he left.", vec!["J. Smith said \"Stop.\"", "Then he left."]),
            ("See https://example.com/a.b now. Fine.", vec!["See https://example.com/a.b now.", "Fine."]),
            ("tokenised text . next one .", vec!["tokenised text .", "next one ."]),
            ("Cited.[2] Again... Yes", vec!["Cited.[2]", "Again...", "Yes"]),
            ("Yahoo! is old. (It is.) So", vec!["Yahoo! is old.", "(It is.)", "So"]),
            ("日本語。次の文。", vec!["日本語。", "次の文。"]),
            ("No. That is it.", vec!["No.", "That is it."]),
        ] {
            assert_eq!(split(text), expected, "{text}");
        }
    }

    #[test]
    fn markdown() {
        let text = "# Title here\n\n- [x] first item\n2. Second. Third\n> quoted\n---\n| a | 5 |\n```rust\n🚀🚀\r\nEnd";
        assert_eq!(split(text), ["Title here", "first item", "Second.", "Third", "quoted", "a | 5", "End"]);
        assert_eq!(split("1.5 is a number"), ["1.5 is a number"]);
        assert!(sentences("").is_empty());
    }
}
