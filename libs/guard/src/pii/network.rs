//! Addresses of the net: mail, web, hosts.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::{before, inside_word, pattern, spans};

static EMAIL: LazyLock<Option<Regex>> = LazyLock::new(|| {
    pattern(r"[\p{L}\p{N}][\p{L}\p{N}._%+'-]*@(?:[\p{L}\p{N}][\p{L}\p{N}-]*\.)+\p{L}{2,24}")
});

/// E-mail addresses.
pub(super) fn emails(text: &str) -> Vec<Range<usize>> {
    // The local part of `https://user@host` belongs to an address of the web.
    let web = |span: &Range<usize>| text[..span.start].ends_with('/') && before(text, span.start, 3) == "://";
    spans(EMAIL.as_ref(), text).filter(|span| !web(span)).collect()
}

static URL: LazyLock<Option<Regex>> = LazyLock::new(|| {
    pattern(
        r#"(?i)\b(?:https?|ftps?|wss?)://[^\s<>"'“”‘’«»|\\^`{}]+|\bwww\.[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)+(?:[/?#][^\s<>"'“”«»|\\^`{}]*)?"#,
    )
});

/// Last labels by which a bare name is taken for a domain; file endings such as `rs` and `md` are left out.
const LAST_LABELS: &str = concat!(
    "com|org|net|edu|gov|mil|int|info|biz|name|io|dev|ai|app|co|shop|xyz|me|tv|cc|online|site|store|tech|cloud|blog|news",
    "|agency|media|digital|eu|us|uk|de|fr|nl|be|at|ch|it|es|pt|pl|cz|sk|hu|ro|bg|hr|si|dk|se|no|fi|ie|gr|ru|ua|tr|il",
    "|ca|mx|br|ar|cl|uy|au|nz|za|in|cn|jp|kr|sg|hk|tw|cy|ee|lv|lt|lu|is",
);

static DOMAIN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    pattern(&format!(
        r"(?i)\b(?:[\p{{L}}\p{{N}}][\p{{L}}\p{{N}}-]*\.)+(?:{LAST_LABELS})\b(?:/[^\s<>\x22'“”«»|\\^`{{}}]*)?"
    ))
});

/// Web addresses with a scheme or `www.`, and bare domain names.
pub(super) fn urls(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = spans(URL.as_ref(), text).map(|span| trimmed(text, span)).collect();
    let whole = found.len();
    for span in spans(DOMAIN.as_ref(), text).map(|span| trimmed(text, span)) {
        let raw = &text[span.clone()];
        let taken = found[..whole].iter().any(|other| other.start < span.end && span.start < other.end);
        if !taken && is_plausible(text, &span, raw) {
            found.push(span);
        }
    }
    found.sort_by_key(|span| span.start);
    found
}

/// `end.It` is two sentences and `e.g.in` an abbreviation; a domain is written in one case and has a name of some length.
fn is_plausible(text: &str, span: &Range<usize>, raw: &str) -> bool {
    let host = raw.split('/').next().unwrap_or(raw);
    let last = host.rsplit('.').next().unwrap_or("");
    let name = host.len().saturating_sub(last.len() + 1);
    let sentence_break = last.starts_with(char::is_uppercase) && host.chars().any(char::is_lowercase);
    let inside = text[..span.start].ends_with(['@', '.', '/', '-', '_']) || inside_word(text, span);
    let numeric = host[..name].chars().all(|c| c.is_ascii_digit() || c == '.');
    let abbreviation = host[..name].split('.').all(|label| label.chars().count() == 1);
    let common = matches!(last, "in" | "is" | "it" | "no" | "at" | "be" | "me" | "us" | "so")
        && !host[..name].contains('.');
    !(sentence_break || inside || numeric || abbreviation || common && !raw.contains('/'))
}

/// Without the punctuation that ends a sentence or closes a bracket which the address did not open.
fn trimmed(text: &str, span: Range<usize>) -> Range<usize> {
    let mut raw = &text[span.clone()];
    loop {
        let shorter = raw.trim_end_matches(['.', ',', ';', ':', '!', '?', '…', '*', '_']);
        let shorter = match shorter.strip_suffix([')', ']']) {
            Some(rest) if rest.matches(['(', '[']).count() <= rest.matches([')', ']']).count() => rest,
            _ => shorter,
        };
        if shorter.len() == raw.len() {
            return span.start..span.start + raw.len();
        }
        raw = shorter;
    }
}

static IPV4: LazyLock<Option<Regex>> = LazyLock::new(|| pattern(r"\b\d{1,3}(?:\.\d{1,3}){3}\b"));
static IPV6: LazyLock<Option<Regex>> =
    LazyLock::new(|| pattern(r"(?i)(?:[0-9a-f]{0,4}:){2,7}(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]{0,4})"));

/// Addresses of hosts; four numbers that the words before call a version are none.
pub(super) fn addresses(text: &str) -> Vec<Range<usize>> {
    let version = |start: usize| {
        let said = before(text, start, 12).to_lowercase();
        let said = said.trim_end();
        said.ends_with('v')
            || ["version", "release", "ver.", "rev.", "section"].iter().any(|w| said.ends_with(w))
    };
    let chained = |span: &Range<usize>| {
        text[..span.start].ends_with(['.', '-'])
            || text[span.end..].starts_with(['-', '_'])
            || text[span.end..]
                .strip_prefix('.')
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let old = spans(IPV4.as_ref(), text).filter(|span| {
        text[span.clone()].parse::<Ipv4Addr>().is_ok() && !chained(span) && !version(span.start)
    });
    let new = spans(IPV6.as_ref(), text).filter(|span| {
        let raw = &text[span.clone()];
        let telling = raw.len() > 6 && (raw.contains("::") || raw.matches(':').count() == 7);
        telling && !inside_word(text, span) && raw.parse::<Ipv6Addr>().is_ok()
    });
    let mut found: Vec<Range<usize>> = new.collect();
    let taken = found.len();
    for span in old {
        if found[..taken].iter().all(|other| other.end <= span.start || span.end <= other.start) {
            found.push(span);
        }
    }
    found
}
