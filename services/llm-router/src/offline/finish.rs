//! Hook, hashtags and caption of a finished text.
use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::rank::says_the_same;
use super::review::body;
use super::{Desk, short, tally};

/// How many hashtags at most, unless a rule says fewer, and at least if there are words for them.
const HASHTAGS: usize = 5;
const FEWEST: usize = 3;

/// From how often on a pair of words makes a hashtag.
const OFTEN: usize = 4;

/// `{hook, hashtags, caption}`.
pub(super) fn object(desk: &Desk<'_>) -> Value {
    json!({"hook": hook(desk), "hashtags": hashtags(desk), "caption": caption(desk)})
}

/// The same as lines.
pub(super) fn text(desk: &Desk<'_>) -> String {
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

/// Hashtags: a pair of words from the topic, pairs that the evidence repeats, then the draft's frequent words.
fn hashtags(desk: &Desk<'_>) -> Vec<String> {
    let most = desk.rules.max_hashtags.unwrap_or(HASHTAGS).min(HASHTAGS);
    let draft = desk.prompt.brief.draft.as_str();
    let best: Vec<String> = desk.ranked().iter().take(30).map(|s| s.sentence.text.clone()).collect();
    let titles = desk.prompt.evidence.iter().map(|p| p.title.as_str());
    let around: Vec<&str> =
        std::iter::once(draft).chain(best.iter().map(String::as_str)).chain(titles).collect();
    let noun = |pair: &&tally::Frequent| {
        let ends =
            pair.surface.ends_with("ed") || pair.surface.ends_with("ing") || pair.surface.ends_with("ly");
        pair.count >= OFTEN && !ends
    };
    let topic = tally::pairs(std::iter::once(desk.query.as_str()));
    let repeated = tally::pairs(around.iter().copied());
    let words = tally::words(around.iter().copied());

    let mut tags = Tags { desk, list: Vec::new(), stems: BTreeSet::new(), most };
    topic.iter().filter(|pair| !pair.surface.ends_with("ed")).take(1).for_each(|pair| tags.add(pair));
    repeated.iter().filter(noun).take(2).for_each(|pair| tags.add(pair));
    let spare = tags.list.len().max(4);
    for word in words.iter().filter(|word| !word.surface.ends_with("ed")) {
        let wanted = tags.list.len() < if word.count >= 2 { spare } else { FEWEST };
        if wanted {
            tags.add(word);
        }
    }
    tags.list
}

struct Tags<'a> {
    desk: &'a Desk<'a>,
    list: Vec<String>,
    stems: BTreeSet<String>,
    most: usize,
}

impl Tags<'_> {
    /// Adds a tag unless there are enough, it is forbidden, or all its words are in tags already.
    fn add(&mut self, word: &tally::Frequent) {
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
