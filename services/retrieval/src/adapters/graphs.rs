//! Graphs over vectors, made beside the searches: a few slots at a time under the index's read lock, so that documents come
//! in meanwhile; then the graph takes its place in one moment. One is made at a time in this process.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedMutexGuard, Semaphore};
use tokio::task::JoinSet;

use super::memory_index::Held;
use crate::config::IndexConfig;
use crate::domain::index::{Effort, Graph, Notes, Plan, Shape};

/// Slots that are entered under one hold of the read lock: a few milliseconds.
const HOLD: usize = 8;
/// Slots that are entered before the work may be given up.
const HOP: usize = 512;

/// What makes graphs. Dropped, it makes no more.
pub(super) struct Graphs {
    shape: Shape,
    effort: Effort,
    turn: Arc<Semaphore>,
    tasks: Mutex<JoinSet<()>>,
}

impl Graphs {
    pub(super) fn new(config: &IndexConfig) -> Self {
        let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        Self {
            shape: Shape { m: size(config.m), ef_construct: size(config.ef_construct) },
            effort: Effort {
                graph_above: usize::try_from(config.graph_above).unwrap_or(usize::MAX),
                ef: size(config.ef_search),
            },
            turn: Arc::new(Semaphore::new(1)),
            tasks: Mutex::default(),
        }
    }

    /// How searches look.
    pub(super) const fn effort(&self) -> Effort {
        self.effort
    }

    /// Sees to an index's graph, unless somebody does already. `made` is told the index's new size.
    pub(super) fn tend(&self, held: &Arc<Held>, made: impl Fn(usize) + Send + 'static) {
        let Ok(turn) = Arc::clone(&held.making).try_lock_owned() else { return };
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        let (all, shape, above) = (Arc::clone(&self.turn), self.shape, self.effort.graph_above);
        let held = Arc::downgrade(held);
        tasks.spawn(async move {
            let Ok(_permit) = all.acquire_owned().await else { return };
            make(&held, shape, above, made, turn).await;
        });
    }
}

/// Fulfils an index's wishes until it has none.
async fn make(
    held: &Weak<Held>,
    shape: Shape,
    above: usize,
    made: impl Fn(usize),
    _turn: OwnedMutexGuard<()>,
) -> Option<()> {
    loop {
        let plan = {
            let held = held.upgrade()?;
            let wish = held.loaded.read().await.index.wish(above);
            held.loaded.write().await.index.begin_graph(wish)?
        };
        let graph = built(held, plan, shape).await?;
        let held = held.upgrade()?;
        let (nodes, bytes) = (graph.size().0, graph.bytes());
        let mut loaded = held.loaded.write().await;
        loaded.index.end_graph(graph);
        let weight = loaded.weighed_anew();
        drop(loaded);
        made(weight);
        tracing::info!(vectors = nodes, bytes, "a graph over vectors was made");
    }
}

/// Builds the graph of a plan; `None` when nobody needs it any more.
async fn built(held: &Weak<Held>, plan: Plan, shape: Shape) -> Option<Graph> {
    let Plan { from, slots } = plan;
    let copy = move || (from.map_or_else(|| Graph::new(shape), |from| (*from).clone()), Notes::default());
    let mut work = tokio::task::spawn_blocking(copy).await.ok()?;
    let slots: Arc<[u32]> = slots.into();
    for start in (0..slots.len()).step_by(HOP) {
        let (held, slots) = (held.upgrade()?, Arc::clone(&slots));
        let hop = move || {
            let (mut graph, mut notes) = work;
            for some in slots[start..slots.len().min(start + HOP)].chunks(HOLD) {
                let loaded = held.loaded.blocking_read();
                some.iter().for_each(|slot| graph.enter(loaded.index.matrix(), *slot, &mut notes));
            }
            (graph, notes)
        };
        work = tokio::task::spawn_blocking(hop).await.ok()?;
    }
    Some(work.0)
}
