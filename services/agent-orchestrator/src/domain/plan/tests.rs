use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::output::{BrandAnalysis, Finish, Research, Review, RuleViolation, Strategy, Work};
use super::super::passage::Passage;
use super::super::safety::{Checked, Correction};
use super::*;

/// How a scripted run goes: scores by review, corrections by guard, whether the guard calls it safe.
#[derive(Debug, Clone)]
struct Script {
    scores: Vec<f64>,
    corrections: Vec<usize>,
    safe: Vec<bool>,
    blocking: bool,
}

impl Script {
    fn good() -> Self {
        Self { scores: vec![9.0], corrections: vec![0], safe: vec![true], blocking: false }
    }

    fn work(&self, key: StepKey) -> Work {
        let pick = |n: u32, len: usize| (n as usize - 1).min(len - 1);
        match key {
            StepKey::Research => {
                Work::Research(Research { passages: vec![Passage::default()], ..Research::default() })
            }
            StepKey::BrandAnalysis => Work::BrandAnalysis(BrandAnalysis::default()),
            StepKey::Lessons => Work::Lessons { lessons: Vec::new() },
            StepKey::Strategy => Work::Strategy(Strategy::default()),
            StepKey::Draft | StepKey::Revise(_) | StepKey::Regenerate => {
                Work::Draft { text: key.to_string() }
            }
            StepKey::Review(n) => Work::Review(Review {
                score: self.scores[pick(n, self.scores.len())],
                notes: vec![format!("note {n}")],
            }),
            StepKey::Finish => Work::Finish(Finish::default()),
            StepKey::Guard(n) => {
                let mut checked = Checked::default();
                let one = Correction { before: "a".into(), after: String::new(), reason: "r".into() };
                checked.report.corrections = vec![one; self.corrections[pick(n, self.corrections.len())]];
                checked.report.is_safe = self.safe[pick(n, self.safe.len())];
                checked.report.not_safe_reason = "risky".into();
                Work::Guard(Box::new(checked))
            }
            StepKey::Rules => {
                let violation = RuleViolation {
                    rule: "pii".into(),
                    blocking: true,
                    start: 0,
                    end: 1,
                    message: "m".into(),
                };
                Work::Rules { violations: if self.blocking { vec![violation] } else { Vec::new() } }
            }
        }
    }

    /// Runs to the end; `pick` says which of the open steps is finished next. The finished steps in that order.
    fn run(&self, mut pick: impl FnMut(usize) -> usize) -> (Vec<StepKey>, Next) {
        let (mut finished, mut order, mut open) = (Finished::new(), Vec::new(), BTreeSet::new());
        loop {
            match plan(&CONTENT_1, &finished) {
                Next::Steps(steps) => open.extend(steps),
                end => return (order, end),
            }
            open.retain(|key| !finished.contains_key(key));
            assert!(!open.is_empty(), "stuck after {order:?}");
            assert!(order.len() < 40, "does not end: {order:?}");
            let key = *open.iter().nth(pick(open.len()) % open.len()).expect("an open step");
            finished.insert(key, self.work(key).into());
            order.push(key);
        }
    }

    fn keys(&self) -> Vec<String> {
        let (order, _) = self.run(|_| 0);
        order.iter().map(ToString::to_string).collect()
    }
}

#[test]
fn a_good_draft_goes_straight_through() {
    let (order, end) = Script::good().run(|_| 0);
    assert_eq!(end, Next::Succeed);
    let keys: Vec<String> = order.iter().map(ToString::to_string).collect();
    let expected = [
        "research",
        "brand_analysis",
        "lessons",
        "strategy",
        "draft.1",
        "review.1",
        "finish",
        "guard.1",
        "rules",
    ];
    assert_eq!(keys, expected);
}

#[test]
fn the_gathering_steps_run_side_by_side() {
    let gather = vec![StepKey::Research, StepKey::BrandAnalysis, StepKey::Lessons];
    assert_eq!(plan(&CONTENT_1, &Finished::new()), Next::Steps(gather));
}

#[test]
fn a_weak_draft_is_revised_until_it_passes_or_the_rounds_are_used_up() {
    let once = Script { scores: vec![6.9, 7.0], ..Script::good() };
    assert_eq!(once.keys()[4..9], ["draft.1", "review.1", "revise.1", "review.2", "finish"]);
    let never = Script { scores: vec![3.0], ..Script::good() };
    let expected = ["draft.1", "review.1", "revise.1", "review.2", "revise.2", "review.3", "finish"];
    assert_eq!(never.keys()[4..11], expected);
}

#[test]
fn the_best_draft_is_finished() {
    let best = |scores: &[f64]| {
        let script = Script { scores: scores.to_vec(), ..Script::good() };
        let (order, _) = script.run(|_| 0);
        let finished: Finished = order.iter().map(|key| (*key, script.work(*key).into())).collect();
        let drafts = drafts(&finished);
        assert_eq!(drafts.len(), scores.len());
        chosen(&drafts).expect("a draft").step
    };
    assert_eq!(best(&[5.0, 6.0, 4.0]), StepKey::Revise(1));
    assert_eq!(best(&[5.0, 5.0, 5.0]), StepKey::Revise(2), "of equal ones the later");
    assert_eq!(best(&[6.0, 8.0]), StepKey::Revise(1));
    assert_eq!(best(&[9.0]), StepKey::Draft);
}

#[test]
fn many_corrections_ask_for_one_rewrite_and_no_more() {
    let script = Script { corrections: vec![3, 3], ..Script::good() };
    let keys = script.keys();
    assert_eq!(keys[7..], ["guard.1", "regenerate.1", "review.2", "guard.2", "rules"]);
    let (order, end) = script.run(|_| 0);
    assert_eq!(end, Next::Succeed);
    let finished: Finished = order.iter().map(|key| (*key, script.work(*key).into())).collect();
    assert_eq!(chosen(&drafts(&finished)).map(|d| d.step), Some(StepKey::Regenerate));
    let two = Script { corrections: vec![2], ..Script::good() };
    assert!(!two.keys().contains(&"regenerate.1".to_owned()));
}

#[test]
fn what_is_not_safe_is_not_published() {
    let reason = |script: Script| match script.run(|_| 0).1 {
        Next::Fail(error) => (error.reason, error.step),
        other => panic!("{other:?}"),
    };
    let not_safe = |step: &str| ("NOT_SAFE".to_owned(), step.to_owned());
    assert_eq!(reason(Script { safe: vec![false, false], ..Script::good() }), not_safe("guard.2"));
    assert_eq!(reason(Script { blocking: true, ..Script::good() }), not_safe("rules"));
    let mended = Script { safe: vec![false, true], ..Script::good() };
    assert_eq!(mended.run(|_| 0).1, Next::Succeed);
}

#[test]
fn without_evidence_a_run_ends_at_once() {
    let mut finished = Finished::new();
    finished.insert(StepKey::Research, Work::Research(Research::default()).into());
    assert!(matches!(plan(&CONTENT_1, &finished), Next::Fail(error) if error.reason == "NO_EVIDENCE"));
}

#[test]
fn definitions_are_found_by_name_and_version() {
    assert_eq!(newest("content").map(|d| d.version), Some("content@1"));
    assert_eq!(of_version("content@1"), Some(&CONTENT_1));
    assert_eq!((newest("poem"), of_version("content@99")), (None, None));
    assert_eq!(known_workflows(), "content");
}

proptest! {
    #[test]
    fn any_order_leads_to_the_same_steps_and_the_same_end(
        scores in prop::collection::vec(0.0..10.0f64, 1..5),
        corrections in prop::collection::vec(0..5usize, 1..3),
        safe in prop::collection::vec(any::<bool>(), 1..3),
        blocking in any::<bool>(),
        picks in prop::collection::vec(any::<usize>(), 40),
    ) {
        let script = Script { scores, corrections, safe, blocking };
        let (first, end) = script.run(|_| 0);
        let mut picks = picks.into_iter().cycle();
        let (other, other_end) = script.run(|_| picks.next().unwrap_or(0));
        prop_assert_eq!(first.iter().collect::<BTreeSet<_>>(), other.iter().collect::<BTreeSet<_>>());
        prop_assert_eq!(end, other_end);
        let rewrites = first.iter().filter(|k| matches!(k, StepKey::Revise(_))).count();
        prop_assert!(rewrites <= CONTENT_1.max_rounds as usize);
    }

    #[test]
    fn a_finished_step_is_never_asked_for_again(cut in 0..12usize, scores in prop::collection::vec(0.0..10.0f64, 1..4)) {
        let script = Script { scores, ..Script::good() };
        let (order, _) = script.run(|_| 0);
        let finished: Finished = order.iter().take(cut).map(|key| (*key, script.work(*key).into())).collect();
        if let Next::Steps(steps) = plan(&CONTENT_1, &finished) {
            prop_assert!(!steps.is_empty());
            prop_assert!(steps.iter().all(|key| !finished.contains_key(key)));
        }
    }
}
