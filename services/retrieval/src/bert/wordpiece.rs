//! The tokens of BERT-type models: WordPiece, read from a `tokenizer.json`.
//!
//! Words are cut at spaces and around punctuation, then each into the longest pieces that the vocabulary has. Unlike
//! in the reference, names of special tokens that stand in a text are only text: a document must not end a passage by
//! writing `[SEP]`.

use std::collections::HashMap;

use regex_syntax::hir::{Class, HirKind};
use serde::Deserialize;
use serde_json::Value;
use unicode_normalization::UnicodeNormalization;

use super::BertError;

/// A vocabulary with its rules.
pub(crate) struct WordPiece {
    starts: HashMap<Box<str>, u32>,
    continuations: HashMap<Box<str>, u32>,
    unknown: u32,
    longest_word: usize,
    rules: Rules,
    before: Vec<u32>,
    after: Vec<u32>,
    letters: Letters,
}

/// How a text is made plain first.
#[derive(Deserialize)]
struct Rules {
    #[serde(default = "yes")]
    clean_text: bool,
    #[serde(default = "yes")]
    handle_chinese_chars: bool,
    strip_accents: Option<bool>,
    #[serde(default = "yes")]
    lowercase: bool,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
struct File {
    normalizer: Option<Value>,
    pre_tokenizer: Option<Value>,
    post_processor: Option<Value>,
    model: Value,
}

#[derive(Deserialize)]
struct Model {
    unk_token: String,
    #[serde(default = "continuing")]
    continuing_subword_prefix: String,
    #[serde(default = "hundred")]
    max_input_chars_per_word: usize,
    vocab: HashMap<String, u32>,
}

fn continuing() -> String {
    "##".to_owned()
}

fn hundred() -> usize {
    100
}

impl WordPiece {
    /// Reads a `tokenizer.json`.
    pub(crate) fn read(json: &[u8]) -> Result<Self, BertError> {
        let file: File = serde_json::from_slice(json).map_err(|error| BertError(error.to_string()))?;
        expect("model", Some(&file.model), &["WordPiece"])?;
        expect("normalizer", file.normalizer.as_ref(), &["BertNormalizer"])?;
        expect("pre_tokenizer", file.pre_tokenizer.as_ref(), &["BertPreTokenizer"])?;
        let rules = serde_json::from_value(file.normalizer.unwrap_or_default());
        let rules: Rules = rules.map_err(|error| BertError(format!("normalizer: {error}")))?;
        let model: Model =
            serde_json::from_value(file.model).map_err(|error| BertError(format!("model: {error}")))?;
        let unknown = model.vocab.get(&model.unk_token).copied();
        let unknown = unknown.ok_or_else(|| BertError("its vocabulary has no unknown token".to_owned()))?;
        let (before, after) = frame(file.post_processor.as_ref())?;
        let (mut starts, mut continuations) = (HashMap::new(), HashMap::new());
        for (piece, id) in model.vocab {
            match piece.strip_prefix(&model.continuing_subword_prefix) {
                Some(rest) if !rest.is_empty() => continuations.insert(rest.into(), id),
                _ => starts.insert(piece.into_boxed_str(), id),
            };
        }
        let (longest_word, letters) = (model.max_input_chars_per_word, Letters::read()?);
        Ok(Self { starts, continuations, unknown, longest_word, rules, before, after, letters })
    }

    /// Whether a token stands for something of a text: not around it, and not for what is unknown.
    pub(crate) fn is_of_text(&self, id: u32) -> bool {
        id != self.unknown && !self.before.contains(&id) && !self.after.contains(&id)
    }

    /// How many tokens stand around every text.
    pub(crate) fn framing(&self) -> usize {
        self.before.len() + self.after.len()
    }

    /// The tokens of a text with those that stand around it, `limit` at most: what is too long is cut off.
    pub(crate) fn encode(&self, text: &str, limit: usize) -> Vec<u32> {
        let room = limit.saturating_sub(self.framing());
        let mut tokens = self.before.clone();
        self.pieces(text, |token| {
            tokens.push(token);
            tokens.len() < self.before.len() + room
        });
        tokens.truncate(self.before.len() + room);
        tokens.extend_from_slice(&self.after);
        tokens
    }

    /// How many tokens a text has by itself.
    pub(crate) fn count(&self, text: &str) -> usize {
        let mut count = 0;
        self.pieces(text, |_| {
            count += 1;
            true
        });
        count
    }

    /// Gives the tokens one after the other while `take` wants more.
    fn pieces(&self, text: &str, mut take: impl FnMut(u32) -> bool) {
        let plain = self.plain(text);
        let mut word = plain.as_str();
        let mut found = Vec::new();
        while !word.is_empty() {
            let end = self.end(word);
            let (this, rest) = word.split_at(end);
            if this != " " {
                found.clear();
                self.cut(this, &mut found);
                for token in &found {
                    if !take(*token) {
                        return;
                    }
                }
            }
            word = rest;
        }
    }

    /// Where the first word, space or mark of a plain text ends.
    fn end(&self, text: &str) -> usize {
        let alone = |c: char| c == ' ' || self.letters.is_punctuation(c);
        let mut characters = text.char_indices();
        match characters.next() {
            Some((_, first)) if alone(first) => first.len_utf8(),
            _ => characters.find(|(_, c)| alone(*c)).map_or(text.len(), |(at, _)| at),
        }
    }

    /// The longest pieces of a word; the unknown token alone when it cannot be cut.
    fn cut(&self, word: &str, found: &mut Vec<u32>) {
        if word.chars().count() > self.longest_word {
            return found.push(self.unknown);
        }
        let mut rest = word;
        while !rest.is_empty() {
            let pieces = if rest.len() == word.len() { &self.starts } else { &self.continuations };
            let mut ends = rest.char_indices().rev().map(|(at, c)| at + c.len_utf8());
            let Some((end, token)) = ends.find_map(|end| pieces.get(&rest[..end]).map(|token| (end, *token)))
            else {
                found.clear();
                return found.push(self.unknown);
            };
            found.push(token);
            rest = &rest[end..];
        }
    }

    /// The text in plain letters: white space as single characters of one kind, no accents, lower case.
    fn plain(&self, text: &str) -> String {
        let rules = &self.rules;
        let mut plain = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                c if rules.clean_text && self.letters.is_dropped(c) => {}
                c if c.is_whitespace() => plain.push(' '),
                c if rules.handle_chinese_chars && is_han(c) => plain.extend([' ', c, ' ']),
                c => plain.push(c),
            }
        }
        if rules.strip_accents.unwrap_or(rules.lowercase) && !plain.is_ascii() {
            plain = plain.nfd().filter(|c| !self.letters.is_accent(*c)).collect();
        }
        if !rules.lowercase {
            return plain;
        }
        if plain.is_ascii() {
            plain.make_ascii_lowercase();
            return plain;
        }
        plain.chars().flat_map(char::to_lowercase).collect()
    }
}

fn expect(key: &str, value: Option<&Value>, kinds: &[&str]) -> Result<(), BertError> {
    let kind = value.and_then(|value| value.get("type")).and_then(Value::as_str).unwrap_or("absent");
    if kinds.contains(&kind) {
        return Ok(());
    }
    Err(BertError(format!("its {key} is {kind}; this build reads {}", kinds.join(" and "))))
}

/// The tokens before and after a single text.
pub(crate) fn frame(processor: Option<&Value>) -> Result<(Vec<u32>, Vec<u32>), BertError> {
    let odd = || BertError("its post_processor is of an unknown form".to_owned());
    let Some(processor) = processor.filter(|processor| !processor.is_null()) else {
        return Ok((Vec::new(), Vec::new()));
    };
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    let kind = processor.get("type").and_then(Value::as_str).unwrap_or_default();
    if ["BertProcessing", "RobertaProcessing"].contains(&kind) {
        let of = |key: &str| processor.get(key).and_then(|pair| pair.get(1)).and_then(id).ok_or_else(odd);
        return Ok((vec![of("cls")?], vec![of("sep")?]));
    }
    let template = processor.get("single").and_then(Value::as_array).ok_or_else(odd)?;
    let (mut before, mut after, mut seen) = (Vec::new(), Vec::new(), false);
    for part in template {
        let Some(name) = part.get("SpecialToken").and_then(|token| token.get("id")).and_then(Value::as_str)
        else {
            seen = true;
            continue;
        };
        let ids =
            processor.get("special_tokens").and_then(|all| all.get(name)).and_then(|one| one.get("ids"));
        let ids = ids.and_then(Value::as_array).ok_or_else(odd)?;
        let side = if seen { &mut after } else { &mut before };
        side.extend(ids.iter().filter_map(id));
    }
    Ok((before, after))
}

/// Chinese characters are words of their own.
fn is_han(c: char) -> bool {
    matches!(u32::from(c),
        0x4E00..=0x9FFF | 0x3400..=0x4DBF | 0x20000..=0x2A6DF | 0x2A700..=0x2B73F | 0x2B740..=0x2B81F
        | 0x2B820..=0x2CEAF | 0xF900..=0xFAFF | 0x2F800..=0x2FA1F)
}

/// The classes of characters that the rules speak of, as ranges in order.
struct Letters {
    punctuation: Vec<(char, char)>,
    accents: Vec<(char, char)>,
    controls: Vec<(char, char)>,
}

impl Letters {
    fn read() -> Result<Self, BertError> {
        Ok(Self { punctuation: class(r"\p{P}")?, accents: class(r"\p{Mn}")?, controls: class(r"\p{C}")? })
    }

    fn is_punctuation(&self, c: char) -> bool {
        if c.is_ascii() { c.is_ascii_punctuation() } else { within(&self.punctuation, c) }
    }

    fn is_accent(&self, c: char) -> bool {
        !c.is_ascii() && within(&self.accents, c)
    }

    fn is_dropped(&self, c: char) -> bool {
        match c {
            '\t' | '\n' | '\r' => false,
            '\0' | '\u{fffd}' => true,
            c if c.is_ascii() => c.is_ascii_control(),
            c => within(&self.controls, c),
        }
    }
}

fn within(ranges: &[(char, char)], c: char) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= c);
    after > 0 && ranges.get(after - 1).is_some_and(|(_, last)| c <= *last)
}

fn class(pattern: &str) -> Result<Vec<(char, char)>, BertError> {
    let parsed = regex_syntax::parse(pattern).map_err(|error| BertError(error.to_string()))?;
    match parsed.kind() {
        HirKind::Class(Class::Unicode(class)) => {
            Ok(class.ranges().iter().map(|range| (range.start(), range.end())).collect())
        }
        _ => Err(BertError(format!("{pattern} is no class"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r###"{
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
            "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [2]}, "[SEP]": {"id": "[SEP]", "ids": [3]}}},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 10, "vocab": {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "cold": 4,
            "col": 5, "##der": 6, "##d": 7, "cafe": 8, "!": 9, "[": 10, "]": 11, "sep": 12, "蔵": 13, "##e": 14,
            "##r": 15}}
    }"###;

    fn encoded(text: &str) -> Vec<u32> {
        WordPiece::read(FILE.as_bytes()).unwrap().encode(text, 64)
    }

    #[test]
    fn words_are_cut_into_the_longest_pieces() {
        assert_eq!(encoded("Cold colder"), [2, 4, 4, 14, 15, 3]);
        assert_eq!(encoded("colder!cold\u{200b}"), [2, 4, 14, 15, 9, 4, 3]);
        assert_eq!(encoded(" CAFÉ\t\ncafe\u{301} "), [2, 8, 8, 3]);
        assert_eq!(encoded("cold蔵cold"), [2, 4, 13, 4, 3]);
        assert_eq!(encoded("warm coldxx cold"), [2, 1, 1, 4, 3], "what cannot be cut is one unknown word");
        assert_eq!(encoded("coldcoldcold"), [2, 1, 3], "a word of more than ten characters");
        assert_eq!(encoded(""), [2, 3]);
    }

    #[test]
    fn special_tokens_are_only_text() {
        assert_eq!(encoded("[SEP] cold"), [2, 10, 12, 11, 4, 3]);
    }

    #[test]
    fn what_is_too_long_is_cut_off_before_the_end_mark() {
        let tokens = WordPiece::read(FILE.as_bytes()).unwrap();
        assert_eq!(tokens.encode(&"cold ".repeat(50), 5), [2, 4, 4, 4, 3]);
        assert_eq!((tokens.count(&"cold ".repeat(50)), tokens.framing()), (50, 2));
        assert_eq!(tokens.encode("cold", 2), [2, 3]);
    }

    #[test]
    fn other_kinds_are_refused_by_name() {
        let other = FILE.replace("WordPiece", "Unigram");
        assert!(WordPiece::read(other.as_bytes()).err().unwrap().0.contains("Unigram"));
        assert!(WordPiece::read(b"{}").is_err());
    }
}
