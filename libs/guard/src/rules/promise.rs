//! Superlatives and guarantees without ground, and promises of income or health.

use std::sync::LazyLock;

use super::{Known, Page, Severity, Violation};
use crate::facts::{Superlative, superlative};
use crate::phrase::{Phrase, hits, span};

struct Rule {
    id: &'static str,
    severity: Severity,
    message: &'static str,
    /// Whether a source that says the same excuses it.
    excusable: bool,
    phrases: Vec<Phrase>,
}

static RULES: LazyLock<[Rule; 4]> = LazyLock::new(|| {
    [
        Rule {
            id: "unsupported-superlative",
            severity: Severity::Warn,
            message: "claims to be first or best without a source",
            excusable: true,
            phrases: Phrase::list(SUPERLATIVES),
        },
        Rule {
            id: "unsupported-guarantee",
            severity: Severity::Block,
            message: "promises a certain result without a source",
            excusable: true,
            phrases: Phrase::list(GUARANTEES),
        },
        Rule {
            id: "income-promise",
            severity: Severity::Block,
            message: "promises income",
            excusable: false,
            phrases: Phrase::list(INCOME),
        },
        Rule {
            id: "health-promise",
            severity: Severity::Block,
            message: "promises a medical effect",
            excusable: false,
            phrases: Phrase::list(HEALTH),
        },
    ]
});

const SUPERLATIVES: &str = "
    number one
    no 1
    best in class
    best of breed
    world class
    world leading
    industry leading
    market leader
    market leading
    second to none
    like no other
    one of a kind
    game changing
";

const GUARANTEES: &str = "
    guarantee|guarantees|guaranteed
    100% guaranteed|safe|secure|certain|reliable
    risk free
    zero risk
    without any risk
    no risk
    never fails|fail
    cannot|can't fail
    foolproof|bulletproof
    money back or ..
    works every time
";

const INCOME: &str = "
    earn|make|making|earning # a|per|each|every day|week|month|year|hour
    earn|make|making|earning # daily|weekly|monthly
    get|getting rich quick|fast
    become a millionaire
    passive income
    financial freedom
    double|triple your income|money|savings|investment
    make money fast|online|overnight
    quit your job ..  income
    guaranteed returns|income|profit|profits
    # return|returns guaranteed
";

const HEALTH: &str = "
    cures|cure|heals|heal|reverses|eliminates|treats|prevents .. anxiety|depression|cancer|diabetes|pain|disease|diseases|arthritis|asthma|insomnia|covid|autism|adhd|migraine|migraines|obesity
    miracle cure|pill|treatment|remedy
    lose # kg|pounds|lbs|kilos in
    lose weight fast|overnight|instantly
    clinically proven
    doctor|doctors recommended|approved
    no side effects
    anti aging
    boosts|boost your immune|immunity
";

pub(super) fn check(page: &Page<'_>, known: &Known<'_>) -> Vec<Violation> {
    let mut found: Vec<Violation> = RULES.iter().flat_map(|rule| apply(rule, page, known)).collect();
    let taken: Vec<_> = found.iter().map(|violation| violation.span.clone()).collect();
    let extreme =
        (0..page.words.len()).filter(|at| superlative(&page.words, *at) == Some(Superlative::Strong));
    for word in extreme.map(|at| &page.words[at]) {
        let inside = taken.iter().any(|span| span.start <= word.span.start && word.span.end <= span.end);
        if !inside && !word.lower.starts_with("guarant") && !known.says(std::slice::from_ref(word)) {
            found.push(violation(&RULES[0], word.span.clone()));
        }
    }
    found
}

fn apply(rule: &Rule, page: &Page<'_>, known: &Known<'_>) -> Vec<Violation> {
    hits(&rule.phrases, &page.words)
        .into_iter()
        .filter(|hit| !(rule.excusable && known.says(&page.words[hit.clone()])))
        .map(|hit| violation(rule, span(&page.words, &hit)))
        .collect()
}

fn violation(rule: &Rule, span: std::ops::Range<usize>) -> Violation {
    Violation { rule: rule.id, severity: rule.severity, span, message: rule.message.to_owned() }
}
