//! The terms of a document as rows and indexes hold them: numbers instead of words, each with how often it comes.
//!
//! Finding the terms of a text is most of what reading it again would cost, so it is done once, when the document is cut.
//! A term's number is the first eight bytes of its BLAKE3: it is the same everywhere, needs no list of words that all
//! writers share, and two terms of a library have the same number about as often as a disk errs.

use std::collections::HashMap;

use copydesk_guard::text;

/// A term's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TermId(u64);

impl TermId {
    /// The number of a term as `copydesk_guard::text::terms` spells it.
    pub fn of(term: &str) -> Self {
        let hash = blake3::hash(term.as_bytes());
        let (first, _) = hash.as_bytes().as_chunks::<8>();
        Self(u64::from_le_bytes(first[0]))
    }

    /// The term of a number that [`number`](Self::number) gave.
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// The number itself, as good as random.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// How often a term comes in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// The term's place among the document's.
    pub term: u32,
    /// How often, from 1.
    pub count: u32,
}

/// The terms of one text of a document, each once, in order of place.
pub type Bag = Vec<Count>;

/// The terms of a document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DocumentTerms {
    /// All of them, each once.
    pub terms: Vec<TermId>,
    /// Those of the title.
    pub title: Bag,
    /// Those of each child chunk, in order of the text.
    pub chunks: Vec<Bag>,
}

/// What the encoding begins with.
const FORM: u8 = 1;

impl DocumentTerms {
    /// The terms of a document with this title and these chunks.
    pub fn of<'a>(title: &str, chunks: impl Iterator<Item = &'a str>) -> Self {
        let title = text::terms(title);
        Self::of_terms(&title, chunks.map(text::terms))
    }

    /// The same of terms that were found already.
    pub fn of_terms(title: &[String], chunks: impl Iterator<Item = Vec<String>>) -> Self {
        let (mut own, mut places) = (Self::default(), HashMap::new());
        let once = |term: &String| (TermId::of(term), 1);
        own.title = own.bag(title.iter().map(once), &mut places);
        for chunk in chunks {
            let bag = own.bag(chunk.iter().map(once), &mut places);
            own.chunks.push(bag);
        }
        own
    }

    fn bag(&mut self, found: impl Iterator<Item = (TermId, u32)>, places: &mut HashMap<TermId, u32>) -> Bag {
        let place = |(id, count): (TermId, u32)| {
            let term = *places.entry(id).or_insert_with(|| {
                self.terms.push(id);
                (self.terms.len() - 1) as u32
            });
            Count { term, count }
        };
        let mut bag: Bag = found.map(place).collect();
        bag.sort_unstable_by_key(|one| one.term);
        bag.dedup_by(|next, kept| {
            let same = next.term == kept.term;
            kept.count += if same { next.count } else { 0 };
            same
        });
        bag
    }

    /// The terms by which a chunk is found: its own and the title's, in order of place.
    pub fn of_chunk(&self, at: usize) -> impl Iterator<Item = Count> {
        let (mut own, mut title) =
            (self.chunks.get(at).into_iter().flatten().peekable(), self.title.iter().peekable());
        std::iter::from_fn(move || {
            let next = match (own.peek(), title.peek()) {
                (Some(left), Some(right)) => left.term.min(right.term),
                (Some(one), None) | (None, Some(one)) => one.term,
                (None, None) => return None,
            };
            let of = |count: Option<&Count>| count.map_or(0, |count| count.count);
            let mine = of(own.next_if(|count| count.term == next));
            let count = mine.saturating_add(of(title.next_if(|count| count.term == next)));
            Some(Count { term: next, count })
        })
    }

    /// The same document under another title.
    pub fn retitled(&self, title: &str) -> Self {
        let title = text::terms(title);
        let (mut own, mut places) = (Self::default(), HashMap::new());
        own.title = own.bag(title.iter().map(|term| (TermId::of(term), 1)), &mut places);
        for chunk in &self.chunks {
            let counts = chunk.iter().map(|one| (self.terms[one.term as usize], one.count));
            let bag = own.bag(counts, &mut places);
            own.chunks.push(bag);
        }
        own
    }

    /// As bytes: a form of 1; how many terms, and their numbers of eight bytes, lowest first; how many texts, and each,
    /// the title's first, as how many terms and for each its distance from the one before and its count. Small numbers
    /// are LEB128.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![FORM];
        put(&mut bytes, self.terms.len() as u64);
        bytes.extend(self.terms.iter().flat_map(|id| id.0.to_le_bytes()));
        put(&mut bytes, self.chunks.len() as u64 + 1);
        for bag in std::iter::once(&self.title).chain(&self.chunks) {
            put(&mut bytes, bag.len() as u64);
            let mut before = 0;
            for Count { term, count } in bag {
                put(&mut bytes, u64::from(term - before));
                put(&mut bytes, u64::from(*count));
                before = *term;
            }
        }
        bytes
    }

    /// What [`to_bytes`](Self::to_bytes) made; `None` for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (form, mut rest) = bytes.split_first()?;
        if *form != FORM {
            return None;
        }
        let count = usize::try_from(take(&mut rest)?).ok()?;
        let (numbers, mut rest) = rest.split_at_checked(count.checked_mul(8)?)?;
        let numbers = numbers.as_chunks::<8>().0.iter().map(|number| TermId(u64::from_le_bytes(*number)));
        let terms: Vec<TermId> = numbers.collect();
        let texts = take(&mut rest)?;
        let title = read(&mut rest, terms.len())?;
        let chunks = (1..texts).map(|_| read(&mut rest, terms.len())).collect::<Option<_>>()?;
        rest.is_empty().then_some(Self { terms, title, chunks })
    }
}

/// One text's terms of a document with so many.
fn read(bytes: &mut &[u8], terms: usize) -> Option<Bag> {
    let count = usize::try_from(take(bytes)?).ok().filter(|count| *count <= terms)?;
    let (mut bag, mut before) = (Vec::with_capacity(count), 0u32);
    for at in 0..count {
        let (step, count) = (small(bytes)?, small(bytes)?);
        let term = before.checked_add(step).filter(|term| (*term as usize) < terms)?;
        if count == 0 || (step == 0 && at > 0) {
            return None;
        }
        bag.push(Count { term, count });
        before = term;
    }
    Some(bag)
}

fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..63).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(first & 0x7F) << shift;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn small(bytes: &mut &[u8]) -> Option<u32> {
    u32::try_from(take(bytes)?).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn texts() -> impl Strategy<Value = Vec<Vec<String>>> {
        prop::collection::vec(prop::collection::vec("[a-e]{1,2}", 0..40), 1..6)
    }

    fn counted(lists: &[&[String]]) -> BTreeMap<u64, u32> {
        let mut counts = BTreeMap::new();
        for term in lists.iter().copied().flatten() {
            *counts.entry(TermId::of(term).number()).or_default() += 1;
        }
        counts
    }

    fn found(terms: &DocumentTerms, at: usize) -> BTreeMap<u64, u32> {
        terms.of_chunk(at).map(|one| (terms.terms[one.term as usize].number(), one.count)).collect()
    }

    proptest! {
        #[test]
        fn each_chunk_has_its_terms_and_the_titles(texts in texts()) {
            let (title, chunks) = texts.split_first().unwrap();
            let terms = DocumentTerms::of_terms(title, chunks.iter().cloned());
            prop_assert_eq!(terms.chunks.len(), chunks.len());
            for (at, chunk) in chunks.iter().enumerate() {
                prop_assert_eq!(found(&terms, at), counted(&[title, chunk]));
                prop_assert!(terms.of_chunk(at).map(|one| one.term).is_sorted_by(|a, b| a < b));
            }
            prop_assert_eq!(DocumentTerms::from_bytes(&terms.to_bytes()), Some(terms));
        }

        #[test]
        fn bytes_that_are_none_of_ours_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Some(terms) = DocumentTerms::from_bytes(&bytes) {
                let all = terms.chunks.iter().chain([&terms.title]).flatten();
                prop_assert!(all.into_iter().all(|one| (one.term as usize) < terms.terms.len() && one.count > 0));
            }
        }

        #[test]
        fn a_part_of_the_bytes_is_refused(texts in texts(), share in 0.0f64..1.0) {
            let bytes = DocumentTerms::of_terms(&texts[0], texts[1..].iter().cloned()).to_bytes();
            let end = (bytes.len() as f64 * share) as usize;
            prop_assert_eq!(DocumentTerms::from_bytes(&bytes[..end]), None);
        }
    }

    #[test]
    fn another_title_is_another_documents_title() {
        let chunks = || ["Cold vans are cold.", "Warm vans."].into_iter();
        let one = DocumentTerms::of("About vans", chunks()).retitled("Cold engines");
        let two = DocumentTerms::of("Cold engines", chunks());
        assert!((0..2).all(|at| found(&one, at) == found(&two, at)) && one.terms.len() == two.terms.len());
        assert_eq!(found(&one, 0)[&TermId::of("cold").number()], 3);
        assert_ne!(TermId::of("cold"), TermId::of("col"));
    }
}
