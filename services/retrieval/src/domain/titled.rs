//! What a chunk is embedded as: the title of its document, an empty line, its own text. A part of a long text often does
//! not say again what it is about; the lexical leg takes the title's words for the same reason.
//!
//! The hash by which a vector is found again is of all of that, so another title is another vector.

use super::packing::Clamp;
use super::records::text_hash;

/// Most bytes of a title that are embedded: what is longer is a text, not a title.
const LONGEST: usize = 256;
/// Most of what a model reads that may be title: one part in so many.
const SHARE: usize = 4;

/// What stands before each chunk of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    title: String,
    /// What it takes of the tokens that the model reads; 0 where no clamp is known.
    tokens: usize,
}

impl Heading {
    /// That of a document with this title. A document without a title has its key for one, which says nothing: none of
    /// it is embedded. A long title is cut between words, to a quarter of what the model reads at most.
    pub fn new(title: &str, key: &str, clamp: Option<Clamp<'_>>) -> Self {
        let none = Self { title: String::new(), tokens: 0 };
        if title == key {
            return none;
        }
        let mut title = fitting(title.trim(), LONGEST);
        let Some(clamp) = clamp else { return Self { title: title.to_owned(), tokens: 0 } };
        let most = clamp.max / SHARE;
        let mut tokens = clamp.measure.tokens(title);
        while tokens > most && !title.is_empty() {
            title = fitting(title, title.len() - 1);
            tokens = clamp.measure.tokens(title);
        }
        if title.is_empty() { none } else { Self { title: title.to_owned(), tokens } }
    }

    /// The clamp of the chunks that stand under it.
    pub fn below<'a>(&self, clamp: Clamp<'a>) -> Clamp<'a> {
        Clamp { max: clamp.max.saturating_sub(self.tokens), ..clamp }
    }

    /// What a chunk is embedded as.
    pub fn over(&self, chunk: &str) -> String {
        if self.title.is_empty() { chunk.to_owned() } else { format!("{}\n\n{chunk}", self.title) }
    }

    /// The hash of what a chunk is embedded as.
    pub fn hash(&self, chunk: &str) -> [u8; 16] {
        text_hash(&self.over(chunk))
    }
}

/// The words of a text that fit so many bytes.
fn fitting(text: &str, bytes: usize) -> &str {
    if text.len() <= bytes {
        return text;
    }
    // One byte more is looked at: a word may end exactly there.
    let end = text.floor_char_boundary(bytes + 1);
    text[..end].rfind(char::is_whitespace).map_or("", |end| text[..end].trim_end())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::packing::Measure;
    use super::*;

    /// Every word is a token.
    struct Words;

    impl Measure for Words {
        fn tokens(&self, text: &str) -> usize {
            text.split_whitespace().count()
        }
    }

    fn clamp(max: usize) -> Clamp<'static> {
        Clamp { measure: &Words, max }
    }

    #[test]
    fn the_title_stands_before_the_chunk_unless_it_is_the_key() {
        let heading = Heading::new(" Cold vans ", "vans.md", None);
        assert_eq!(heading.over("They are cold."), "Cold vans\n\nThey are cold.");
        assert_eq!(heading.hash("a"), text_hash("Cold vans\n\na"));
        let none = Heading::new("vans.md", "vans.md", None);
        assert_eq!((none.over("a"), none.hash("a")), ("a".to_owned(), text_hash("a")));
        assert_ne!(Heading::new("Warm vans", "", None).hash("a"), heading.hash("a"));
    }

    #[test]
    fn a_long_title_leaves_the_model_room_for_the_chunk() {
        let heading = Heading::new("one two three four five", "", Some(clamp(12)));
        assert_eq!(heading.over("x"), "one two three\n\nx");
        assert_eq!(heading.below(clamp(12)).max, 9);
        let nothing = Heading::new("one two", "", Some(clamp(3)));
        assert_eq!((nothing.over("x").as_str(), nothing.below(clamp(3)).max), ("x", 3));
        let endless = "x".repeat(LONGEST + 1);
        assert_eq!(Heading::new(&endless, "", None).over("y"), "y");
        assert_eq!(Heading::new(&endless[1..], "", None).over("y").len(), LONGEST + 3);
    }

    proptest! {
        #[test]
        fn a_title_is_cut_between_words(title in "\\PC{0,400}", max in 0usize..40) {
            let heading = Heading::new(&title, "", Some(clamp(max)));
            let rest = title.trim().strip_prefix(heading.title.as_str()).unwrap();
            prop_assert!(heading.title.is_empty() || rest.is_empty() || rest.starts_with(char::is_whitespace));
            prop_assert!(heading.tokens <= max / SHARE && heading.title.len() <= LONGEST);
            prop_assert_eq!(heading.tokens + heading.below(clamp(max)).max, max);
        }
    }
}
