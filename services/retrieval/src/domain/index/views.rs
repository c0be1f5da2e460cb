//! What a filter lets a search see of an index: a set of slots, made once and then kept up to date.
//!
//! A filter is asked once for each document, never for each chunk. The last filters are remembered, because the same ones
//! come again and again; a document that changes is asked again for each of them.

use std::sync::{Arc, Mutex, PoisonError};

use super::super::filter::{Facts, Filter};
use super::super::lens::Lens;
use super::super::source::SourceKinds;
use super::bits::Bits;

/// Filters that are remembered: a bit for each chunk and each of them, at most eight bytes a chunk.
const REMEMBERED: usize = 64;

/// The remembered filters, the one that was used last at the end.
#[derive(Debug, Default)]
pub struct Views(Mutex<Vec<View>>);

#[derive(Debug)]
struct View {
    kinds: SourceKinds,
    filter: Option<Arc<Filter>>,
    slots: Arc<Bits>,
}

impl View {
    fn accepts(&self, facts: &Facts) -> bool {
        accepts(self.kinds, self.filter.as_deref(), facts)
    }

    fn is_of(&self, lens: &Lens) -> bool {
        self.kinds == lens.kinds && self.filter == lens.filter
    }
}

fn accepts(kinds: SourceKinds, filter: Option<&Filter>, facts: &Facts) -> bool {
    kinds.contains(facts.kind) && filter.is_none_or(|filter| filter.accepts(facts))
}

impl Views {
    /// The slots of the documents that a lens lets through.
    pub fn through<'a>(
        &self,
        lens: &Lens,
        documents: impl Iterator<Item = (&'a Facts, &'a [u32])>,
    ) -> Arc<Bits> {
        if let Some(slots) = self.remembered(lens) {
            return slots;
        }
        let mut slots = Bits::default();
        for (facts, own) in documents {
            if accepts(lens.kinds, lens.filter.as_deref(), facts) {
                own.iter().for_each(|slot| slots.insert(*slot));
            }
        }
        let view = View { kinds: lens.kinds, filter: lens.filter.clone(), slots: Arc::new(slots) };
        let slots = Arc::clone(&view.slots);
        let mut views = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if views.len() == REMEMBERED {
            views.remove(0);
        }
        views.push(view);
        slots
    }

    /// How many slots a lens lets through, if that was asked before.
    pub fn known(&self, lens: &Lens) -> Option<usize> {
        let views = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        views.iter().find(|view| view.is_of(lens)).map(|view| view.slots.len())
    }

    fn remembered(&self, lens: &Lens) -> Option<Arc<Bits>> {
        let mut views = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = views.iter().position(|view| view.is_of(lens))?;
        views[at..].rotate_left(1);
        views.last().map(|view| Arc::clone(&view.slots))
    }

    /// A document came.
    pub fn add(&mut self, facts: &Facts, slots: &[u32]) {
        self.change(|view| {
            if view.accepts(facts) {
                let set = Arc::make_mut(&mut view.slots);
                slots.iter().for_each(|slot| set.insert(*slot));
            }
        });
    }

    /// A document's slots are empty.
    pub fn remove(&mut self, slots: &[u32]) {
        self.change(|view| {
            let set = Arc::make_mut(&mut view.slots);
            slots.iter().for_each(|slot| set.remove(*slot));
        });
    }

    fn change(&mut self, change: impl FnMut(&mut View)) {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).iter_mut().for_each(change);
    }

    /// How many bytes of memory they take.
    pub fn bytes(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|view| view.slots.bytes()).sum()
    }
}
