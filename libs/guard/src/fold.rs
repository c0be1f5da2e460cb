//! Text as a rule sees it: spelt one way, with a way back to the bytes it came from.
//!
//! Who wants to slip past a rule writes it in full-width letters, in letters of another script that look alike, with
//! invisible characters inside, or with digits for letters. A [`View`] undoes that and remembers, for each of its bytes,
//! which bytes of the original it stands for.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{canonical_combining_class, is_combining_mark};

use crate::contain::{is_invisible, is_selector};

/// How far spelling is evened out before a rule looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fold {
    /// Invisible characters removed, compatibility forms (NFKC) undone; case stays.
    Exact,
    /// Also look-alikes of ASCII letters (UTS 39 skeleton) undone and lower-cased.
    #[default]
    Folded,
    /// Also accents removed and digits and signs that stand for letters inside a word (`sh1t`, `$ale`) undone.
    Leet,
}

/// A text in one spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    text: String,
    pieces: Vec<Piece>,
}

/// A stretch of the view and the bytes of the original that it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    /// First byte in the view.
    at: usize,
    /// Bytes in the original.
    from: usize,
    to: usize,
    /// Whether each byte of the view is the byte at the same distance in the original, but for ASCII case.
    even: bool,
}

impl View {
    /// The text in this spelling.
    ///
    /// Compatibility forms are undone from one base character with its marks to the next; the result is in NFKC but for
    /// the rare scripts in which two base characters compose.
    pub fn new(original: &str, fold: Fold) -> Self {
        let mut view = Self { text: String::with_capacity(original.len()), pieces: Vec::new() };
        let mut at = 0;
        while at < original.len() {
            let end = cluster_end(original, at);
            view.push(original, at..end, fold);
            at = end;
        }
        view
    }

    /// The text to match against.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The bytes of the original that a stretch of the view stands for, on character boundaries of both.
    ///
    /// A stretch outside the view is cut to it. Invisible characters inside are covered, those around are not.
    pub fn original(&self, span: Range<usize>) -> Range<usize> {
        let (Some(first), Some(last)) =
            (self.piece(span.start), self.piece(span.end.saturating_sub(1).max(span.start)))
        else {
            return 0..0;
        };
        let inside = |piece: Piece, at: usize| at.saturating_sub(piece.at).min(piece.to - piece.from);
        let start = if first.even { first.from + inside(first, span.start) } else { first.from };
        let end = if last.even { last.from + inside(last, span.end) } else { last.to };
        start..end.max(start)
    }

    fn piece(&self, at: usize) -> Option<Piece> {
        let after = self.pieces.partition_point(|piece| piece.at <= at);
        self.pieces.get(after.checked_sub(1)?).copied()
    }

    fn push(&mut self, original: &str, span: Range<usize>, fold: Fold) {
        let raw = &original[span.clone()];
        let at = self.text.len();
        if let (1, Some(byte)) = (raw.len(), raw.bytes().next()) {
            if byte.is_ascii_control() && is_invisible(char::from(byte)) {
                return;
            }
            let next = original[span.end..].bytes().next().map(char::from);
            self.text.push(ascii(char::from(byte), fold, self.text.chars().next_back(), next));
            match self.pieces.last_mut().filter(|piece| piece.even && piece.to == span.start) {
                Some(piece) => piece.to = span.end,
                None => self.pieces.push(Piece { at, from: span.start, to: span.end, even: true }),
            }
            return;
        }
        spell(raw, fold, &mut self.text);
        if self.text.len() > at {
            self.pieces.push(Piece { at, from: span.start, to: span.end, even: false });
        }
    }
}

/// Where the base character at `at` and its marks end; an invisible character never carries marks.
fn cluster_end(text: &str, at: usize) -> usize {
    let mut rest = text[at..].chars();
    let mut end = at + rest.next().map_or(1, char::len_utf8);
    // Nothing beyond ASCII follows: the common case without a look at any table.
    if text.as_bytes().get(end).is_none_or(u8::is_ascii) {
        return end;
    }
    for c in rest {
        let tied = canonical_combining_class(c) != 0 || is_combining_mark(c) || is_jamo(c);
        if !tied || is_invisible(c) {
            break;
        }
        end += c.len_utf8();
    }
    end
}

/// Vowels and finals of Korean syllables, which compose with what is before them.
fn is_jamo(c: char) -> bool {
    matches!(c, '\u{1161}'..='\u{11ff}')
}

fn is_hidden(c: char) -> bool {
    is_invisible(c) || is_selector(c)
}

fn spell(raw: &str, fold: Fold, into: &mut String) {
    let visible = raw.chars().filter(|c| !is_hidden(*c)).nfkc();
    match fold {
        Fold::Exact => into.extend(visible.filter(|c| !is_hidden(*c))),
        Fold::Folded => visible.filter(|c| !is_hidden(*c)).for_each(|c| push_folded(c, into)),
        Fold::Leet => {
            let bare: String = visible.nfd().filter(|c| !is_combining_mark(*c) && !is_hidden(*c)).collect();
            bare.nfc().for_each(|c| push_folded(c, into));
        }
    }
}

fn push_folded(c: char, into: &mut String) {
    if c.is_ascii() {
        into.push(c.to_ascii_lowercase());
        return;
    }
    let mut buffer = [0; 4];
    let start = into.len();
    into.extend(unicode_security::skeleton(c.encode_utf8(&mut buffer)));
    let alike = into.len() > start && into[start..].bytes().all(|b| b.is_ascii_alphanumeric());
    if alike {
        into[start..].make_ascii_lowercase();
        return;
    }
    into.truncate(start);
    match similar(c) {
        Some(letter) => into.push(letter),
        None => into.extend(c.to_lowercase()),
    }
}

/// Letters that a reader takes for Latin ones and that the skeleton keeps apart, and curly quotes and dashes.
fn similar(c: char) -> Option<char> {
    Some(match c {
        'К' | 'к' | 'κ' => 'k',
        'М' | 'м' => 'm',
        'Т' | 'т' | 'τ' => 't',
        'Н' | 'н' => 'h',
        'В' | 'в' | 'β' => 'b',
        'ε' => 'e',
        'η' => 'n',
        'υ' => 'u',
        'ω' => 'w',
        'ι' => 'i',
        'χ' => 'x',
        '’' | '‘' | '′' => '\'',
        '“' | '”' | '„' => '"',
        '‐' | '‑' | '–' | '—' | '−' => '-',
        _ => return None,
    })
}

fn ascii(c: char, fold: Fold, before: Option<char>, after: Option<char>) -> char {
    match fold {
        Fold::Exact => c,
        Fold::Folded => c.to_ascii_lowercase(),
        Fold::Leet => {
            let beside = |c: Option<char>| c.is_some_and(char::is_alphabetic);
            match letter_for(c).filter(|_| beside(before) || beside(after)) {
                Some(letter) => letter,
                None => c.to_ascii_lowercase(),
            }
        }
    }
}

fn letter_for(c: char) -> Option<char> {
    Some(match c {
        '0' => 'o',
        '1' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str, fold: Fold) -> String {
        View::new(text, fold).text().to_owned()
    }

    #[test]
    fn spellings_are_evened_out() {
        for (text, fold, expected) in [
            ("Ｆｒｅｅ ﬁle №", Fold::Exact, "Free file No"),
            ("pass\u{200b}wo\u{ad}rd\u{e0041}", Fold::Exact, "password"),
            ("e\u{301}te\u{301}", Fold::Exact, "été"),
            ("раураl GUАRАNТЕЕ", Fold::Folded, "paypal guarantee"),
            ("𝐁𝐞𝐬𝐭 Ⓑⓔⓢⓣ", Fold::Folded, "best best"),
            ("Größe café", Fold::Folded, "größe café"),
            ("sh1t $HIT f\u{fc}ck 5h17", Fold::Leet, "shit shit fuck shit"),
            ("45 % of 100", Fold::Leet, "45 % of 100"),
        ] {
            assert_eq!(seen(text, fold), expected, "{text}");
        }
    }

    #[test]
    fn hits_come_back_to_the_bytes_they_were_found_in() {
        for (text, word, expected) in [
            ("so gu\u{200b}arа\u{301}nteed!", "guar", "gu\u{200b}ar"),
            ("a раураl b", "paypal", "раураl"),
            ("x ﬁne", "i", "ﬁ"),
            ("the ＢＥＳＴ one", "best", "ＢＥＳＴ"),
            ("plain best one", "best", "best"),
        ] {
            let view = View::new(text, Fold::Folded);
            let at = view.text().find(word).unwrap_or_default();
            assert_eq!(&text[view.original(at..at + word.len())], expected, "{text}");
        }
    }
}
