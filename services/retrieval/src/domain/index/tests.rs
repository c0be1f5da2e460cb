use proptest::prelude::*;

use super::super::filter::{FieldPath, Filter, Test};
use super::super::source::{SourceKind, SourceKinds};
use super::*;

fn rows(index: &KnowledgeIndex) -> Vec<Vec<f32>> {
    index.used.iter().filter_map(|slot| index.matrix.row(slot)).map(<[f32]>::to_vec).collect()
}

fn only(kind: SourceKind) -> Lens {
    Lens { kinds: SourceKinds::new(&[kind], &[]), ..Lens::all() }
}

#[test]
fn removal_leaves_nothing_behind_and_slots_are_used_again() {
    let mut index = KnowledgeIndex::default();
    index.put(fixture::document(1, SourceKind::Post, &["cold van", "cold truck"]));
    index.put(fixture::document(9, SourceKind::Post, &["warm van"]));
    index.remove(DocumentId::from_u128(1));
    assert_eq!((index.chunks(), index.length()), (1, 2));
    assert_eq!((index.postings(TermId::of("cold")).len(), index.postings(TermId::of("van")).len()), (0, 1));
    index.put(fixture::document(9, SourceKind::Post, &["cold truck", "cold cold"]));
    assert_eq!((index.chunks(), index.slots(), index.postings(TermId::of("cold")).len()), (2, 3, 2));
    assert!(index.postings(TermId::of("warm")).is_empty());
    index.remove(DocumentId::from_u128(9));
    assert_eq!((index.chunks(), index.length(), index.held), (0, 0, 0));
}

#[test]
fn vectors_are_units_and_go_with_their_document() {
    let mut index = KnowledgeIndex::default();
    let mut document = fixture::document(1, SourceKind::Post, &["a", "b", "c", "d"]);
    let given = [Some(vec![1.0, 2.0, 3.0]), None, Some(vec![0.0, 0.0]), Some(vec![3.0, 4.0])];
    for (chunk, vector) in document.chunks.iter_mut().zip(given) {
        chunk.vector = vector;
    }
    index.put(document);
    assert_eq!((rows(&index), index.matrix.width()), (vec![vec![0.6, 0.8]], 2));
    index.remove(DocumentId::from_u128(1));
    assert!(rows(&index).is_empty() && index.matrix.row(0).is_none());
}

#[test]
fn a_view_follows_the_documents() {
    let mut index = KnowledgeIndex::default();
    index.put(fixture::document(1, SourceKind::Post, &["a", "b"]));
    let id = DocumentId::from_u128(9).to_string();
    let test = Test::one_of(&FieldPath::DocumentId, vec![super::super::attributes::Scalar::Text(id.into())]);
    let filter = Filter::Field(FieldPath::DocumentId, test.unwrap());
    let ninth = Lens { filter: Some(Arc::new(filter)), ..Lens::all() };
    let seen = |index: &KnowledgeIndex| {
        [&only(SourceKind::Post), &ninth, &Lens::all()].map(|lens| index.visible(lens).len())
    };
    assert_eq!(seen(&index), [2, 0, 2]);
    index.put(fixture::document(9, SourceKind::Issue, &["c"]));
    assert_eq!(seen(&index), [2, 1, 3]);
    index.put(fixture::document(1, SourceKind::Issue, &["a"]));
    assert_eq!(seen(&index), [0, 1, 2]);
    index.remove(DocumentId::from_u128(9));
    assert_eq!(seen(&index), [0, 0, 1]);
}

#[test]
fn more_filters_than_are_remembered_all_hold() {
    let mut index = KnowledgeIndex::default();
    index.put(fixture::document(1, SourceKind::Post, &["a"]));
    let lens = |at: u32| {
        let test = Test::Exists(at.is_multiple_of(2));
        let path = FieldPath::Attribute(at.to_string().into());
        Lens { filter: Some(Arc::new(Filter::Field(path, test))), ..Lens::all() }
    };
    for at in (0..100).chain(0..100) {
        assert_eq!(index.visible(&lens(at)).len(), (at % 2) as usize, "{at}");
    }
}

/// A few documents, each with some chunks of a few words; `None` takes one out.
fn changes() -> impl Strategy<Value = Vec<(u128, Option<Vec<String>>)>> {
    let texts = prop::collection::vec("[abc]( [abc]){0,3}", 0..4);
    prop::collection::vec((0u128..5, prop::option::of(texts)), 0..30)
}

proptest! {
    #[test]
    fn a_changed_index_is_a_fresh_one(changes in changes()) {
        let mut changed = KnowledgeIndex::default();
        let mut last = std::collections::BTreeMap::new();
        for (id, texts) in changes {
            changed.visible(&only(SourceKind::Post));
            match &texts {
                Some(texts) => {
                    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                    changed.put(spelled(id, &texts));
                }
                None => changed.remove(DocumentId::from_u128(id * 100)),
            }
            last.insert(id, texts);
        }
        let mut fresh = KnowledgeIndex::default();
        for (id, texts) in &last {
            if let Some(texts) = texts {
                fresh.put(spelled(*id, &texts.iter().map(String::as_str).collect::<Vec<_>>()));
            }
        }
        prop_assert_eq!((changed.chunks(), changed.length(), changed.held), (fresh.chunks(), fresh.length(), fresh.held));
        prop_assert_eq!(changed.visible(&only(SourceKind::Post)).len() as u64, fresh.chunks());
        for term in ["a", "b", "c"] {
            let held = |index: &KnowledgeIndex| {
                let list = index.postings(TermId::of(term)).iter().filter_map(|own| Some((index.slot(own.slot)?.passage, own.count)));
                let mut list: Vec<_> = list.collect();
                list.sort_unstable();
                list
            };
            prop_assert!(changed.postings(TermId::of(term)).iter().is_sorted_by(|left, right| left.slot < right.slot));
            prop_assert_eq!(held(&changed), held(&fresh));
            prop_assert_eq!(held(&changed).len(), changed.postings(TermId::of(term)).len(), "no posting of an empty slot");
        }
    }
}

/// A document whose terms are its words as they stand.
fn spelled(id: u128, texts: &[&str]) -> IndexedDocument {
    let mut document = fixture::document(id * 100, SourceKind::Post, texts);
    let spelled = texts.iter().map(|text| text.split(' ').map(str::to_owned).collect());
    document.terms = DocumentTerms::of_terms(&[], spelled);
    document
}
