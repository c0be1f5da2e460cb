use super::super::super::cosine;
use super::super::super::lens::Lens;
use super::super::super::ranking::Leaf;
use super::super::super::source::{SourceKind, SourceKinds};
use super::super::fixture;
use super::super::graph::{Notes, Shape};
use super::super::{IndexedDocument, KnowledgeIndex};
use super::*;

const WIDTH: usize = 8;
const CHUNKS: usize = 10;
const EFFORT: Effort = Effort { graph_above: 1_200, ef: 40 };

/// A document of some chunks near one of thirty places.
fn document(dice: &mut fastrand::Rng, number: u128) -> IndexedDocument {
    let kind = if number.is_multiple_of(2) { SourceKind::Post } else { SourceKind::Issue };
    let mut document = fixture::document(number * 100, kind, &["a"; CHUNKS]);
    for chunk in &mut document.chunks {
        let mut place = fastrand::Rng::with_seed(dice.u64(..30));
        chunk.vector = Some((0..WIDTH).map(|_| place.f32() - 0.5 + 0.3 * (dice.f32() - 0.5)).collect());
    }
    document
}

/// An index of so many documents without a graph.
fn index(documents: u128) -> KnowledgeIndex {
    let (mut index, mut dice) = (KnowledgeIndex::default(), fastrand::Rng::with_seed(1));
    (0..documents).for_each(|number| index.put(document(&mut dice, number)));
    index
}

/// What a plan asks for.
fn built(index: &KnowledgeIndex, plan: Plan) -> Graph {
    let shape = Shape { m: 8, ef_construct: 32 };
    let mut graph = plan.from.map_or_else(|| Graph::new(shape), |from| (*from).clone());
    let mut notes = Notes::default();
    plan.slots.iter().for_each(|slot| graph.enter(index.matrix(), *slot, &mut notes));
    graph
}

fn fulfil(index: &mut KnowledgeIndex) -> Wish {
    let wish = index.wish(EFFORT.graph_above);
    if let Some(plan) = index.begin_graph(wish) {
        let graph = built(index, plan);
        index.end_graph(graph);
    }
    wish
}

fn query(seed: u64) -> Vec<f32> {
    let mut dice = fastrand::Rng::with_seed(seed);
    (0..WIDTH).map(|_| dice.f32() - 0.5).collect()
}

/// The share of the nearest ten that the graph finds, over fifty queries; what it finds has the exact scores, in order,
/// and is as much as there is.
fn recall(index: &KnowledgeIndex, lens: &Lens) -> f64 {
    let (mut same, mut all) = (0, 0);
    for seed in 0..50 {
        let search = |parents, effort| cosine::search(&[index], query(seed), lens, parents, effort);
        let (found, nearest) = (search(10, EFFORT), search(10, Effort::EXACT));
        let everything = search(5_000, Effort::EXACT);
        assert_eq!(found.len(), nearest.len());
        assert!(found.iter().all(|leaf| everything.contains(leaf)), "with its exact score");
        assert!(found.is_sorted_by(|left, right| left.score >= right.score));
        same += found.iter().filter(|leaf| nearest.contains(leaf)).count();
        all += nearest.len();
    }
    same as f64 / all as f64
}

fn leads(index: &KnowledgeIndex, lens: &Lens, wanted: usize) -> Option<Bits> {
    let effort = Effort { ef: 0, ..EFFORT };
    index.lead(&Probe::new(query(0)).unwrap(), &index.visible(lens), wanted, effort)
}

fn posts() -> Lens {
    Lens { kinds: SourceKinds::new(&[SourceKind::Post], &[]), ..Lens::all() }
}

#[test]
fn a_graph_is_made_above_a_number_of_vectors_and_found_by() {
    let mut small = index(120);
    assert_eq!(fulfil(&mut small), Wish::Nothing);
    let mut index = index(400);
    assert!(leads(&index, &Lens::all(), 36).is_none(), "none before it is made");
    let before = index.bytes();
    assert_eq!((fulfil(&mut index), fulfil(&mut index)), (Wish::Make, Wish::Nothing));
    assert!(index.bytes() > before + 4_000 * 16 * 4);
    let led = leads(&index, &Lens::all(), 36).unwrap();
    assert!((36..=40).contains(&led.len()), "{}", led.len());
    let found = recall(&index, &Lens::all());
    assert!(found >= 0.98, "{found}");
}

#[test]
fn filters_get_what_there_is() {
    let mut index = index(400);
    fulfil(&mut index);
    // Half of all: walked through.
    assert!(leads(&index, &posts(), 15).is_some_and(|led| led.iter().all(|slot| slot / 10 % 2 == 0)));
    let half = recall(&index, &posts());
    assert!(half >= 0.98, "{half}");
    // Too few, or too many of them wanted: each is compared.
    assert!(leads(&index, &posts(), 36).is_none());
    let none = Lens { kinds: SourceKinds::new(&[SourceKind::Commit], &[]), ..Lens::all() };
    assert!(leads(&index, &none, 1).is_none());
    assert!(recall(&index, &none).is_nan());
}

#[test]
fn what_changes_is_found_at_once_and_what_went_never_again() {
    let mut index = index(400);
    fulfil(&mut index);
    let mut dice = fastrand::Rng::with_seed(9);
    for round in 0..30u128 {
        // Some go, some come in their slots, some get other vectors.
        let (gone, changed, new) = (round * 3, round * 3 + 1, 1_000 + round);
        index.remove(copydesk_types::DocumentId::from_u128(gone * 100));
        index.put(document(&mut dice, changed));
        let fresh = document(&mut dice, new);
        let vector = fresh.chunks[4].vector.clone().unwrap();
        index.put(fresh);
        let found: Vec<Leaf> = cosine::search(&[&index], vector, &Lens::all(), 10, EFFORT);
        assert_eq!(found[0].passage.as_u128(), new * 100 + 4, "what came is found at once");
        let dead = |leaf: &Leaf| leaf.passage.as_u128() / 100 == gone;
        for seed in 0..20 {
            let found = cosine::search(&[&index], query(seed), &Lens::all(), 30, EFFORT);
            assert!(!found.iter().any(dead), "what went is not");
        }
        let led = leads(&index, &Lens::all(), 36).unwrap();
        assert!(led.iter().all(|slot| index.slot(slot).is_some()));
    }
    let found = recall(&index, &Lens::all());
    assert!(found >= 0.98, "{found}");
}

#[test]
fn it_is_extended_made_anew_and_forgotten() {
    let mut index = index(400);
    let mut dice = fastrand::Rng::with_seed(2);
    fulfil(&mut index);
    (500..513).for_each(|number| index.put(document(&mut dice, number)));
    assert_eq!((fulfil(&mut index), fulfil(&mut index)), (Wish::Extend, Wish::Nothing));
    assert!(leads(&index, &Lens::all(), 36).unwrap().len() <= 40, "nothing is apart");
    assert!(recall(&index, &Lens::all()) >= 0.98);
    for number in 0..90u128 {
        index.remove(copydesk_types::DocumentId::from_u128(number * 100));
    }
    assert_eq!((fulfil(&mut index), fulfil(&mut index)), (Wish::Make, Wish::Nothing));
    assert!(recall(&index, &Lens::all()) >= 0.98);
    for number in 90..360u128 {
        index.remove(copydesk_types::DocumentId::from_u128(number * 100));
    }
    let before = index.bytes();
    assert_eq!((fulfil(&mut index), fulfil(&mut index)), (Wish::Forget, Wish::Nothing));
    assert!(index.bytes() < before && leads(&index, &Lens::all(), 1).is_none());
}

#[test]
fn what_changes_while_a_graph_is_made_is_apart_from_it() {
    let mut index = index(400);
    let mut dice = fastrand::Rng::with_seed(5);
    let plan = index.begin_graph(Wish::Make).unwrap();
    let graph = built(&index, plan);
    index.remove(copydesk_types::DocumentId::from_u128(300));
    let fresh = document(&mut dice, 900);
    let vector = fresh.chunks[0].vector.clone().unwrap();
    index.put(fresh);
    index.end_graph(graph);
    let led = leads(&index, &Lens::all(), 36).unwrap();
    assert!((30..40).all(|slot| led.contains(slot)), "the slots were used again");
    let found = cosine::search(&[&index], vector, &Lens::all(), 10, EFFORT);
    assert_eq!(found[0].passage.as_u128(), 90_000);
}

#[test]
fn vectors_of_another_width_have_no_graph_of_the_old_ones() {
    let mut index = index(400);
    fulfil(&mut index);
    let plan = index.begin_graph(Wish::Make).unwrap();
    let graph = built(&index, plan);
    let mut other = fixture::document(7, SourceKind::Post, &["a"]);
    other.chunks[0].vector = Some(vec![1.0; 3]);
    index.put(other);
    index.end_graph(graph);
    let found = cosine::search(&[&index], vec![1.0, 0.5, 0.2], &Lens::all(), 10, EFFORT);
    assert_eq!(found.len(), 1);
    assert!(leads(&index, &Lens::all(), 1).is_none());
}
