//! What a search may see: chosen before ranking, on every leg, so that as many hits come as there are.

use std::sync::Arc;

use super::filter::Filter;
use super::source::SourceKinds;

/// What a search may see, and how closely it looks.
#[derive(Debug, Clone, PartialEq)]
pub struct Lens {
    /// Which kinds of sources.
    pub kinds: SourceKinds,
    /// Which documents; absent: all.
    pub filter: Option<Arc<Filter>>,
    /// True to compare with every vector, however many there are.
    pub exact: bool,
}

impl Lens {
    /// Sees everything.
    pub fn all() -> Self {
        Self { kinds: SourceKinds::all(), filter: None, exact: false }
    }
}
