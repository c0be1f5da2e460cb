//! The tokens of a local model's texts. WordPiece is ours, whatever runs the model, so that a text is cut alike; other
//! kinds, such as the Unigram of XLM-RoBERTa and BGE-M3, are read by the library that made them, in builds with it.

use crate::bert::{BertError, WordPiece};
use crate::ports::EmbedError;

/// A vocabulary with its rules.
pub(super) enum Tokens {
    /// Read by ourselves.
    WordPiece(Box<WordPiece>),
    /// Read by the library.
    #[cfg(feature = "ort")]
    Other(Box<other::Other>),
}

impl Tokens {
    /// Reads a `tokenizer.json`.
    pub(super) fn read(json: &[u8]) -> Result<Self, BertError> {
        WordPiece::read(json)
            .map(|tokens| Self::WordPiece(Box::new(tokens)))
            .or_else(|ours| Self::not_ours(json, ours))
    }

    #[cfg(feature = "ort")]
    fn not_ours(json: &[u8], _: BertError) -> Result<Self, BertError> {
        other::Other::read(json).map(|tokens| Self::Other(Box::new(tokens)))
    }

    #[cfg(not(feature = "ort"))]
    fn not_ours(_: &[u8], BertError(reason): BertError) -> Result<Self, BertError> {
        Err(BertError(format!("{reason} (one with the cargo feature `ort` reads every kind)")))
    }

    /// The tokens of a text behind a prefix, with those that stand around it, `limit` at most: what is too long is cut off.
    pub(super) fn encode(&self, prefix: &str, text: &str, limit: usize) -> Result<Vec<u32>, EmbedError> {
        let joined;
        let text = if prefix.is_empty() {
            text
        } else {
            joined = format!("{prefix}{text}");
            &joined
        };
        match self {
            Self::WordPiece(tokens) => Ok(tokens.encode(text, limit)),
            #[cfg(feature = "ort")]
            Self::Other(tokens) => tokens.encode(text, limit),
        }
    }

    /// Whether a token stands for something of a text: not around it, and not for what is unknown.
    pub(super) fn is_of_text(&self, id: u32) -> bool {
        match self {
            Self::WordPiece(tokens) => tokens.is_of_text(id),
            #[cfg(feature = "ort")]
            Self::Other(tokens) => tokens.is_of_text(id),
        }
    }

    /// How many tokens stand around every text.
    pub(super) fn framing(&self) -> usize {
        match self {
            Self::WordPiece(tokens) => tokens.framing(),
            #[cfg(feature = "ort")]
            Self::Other(tokens) => tokens.framing(),
        }
    }

    /// How many tokens a text has by itself.
    pub(super) fn count(&self, text: &str) -> usize {
        match self {
            Self::WordPiece(tokens) => tokens.count(text),
            #[cfg(feature = "ort")]
            Self::Other(tokens) => tokens.count(text),
        }
    }
}

#[cfg(feature = "ort")]
mod other {
    use serde_json::Value;
    use tokenizers::Tokenizer;

    use crate::bert::{BertError, frame};
    use crate::ports::EmbedError;

    /// A vocabulary as the library reads it. A text never becomes a special token by writing its name: Unigram models have
    /// those names among their pieces, so what is found of them there counts as unknown.
    pub(crate) struct Other {
        tokenizer: Tokenizer,
        special: Vec<u32>,
        unknown: Option<u32>,
        before: Vec<u32>,
        after: Vec<u32>,
    }

    impl Other {
        pub(super) fn read(json: &[u8]) -> Result<Self, BertError> {
            let file: Value = serde_json::from_slice(json).map_err(|error| BertError(error.to_string()))?;
            let (before, after) = frame(file.get("post_processor"))?;
            let mut tokenizer = Tokenizer::from_bytes(json).map_err(|error| BertError(error.to_string()))?;
            tokenizer.with_truncation(None).map_err(|error| BertError(error.to_string()))?;
            tokenizer.with_padding(None);
            tokenizer.set_encode_special_tokens(true);
            let special = tokenizer.get_added_tokens_decoder().into_iter();
            let special = special.filter(|(_, token)| token.special).map(|(id, _)| id).collect();
            let model = file.get("model");
            let unknown = model.and_then(|model| model.get("unk_id")).and_then(Value::as_u64);
            let unknown = unknown.and_then(|id| u32::try_from(id).ok()).or_else(|| {
                let name = model.and_then(|model| model.get("unk_token")).and_then(Value::as_str)?;
                tokenizer.token_to_id(name)
            });
            Ok(Self { tokenizer, special, unknown, before, after })
        }

        pub(super) fn is_of_text(&self, id: u32) -> bool {
            let around = self.before.contains(&id) || self.after.contains(&id);
            !around && self.unknown != Some(id) && !self.special.contains(&id)
        }

        pub(super) fn framing(&self) -> usize {
            self.before.len() + self.after.len()
        }

        pub(super) fn encode(&self, text: &str, limit: usize) -> Result<Vec<u32>, EmbedError> {
            // The library's own words may quote the text.
            let found = self.tokenizer.encode_fast(text, false);
            let found =
                found.map_err(|_| EmbedError::fault("a text has no tokens in the model's vocabulary"))?;
            let room = limit.saturating_sub(self.framing());
            let found = found.get_ids().iter().filter_map(|id| self.of_text(*id)).take(room);
            Ok(self.before.iter().copied().chain(found).chain(self.after.iter().copied()).collect())
        }

        pub(super) fn count(&self, text: &str) -> usize {
            let count = |ids: &[u32]| ids.iter().filter_map(|id| self.of_text(*id)).count();
            self.tokenizer.encode_fast(text, false).map_or(text.len(), |found| count(found.get_ids()))
        }

        fn of_text(&self, id: u32) -> Option<u32> {
            if self.special.contains(&id) { self.unknown } else { Some(id) }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::bert::WordPiece;

        /// Words, marks, accents, Han and unknown signs; the vocabulary is the test's own.
        #[test]
        fn the_library_cuts_words_into_the_same_pieces_as_we_do() {
            let mut vocabulary: Vec<String> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"].map(str::to_owned).into();
            let letters = ('a'..='z').chain('0'..='9').chain("!?.,;:'\"()[]-_/蔵国ßñ".chars());
            vocabulary.extend(letters.flat_map(|letter| [letter.to_string(), format!("##{letter}")]));
            vocabulary.extend(["##ing", "the", "cold", "##er", "cafe", "sep"].map(str::to_owned));
            let ids: serde_json::Map<String, Value> =
                vocabulary.into_iter().enumerate().map(|(id, piece)| (piece, id.into())).collect();
            let json = serde_json::json!({
                "version": "1.0", "truncation": null, "padding": null, "decoder": null,
                "added_tokens": [{"id": 3, "content": "[SEP]", "single_word": false, "lstrip": false,
                    "rstrip": false, "normalized": false, "special": true}],
                "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                    "strip_accents": null, "lowercase": true},
                "pre_tokenizer": {"type": "BertPreTokenizer"},
                "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
                "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                    "max_input_chars_per_word": 20, "vocab": ids},
            });
            let json = serde_json::to_vec(&json).unwrap();
            let (ours, theirs) = (WordPiece::read(&json).unwrap(), Other::read(&json).unwrap());
            for text in [
                "",
                " ",
                "The coldest café, colder!",
                "a [SEP] b",
                "蔵国 x蔵x",
                "İstanbul ßtraße\u{200b}\u{ad}",
                "\u{fffd}\0a",
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaa b",
                "ﬁne ½ €5 😀",
                "tab\tnew\nline\r\u{a0}\u{3000}end",
                "e\u{301}\u{327}",
                "[[UNK]]",
            ] {
                let ours = ours.encode(text, 24);
                assert_eq!(theirs.encode(text, 24).unwrap(), ours, "{text:?}");
            }
            assert_eq!(
                (ours.framing(), ours.count("the cold")),
                (theirs.framing(), theirs.count("the cold"))
            );
        }
    }
}
