//! What one verdict changes in a brand's lessons: a pure step from the lessons it touches to the lessons to write.

use std::collections::BTreeMap;

use copydesk_types::{BrandId, LessonId, RunId};

use super::feedback::Effect;
use super::lesson::{Lesson, Origin, Proposal, Source, Wish, key};
use super::outcome::ContentType;

/// One verdict's say on the lessons of a brand.
#[derive(Debug, Clone, PartialEq)]
pub struct Learning {
    /// Whose lessons.
    pub brand: BrandId,
    /// The content type of the run.
    pub content_type: Option<ContentType>,
    /// The run that the verdict is about.
    pub source: Source,
    /// What the verdict asks for, each once, with the id that it gets if it is new.
    pub wishes: Vec<(LessonId, Wish)>,
    /// The lessons that the run was given.
    pub used: Vec<LessonId>,
    /// What the verdict means for those.
    pub effect: Effect,
    /// When, in ms since 1970.
    pub now_ms: i64,
}

/// The lessons to write, and which of them to tell the caller of.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes {
    /// New and changed lessons, in order of id, each once.
    pub lessons: Vec<Lesson>,
    /// The lessons that the verdict made or strengthened: asked for first, in order of asking, then supported.
    pub told: Vec<LessonId>,
}

impl Learning {
    /// The run that the verdict is about.
    pub fn run(&self) -> RunId {
        self.source.run
    }

    /// True when no lesson can change.
    pub fn is_empty(&self) -> bool {
        self.wishes.is_empty() && self.touched().is_empty()
    }

    /// The ids of the lessons that [`Learning::apply`] needs to see for its effect.
    pub fn touched(&self) -> &[LessonId] {
        if self.effect == Effect::Neutral { &[] } else { &self.used }
    }

    /// The keys of the lessons that [`Learning::apply`] needs to see: those it merges into and their opposites.
    pub fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> =
            self.wishes.iter().flat_map(|(_, wish)| self.keys_of(&wish.asks)).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    fn keys_of(&self, proposal: &Proposal) -> impl Iterator<Item = String> {
        let opposite = proposal.rule.as_ref().and_then(|rule| rule.opposite());
        [Some(proposal.key(self.content_type)), opposite.map(|rule| key(self.content_type, Some(&rule), ""))]
            .into_iter()
            .flatten()
    }

    /// The changes to `known`, the brand's lessons with one of [`Learning::keys`] or [`Learning::touched`].
    ///
    /// A verdict counts once for a lesson: one that it asks for is neither supported nor opposed a second time for
    /// having been used, and asking again for a used lesson is no verdict against it.
    pub fn apply(&self, known: Vec<Lesson>) -> Changes {
        let mut book: BTreeMap<LessonId, Lesson> =
            known.into_iter().filter(|l| l.brand == self.brand).map(|l| (l.id, l)).collect();
        let mut changes = Changes::default();
        let mut changed = std::collections::BTreeSet::new();
        for (fresh, wish) in &self.wishes {
            let id = self.assert(&mut book, *fresh, wish);
            if changed.insert(id) {
                changes.told.push(id);
            }
        }
        let asked = changes.told.clone();
        for id in self.touched() {
            let Some(lesson) = book.get_mut(id).filter(|_| !changed.contains(id)) else { continue };
            match self.effect {
                Effect::Support => {
                    lesson.support = lesson.support.saturating_add(1);
                    lesson.supported_ms = lesson.supported_ms.max(self.now_ms);
                    changes.told.push(*id);
                }
                Effect::Contra => lesson.contra = lesson.contra.saturating_add(1),
                Effect::Neutral => continue,
            }
            changed.insert(*id);
        }
        changed.extend(oppose(&mut book, &asked));
        changes.lessons = book.into_values().filter(|lesson| changed.contains(&lesson.id)).collect();
        changes
    }

    /// Merges a wish into the lesson with its key, or makes one.
    fn assert(&self, book: &mut BTreeMap<LessonId, Lesson>, fresh: LessonId, wish: &Wish) -> LessonId {
        let wanted = wish.asks.key(self.content_type);
        let Some(lesson) = book.values_mut().find(|lesson| lesson.key() == wanted) else {
            book.insert(fresh, self.new_lesson(fresh, &wish.asks));
            return fresh;
        };
        lesson.support = lesson.support.saturating_add(1);
        lesson.origin = Origin::Human;
        lesson.asks = wish.after(&lesson.asks);
        lesson.asserted_ms = lesson.asserted_ms.max(self.now_ms);
        lesson.supported_ms = lesson.supported_ms.max(self.now_ms);
        lesson.learn_from(self.source.clone());
        lesson.id
    }

    fn new_lesson(&self, id: LessonId, proposal: &Proposal) -> Lesson {
        Lesson {
            id,
            brand: self.brand,
            content_type: self.content_type,
            origin: Origin::Human,
            asks: proposal.clone(),
            support: 1,
            contra: 0,
            sources: vec![self.source.clone()],
            created_ms: self.now_ms,
            asserted_ms: self.now_ms,
            supported_ms: self.now_ms,
        }
    }
}

/// One verdict against every lesson that is opposed by one that was asked for just now.
fn oppose(book: &mut BTreeMap<LessonId, Lesson>, asked: &[LessonId]) -> Vec<LessonId> {
    let mut losers = Vec::new();
    for id in asked {
        let Some(winner) = book.get(id).cloned() else { continue };
        // Two opposites asked for in one breath: neither is older, so neither loses.
        for other in book.values_mut().filter(|other| !asked.contains(&other.id) && other.opposes(&winner)) {
            other.contra = other.contra.saturating_add(1);
            losers.push(other.id);
        }
    }
    losers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::lesson::Rule;
    use proptest::prelude::*;

    fn learning(run: u128, proposals: Vec<Proposal>, effect: Effect, used: Vec<LessonId>) -> Learning {
        wishing(run, proposals.into_iter().map(Wish::said).collect(), effect, used)
    }

    fn wishing(run: u128, wishes: Vec<Wish>, effect: Effect, used: Vec<LessonId>) -> Learning {
        let wishes =
            wishes.into_iter().enumerate().map(|(i, w)| (LessonId::from_u128(run * 100 + i as u128), w));
        Learning {
            brand: BrandId::from_u128(1),
            content_type: Some(ContentType::Social),
            source: Source { run: RunId::from_u128(run), topic: "cold chain".into() },
            wishes: wishes.collect(),
            used,
            effect,
            now_ms: run as i64 * 1_000,
        }
    }

    fn ask(run: u128, rule: Rule) -> Learning {
        learning(run, vec![Proposal::of(rule)], Effect::Neutral, vec![])
    }

    #[test]
    fn the_same_rule_merges_and_takes_the_newer_limit() {
        let first = ask(1, Rule::MaxWords(100)).apply(vec![]);
        assert_eq!((first.lessons.len(), first.lessons[0].support, first.told.len()), (1, 1, 1));
        let second = ask(2, Rule::MaxWords(80)).apply(first.lessons.clone());
        let lesson = &second.lessons[0];
        assert_eq!(
            (lesson.id, lesson.support, &lesson.asks.rule),
            (first.told[0], 2, &Some(Rule::MaxWords(80)))
        );
        assert_eq!(lesson.sources.len(), 2);
        let again = ask(2, Rule::MaxWords(80)).apply(second.lessons.clone());
        assert_eq!(again.lessons[0].sources, lesson.sources, "a run is a source once");
    }

    #[test]
    fn a_measured_limit_never_loosens_a_lesson_and_a_named_one_replaces_it() {
        let shorter =
            |run, limit| wishing(run, vec![Wish::measured(Rule::MaxWords(limit))], Effect::Neutral, vec![]);
        let strict = ask(1, Rule::MaxWords(60)).apply(vec![]).lessons;
        let kept = shorter(2, 90).apply(strict.clone()).lessons;
        assert_eq!((&kept[0].asks, kept[0].support), (&Proposal::of(Rule::MaxWords(60)), 2));
        let tighter = shorter(3, 40).apply(kept).lessons;
        assert_eq!(tighter[0].asks, Proposal::of(Rule::MaxWords(40)));
        let named = ask(4, Rule::MaxWords(90)).apply(tighter).lessons;
        assert_eq!(named[0].asks, Proposal::of(Rule::MaxWords(90)));
        let none = wishing(5, vec![Wish::measured(Rule::MaxHashtags(2))], Effect::Neutral, vec![]);
        let no_hashtags = ask(4, Rule::MaxHashtags(0)).apply(vec![]).lessons;
        assert_eq!(none.apply(no_hashtags).lessons[0].asks, Proposal::of(Rule::MaxHashtags(0)));
    }

    #[test]
    fn opposites_cost_the_older_one() {
        let old = ask(1, Rule::AvoidPhrase("pricing".into())).apply(vec![]).lessons;
        let changes = ask(2, Rule::PreferPhrase("pricing".into())).apply(old);
        let [older, newer] = changes.lessons.as_slice() else { panic!("two lessons: {changes:?}") };
        assert_eq!((older.contra, newer.contra), (1, 0));
        assert!(newer.beats(older) && !older.beats(newer));
        assert_eq!(changes.told, [newer.id]);
    }

    #[test]
    fn used_lessons_feel_the_verdict_once() {
        let known = ask(1, Rule::OpenWithNumber).apply(vec![]).lessons;
        let id = known[0].id;
        let up = learning(2, vec![], Effect::Support, vec![id, id]).apply(known.clone());
        assert_eq!((up.lessons[0].support, up.told.as_slice()), (2, [id].as_slice()));
        let down = learning(2, vec![], Effect::Contra, vec![id]).apply(known.clone());
        assert_eq!((down.lessons[0].contra, down.told.len()), (1, 0));
        let asked_again = learning(2, vec![Proposal::of(Rule::OpenWithNumber)], Effect::Contra, vec![id]);
        let lesson = &asked_again.apply(known.clone()).lessons[0];
        assert_eq!((lesson.support, lesson.contra), (2, 0));
        assert_eq!(learning(2, vec![], Effect::Neutral, vec![id]).apply(known), Changes::default());
    }

    #[test]
    fn lessons_of_another_brand_are_left_alone() {
        let mut known = ask(1, Rule::OpenWithNumber).apply(vec![]).lessons;
        known[0].brand = BrandId::from_u128(2);
        let id = known[0].id;
        assert_eq!(learning(2, vec![], Effect::Contra, vec![id]).apply(known), Changes::default());
    }

    proptest! {
        #[test]
        fn merging_keeps_one_lesson_per_key(limits in prop::collection::vec((0u8..7, 1u32..300), 1..40)) {
            let mut known: Vec<Lesson> = Vec::new();
            for (run, (code, limit)) in (1u128..).zip(&limits) {
                let phrase = format!("phrase {}", limit % 3);
                let rule = Rule::from_parts(i32::from(*code) + 1, *limit, phrase);
                let changes = ask(run, rule.ok_or_else(|| TestCaseError::fail("a rule"))?).apply(known.clone());
                known.retain(|old| changes.lessons.iter().all(|new| new.id != old.id));
                known.extend(changes.lessons);
            }
            let mut keys: Vec<String> = known.iter().map(Lesson::key).collect();
            keys.sort();
            keys.dedup();
            prop_assert_eq!(keys.len(), known.len());
            let support: u32 = known.iter().map(|l| l.support).sum();
            prop_assert_eq!(support as usize, limits.len(), "every verdict counted once");
        }
    }
}
