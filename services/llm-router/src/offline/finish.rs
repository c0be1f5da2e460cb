//! Hook, hashtags and caption of a finished text.
use std::collections::BTreeSet;

use copydesk_guard::text;
use copydesk_proto::types::v1::SourceKind;
use serde_json::{Value, json};

use super::rank::says_the_same;
use super::review::body;
use super::tally::{self, Frequent};
use super::{Desk, nouns, short};

/// How many hashtags, unless a rule says fewer or there are no words for them.
const HASHTAGS: usize = 3;

/// How many of the best sentences tell what is a thing.
const LOOKED_AT: usize = 60;

/// `{hook, hashtags, caption}`.
pub(super) fn object(desk: &Desk<'_>) -> Value {
    json!({"hook": hook(desk), "hashtags": hashtags(desk), "caption": caption(desk)})
}

/// The same as lines.
pub(super) fn lines(desk: &Desk<'_>) -> String {
    [hook(desk), caption(desk), hashtags(desk).join(" ")].join("\n\n")
}

/// The draft's own first sentence, so that nothing is said twice; without a draft the best sentence there is.
fn hook(desk: &Desk<'_>) -> String {
    if let Some(first) = body(&desk.prompt.brief.draft).first() {
        return (*first).to_owned();
    }
    short::hook(&desk.ranked(), &desk.rules, usize::MAX).map(|s| s.sentence.text.clone()).unwrap_or_default()
}

/// One sentence of the evidence that the hook does not say.
fn caption(desk: &Desk<'_>) -> String {
    let ranked = desk.ranked();
    let hook = hook(desk);
    let opening = desk.pool.iter().find(|s| s.text == hook);
    let fresh = |s: &&super::rank::Scored<'_>| opening.is_none_or(|o| !says_the_same(o, s.sentence));
    let named = |s: &&super::rank::Scored<'_>| short::named(s.sentence);
    let mut candidates = ranked.iter().filter(fresh);
    let best =
        candidates.clone().filter(named).find(|s| s.sentence.words <= 25).or_else(|| candidates.next());
    best.map(|s| s.sentence.text.clone()).unwrap_or(hook)
}

/// Hashtags: things of the topic, products and brands, then other things that the draft speaks of. All are things in the
/// evidence, word for word.
fn hashtags(desk: &Desk<'_>) -> Vec<String> {
    let most = desk.rules.max_hashtags.unwrap_or(HASHTAGS).min(HASHTAGS);
    let ranked = desk.ranked();
    let best: Vec<&str> = ranked.iter().take(LOOKED_AT).map(|s| s.sentence.text.as_str()).collect();
    let draft = body(&desk.prompt.brief.draft);
    let spoken: &[&str] = if draft.is_empty() { &best } else { &draft };
    let around = || spoken.iter().chain(&best).copied();

    let things = nouns::things(around());
    let topic: BTreeSet<String> = text::terms(&desk.query).into_iter().collect();
    let said: BTreeSet<String> = spoken.iter().flat_map(|s| text::terms(s)).collect();
    let within =
        |word: &&Frequent, terms: &BTreeSet<String>| word.stems.split(' ').all(|s| terms.contains(s));
    let mut words = tally::pairs(around());
    words.extend(tally::words(around()));
    words.retain(|word| things.contains(&word.stems));
    let products = products(desk, spoken);
    let names = nouns::names(around());

    let mut tags = Tags { desk, list: Vec::new(), stems: BTreeSet::new(), most };
    let pair = |word: &&Frequent| word.stems.contains(' ');
    words.iter().filter(pair).filter(|w| within(w, &topic)).take(1).for_each(|w| tags.add(w));
    products.iter().take(1).for_each(|product| tags.add(product));
    names
        .iter()
        .filter(|n| n.surface.len() > 3 && n.count > 1 && within(n, &said))
        .take(1)
        .for_each(|name| tags.add(name));
    words.iter().filter(pair).filter(|w| w.count > 1 && within(w, &said)).for_each(|w| tags.add(w));
    words.iter().filter(|w| within(w, &topic)).for_each(|w| tags.add(w));
    words.iter().filter(|w| !pair(w) && within(w, &said)).for_each(|w| tags.add(w));
    words.iter().for_each(|w| tags.add(w));
    tags.list
}

/// Titles of products that the text names, the most named first.
fn products(desk: &Desk<'_>, spoken: &[&str]) -> Vec<Frequent> {
    let text = spoken.join("\n").to_lowercase();
    let mut found: Vec<Frequent> = Vec::new();
    for passage in
        desk.prompt.evidence.iter().filter(|p| p.kind == SourceKind::Product && p.title.len() <= 90)
    {
        let words: Vec<String> = text::words(&passage.title).into_iter().map(|word| word.lower).collect();
        let surface = words.join(" ");
        let count = text.matches(&surface).count();
        let new = found.iter().all(|product| product.surface != surface);
        if new && count > 0 && (1..=3).contains(&words.len()) && words.iter().all(|w| tally::is_content(w)) {
            found.push(Frequent { stems: text::terms(&surface).join(" "), surface, count });
        }
    }
    found.sort_by_key(|product| std::cmp::Reverse(product.count));
    found
}

struct Tags<'a> {
    desk: &'a Desk<'a>,
    list: Vec<String>,
    stems: BTreeSet<String>,
    most: usize,
}

impl Tags<'_> {
    /// Adds a tag unless there are enough, it is forbidden, or all its words are in tags already.
    fn add(&mut self, word: &Frequent) {
        let new = word.stems.split(' ').any(|stem| !self.stems.contains(stem));
        let short = word.surface.chars().count() <= 30;
        if self.list.len() < self.most && new && short && self.desk.rules.allow(&word.surface) {
            self.stems.extend(word.stems.split(' ').map(str::to_owned));
            self.list.push(format!("#{}", camel(&word.surface)));
        }
    }
}

fn camel(words: &str) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters
            .next()
            .map(|first| first.to_uppercase().chain(letters).collect::<String>())
            .unwrap_or_default()
    };
    words.split(' ').map(capital).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn tags_are_camel_case() {
        assert_eq!(super::camel("temperature alerts"), "TemperatureAlerts");
        assert_eq!(super::camel("écluse"), "Écluse");
    }
}
