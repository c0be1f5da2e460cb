//! Keys, tokens and passwords: by the form that their makers publish, or by what they are assigned to and how random
//! they look.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use crate::fold::{Fold, View};
use crate::pii::{pattern, spans};

/// One secret in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it is, such as `github-token`.
    pub kind: &'static str,
    /// Bytes in the text, on character boundaries.
    pub span: Range<usize>,
}

/// All secrets of a text, in reading order and without overlap.
pub fn find(text: &str) -> Vec<Found> {
    let view = View::new(text, Fold::Exact);
    let found = find_in(view.text()).into_iter();
    found.map(|found| Found { span: view.original(found.span), ..found }).collect()
}

/// The same in a text that is spelt one way already.
pub(crate) fn find_in(text: &str) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    let formed = FORMED.iter().flat_map(|(kind, form)| spans(form.as_ref(), text).map(|span| (*kind, span)));
    let connection = spans(CONNECTION.as_ref(), text).filter(|span| !is_placeholder(&text[span.clone()]));
    let assigned = spans(ASSIGNED.as_ref(), text).filter(|span| is_random(&text[span.clone()]));
    let password = spans(PASSWORD.as_ref(), text).filter(|span| is_password(&text[span.clone()]));
    for (kind, span) in formed
        .chain(connection.map(|span| ("connection-password", span)))
        .chain(assigned.map(|span| ("assigned-secret", span)))
        .chain(password.map(|span| ("assigned-password", span)))
    {
        if found.iter().all(|other| other.span.end <= span.start || span.end <= other.span.start) {
            found.push(Found { kind, span });
        }
    }
    found.sort_by_key(|hit| hit.span.start);
    found
}

/// Forms that the makers of keys publish.
const FORMS: [(&str, &str); 30] = [
    (
        "private-key",
        r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----(?:[A-Za-z0-9+/=:,.\s-]*?-----END (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----)?",
    ),
    ("json-web-token", r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),
    ("aws-access-key", r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b"),
    ("github-token", r"\b(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255})\b"),
    ("gitlab-token", r"\bgl(?:pat|dt|rt|ptt|ft|cbt|soat)-[A-Za-z0-9_-]{20,}"),
    ("slack-token", r"\bx(?:ox[abeoprs]|app)-[A-Za-z0-9-]{10,}"),
    ("slack-webhook", r"\bhooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9+/]{20,}"),
    ("google-api-key", r"\bAIza[A-Za-z0-9_-]{35}"),
    ("google-oauth-secret", r"\bGOCSPX-[A-Za-z0-9_-]{28}"),
    ("stripe-key", r"\b(?:sk|rk|whsec)_(?:live_|test_|prod_)?[A-Za-z0-9]{16,}\b"),
    ("anthropic-key", r"\bsk-ant-[A-Za-z0-9_-]{20,}"),
    ("openai-key", r"\bsk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]*[0-9][A-Za-z0-9_-]{19,}"),
    ("hugging-face-token", r"\bhf_[A-Za-z0-9]{30,}\b"),
    ("groq-key", r"\bgsk_[A-Za-z0-9]{40,}\b"),
    ("npm-token", r"\bnpm_[A-Za-z0-9]{36}\b"),
    ("pypi-token", r"\bpypi-AgEI[A-Za-z0-9_-]{50,}"),
    ("sendgrid-key", r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
    ("mailgun-key", r"\bkey-[0-9a-f]{32}\b"),
    ("twilio-key", r"\bSK[0-9a-f]{32}\b"),
    ("digitalocean-token", r"\bdo[opr]_v1_[a-f0-9]{64}\b"),
    ("shopify-token", r"\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}\b"),
    ("telegram-token", r"\b[0-9]{8,10}:AA[A-Za-z0-9_-]{32,34}"),
    ("vault-token", r"\bhv[sbr]\.[A-Za-z0-9_-]{24,}"),
    ("databricks-token", r"\bdapi[a-f0-9]{32}\b"),
    ("grafana-token", r"\bgl(?:sa|c)_[A-Za-z0-9+/=_]{32,}"),
    ("linear-key", r"\blin_api_[A-Za-z0-9]{40}\b"),
    ("notion-token", r"\b(?:secret_|ntn_)[A-Za-z0-9]{43,}\b"),
    ("age-key", r"\bAGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}"),
    ("azure-storage-key", r"(?i)\bAccountKey=([A-Za-z0-9+/]{40,}={0,2})"),
    (
        "bearer-token",
        r"(?i)\bauthorization['\x22]?\s*[:=]\s*['\x22]?(?:bearer|basic|token)\s+([A-Za-z0-9._~+/=-]{16,})",
    ),
];

static FORMED: LazyLock<Vec<(&str, Option<Regex>)>> =
    LazyLock::new(|| FORMS.iter().map(|(kind, form)| (*kind, pattern(form))).collect());

/// `scheme://user:password@host`.
static CONNECTION: LazyLock<Option<Regex>> =
    LazyLock::new(|| pattern(r"(?i)\b[a-z][a-z0-9+.-]{1,30}://[^\s:/@?#]*:([^\s/@]{3,200})@[^\s/@]"));

/// Something called a key, secret or token, and its value.
static ASSIGNED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    pattern(concat!(
        r"(?i)(?:api|access|secret|auth|private|client|encryption|signing|account|master|session)?[_. -]?(?:key|secret|token|credential)s?[A-Za-z0-9_]{0,12}",
        r#"['"`]?\s{0,3}(?::=|=>|=|:)\s{0,3}['"`]?([A-Za-z0-9+/=_.~-]{16,200})"#,
    ))
});

/// Something called a password, and its value.
static PASSWORD: LazyLock<Option<Regex>> = LazyLock::new(|| {
    pattern(
        r#"(?i)\b[A-Za-z0-9_.-]{0,24}(?:passwo?r?d|passwd|pwd|passphrase|passwort|kennwort)['"`]?\s{0,3}(?::=|=>|=|:|is|lautet)\s{0,3}['"`]?([^\s'"`,;<>{}]{6,100})"#,
    )
});

/// Bits a character below which a value is a word and not a key.
const RANDOM: f64 = 3.4;

fn is_random(value: &str) -> bool {
    let mixed = value.bytes().any(|b| b.is_ascii_digit()) && value.bytes().any(|b| b.is_ascii_alphabetic());
    mixed && entropy(value) >= RANDOM && !is_placeholder(value) && !value.contains("...") && !is_path(value)
}

fn is_path(value: &str) -> bool {
    value
        .split(['/', '.', '-', '_'])
        .filter(|part| part.len() > 2 && part.bytes().all(|b| b.is_ascii_alphabetic()))
        .count()
        > 2
}

/// Letters with a digit or a sign among them; words of a sentence have neither.
fn is_password(value: &str) -> bool {
    let value = value.trim_end_matches(['.', ')', ']', '!', '?']);
    let letters = value.chars().any(char::is_alphabetic);
    let others = value.chars().any(|c| c.is_ascii_digit() || "!@#$%^&*+=?~".contains(c));
    value.chars().count() >= 6 && letters && others && !is_placeholder(value)
}

fn is_placeholder(value: &str) -> bool {
    const WORDS: [&str; 12] = [
        "password",
        "example",
        "changeme",
        "placeholder",
        "your",
        "secret_here",
        "xxxx",
        "****",
        "1234567890abcdef",
        "todo",
        "redacted",
        "dummy",
    ];
    let lower = value.to_lowercase();
    value.starts_with(['$', '<', '{', '%', '[']) || WORDS.iter().any(|word| lower.contains(word))
}

/// Shannon's entropy of the characters, in bits a character.
fn entropy(value: &str) -> f64 {
    let mut counts = [0_u32; 128];
    let mut all = 0_u32;
    for b in value.bytes().filter(u8::is_ascii) {
        counts[usize::from(b)] += 1;
        all += 1;
    }
    let share = |count: &u32| f64::from(*count) / f64::from(all.max(1));
    counts.iter().filter(|count| **count > 0).map(|count| -share(count) * share(count).log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made up here, put together at run time so that no scanner takes this file for a leak.
    fn token(start: &str, length: usize) -> String {
        let letters = "a8Kd0Qz7Lm3Xp5Rt9Vb2Wn6Yc4Hs1Jf".chars().cycle();
        start.chars().chain(letters.take(length)).collect()
    }

    #[test]
    fn every_form_is_found() {
        assert!(FORMED.iter().all(|(_, form)| form.is_some()));
        for (kind, text) in [
            ("aws-access-key", format!("key {}{}", "AKIA", "QX5RT7VBWN6YCHSJ")),
            ("github-token", token("ghp_", 36)),
            ("gitlab-token", token("glpat-", 20)),
            ("slack-token", token("xoxb-", 24)),
            ("google-api-key", token("AIza", 35)),
            ("stripe-key", token("sk_live_", 24)),
            ("anthropic-key", token("sk-ant-", 40)),
            ("openai-key", token("sk-proj-", 40)),
            ("npm-token", token("npm_", 36)),
            ("hugging-face-token", token("hf_", 34)),
            ("json-web-token", format!("{}.{}.{}", token("eyJ", 20), token("eyJ", 30), token("", 20))),
            (
                "private-key",
                "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----".to_owned(),
            ),
            ("connection-password", "postgres://app:t0ps3cr3t@db.internal/app".to_owned()),
            ("assigned-secret", format!("client_secret = \"{}\"", token("", 32))),
            ("assigned-password", "The password is Tr0ub4dor&3.".to_owned()),
            ("bearer-token", format!("Authorization: Bearer {}", token("", 24))),
        ] {
            let kinds: Vec<&str> = find(&text).iter().map(|found| found.kind).collect();
            assert_eq!(kinds, [kind], "{text}");
        }
    }

    #[test]
    fn ordinary_text_holds_none() {
        for text in [
            "The key to success: perseverance and teamwork.",
            "password = ${DB_PASSWORD} and token: <your-token-here>",
            "Set the token: see docs/getting-started/authentication.md",
            "https://user@example.org and http://host:8080/path",
            "commit 3f2a9c1 fixed the secret-santa page",
            "Your password is safe with us.",
        ] {
            assert_eq!(find(text), [], "{text}");
        }
    }
}
