//! Manners that are counted: hashtags, capitals, emoji.

use std::ops::Range;

use crate::text::Word;

/// From the first hashtag beyond `limit` to the last, and how many there are.
pub(crate) fn hashtags(text: &str, words: &[Word], limit: usize) -> Option<(Range<usize>, usize)> {
    let tag = |start: usize| {
        let before =
            text[..start].strip_suffix('#').filter(|_| text[start..].starts_with(char::is_alphabetic))?;
        (!before.ends_with(|c: char| c.is_alphanumeric() || "/#&".contains(c))).then_some(before.len())
    };
    let tags: Vec<(usize, usize)> =
        words.iter().filter_map(|word| tag(word.span.start).map(|start| (start, word.span.end))).collect();
    let (first, last) = (tags.get(limit)?, tags.last()?);
    Some((first.0..last.1, tags.len()))
}

/// Rows of at least `fewest` words in capitals, two of them longer than three letters.
pub(crate) fn shouting(text: &str, words: &[Word], fewest: usize) -> Vec<Range<usize>> {
    let loud = |at: usize| {
        let raw = &text[words[at].span.clone()];
        raw.chars().all(|c| c.is_uppercase() || c == '\'' || c == '’')
    };
    let mut found = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let breaks =
            |next: usize| next > at && text[words[next - 1].span.end..words[next].span.start].contains('\n');
        let end = (at..words.len()).find(|next| !loud(*next) || breaks(*next)).unwrap_or(words.len());
        let long = words[at..end].iter().filter(|word| word.lower.len() > 3).count();
        if end - at >= fewest && long > 1 {
            found.push(words[at].span.start..words[end - 1].span.end);
        }
        at = end.max(at + 1);
    }
    found
}

/// From the first emoji beyond `limit` to the last; a picture of several joined characters counts once.
pub(crate) fn emoji(text: &str, limit: usize) -> Option<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut joined = false;
    for (at, c) in text.char_indices() {
        let end = at + c.len_utf8();
        match c {
            '\u{1f1e6}'..='\u{1f1ff}'
                if found.last().is_some_and(|f| {
                    f.end == at && f.len() == c.len_utf8() && text[f.clone()].starts_with(is_regional)
                }) =>
            {
                if let Some(last) = found.last_mut() {
                    last.end = end;
                }
            }
            '\u{200d}' | '\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}' => {
                if let Some(last) = found.last_mut().filter(|last| last.end == at) {
                    last.end = end;
                    joined = c == '\u{200d}';
                    continue;
                }
            }
            c if is_emoji(c) => match found.last_mut().filter(|last| joined && last.end == at) {
                Some(last) => last.end = end,
                None => found.push(at..end),
            },
            _ => {}
        }
        joined = false;
    }
    let (first, last) = (found.get(limit)?, found.last()?);
    Some(first.start..last.end)
}

fn is_regional(c: char) -> bool {
    matches!(c, '\u{1f1e6}'..='\u{1f1ff}')
}

fn is_emoji(c: char) -> bool {
    matches!(c, '\u{1f000}'..='\u{1faff}' | '\u{2600}'..='\u{27bf}' | '\u{2b05}'..='\u{2b07}' | '\u{2b1b}' | '\u{2b1c}'
        | '\u{2b50}' | '\u{2b55}' | '\u{231a}' | '\u{231b}' | '\u{23e9}'..='\u{23f3}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_pictures_count_once() {
        let text = "a 👩\u{200d}💻 b 🇩🇪 c 👍🏽 d 🚀";
        assert_eq!(emoji(text, 3).map(|span| &text[span]), Some("🚀"));
        assert_eq!(emoji(text, 4), None);
    }
}
