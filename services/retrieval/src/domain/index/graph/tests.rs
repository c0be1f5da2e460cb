use proptest::prelude::*;

use super::super::matrix::Probe;
use super::*;

const SHAPE: Shape = Shape { m: 4, ef_construct: 16 };

fn matrix(rows: &[Vec<f32>]) -> Matrix {
    let mut matrix = Matrix::default();
    rows.iter().enumerate().for_each(|(slot, row)| matrix.set(slot as u32, row));
    matrix
}

fn graph(matrix: &Matrix, slots: impl Iterator<Item = u32>) -> Graph {
    let (mut graph, mut notes) = (Graph::new(SHAPE), Notes::default());
    slots.for_each(|slot| graph.enter(matrix, slot, &mut notes));
    graph
}

/// The nearest by full comparison, nearest first.
fn exact(matrix: &Matrix, probe: &Probe, slots: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut all: Vec<(f64, u32)> =
        slots.filter_map(|slot| Some((matrix.cosine(slot, probe)?, slot))).collect();
    all.sort_by(|left, right| right.0.total_cmp(&left.0).then(left.1.cmp(&right.1)));
    all.into_iter().map(|(_, slot)| slot).collect()
}

fn vectors(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Vec<f32>>> {
    prop::collection::vec(prop::collection::vec(-1.0f32..1.0, 6), count)
}

proptest! {
    #[test]
    fn walks_meet_the_nearest_of_few(rows in vectors(1..80), query in vectors(1..2), part in 1u32..4) {
        let matrix = matrix(&rows);
        let graph = graph(&matrix, 0..rows.len() as u32);
        let Some(probe) = Probe::new(query[0].clone()) else { return Ok(()) };
        let may = |slot: u32| slot.is_multiple_of(part);
        let found = graph.nearest(&matrix, probe.sight(), rows.len(), usize::MAX, may).unwrap();
        let nearest = exact(&matrix, &probe, (0..rows.len() as u32).filter(|slot| may(*slot)));
        let distinct: std::collections::BTreeSet<_> = found.iter().copied().collect();
        prop_assert_eq!(distinct.len(), found.len());
        prop_assert!(found.iter().all(|slot| may(*slot)));
        prop_assert_eq!(distinct, nearest.into_iter().collect(), "a walk without an end meets all");
    }

    #[test]
    fn a_walk_does_not_go_further_than_it_may(rows in vectors(20..60), most in 0usize..15) {
        let matrix = matrix(&rows);
        let graph = graph(&matrix, 0..rows.len() as u32);
        let Some(probe) = Probe::new(rows[0].clone()) else { return Ok(()) };
        prop_assert!(graph.nearest(&matrix, probe.sight(), 60, most, |_| true).is_none());
    }

    #[test]
    fn no_list_is_too_long_and_all_lead_to_slots_that_were_entered(rows in vectors(1..80), again in prop::collection::vec(0u32..80, 0..40)) {
        let matrix = matrix(&rows);
        let count = rows.len() as u32;
        let graph = graph(&matrix, (0..count).chain(again.iter().map(|slot| slot % count)));
        prop_assert_eq!(graph.size(), (rows.len(), again.len()));
        for layer in 0..=graph.upper.len() {
            let most = if layer == 0 { 2 * SHAPE.m } else { SHAPE.m };
            for slot in 0..count {
                let links = graph.links(layer, slot);
                let distinct: std::collections::BTreeSet<_> = links.iter().collect();
                prop_assert!(links.len() <= most && distinct.len() == links.len() && !links.contains(&slot));
                prop_assert!(links.iter().all(|link| graph.nodes().contains(*link)));
            }
        }
    }
}

#[test]
fn the_same_vectors_make_the_same_graph() {
    let mut dice = fastrand::Rng::with_seed(3);
    let rows: Vec<Vec<f32>> = (0..300).map(|_| (0..6).map(|_| dice.f32() - 0.5).collect()).collect();
    let matrix = matrix(&rows);
    let (one, other) = (graph(&matrix, 0..300), graph(&matrix, 0..300));
    assert_eq!((&one.ground, one.entry, &one.upper), (&other.ground, other.entry, &other.upper));
    assert!(one.upper.len() > 1 && one.bytes() > 300 * 8 * 4);
}

#[test]
fn what_has_no_vector_is_not_entered() {
    let graph = graph(&matrix(&[vec![1.0, 0.0]]), 0..3);
    assert_eq!(graph.size(), (1, 0));
    let nothing = graph.nearest(&Matrix::default(), Probe::new(vec![1.0]).unwrap().sight(), 3, 9, |_| true);
    assert_eq!(nothing, Some(vec![0]), "a matrix that is empty now is no panic");
}
