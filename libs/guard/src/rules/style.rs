//! Manners: profanity, hashtags, shouting.

use super::{Page, Severity, Violation};

/// Most hashtags in one text.
const HASHTAGS: usize = 5;
/// Fewest words in capitals in a row that count as shouting.
const SHOUTED: usize = 4;

pub(super) fn check(page: &Page<'_>) -> Vec<Violation> {
    let mut found = profanity(page);
    found.extend(hashtags(page));
    found.extend(shouting(page));
    found
}

fn profanity(page: &Page<'_>) -> Vec<Violation> {
    const STRONG: [&str; 8] =
        ["fuck", "shit", "bullshit", "cunt", "asshole", "bastard", "bitch", "motherfuck"];
    const MILD: [&str; 5] = ["damn", "crap", "crappy", "goddamn", "wtf"];
    let severity = |lower: &str| {
        let strong = STRONG.iter().any(|word| {
            lower
                .strip_prefix(word)
                .is_some_and(|rest| matches!(rest, "" | "s" | "er" | "ers" | "ed" | "ing" | "y"))
        });
        if strong { Some(Severity::Block) } else { MILD.contains(&lower).then_some(Severity::Warn) }
    };
    let offending =
        page.words.iter().filter_map(|word| severity(&word.lower).map(|severity| (word, severity)));
    offending
        .map(|(word, severity)| Violation {
            rule: "profanity",
            severity,
            span: word.span.clone(),
            message: "profanity".to_owned(),
        })
        .collect()
}

fn hashtags(page: &Page<'_>) -> Option<Violation> {
    let tag = |start: usize| {
        let before = page.text[..start]
            .strip_suffix('#')
            .filter(|_| page.text[start..].starts_with(char::is_alphabetic))?;
        (!before.ends_with(|c: char| c.is_alphanumeric() || "/#&".contains(c))).then_some(before.len())
    };
    let tags: Vec<(usize, usize)> = page
        .words
        .iter()
        .filter_map(|word| tag(word.span.start).map(|start| (start, word.span.end)))
        .collect();
    let (first, last) = (tags.get(HASHTAGS)?, tags.last()?);
    Some(Violation {
        rule: "too-many-hashtags",
        severity: Severity::Warn,
        span: first.0..last.1,
        message: format!("{} hashtags, at most {HASHTAGS}", tags.len()),
    })
}

fn shouting(page: &Page<'_>) -> Vec<Violation> {
    let loud = |at: usize| {
        let raw = &page.text[page.words[at].span.clone()];
        raw.chars().all(|c| c.is_uppercase() || c == '\'' || c == '’')
    };
    let mut found = Vec::new();
    let mut at = 0;
    while at < page.words.len() {
        let breaks = |next: usize| {
            next > at && page.text[page.words[next - 1].span.end..page.words[next].span.start].contains('\n')
        };
        let end =
            (at..page.words.len()).find(|next| !loud(*next) || breaks(*next)).unwrap_or(page.words.len());
        let long = page.words[at..end].iter().filter(|word| word.lower.len() > 3).count();
        if end - at >= SHOUTED && long > 1 {
            found.push(Violation {
                rule: "shouting",
                severity: Severity::Warn,
                span: page.words[at].span.start..page.words[end - 1].span.end,
                message: "a run of words in capitals".to_owned(),
            });
        }
        at = end.max(at + 1);
    }
    found
}
