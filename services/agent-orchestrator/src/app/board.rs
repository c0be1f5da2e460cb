//! What happens in this process right now: hints that a run has new events, and texts as they are written.
//!
//! Nothing here is a source of truth. A lost hint costs a watcher one poll; a text that is not here is read from the
//! step's output once it is done. A watcher reads at its own pace from its own place, so a slow one costs nothing.
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use copydesk_types::RunId;
use tokio::sync::watch;

use crate::domain::step::StepKey;

/// Counts what happened: a watcher compares it with what it saw last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Signal {
    /// Grows after new events were committed.
    pub(super) events: u64,
    /// Grows with every piece of text.
    pub(super) text: u64,
}

/// One run's notices.
#[derive(Debug)]
pub(super) struct RunBoard {
    signal: watch::Sender<Signal>,
    texts: Mutex<HashMap<(StepKey, u32), String>>,
}

/// The runs that somebody here works on or watches.
#[derive(Debug, Default)]
pub(super) struct Board(Mutex<HashMap<RunId, Arc<RunBoard>>>);

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Board {
    /// The notices of a run.
    pub(super) fn of(&self, run_id: RunId) -> Arc<RunBoard> {
        let fresh = || Arc::new(RunBoard { signal: watch::Sender::default(), texts: Mutex::default() });
        locked(&self.0).entry(run_id).or_insert_with(fresh).clone()
    }

    /// Says that a run has new events.
    pub(super) fn changed(&self, run_id: RunId) {
        if let Some(board) = locked(&self.0).get(&run_id) {
            board.signal.send_modify(|s| s.events += 1);
        }
    }

    /// Says that a run has its last event. Watchers keep what they hold until they have read it.
    pub(super) fn close(&self, run_id: RunId) {
        if let Some(board) = locked(&self.0).remove(&run_id) {
            board.signal.send_modify(|s| s.events += 1);
        }
    }

    /// Forgets runs that nobody watches and nobody here works on.
    pub(super) fn prune(&self, active: &HashSet<RunId>) {
        locked(&self.0).retain(|run_id, board| active.contains(run_id) || Arc::strong_count(board) > 1);
    }
}

impl RunBoard {
    /// Follows the run.
    pub(super) fn follow(&self) -> watch::Receiver<Signal> {
        self.signal.subscribe()
    }

    /// More text of an attempt.
    pub(super) fn write(&self, step: StepKey, attempt: u32, text: &str) {
        locked(&self.texts).entry((step, attempt)).or_default().push_str(text);
        self.signal.send_modify(|s| s.text += 1);
    }

    /// The text of an attempt from a byte on; `None` when there is nothing new.
    pub(super) fn read(&self, step: StepKey, attempt: u32, from: usize) -> Option<String> {
        let texts = locked(&self.texts);
        let rest = texts.get(&(step, attempt))?.get(from..)?;
        (!rest.is_empty()).then(|| rest.to_owned())
    }

    /// How much text of an attempt there is after a byte.
    pub(super) fn unread(&self, step: StepKey, attempt: u32, from: usize) -> usize {
        locked(&self.texts).get(&(step, attempt)).map_or(0, |text| text.len().saturating_sub(from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_takes_up_where_it_stopped() {
        let board = Board::default();
        let run = board.of(RunId::from_u128(1));
        let mut follower = run.follow();
        run.write(StepKey::Draft, 1, "Grüß ");
        run.write(StepKey::Draft, 1, "Gott");
        assert_eq!(follower.borrow_and_update().text, 2);
        assert_eq!(run.read(StepKey::Draft, 1, 0).as_deref(), Some("Grüß Gott"));
        assert_eq!(
            (run.unread(StepKey::Draft, 1, 7), run.read(StepKey::Draft, 1, 7).as_deref()),
            (4, Some("Gott"))
        );
        assert_eq!(run.read(StepKey::Draft, 1, 11), None);
        assert_eq!(run.read(StepKey::Draft, 2, 0), None, "another attempt is another text");
    }

    #[test]
    fn a_closed_or_forgotten_run_leaves_nothing_behind() {
        let board = Board::default();
        let watched = board.of(RunId::from_u128(1));
        drop(board.of(RunId::from_u128(2)));
        board.prune(&HashSet::from([RunId::from_u128(3)]));
        assert_eq!(locked(&board.0).keys().copied().collect::<Vec<_>>(), [RunId::from_u128(1)]);
        let mut follower = watched.follow();
        board.close(RunId::from_u128(1));
        assert!(locked(&board.0).is_empty());
        assert_eq!(follower.borrow_and_update().events, 1, "who still holds it is told");
    }
}
