//! What an operator may set for the search indexes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::qdrant::IndexBackend;

/// The search indexes, one for each knowledge base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct IndexConfig {
    /// Where they stand. Both give the same answers.
    pub backend: IndexBackend,
    /// For `embedded`: bytes that all of them may take together, 1 or more; with 384-dimensional embeddings a chunk takes about 3,000.
    /// The index that was not searched for the longest time is dropped first and built again from the database when it
    /// is searched; the one that is searched stays, whatever its size.
    pub memory_bytes: u64,
    /// For `embedded`: where more vectors than this pass a search's filter, a graph (HNSW) leads to those that are
    /// compared, and a search that does not say `exact` may miss some of the nearest. Up to it each is compared. 1 or
    /// more. The graph is made in the background and takes about 8 bytes a chunk and link.
    pub graph_above: u64,
    /// Links of a chunk in the graph, 4 to 64. More find more and take more memory.
    pub m: u32,
    /// Near chunks among which a new one's links are chosen, `m` to 1,000. More find more and take longer to build.
    pub ef_construct: u32,
    /// Near chunks that a walk through the graph brings, at least, 1 to 10,000. More find more and take longer.
    pub ef_search: u32,
}

impl Default for IndexConfig {
    fn default() -> Self {
        Self {
            backend: IndexBackend::default(),
            memory_bytes: 2 * 1024 * 1024 * 1024,
            graph_above: 200_000,
            m: 16,
            ef_construct: 64,
            ef_search: 40,
        }
    }
}

impl IndexConfig {
    /// Every fault as `key: what is wrong`.
    pub(super) fn faults(&self) -> Vec<String> {
        let checks = [
            (self.memory_bytes > 0, "index.memory_bytes: must be 1 or more"),
            (self.graph_above > 0, "index.graph_above: must be 1 or more"),
            ((4..=64).contains(&self.m), "index.m: must be 4 to 64"),
            ((self.m..=1_000).contains(&self.ef_construct), "index.ef_construct: must be index.m to 1,000"),
            ((1..=10_000).contains(&self.ef_search), "index.ef_search: must be 1 to 10,000"),
        ];
        checks.into_iter().filter(|(good, _)| !good).map(|(_, fault)| fault.to_owned()).collect()
    }
}
