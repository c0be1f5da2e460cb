//! How many passages of a kind of source an answer holds.

use super::source::{SourceKind, SourceKinds};

/// Bounds for one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// The kind.
    pub kind: SourceKind,
    /// At least so many, when there are so many.
    pub at_least: usize,
    /// At most so many.
    pub at_most: usize,
}

/// Which of the candidates are the answer: places in their order, ascending, `wanted` at most.
///
/// What a kind is owed is taken first, from its best; the rest is filled from the top, past kinds that have their most.
pub fn choose(kinds: &[SourceKind], quotas: &[Quota], wanted: usize) -> Vec<usize> {
    let mut count = [0usize; SourceKind::ALL.len()];
    let mut taken = vec![false; kinds.len()];
    for quota in quotas {
        let owed = quota.at_least.min(quota.at_most);
        let own = (0..kinds.len()).filter(|at| kinds[*at] == quota.kind).take(owed);
        for at in own {
            taken[at] = true;
            count[quota.kind as usize] += 1;
        }
    }
    let mut left = wanted.saturating_sub(count.iter().sum());
    for (at, kind) in kinds.iter().enumerate() {
        let most = quotas.iter().find(|quota| quota.kind == *kind).map_or(usize::MAX, |quota| quota.at_most);
        if left > 0 && !taken[at] && count[*kind as usize] < most {
            taken[at] = true;
            count[*kind as usize] += 1;
            left -= 1;
        }
    }
    (0..kinds.len()).filter(|at| taken[*at]).take(wanted).collect()
}

/// What must be looked for besides the best, so that quotas can be kept: kinds, and how many passages of them.
pub fn needs(quotas: &[Quota], wanted: usize) -> Vec<(SourceKinds, usize)> {
    let owed = quotas.iter().filter(|quota| quota.at_least > 0);
    let mut needs: Vec<_> = owed.map(|quota| (SourceKinds::of([quota.kind]), quota.at_least)).collect();
    let bounded = quotas.iter().filter(|quota| quota.at_most < wanted).map(|quota| quota.kind);
    let free = SourceKinds::all().without(SourceKinds::of(bounded));
    if free != SourceKinds::all() {
        let bounded = quotas.iter().filter(|quota| (1..wanted).contains(&quota.at_most));
        needs.extend(bounded.map(|quota| (SourceKinds::of([quota.kind]), quota.at_most)));
        needs.push((free, wanted));
    }
    needs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: SourceKind = SourceKind::Document;
    const B: SourceKind = SourceKind::Issue;
    const C: SourceKind = SourceKind::Post;

    fn quota(kind: SourceKind, at_least: usize, at_most: usize) -> Quota {
        Quota { kind, at_least, at_most }
    }

    #[test]
    fn what_is_owed_takes_the_last_places() {
        let kinds = [A, A, A, A, B, C, B];
        assert_eq!(choose(&kinds, &[], 3), [0, 1, 2]);
        assert_eq!(choose(&kinds, &[quota(B, 1, 9)], 3), [0, 1, 4]);
        assert_eq!(choose(&kinds, &[quota(B, 2, 9), quota(C, 1, 1)], 3), [4, 5, 6]);
        assert_eq!(choose(&kinds, &[quota(A, 0, 1)], 3), [0, 4, 5]);
        assert_eq!(choose(&kinds, &[quota(A, 0, 0), quota(B, 0, 1)], 3), [4, 5]);
        assert!(choose(&kinds, &[quota(A, 0, 0)], 0).is_empty());
    }

    #[test]
    fn needs_are_what_the_best_may_lack() {
        assert!(needs(&[quota(A, 0, 9)], 5).is_empty());
        assert_eq!(needs(&[quota(A, 2, 9)], 5), [(SourceKinds::of([A]), 2)]);
        let free = SourceKinds::all().without(SourceKinds::of([A, B]));
        assert_eq!(needs(&[quota(A, 0, 0), quota(B, 0, 1)], 5), [(SourceKinds::of([B]), 1), (free, 5)]);
    }

    proptest! {
        #[test]
        fn bounds_hold_whenever_they_can(
            kinds in prop::collection::vec(prop::sample::select(vec![A, B, C]), 0..40),
            bounds in prop::collection::vec((0usize..4, 0usize..6), 3), wanted in 1usize..15,
        ) {
            let quotas: Vec<Quota> = [A, B, C].into_iter().zip(bounds)
                .map(|(kind, (least, more))| quota(kind, least, least + more)).collect();
            let owed: usize = quotas.iter().map(|quota| quota.at_least).sum();
            prop_assume!(owed <= wanted);
            let chosen = choose(&kinds, &quotas, wanted);
            prop_assert!(chosen.is_sorted_by(|a, b| a < b));
            let mut possible = 0;
            for quota in &quotas {
                let all = kinds.iter().filter(|kind| **kind == quota.kind).count();
                let held = chosen.iter().filter(|at| kinds[**at] == quota.kind).count();
                prop_assert!(held >= quota.at_least.min(all) && held <= quota.at_most);
                possible += all.min(quota.at_most);
            }
            prop_assert_eq!(chosen.len(), possible.min(wanted));
        }
    }
}
