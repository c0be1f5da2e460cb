//! Markdown: CommonMark with tables. Headings begin sections; list items, code, tables and paragraphs are blocks.

use std::ops::Range;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::{Chunker, after_mark, title};
use crate::domain::packing::{Block, BlockKind, Outline};
use crate::domain::source::Format;

/// This chunker.
pub const ENTRY: Chunker =
    Chunker { format: Format::Markdown, summary: "CommonMark with tables and YAML front matter", outline };

fn outline(text: &str) -> Outline {
    let (start, front_title) = front_matter(text);
    let (found, first_heading) = blocks(&text[start..]);
    let mut blocks: Vec<Block> = Vec::with_capacity(found.len() + 1);
    for block in found {
        let block = Block { start: start + block.start, kind: block.kind };
        match blocks.last() {
            // Link definitions make no event: what stands before the first block still belongs to the body.
            None if !text[start..block.start].trim().is_empty() => {
                blocks.extend([Block { start, kind: BlockKind::Lines }, block]);
            }
            None => blocks.push(Block { start, kind: block.kind }),
            Some(last) if last.start >= block.start => {}
            Some(_) => blocks.push(block),
        }
    }
    if blocks.is_empty() {
        blocks.push(Block { start, kind: BlockKind::Lines });
    }
    Outline { body: start..text.len(), title: front_title.or(first_heading), blocks }
}

/// The top-level blocks (items for a list) and the words of the first heading.
fn blocks(body: &str) -> (Vec<Block>, Option<String>) {
    let (mut blocks, mut depth, mut list) = (Vec::new(), 0usize, false);
    let (mut heading, mut inside) = (String::new(), false);
    for (event, range) in Parser::new_ext(body, Options::ENABLE_TABLES).into_offset_iter() {
        match &event {
            Event::Start(tag) => {
                if let Some(kind) = block_kind(tag, depth, list) {
                    blocks.push(Block { start: range.start, kind });
                }
                list = if depth == 0 { matches!(tag, Tag::List(_)) } else { list };
                inside |= depth == 0 && heading.is_empty() && matches!(tag, Tag::Heading { .. });
                depth += 1;
            }
            Event::End(end) => {
                depth = depth.saturating_sub(1);
                inside &= !matches!(end, TagEnd::Heading(_));
            }
            Event::Rule if depth == 0 => blocks.push(Block { start: range.start, kind: BlockKind::Lines }),
            Event::Text(words) | Event::Code(words) if inside => heading.push_str(words),
            Event::SoftBreak | Event::HardBreak if inside => heading.push(' '),
            _ => {}
        }
    }
    (blocks, title(&heading))
}

fn block_kind(tag: &Tag<'_>, depth: usize, list: bool) -> Option<BlockKind> {
    match (depth, tag) {
        (0, Tag::Heading { .. }) => Some(BlockKind::Heading),
        (0, Tag::Paragraph) => Some(BlockKind::Prose),
        (0, Tag::List(_)) => None,
        (0, _) => Some(BlockKind::Lines),
        (1, Tag::Item) if list => Some(BlockKind::Lines),
        _ => None,
    }
}

/// Where the body begins after a byte order mark and YAML front matter, and the front matter's title.
fn front_matter(text: &str) -> (usize, Option<String>) {
    let start = after_mark(text);
    let mut title = None;
    for (number, (line, range)) in lines(text, start).enumerate() {
        match (number, line) {
            (0, "---") => {}
            (1.., "---" | "...") if number > 1 => return (range.end, title),
            // Not `key: value` right after the fence: the text begins with a thematic break.
            (1, line) if !is_entry(line) => break,
            (1.., line) => title = title.or_else(|| yaml_title(line)),
            _ => break,
        }
    }
    (start, None)
}

/// Each line from `start` on without the white space at its end, and its bytes with its line end.
fn lines(text: &str, start: usize) -> impl Iterator<Item = (&str, Range<usize>)> {
    let mut at = start;
    text[start..].split_inclusive('\n').map(move |line| {
        at += line.len();
        (line.trim_end(), at - line.len()..at)
    })
}

fn is_entry(line: &str) -> bool {
    let key = line.split(':').next().unwrap_or_default();
    let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | ' ' | '"' | '\'');
    line.contains(':') && !key.is_empty() && key.chars().all(word)
}

/// The value of a `title:` line. Only what fits on the line: a title over several lines falls back to the heading.
fn yaml_title(line: &str) -> Option<String> {
    let value = line.strip_prefix("title:")?.trim();
    let quoted = |mark: char| value.strip_prefix(mark).and_then(|rest| rest.strip_suffix(mark));
    let value = if let Some(inner) = quoted('"') {
        inner.replace("\\\"", "\"").replace("\\\\", "\\")
    } else if let Some(inner) = quoted('\'') {
        inner.replace("''", "'")
    } else {
        let plain = value.split(" #").next().unwrap_or_default();
        if plain.starts_with(['|', '>', '#', '&', '*']) { String::new() } else { plain.to_owned() }
    };
    title(&value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(text: &str) -> Vec<(BlockKind, &str)> {
        let outline = outline(text);
        outline
            .blocks
            .iter()
            .map(|b| (b.kind, text[b.start..].trim_start().split('\n').next().unwrap()))
            .collect()
    }

    #[test]
    fn finds_blocks_and_list_items() {
        use BlockKind::{Heading, Lines, Prose};
        let text = "[a]: http://x\n\n# Van *box*\n\nWords\nmore.\n\n- one\n- two\n  - deep\n\n```\n# code\n```\n\n---\n\n> said\n";
        let expected = [
            (Lines, "[a]: http://x"),
            (Heading, "# Van *box*"),
            (Prose, "Words"),
            (Lines, "- one"),
            (Lines, "- two"),
            (Lines, "```"),
            (Lines, "---"),
            (Lines, "> said"),
        ];
        assert_eq!(starts(text), expected);
        assert_eq!(outline(text).title.as_deref(), Some("Van box"));
    }

    #[test]
    fn front_matter_is_cut_off_but_keeps_its_place() {
        let text = "---\ndate: 2026-01-02\ntitle: \"Cold \\\"chain\\\"\"\n---\n# Other\n";
        let outline = outline(text);
        assert_eq!(&text[outline.body], "# Other\n");
        assert_eq!(outline.title.as_deref(), Some("Cold \"chain\""));
    }

    #[test]
    fn titles_of_front_matter() {
        for (line, expected) in [
            ("title: Plain words # note", Some("Plain words")),
            ("title: 'It''s'", Some("It's")),
            ("title: >", None),
            ("title:", None),
            ("subtitle: no", None),
        ] {
            assert_eq!(yaml_title(line).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn what_only_looks_like_front_matter_is_text() {
        for text in [
            "---\nwords without a colon\n---\nx",
            "---\nkey: never closed\nx",
            "text\n---\na: b\n---\n",
            "---",
            "",
        ] {
            assert_eq!(outline(text).body, 0..text.len(), "{text}");
        }
        assert_eq!(outline("---\na: b\n...\nx").body.start, 13);
        assert_eq!(outline("\u{feff}# T").body.start, 3);
    }
}
