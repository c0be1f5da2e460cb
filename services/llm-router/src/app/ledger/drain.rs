//! From the queue to the disk, and from the queue to the database.
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use copydesk_store::StoreError;
use copydesk_types::TenantId;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{LedgerTask, Shared, commit};
use crate::domain::Entry;
use crate::ports::Store;

/// The first and the longest wait after a failure.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// How many times longer records wait for the database than for the disk. The longer, the more of them share the cost of a
/// transaction; they are safe in the queue meanwhile.
const DRAIN: u32 = 10;

/// Why the queue was not emptied.
#[derive(Debug, thiserror::Error)]
enum DrainError {
    #[error("the database took no records")]
    Store(#[from] StoreError),
    #[error("the queue cannot be read")]
    Io(#[from] io::Error),
}

impl LedgerTask {
    /// Works until `stop`, and then brings to the database what is there at that moment, if it takes it. What comes
    /// later is in the queue for the next start.
    pub async fn run(self, stop: CancellationToken) {
        let Self { store, keeps, drained, flush, queue } = self;
        tokio::join!(
            commit::run(&*store, keeps, &stop),
            sync(&queue, flush, &stop),
            drain(&*store, &queue, &drained, flush, &stop),
        );
    }
}

/// Brings the queue to the disk whenever something was appended, after a short while in which more may come.
async fn sync(queue: &Arc<Shared>, flush: Duration, stop: &CancellationToken) {
    while stop.run_until_cancelled(queue.unsynced.notified()).await.is_some() {
        stop.run_until_cancelled(sleep(flush)).await;
        sync_now(queue).await;
        while queue.refused.load(Ordering::Relaxed) && !takes_again(queue) {
            if stop.run_until_cancelled(sleep(LONGEST)).await.is_none() {
                return;
            }
        }
    }
    sync_now(queue).await;
}

async fn sync_now(queue: &Arc<Shared>) {
    let files = Arc::clone(queue);
    let synced = tokio::task::spawn_blocking(move || files.files.sync()).await;
    if let Err(error) = synced.unwrap_or_else(|error| Err(io::Error::other(error))) {
        let cause = &error as &dyn std::error::Error;
        tracing::error!(error = cause, "the ledger's queue did not reach the disk");
    }
}

/// Tries whether the disk takes something again: an entry without records.
fn takes_again(queue: &Shared) -> bool {
    let nothing = Entry { tenant: TenantId::from_u128(0), replica: String::new(), rows: Vec::new() };
    let takes = queue.files.append(&nothing).is_ok();
    if takes {
        queue.refused.store(false, Ordering::Relaxed);
        queue.undrained.notify_one();
        tracing::info!("the ledger's queue can be written again");
    }
    takes
}

/// Brings the queue to the database: at once what is there from before, later what comes, many records at a time. Whoever
/// reads the ledger says that it is in a hurry.
async fn drain(
    store: &dyn Store,
    queue: &Arc<Shared>,
    drained: &watch::Sender<u64>,
    flush: Duration,
    stop: &CancellationToken,
) {
    let mut wait = SHORTEST;
    loop {
        // Asked before: what was appended before the stop is there for this round.
        let last = stop.is_cancelled();
        let outcome = drain_all(store, queue, drained).await;
        if last {
            return;
        }
        match outcome {
            Ok(()) => {
                wait = SHORTEST;
                stop.run_until_cancelled(queue.undrained.notified()).await;
                gather(queue, flush, stop).await;
            }
            Err(error) => {
                log_waiting(&error);
                pause(queue, wait, stop).await;
                wait = (wait * 2).min(LONGEST);
            }
        }
    }
}

// A function of its own, since a `dyn Error` may not be held while something is awaited.
fn log_waiting(error: &DrainError) {
    let cause = error as &dyn std::error::Error;
    tracing::warn!(error = cause, "records wait in the ledger's queue; will try again");
}

/// Waits while more may come, unless somebody is in a hurry or the queue fills up.
async fn gather(queue: &Shared, flush: Duration, stop: &CancellationToken) {
    let mut waited = Duration::ZERO;
    while waited < (flush * DRAIN).min(LONGEST) && !queue.files.is_filling() {
        if !pause(queue, flush, stop).await {
            return;
        }
        waited += flush;
    }
}

/// Waits, unless somebody is in a hurry: then false.
async fn pause(queue: &Shared, time: Duration, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = sleep(time) => true,
        () = queue.hurry.notified() => false,
        () = stop.cancelled() => false,
    }
}

async fn drain_all(
    store: &dyn Store,
    queue: &Arc<Shared>,
    drained: &watch::Sender<u64>,
) -> Result<(), DrainError> {
    loop {
        let files = Arc::clone(queue);
        let read = tokio::task::spawn_blocking(move || files.files.read()).await;
        let Some(batch) = read.unwrap_or_else(|error| Err(io::Error::other(error)))? else {
            return Ok(());
        };
        if batch.damaged > 0 {
            tracing::error!(places = batch.damaged, "the ledger's queue is damaged; what was there is lost");
        }
        write(store, &batch.entries).await?;
        queue.files.done(batch.end)?;
        drained.send_replace(batch.end);
    }
}

/// Writes records. One that the database can never keep does not stop those behind it.
async fn write(store: &dyn Store, entries: &[Entry]) -> Result<(), StoreError> {
    match store.keep(entries, &[]).await {
        Err(StoreError::Invalid { .. }) => {}
        outcome => return outcome.map(|_| ()),
    }
    for entry in entries {
        match store.keep(std::slice::from_ref(entry), &[]).await {
            Err(error @ StoreError::Invalid { .. }) => {
                let cause = &error as &dyn std::error::Error;
                tracing::error!(error = cause, records = entry.rows.len(), "usage records cannot be stored");
            }
            outcome => outcome.map(|_| ())?,
        }
    }
    Ok(())
}
