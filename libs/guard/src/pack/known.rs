//! What the sources hold, looked up only when a rule asks.

use std::cell::OnceCell;
use std::collections::HashSet;

use crate::fold::{Fold, View};
use crate::pii::{Entity, find_in, key};
use crate::report::Source;
use crate::text::{Word, words};

/// The sources of a check.
pub(super) struct Known<'s> {
    sources: &'s [Source<'s>],
    rows: OnceCell<Vec<String>>,
    entities: OnceCell<HashSet<(Entity, String)>>,
}

impl<'s> Known<'s> {
    pub(super) fn new(sources: &'s [Source<'s>]) -> Self {
        Self { sources, rows: OnceCell::new(), entities: OnceCell::new() }
    }

    pub(super) fn sources(&self) -> &'s [Source<'s>] {
        self.sources
    }

    /// Whether a source has these words in a row.
    pub(super) fn says(&self, found: &[Word]) -> bool {
        let rows = self.rows.get_or_init(|| {
            self.sources
                .iter()
                .map(|source| row(&words(View::new(source.text, Fold::Folded).text())))
                .collect()
        });
        let wanted = row(found);
        wanted.len() > 1 && rows.iter().any(|row| row.contains(&wanted))
    }

    /// Whether a source has this piece of personal data or, for an address of the web, a link to its host alone.
    pub(super) fn holds(&self, entity: Entity, raw: &str) -> bool {
        self.entities().contains(&(entity, key(entity, raw)))
    }

    fn entities(&self) -> &HashSet<(Entity, String)> {
        self.entities.get_or_init(|| {
            let mut held = HashSet::new();
            for source in self.sources {
                let view = View::new(source.text, Fold::Exact);
                for hit in find_in(view.text()) {
                    held.insert((hit.entity, key(hit.entity, &view.text()[hit.span])));
                }
            }
            held
        })
    }
}

/// The words in a row, one blank around each.
fn row(words: &[Word]) -> String {
    let mut row = String::from(" ");
    for word in words {
        row.push_str(&word.lower);
        row.push(' ');
    }
    row
}
