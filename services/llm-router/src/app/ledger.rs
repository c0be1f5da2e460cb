//! The ledger's way in. A call without an id leaves its records in a queue of files and waits for no database; a call
//! with one waits until its records and its answer are stored, together with all others that wait at that moment.
mod commit;
mod drain;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use copydesk_store::StoreError;
use copydesk_types::TenantId;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::adapters::{Queue, QueueError, Replica, ReplicaError};
use crate::config::LedgerConfig;
use crate::domain::{Entry, StoredAnswer, UsageRow};
use crate::ports::Store;

use commit::Keep;

/// How long a reader waits for records on their way.
const FLUSH_WAIT: Duration = Duration::from_secs(5);

/// How many calls may wait for their answers to be stored.
const WAITING: usize = 1_024;

/// The queue has no room for more records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the ledger takes no more records")]
pub struct LedgerFull;

/// Records are on their way to the database for longer than a reader can wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the ledger is behind")]
pub struct LedgerBehind;

/// Takes the records of calls.
pub struct Ledger {
    replica: Replica,
    store: Arc<dyn Store>,
    keeps: mpsc::Sender<Keep>,
    drained: watch::Receiver<u64>,
    queue: Arc<Shared>,
}

/// What the ledger and its task share.
struct Shared {
    files: Queue,
    /// Something was appended: bring it to the disk.
    unsynced: Notify,
    /// Something was appended: bring it to the database.
    undrained: Notify,
    /// Somebody waits.
    hurry: Notify,
    /// The disk refused; until it takes something again no call is begun.
    refused: AtomicBool,
}

/// Brings records to the disk and to the database, and stores answers.
pub struct LedgerTask {
    store: Arc<dyn Store>,
    keeps: mpsc::Receiver<Keep>,
    drained: watch::Sender<u64>,
    flush: Duration,
    queue: Arc<Shared>,
}

impl Ledger {
    /// The ledger of a data folder, with what an earlier process left in its queue.
    ///
    /// # Errors
    /// Another process has the folder, or it cannot be used.
    pub fn open(
        dir: &Path,
        config: &LedgerConfig,
        store: Arc<dyn Store>,
    ) -> Result<(Self, LedgerTask), ReplicaError> {
        let replica = Replica::open(dir)?;
        let files = Queue::open(&dir.join("ledger"), u64::from(config.queue_mib) << 20)?;
        let (drained, seen) = watch::channel(files.drained());
        let queue = Arc::new(Shared {
            files,
            unsynced: Notify::new(),
            undrained: Notify::new(),
            hurry: Notify::new(),
            refused: AtomicBool::new(false),
        });
        let (keeps, waiting) = mpsc::channel(WAITING);
        let task = LedgerTask {
            store: Arc::clone(&store),
            keeps: waiting,
            drained,
            flush: Duration::from_millis(u64::from(config.flush_ms)),
            queue: Arc::clone(&queue),
        };
        Ok((Self { replica, store, keeps, drained: seen, queue }, task))
    }

    /// The replica that owns the data folder.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// False when no call should be begun, because its records might find no room.
    pub fn has_room(&self) -> bool {
        !self.queue.refused.load(Ordering::Relaxed) && self.queue.files.has_room()
    }

    /// Leaves records in the queue. They survive the death of the process. Writes to a file, but waits for no disk.
    ///
    /// # Errors
    /// The queue is full or the disk refuses: the records are not kept.
    pub fn append(&self, tenant: TenantId, rows: &[UsageRow]) -> Result<(), LedgerFull> {
        if rows.is_empty() {
            return Ok(());
        }
        match self.queue.files.append(&self.entry(tenant, rows)) {
            Ok(_) => {
                self.queue.unsynced.notify_one();
                self.queue.undrained.notify_one();
                Ok(())
            }
            Err(QueueError::Full) => Err(LedgerFull),
            Err(error @ QueueError::Io(_)) => {
                if !self.queue.refused.swap(true, Ordering::Relaxed) {
                    let cause = &error as &dyn std::error::Error;
                    tracing::error!(
                        error = cause,
                        "no call is begun until the ledger's queue can be written"
                    );
                }
                self.queue.unsynced.notify_one();
                Err(LedgerFull)
            }
        }
    }

    /// Waits until everything that was appended so far is in the database.
    ///
    /// # Errors
    /// It takes longer than five seconds.
    pub async fn flushed(&self) -> Result<(), LedgerBehind> {
        let end = self.queue.files.end();
        let mut drained = self.drained.clone();
        if *drained.borrow() >= end {
            return Ok(());
        }
        self.queue.hurry.notify_one();
        match timeout(FLUSH_WAIT, drained.wait_for(|at| *at >= end)).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(LedgerBehind),
        }
    }

    /// Stores the records of a call and its answer durably, in one transaction with those of other calls. An unexpired
    /// answer that was there before is returned and stays. After an error, or when the caller stops waiting, the
    /// records may or may not be there: appending them is right in either case, because a record is kept once.
    ///
    /// # Errors
    /// The store failed.
    pub async fn keep(
        &self,
        tenant: TenantId,
        rows: &[UsageRow],
        answer: &StoredAnswer,
    ) -> Result<Option<StoredAnswer>, Arc<StoreError>> {
        let (reply, kept) = oneshot::channel();
        let keep = Keep { entry: self.entry(tenant, rows), answer: answer.clone(), reply };
        if self.keeps.send(keep).await.is_ok()
            && let Ok(kept) = kept.await
        {
            return kept;
        }
        // The task has ended: the service stops, and this is one of its last calls.
        let kept = self.store.keep(&[self.entry(tenant, rows)], &[(0, answer.clone())]).await?;
        Ok(kept.into_iter().next().flatten())
    }

    fn entry(&self, tenant: TenantId, rows: &[UsageRow]) -> Entry {
        Entry { tenant, replica: self.replica.run().to_owned(), rows: rows.to_vec() }
    }
}
