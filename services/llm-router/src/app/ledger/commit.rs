//! Answers that wait to be stored go into one transaction: on SQLite one wait for the disk serves them all.
use std::collections::HashSet;
use std::sync::Arc;

use copydesk_store::StoreError;
use copydesk_types::TenantId;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::domain::{Entry, StoredAnswer};
use crate::ports::Store;

/// The most calls in one transaction.
const AT_ONCE: usize = 256;

type Kept = Result<Option<StoredAnswer>, Arc<StoreError>>;

/// Records and an answer, and who waits for them.
pub(super) struct Keep {
    pub(super) entry: Entry,
    pub(super) answer: StoredAnswer,
    pub(super) reply: oneshot::Sender<Kept>,
}

impl Keep {
    fn key(&self) -> (TenantId, String) {
        (self.entry.tenant, self.answer.request_id.clone())
    }
}

/// Stores until `stop`, and then what waits at that moment.
pub(super) async fn run(store: &dyn Store, mut keeps: mpsc::Receiver<Keep>, stop: &CancellationToken) {
    // One whose id is in the batch already: a statement cannot write a row twice, so it is the first of the next.
    let mut left_over = None;
    loop {
        let first = match left_over.take() {
            Some(keep) => Some(keep),
            None if stop.is_cancelled() => {
                keeps.close();
                keeps.recv().await
            }
            None => tokio::select! {
                keep = keeps.recv() => keep,
                () = stop.cancelled() => continue,
            },
        };
        let Some(first) = first else { return };
        let mut keys = HashSet::from([first.key()]);
        let mut batch = vec![first];
        while batch.len() < AT_ONCE
            && let Ok(next) = keeps.try_recv()
        {
            if !keys.insert(next.key()) {
                left_over = Some(next);
                break;
            }
            batch.push(next);
        }
        write(store, batch).await;
    }
}

async fn write(store: &dyn Store, batch: Vec<Keep>) {
    let (mut entries, mut answers, mut replies) = (Vec::new(), Vec::new(), Vec::new());
    for (index, keep) in batch.into_iter().enumerate() {
        entries.push(keep.entry);
        answers.push((index, keep.answer));
        replies.push(keep.reply);
    }
    match store.keep(&entries, &answers).await {
        Ok(earlier) => {
            for (reply, earlier) in replies.into_iter().zip(earlier) {
                // Whoever waited may have gone; what is stored is stored.
                let _ = reply.send(Ok(earlier));
            }
        }
        Err(error) if error.is_retryable() || entries.len() == 1 => {
            let error = Arc::new(error);
            for reply in replies {
                let _ = reply.send(Err(Arc::clone(&error)));
            }
        }
        // One of them cannot be stored: the others must not suffer for it.
        Err(_) => {
            for ((entry, (_, answer)), reply) in entries.into_iter().zip(answers).zip(replies) {
                let kept = store.keep(&[entry], &[(0, answer)]).await;
                let _ =
                    reply.send(kept.map(|earlier| earlier.into_iter().next().flatten()).map_err(Arc::new));
            }
        }
    }
}
