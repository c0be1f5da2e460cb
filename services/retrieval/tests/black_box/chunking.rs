//! What chunking promises of any text: nothing lost, nothing cut inside a character, nothing too long, always the same.

#![allow(clippy::unwrap_used, reason = "the lint's exception for tests does not see helpers as tests")]

use copydesk_retrieval::chunkers;
use copydesk_retrieval::domain::packing::{Clamp, Measure, Parent, Sizes, pack, pack_within};
use copydesk_retrieval::domain::source::Format;
use copydesk_retrieval::domain::tokens;
use proptest::prelude::*;

const SMALL: Sizes = Sizes { parent: 40, child: 16, overlap: 8 };

fn cut(format: Format, text: &str, sizes: Sizes) -> Vec<Parent> {
    pack(text, &chunkers::outline(format, text), sizes).unwrap()
}

/// Checks every promise for one text.
fn check(format: Format, text: &str, sizes: Sizes) {
    let outline = chunkers::outline(format, text);
    let parents = cut(format, text, sizes);
    assert_eq!(parents, cut(format, text, sizes), "deterministic");
    let mut covered = outline.body.start;
    for parent in &parents {
        let whole = &text[parent.chunk.span.clone()];
        assert_eq!(parent.chunk.tokens, tokens::count(whole).unwrap());
        assert!(parent.chunk.tokens <= sizes.parent, "{} tokens", parent.chunk.tokens);
        assert_eq!(whole, whole.trim());
        assert!(!parent.children.is_empty());
        for child in &parent.children {
            let part = &text[child.span.clone()];
            assert_eq!(child.tokens, tokens::count(part).unwrap());
            assert!(child.tokens <= sizes.child, "{} tokens", child.tokens);
            assert!(child.span.start >= parent.chunk.span.start && child.span.end <= parent.chunk.span.end);
            assert!(child.span.start >= covered, "children overlap");
            assert!(text[covered..child.span.start].trim().is_empty(), "text between children is lost");
            covered = child.span.end;
        }
    }
    assert!(text[covered..outline.body.end].trim().is_empty(), "the end is lost");
}

/// Texts that look like documents: headings, lists, code, long words, odd characters, all mixed.
fn documents() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("# Heading\n".to_owned()),
        Just("\n\n".to_owned()),
        Just("- item one\n- item two\n  more\n".to_owned()),
        Just("```rust\nfn main() {}\n\n// text\n```\n".to_owned()),
        Just("| a | b |\n|---|---|\n| 1 | 2 |\n".to_owned()),
        Just("> quoted\n".to_owned()),
        Just("[ref]: https://example.org\n".to_owned()),
        Just("---\ntitle: x\n---\n".to_owned()),
        "[a-z]{1,8}( [a-z]{1,8}){0,30}\\. ",
        "[a-z]{60,200} ",
        "\\PC{0,40}",
        "[\u{0}-\u{20}]{0,10}",
        "[👩‍👩‍👧🏽ꙮ𒐫é한]{1,12}",
    ];
    prop::collection::vec(piece, 0..25).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_markdown_text_keeps_the_promises(text in documents()) {
        check(Format::Markdown, &text, SMALL);
    }

    #[test]
    fn every_plain_text_keeps_the_promises(text in documents()) {
        check(Format::Text, &text, SMALL);
    }

    #[test]
    fn any_characters_at_all(text in any::<String>(), child in 16usize..64, more in 0usize..64) {
        check(Format::Markdown, &text, Sizes { parent: child + more, child, overlap: (child + more) / 3 });
    }
}

/// A tokenizer that takes letters for tokens, and two more for every text.
struct Letters;

impl Measure for Letters {
    fn tokens(&self, text: &str) -> usize {
        text.chars().filter(|c| !c.is_whitespace()).count() + 2
    }
}

#[test]
fn children_are_short_enough_for_a_model_too_and_still_hold_everything() {
    let sentence = |n: usize| format!("Sentence number {n} says that the van was cold on that day. ");
    let text: String = (0..40).map(sentence).collect();
    let sizes = Sizes { parent: 256, child: 64, overlap: 50 };
    let outline = chunkers::outline(Format::Text, &text);
    let clamp = Clamp { measure: &Letters, max: 60 };
    let parents = pack_within(&text, &outline, sizes, Some(clamp)).unwrap();
    let children: Vec<&str> =
        parents.iter().flat_map(|parent| &parent.children).map(|child| &text[child.span.clone()]).collect();
    assert!(children.iter().all(|child| Letters.tokens(child) <= 60), "{children:#?}");
    assert!(children.iter().filter(|child| child.ends_with("that day.")).count() >= 40, "{children:#?}");
    assert_eq!(children.join(" "), text.trim());
    let words = pack_within(&text, &outline, sizes, Some(Clamp { max: 1, ..clamp })).unwrap();
    let words: Vec<&Parent> = words.iter().collect();
    assert_eq!(words.len(), parents.len(), "what is too small for any word changes no passage");
}

#[test]
fn hostile_texts_keep_the_promises() {
    let sizes = Sizes { parent: 512, child: 128, overlap: 50 };
    for text in [
        "a".repeat(40_000),
        " ".repeat(40_000),
        "\n".repeat(20_000),
        "é\u{301}".repeat(8_000),
        "> ".repeat(10_000),
        "[".repeat(10_000),
        "- ".repeat(3_000),
        format!("{}x", "word ".repeat(8_000)),
        "#\n".repeat(5_000),
    ] {
        check(Format::Markdown, &text, sizes);
    }
}

#[test]
fn a_section_is_a_passage_and_a_long_one_is_cut_with_overlap() {
    let sentence = |n: usize| format!("Sentence number {n} says that the van was cold on that day. ");
    let long: String = (0..40).map(sentence).collect();
    let short: String = (0..10).map(sentence).collect();
    let text = format!("# Title\n\n{short}\n\n## Long\n\n{long}\n\n## Short\n\n{short}");
    let sizes = Sizes { parent: 256, child: 64, overlap: 50 };
    check(Format::Markdown, &text, sizes);
    let parents = cut(Format::Markdown, &text, sizes);
    let texts: Vec<&str> = parents.iter().map(|parent| &text[parent.chunk.span.clone()]).collect();
    assert!(texts[0].starts_with("# Title") && texts[1].starts_with("## Long"), "{texts:#?}");
    assert!(texts.last().unwrap().starts_with("## Short"), "{texts:#?}");
    for (before, after) in parents[1..].iter().zip(&parents[2..parents.len() - 1]) {
        let repeated = &text[after.chunk.span.start..before.chunk.span.end];
        assert!(repeated.starts_with("Sentence number") && repeated.ends_with('.'), "{repeated:?}");
        assert!(tokens::count(repeated).unwrap() <= 50);
        assert!(
            after.children[0].span.start >= before.chunk.span.end,
            "the repeated part is not indexed twice"
        );
    }
    assert!(texts.iter().all(|text| text.ends_with('.')), "cuts are at sentence ends: {texts:#?}");
}

#[test]
fn small_sections_are_joined_and_front_matter_is_left_out() {
    let text = "---\ntitle: Log\n---\n# Log\n\n## 1.2.0\n\n- Faster.\n\n## 1.1.0\n\n- Slower.\n";
    let parents = cut(Format::Markdown, text, Sizes { parent: 512, child: 128, overlap: 50 });
    assert_eq!(parents.len(), 1);
    assert_eq!(&text[parents[0].chunk.span.clone()], text[19..].trim());
    assert!(cut(Format::Markdown, "---\na: b\n---\n \n", SMALL).is_empty());
}
