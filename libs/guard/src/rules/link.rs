//! Links that no source has: the only safe list of addresses is what the evidence already names.

use std::collections::HashSet;
use std::ops::Range;

use super::Page;
use crate::report::Source;
use crate::text::words;

/// The bytes of all links that no source has, in order.
pub(crate) fn unknown(text: &str, sources: &[Source<'_>]) -> Vec<Range<usize>> {
    let mine = links(&Page { text, words: words(text) });
    if mine.is_empty() {
        return Vec::new();
    }
    let mut allowed: HashSet<String> = HashSet::new();
    for (_, link) in
        sources.iter().flat_map(|source| links(&Page { text: source.text, words: words(source.text) }))
    {
        let host = link.split(['/', '?', '#']).next().unwrap_or("").to_owned();
        allowed.extend([host, link]);
    }
    mine.into_iter().filter(|(_, link)| !allowed.contains(link)).map(|(span, _)| span).collect()
}

/// The web addresses of a text with their places, without what does not change the target.
fn links(page: &Page<'_>) -> Vec<(Range<usize>, String)> {
    let mut found = Vec::new();
    for word in &page.words {
        let web = word.lower.contains("://") || word.lower.starts_with("www.");
        if web || is_bare_domain(&word.lower) {
            found.push((word.span.clone(), bare(&word.lower)));
        } else if let Some(span) = other_scheme(page.text, &word.span) {
            found.push((span.clone(), page.text[span].to_lowercase()));
        }
    }
    found
}

fn bare(lower: &str) -> String {
    let path = lower.split_once("://").map_or(lower, |(_, rest)| rest);
    path.strip_prefix("www.").unwrap_or(path).trim_end_matches('/').to_owned()
}

/// `acme.com` without a scheme, by the last label; file names such as `main.rs` are none.
fn is_bare_domain(lower: &str) -> bool {
    const LAST: [&str; 26] = [
        "com", "org", "net", "io", "dev", "ai", "app", "co", "info", "biz", "shop", "xyz", "me", "uk", "de",
        "eu", "us", "fr", "nl", "cloud", "online", "site", "store", "tech", "ru", "cn",
    ];
    let Some((name, last)) = lower.rsplit_once('.') else { return false };
    let labelled = |c: char| c.is_alphanumeric() || c == '.';
    LAST.contains(&last) && name.len() > 1 && name.chars().all(labelled) && name.contains(char::is_alphabetic)
}

/// `ftp://host`, `javascript:…` and the like, where the scheme is this word.
fn other_scheme(text: &str, scheme: &Range<usize>) -> Option<Range<usize>> {
    const ACTIVE: [&str; 4] = ["javascript", "data", "vbscript", "file"];
    let rest = text[scheme.end..].strip_prefix(':')?;
    let name = text[scheme.clone()].to_lowercase();
    let body = rest.strip_prefix("//").or_else(|| rest.strip_prefix(['/', '(']).map(|_| rest));
    let target = match body {
        Some(target) => target,
        None if ACTIVE.contains(&name.as_str()) && rest.starts_with(char::is_alphanumeric) => rest,
        None => return None,
    };
    let width = target.find(|c: char| !c.is_alphanumeric()).unwrap_or(target.len());
    Some(scheme.start..text.len() - target.len() + width)
}
