//! Packs a document into passages (parents) and chunks (children) along its structure.
//!
//! The text is tokenised once; every place where it may be cut has a strength, from "between two tokens" to "before a
//! heading". A cut is made at the strongest place in the second half of what fits. Nothing is copied: a chunk is a
//! range of bytes of the stored text. Where a model reads the children, its own tokenizer may bound them further.

use std::ops::Range;

use copydesk_guard::text::sentences;

use super::tokens::{TokenError, Tokens};

/// Upper bounds in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Of a passage.
    pub parent: usize,
    /// Of a chunk inside a passage.
    pub child: usize,
    /// Of what a passage repeats of the passage before it, when one section had to be cut. Less than half of `parent`.
    pub overlap: usize,
}

/// What a chunker found in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// The part of the text that is indexed, in bytes.
    pub body: Range<usize>,
    /// The document's own title, if it has one.
    pub title: Option<String>,
    /// The blocks in order. Each reaches to the start of the next, the last to the end of the body.
    pub blocks: Vec<Block>,
}

/// A block of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Its first byte.
    pub start: usize,
    /// What it is.
    pub kind: BlockKind,
}

/// What a block is, and so where it may be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockKind {
    /// A heading: begins a section and stays with what follows.
    Heading,
    /// Running text: line ends mean nothing, sentences do.
    Prose,
    /// Lists, code, tables: lines mean something.
    Lines,
}

/// A range of the text with its size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The bytes of the text; begins and ends with something that is not white space.
    pub span: Range<usize>,
    /// Its tokens when it is read by itself.
    pub tokens: usize,
}

/// A passage and the chunks that are searched for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// The passage.
    pub chunk: Chunk,
    /// Its chunks in order, without overlap; what the passage repeats of the one before is in none of them.
    pub children: Vec<Chunk>,
}

/// The tokenizer of a model that reads the children.
pub trait Measure: Send + Sync {
    /// How many of the model's tokens a text has, without those that the model puts around it.
    fn tokens(&self, text: &str) -> usize;
}

/// A bound on children beside their size.
#[derive(Clone, Copy)]
pub struct Clamp<'a> {
    /// The model's tokenizer.
    pub measure: &'a dyn Measure,
    /// Most of its tokens in a child. A single word that has more stays whole: the model cuts it off.
    pub max: usize,
}

/// Cuts a document. Together the children hold every byte of the body but white space, each byte once.
///
/// # Errors
/// When the vocabulary cannot be read.
pub fn pack(text: &str, outline: &Outline, sizes: Sizes) -> Result<Vec<Parent>, TokenError> {
    pack_within(text, outline, sizes, None)
}

/// As [`pack`], with children that a model can read whole.
///
/// # Errors
/// As [`pack`].
pub fn pack_within(
    text: &str,
    outline: &Outline,
    sizes: Sizes,
    clamp: Option<Clamp<'_>>,
) -> Result<Vec<Parent>, TokenError> {
    let mut packer = Packer::new(text, outline, sizes, clamp)?;
    packer.mark_breaks(outline);
    let mut parents = Vec::new();
    for group in packer.sections(outline) {
        packer.pack_group(group, &mut parents);
    }
    Ok(parents)
}

/// How good a place is for a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Strength {
    Token,
    Word,
    Sentence,
    Line,
    Block,
}

struct Packer<'a> {
    text: &'a str,
    sizes: Sizes,
    clamp: Option<Clamp<'a>>,
    tokens: Tokens<'a>,
    /// For each piece, how good a cut before it would be.
    breaks: Vec<Strength>,
}

impl<'a> Packer<'a> {
    fn new(
        text: &'a str,
        outline: &Outline,
        sizes: Sizes,
        clamp: Option<Clamp<'a>>,
    ) -> Result<Self, TokenError> {
        let tokens = Tokens::of(text, outline.body.clone())?;
        let breaks = vec![Strength::Token; tokens.len() + 1];
        Ok(Self { text, sizes, clamp, tokens, breaks })
    }

    fn mark_breaks(&mut self, outline: &Outline) {
        for piece in 1..self.tokens.len() {
            let (before, after) = self.text.split_at(self.tokens.start(piece));
            if after.starts_with(char::is_whitespace) || before.ends_with(char::is_whitespace) {
                self.breaks[piece] = Strength::Word;
            }
        }
        for (at, block) in outline.blocks.iter().enumerate() {
            let end = outline.blocks.get(at + 1).map_or(outline.body.end, |next| next.start);
            let glued = at > 0 && outline.blocks[at - 1].kind == BlockKind::Heading;
            self.mark(block.start, if glued { Strength::Word } else { Strength::Block });
            match block.kind {
                BlockKind::Heading => {}
                BlockKind::Prose => {
                    // Same bytes, same offsets, but a line end inside a paragraph no longer ends a sentence.
                    let flat = self.text[block.start..end].replace(['\n', '\r'], " ");
                    self.mark_sentences(block.start, &flat);
                }
                BlockKind::Lines => self.mark_lines(block.start, end),
            }
        }
    }

    fn mark_lines(&mut self, start: usize, end: usize) {
        let text = self.text;
        let mut at = start;
        for line in text[start..end].split_inclusive('\n') {
            self.mark_sentences(at, line);
            if at > start {
                self.mark(at, Strength::Line);
            }
            at += line.len();
        }
    }

    fn mark_sentences(&mut self, start: usize, text: &str) {
        for sentence in sentences(text).iter().filter(|sentence| sentence.span.start > 0) {
            self.mark(start + sentence.span.start, Strength::Sentence);
        }
    }

    fn mark(&mut self, offset: usize, strength: Strength) {
        if let Some(piece) = self.piece_before(offset) {
            self.breaks[piece] = self.breaks[piece].max(strength);
        }
    }

    /// The piece to cut before so that `offset` comes after the cut, with white space at most in between.
    fn piece_before(&self, offset: usize) -> Option<usize> {
        let piece = self.tokens.at(offset);
        let between = &self.text[self.tokens.start(piece)..offset];
        (piece < self.breaks.len() && between.chars().all(char::is_whitespace)).then_some(piece)
    }

    /// Sections as ranges of pieces; small neighbours are joined until they make a passage worth reading.
    fn sections(&self, outline: &Outline) -> Vec<Range<usize>> {
        let headings = outline.blocks.iter().filter(|block| block.kind == BlockKind::Heading);
        let mut starts: Vec<usize> = headings.filter_map(|block| self.piece_before(block.start)).collect();
        starts.push(self.tokens.len());
        let (enough, scrap) = (self.sizes.parent / 4, self.sizes.parent / 16);
        let (mut groups, mut from, mut to) = (Vec::new(), 0, 0);
        for next in starts {
            let (held, joined) = (self.tokens.count(from..to), self.tokens.count(from..next));
            if held >= enough || (joined > self.sizes.parent && held > scrap) {
                groups.push(from..to);
                from = to;
            }
            to = next;
        }
        groups.push(from..to);
        groups
    }

    fn pack_group(&self, group: Range<usize>, parents: &mut Vec<Parent>) {
        let mut own = group.start;
        while own < group.end {
            let from = if own == group.start { own } else { self.overlap_start(group.start, own) };
            let (end, chunk) = self.cut(from, own, group.end, self.sizes.parent, None);
            let children = self.children(own..end);
            if let (false, Some(chunk)) = (children.is_empty(), chunk) {
                parents.push(Parent { chunk, children });
            }
            own = end;
        }
    }

    fn children(&self, own: Range<usize>) -> Vec<Chunk> {
        let (mut chunks, mut from) = (Vec::new(), own.start);
        while from < own.end {
            let (end, chunk) = self.cut(from, from, own.end, self.sizes.child, self.clamp);
            chunks.extend(chunk);
            from = end;
        }
        chunks
    }

    /// Ends a chunk that begins at `from`: after `own`, at `to` at most, with `max` tokens at most, within the clamp.
    fn cut(
        &self,
        from: usize,
        own: usize,
        to: usize,
        max: usize,
        clamp: Option<Clamp<'_>>,
    ) -> (usize, Option<Chunk>) {
        let (mut end, mut fits) = (self.tokens.furthest(from, to, max).max(own + 1), max);
        loop {
            let at = if end == to { to } else { self.best_break(from, own, end, fits) };
            // A piece of text can have more tokens by itself than it had in its place: the promise is about the former.
            let chunk = self.chunk(from..at);
            if at == own + 1 {
                return (at, chunk);
            }
            match chunk.as_ref().and_then(|chunk| self.excess(chunk, max, clamp)) {
                None => return (at, chunk),
                Some((held, allowed)) => {
                    // What is too long for a model is shortened in proportion: trying every length would measure for ever.
                    fits = self.tokens.count(from..at) * allowed / held;
                    end = self.tokens.furthest(from, at - 1, fits).max(own + 1);
                }
            }
        }
    }

    /// How much a chunk holds and may hold, when the former is more.
    fn excess(&self, chunk: &Chunk, max: usize, clamp: Option<Clamp<'_>>) -> Option<(usize, usize)> {
        if chunk.tokens > max {
            return Some((chunk.tokens, max));
        }
        let clamp = clamp?;
        let held = clamp.measure.tokens(&self.text[chunk.span.clone()]);
        (held > clamp.max).then_some((held, clamp.max))
    }

    /// The strongest break in the second half of what fits; the last of equals; else any word end; else a token end.
    fn best_break(&self, from: usize, own: usize, end: usize, max: usize) -> usize {
        let half = self.tokens.furthest(from, end, max / 2).max(own + 1);
        let strongest = (half..=end).max_by_key(|piece| (self.breaks[*piece], *piece));
        match strongest {
            Some(piece) if self.breaks[piece] > Strength::Token => piece,
            _ => (own + 1..half).rev().find(|piece| self.breaks[*piece] > Strength::Token).unwrap_or(end),
        }
    }

    /// Where a passage begins that repeats the end of the one before: at a sentence, else at a word, else not at all.
    fn overlap_start(&self, floor: usize, own: usize) -> usize {
        let reach = |piece: &usize| self.tokens.count(*piece..own) <= self.sizes.overlap;
        let window: Vec<usize> = (floor..own).rev().take_while(reach).collect();
        let earliest = |least| window.iter().rev().copied().find(|piece| self.breaks[*piece] >= least);
        earliest(Strength::Sentence).or_else(|| earliest(Strength::Word)).unwrap_or(own)
    }

    /// The pieces as a chunk without the white space at its ends; `None` when nothing is left.
    fn chunk(&self, pieces: Range<usize>) -> Option<Chunk> {
        self.tokens.trimmed(pieces).map(|(span, tokens)| Chunk { span, tokens })
    }
}
