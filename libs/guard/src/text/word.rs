//! Words with their places. A scanner rather than a regex: one pass, and each rule about what stays whole is a
//! line that can be read on its own.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use super::plain::plain_end;
use crate::lexicon::Key;

/// One word of a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// Bytes of the word in the input, on character boundaries; a possessive ending is outside.
    pub span: Range<usize>,
    /// The word lower-cased and NFKC-normalised, with straight apostrophes and without spaces inside (`45 %` → `45%`).
    pub lower: String,
}

/// Splits a text into words, in order and without overlap.
///
/// Kept whole: identifiers (`load_config`, `tokio::spawn`, `node.js`, `utf-8`), versions (`1.4.2`, `v2.0.0-rc.1`),
/// numbers with an attached unit or sign (`$1.2M`, `45 %`, `10ms`), ISO dates, `@handles`, e-mail addresses and URLs.
/// Other hyphens and slashes separate, and each ideograph or kana is a word, since those scripts do not use spaces.
pub fn words(text: &str) -> Vec<Word> {
    let mut found = Vec::with_capacity(text.len() / 6);
    let plain = text.to_ascii_lowercase();
    let mut at = 0;
    while let Some(Lexeme { mut span, is_plain }) = next_lexeme(text, &mut at) {
        let lower = if is_plain { plain[span.clone()].to_owned() } else { spell(text, &mut span) };
        found.push(Word { span, lower });
    }
    found
}

/// The words of a text by their position, however they are kept.
pub(crate) trait Words {
    /// How many there are.
    fn count(&self) -> usize;
    /// [`Word::span`] of the word at a position below [`Self::count`].
    fn span(&self, at: usize) -> Range<usize>;
    /// [`Word::lower`] of the word at a position below [`Self::count`].
    fn lower(&self, at: usize) -> &str;
}

impl Words for [Word] {
    fn count(&self) -> usize {
        self.len()
    }

    fn span(&self, at: usize) -> Range<usize> {
        self[at].span.clone()
    }

    fn lower(&self, at: usize) -> &str {
        &self[at].lower
    }
}

/// What [`words`] gives for one text after the other, each read into the memory of the one before.
#[derive(Debug, Default)]
pub(crate) struct WordReader {
    /// Bytes of each word in the text, and of its lower-cased form in `spelt`.
    places: Vec<(Range<usize>, Range<usize>)>,
    /// The text with its ASCII letters in lower case, and behind it the words that this does not spell.
    spelt: String,
}

impl WordReader {
    /// Reads the words of a text and forgets those of the one before.
    pub(crate) fn read(&mut self, text: &str) {
        self.places.clear();
        self.spelt.clear();
        self.spelt.push_str(text);
        self.spelt.make_ascii_lowercase();
        let mut at = 0;
        while let Some(Lexeme { mut span, is_plain }) = next_lexeme(text, &mut at) {
            let lower = if is_plain { span.clone() } else { self.add(&spell(text, &mut span)) };
            self.places.push((span, lower));
        }
        // So that a key has bytes to read behind the last word.
        self.spelt.push_str("                ");
    }

    /// [`Key::packed`] of the word at a position.
    #[inline]
    pub(crate) fn packed(&self, at: usize) -> u128 {
        Key::packed_within(self.spelt.as_bytes(), self.places[at].1.clone())
    }

    fn add(&mut self, lower: &str) -> Range<usize> {
        let start = self.spelt.len();
        self.spelt.push_str(lower);
        start..self.spelt.len()
    }
}

impl Words for WordReader {
    fn count(&self) -> usize {
        self.places.len()
    }

    fn span(&self, at: usize) -> Range<usize> {
        self.places[at].0.clone()
    }

    #[inline]
    fn lower(&self, at: usize) -> &str {
        &self.spelt[self.places[at].1.clone()]
    }
}

/// The bytes of a word.
struct Lexeme {
    span: Range<usize>,
    /// Whether they are ASCII letters and digits.
    is_plain: bool,
}

/// The bytes of the next word from `at` on, which is moved past it.
#[inline]
fn next_lexeme(text: &str, at: &mut usize) -> Option<Lexeme> {
    let bytes = text.as_bytes();
    loop {
        // Most words are plain and behind a blank.
        let start = *at + usize::from(bytes.get(*at) == Some(&b' '));
        if let Some(end) = plain_end(bytes, start) {
            *at = end;
            return Some(Lexeme { span: start..end, is_plain: true });
        }
        // Other blanks and marks are passed over without decoding characters.
        let marks = bytes[start..].iter().take_while(|b| is_silent(**b)).count();
        *at = start + marks;
        if marks == 0 {
            let c = peek(text, start)?;
            let end = lexeme_end(text, start, c);
            *at = end.unwrap_or(start + c.len_utf8());
            if let Some(end) = end {
                return Some(Lexeme { span: start..end, is_plain: false });
            }
        }
    }
}

/// ASCII blanks and marks that begin no word.
fn is_silent(b: u8) -> bool {
    b.is_ascii() && !b.is_ascii_alphanumeric() && !matches!(b, b'@' | b'$')
}

/// The lower-cased form of the word at a span; a possessive ending is cut from both.
fn spell(text: &str, span: &mut Range<usize>) -> String {
    let raw = &text[span.clone()];
    let mut lower = if raw.is_ascii() {
        raw.to_ascii_lowercase()
    } else {
        let plain = raw.nfkc().flat_map(char::to_lowercase);
        plain.map(|c| if c == '\u{2019}' { '\'' } else { c }).collect()
    };
    if raw.bytes().any(|b| b.is_ascii_digit()) && lower.contains(char::is_whitespace) {
        lower.retain(|c| !c.is_whitespace());
    }
    if lower.len() > 2 && lower.ends_with("'s") {
        lower.truncate(lower.len() - 2);
        let ending: usize = raw.chars().rev().take(2).map(char::len_utf8).sum();
        span.end -= ending;
    }
    lower
}

/// Where the lexeme that begins at `at` with `c` ends, or `None` when no word begins here.
fn lexeme_end(text: &str, at: usize, c: char) -> Option<usize> {
    if is_currency(c) {
        let digits = skip_space(text, at + c.len_utf8());
        return starts_digit(text, digits).then(|| number_end(text, digits));
    }
    if c == '@' {
        let name = at + 1;
        return peek(text, name).is_some_and(is_letter).then(|| run_end(text, name, &['_', '-', '.']));
    }
    if !is_letter(c) {
        return None;
    }
    if is_ideograph(c) {
        return Some(at + c.len_utf8());
    }
    if let Some(end) = url_end(text, at) {
        return Some(end);
    }
    let end = if c.is_ascii_digit() { number_end(text, at) } else { name_end(text, at) };
    Some(email_end(text, end).unwrap_or(end))
}

/// A word or identifier: letters and digits with the joints that belong inside a name.
fn name_end(text: &str, start: usize) -> usize {
    // Most words are plain ASCII: those bytes are passed over without decoding characters.
    let mut end = start + text[start..].bytes().take_while(u8::is_ascii_alphanumeric).count();
    // And most of them end at a mark that joins nothing.
    if end > start && matches!(text.as_bytes().get(end), None | Some(b' ' | b',' | b'\n')) {
        return end;
    }
    let mut last = text[start..end].chars().next_back().unwrap_or(' ');
    while let Some(c) = peek(text, end) {
        if is_letter(c) && (end == start || !is_ideograph(c)) || is_mark(c) {
            last = c;
            end += c.len_utf8();
        } else if let Some(width) = joint(text, start, end, last, c) {
            end += width;
            last = c;
        } else {
            break;
        }
    }
    release_end(text, start, symbol_suffix_end(text, start, end))
}

/// The width of a joint at `at` when it ties the next letter to this name.
fn joint(text: &str, start: usize, at: usize, last: char, c: char) -> Option<usize> {
    let width = c.len_utf8();
    let next = peek(text, at + width)?;
    let ties = match c {
        '\'' | '\u{2019}' => last.is_alphabetic() && next.is_alphabetic(),
        '_' => is_letter(next) || next == '_',
        '.' => is_letter(next) && !is_glued_sentence(text, at + width, last, next),
        ':' => return (next == ':' && peek(text, at + 2).is_some_and(is_letter)).then_some(2),
        '&' => last.is_uppercase() && next.is_uppercase(),
        '-' => next.is_ascii_digit() && !is_detachable(&text[start..at]),
        _ => false,
    };
    ties.then_some(width)
}

/// Prefixes that stand before a number without making a name of it: `mid-2020` holds the number 2020.
const DETACHABLE: [&str; 10] = ["mid", "pre", "post", "sub", "non", "early", "late", "under", "over", "top"];

/// Looked at only when it is short enough to be one: a name of many joints would be read again at each of them.
fn is_detachable(prefix: &str) -> bool {
    prefix.len() <= 5 && DETACHABLE.contains(&prefix.to_lowercase().as_str())
}

/// `end.Next`: a missing space after a full stop, not an identifier.
fn is_glued_sentence(text: &str, next_at: usize, last: char, next: char) -> bool {
    let after = peek(text, next_at + next.len_utf8());
    last.is_lowercase() && next.is_uppercase() && after.is_some_and(char::is_lowercase)
}

/// `C++`, `C#`, `F#`.
fn symbol_suffix_end(text: &str, start: usize, end: usize) -> usize {
    let single = end - start == 1;
    let rest = &text[end..];
    if single && rest.starts_with("++") {
        end + 2
    } else if single && rest.starts_with('#') && !peek(text, end + 1).is_some_and(is_letter) {
        end + 1
    } else {
        end
    }
}

/// `2.0.0-rc.1`: a pre-release tail belongs to its version.
fn release_end(text: &str, start: usize, end: usize) -> usize {
    let rest = text[end..].strip_prefix('-').unwrap_or("");
    if !rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return end;
    }
    let body = &text[start..end];
    let digits = body.strip_prefix(['v', 'V']).unwrap_or(body);
    let dots = digits.matches('.').count();
    let numeric = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let marked = digits.len() < body.len() && dots > 0;
    if numeric && (marked || dots > 1) { run_end(text, end + 1, &['.']) } else { end }
}

/// Digits with separators, an ISO date, then an attached unit, percent sign or pre-release tail.
fn number_end(text: &str, start: usize) -> usize {
    let mut end = digits_end(text, start);
    while peek(text, end).is_some_and(|c| matches!(c, '.' | ',' | ':')) && starts_digit(text, end + 1) {
        end = digits_end(text, end + 1);
    }
    if let Some(date) = iso_date_end(text, start, end) {
        return date;
    }
    let sign = skip_space(text, end);
    if let Some(c @ ('%' | '‰')) = peek(text, sign) {
        return sign + c.len_utf8();
    }
    if peek(text, end).is_some_and(|c| is_letter(c) && !is_ideograph(c)) {
        end = run_end(text, end, &['_']);
    }
    release_end(text, start, end)
}

fn iso_date_end(text: &str, start: usize, end: usize) -> Option<usize> {
    let tail = text.as_bytes().get(end..end + 6)?;
    let shaped =
        tail.iter().enumerate().all(|(i, b)| if i % 3 == 0 { *b == b'-' } else { b.is_ascii_digit() });
    let whole = end - start == 4 && shaped && !starts_digit(text, end + 6);
    whole.then_some(end + 6)
}

fn url_end(text: &str, at: usize) -> Option<usize> {
    let head = text.as_bytes().get(at..)?;
    if !head.starts_with(b"h")
        && !head.starts_with(b"H")
        && !head.starts_with(b"w")
        && !head.starts_with(b"W")
    {
        return None;
    }
    let scheme = [&b"https://"[..], b"http://", b"www."]
        .into_iter()
        .find(|prefix| head.len() > prefix.len() && head[..prefix.len()].eq_ignore_ascii_case(prefix))?;
    let body = &text[at + scheme.len()..];
    let stop =
        body.find(|c: char| c.is_whitespace() || "<>\"'()[]{}|`«»“”*".contains(c)).unwrap_or(body.len());
    let kept = body[..stop].trim_end_matches(|c: char| !is_letter(c) && c != '/').len();
    (kept > 0).then_some(at + scheme.len() + kept)
}

fn email_end(text: &str, local_end: usize) -> Option<usize> {
    text[local_end..].strip_prefix('@')?.chars().next().filter(|c| is_letter(*c))?;
    let end = run_end(text, local_end + 1, &['.', '-']);
    text[local_end + 1..end].contains('.').then_some(end)
}

/// Letters and digits from `from` on, with `joints` allowed between them.
fn run_end(text: &str, from: usize, joints: &[char]) -> usize {
    let mut end = from;
    while let Some(c) = peek(text, end) {
        let width = c.len_utf8();
        let joined = joints.contains(&c) && peek(text, end + width).is_some_and(is_letter);
        if !(is_letter(c) || is_mark(c) || joined) {
            break;
        }
        end += width;
    }
    end
}

fn digits_end(text: &str, from: usize) -> usize {
    from + text[from..].bytes().take_while(u8::is_ascii_digit).count()
}

fn starts_digit(text: &str, at: usize) -> bool {
    text.as_bytes().get(at).is_some_and(u8::is_ascii_digit)
}

/// Past one ordinary or no-break space.
fn skip_space(text: &str, at: usize) -> usize {
    match peek(text, at) {
        Some(c @ (' ' | '\u{a0}' | '\u{202f}')) => at + c.len_utf8(),
        _ => at,
    }
}

fn peek(text: &str, at: usize) -> Option<char> {
    text.get(at..)?.chars().next()
}

pub(crate) fn is_currency(c: char) -> bool {
    matches!(c, '$' | '€' | '£' | '¥' | '₹')
}

fn is_letter(c: char) -> bool {
    c.is_alphanumeric()
}

fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{200d}' | '\u{ad}')
}

fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lowers(text: &str) -> Vec<String> {
        words(text).into_iter().map(|word| word.lower).collect()
    }

    #[test]
    fn whole_things_stay_whole() {
        for (text, expected) in [
            ("Version 1.4.2, or v2.0.0-rc.1.", vec!["version", "1.4.2", "or", "v2.0.0-rc.1"]),
            ("It costs $1.2M, € 5 or 45 %.", vec!["it", "costs", "$1.2m", "or", "45%"]),
            ("call tokio::spawn or load_config", vec!["call", "tokio::spawn", "or", "load_config"]),
            ("node.js and C++ in UTF-8", vec!["node.js", "and", "c++", "in", "utf-8"]),
            ("see https://example.com/a_b?c=1. ok", vec!["see", "https://example.com/a_b?c=1", "ok"]),
            ("mail jane.doe@example.com or @acme_hq", vec!["mail", "jane.doe@example.com", "or", "@acme_hq"]),
            ("on 2024-03-31: mid-2020", vec!["on", "2024-03-31", "mid", "2020"]),
            (
                "a 30-day, open-source and/or R&D",
                vec!["a", "30", "day", "open", "source", "and", "or", "r&d"],
            ),
            ("10ms and 1,024 at 10:30", vec!["10ms", "and", "1,024", "at", "10:30"]),
            ("日本語 text", vec!["日", "本", "語", "text"]),
            ("_soft_ **bold** #rust", vec!["soft", "bold", "rust"]),
        ] {
            let got: Vec<String> = lowers(text).into_iter().filter(|w| w != "€5").collect();
            assert_eq!(got, expected, "{text}");
        }
        assert_eq!(lowers("€ 5"), ["€5"]);
    }

    #[test]
    fn possessive_is_cut_from_word_and_span() {
        let text = "Acme’s users' don’t end.Next";
        let found = words(text);
        let got: Vec<(&str, &str)> =
            found.iter().map(|w| (w.lower.as_str(), &text[w.span.clone()])).collect();
        assert_eq!(
            got,
            [("acme", "Acme"), ("users", "users"), ("don't", "don’t"), ("end", "end"), ("next", "Next")]
        );
    }
}
