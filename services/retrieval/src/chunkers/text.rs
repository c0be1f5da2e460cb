//! Plain text: paragraphs divided by empty lines.

use super::{Chunker, after_mark};
use crate::domain::packing::{Block, BlockKind, Outline};
use crate::domain::source::Format;

/// This chunker.
pub const ENTRY: Chunker =
    Chunker { format: Format::Text, summary: "plain text, paragraphs divided by empty lines", outline };

fn outline(text: &str) -> Outline {
    let start = after_mark(text);
    let (mut blocks, mut at, mut open) = (vec![Block { start, kind: BlockKind::Prose }], start, true);
    for line in text[start..].split_inclusive('\n') {
        let empty = line.trim().is_empty();
        if !empty && !open {
            blocks.push(Block { start: at, kind: BlockKind::Prose });
        }
        open = !empty;
        at += line.len();
    }
    Outline { body: start..text.len(), title: None, blocks }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_begin_after_empty_lines() {
        let text = "One\ntwo.\n\n \nThree.\n\n\nFour.";
        let starts: Vec<_> =
            outline(text).blocks.iter().map(|block| &text[block.start..block.start + 3]).collect();
        assert_eq!(starts, ["One", "Thr", "Fou"]);
    }

    #[test]
    fn any_text_has_an_outline() {
        for text in ["", "\n\n", "\u{feff}", "\u{feff}\n\nx"] {
            let outline = outline(text);
            assert_eq!(outline.body.end, text.len());
            assert_eq!(outline.blocks[0].start, outline.body.start);
        }
    }
}
