//! Following a run: stored events from any place on, text as it is written, heartbeats in silence.
//!
//! A watcher pulls: it reads events after its cursor and waits for a hint or a poll. It holds no queue of its own
//! beyond one read, so a slow client costs one cursor and loses nothing.
use std::collections::VecDeque;
use std::sync::Arc;

use copydesk_rpc::{Kind, ServiceError};
use copydesk_types::{RunId, TenantId};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

use super::board::{RunBoard, Signal};
use super::{App, no_such_run};
use crate::config::millis;
use crate::domain::run::{Event, Recorded};
use crate::domain::step::StepKey;
use crate::error::of_store;

/// Events read at once.
const PAGE: u32 = 256;
/// Text is sent when there is so much of it, …
const FULL: usize = 2_048;
/// … or when it has waited so long.
const COALESCE: Duration = Duration::from_millis(250);

/// What a watcher is told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Notice {
    /// A stored event.
    Event(Recorded),
    /// More text of a draft; repeats the last number.
    Delta { seq: u64, at_ms: i64, step: StepKey, attempt: u32, offset: u64, text: String },
    /// The run lives; repeats the last number.
    Heartbeat { seq: u64, at_ms: i64 },
}

/// A text that is being written.
struct Reading {
    step: StepKey,
    attempt: u32,
    offset: usize,
    last_sent: Option<Instant>,
}

/// One watcher.
pub(crate) struct Watch {
    app: Arc<App>,
    tenant: TenantId,
    run_id: RunId,
    board: Arc<RunBoard>,
    hints: watch::Receiver<Signal>,
    seen: Signal,
    with_deltas: bool,
    cursor: u64,
    ended: bool,
    queue: VecDeque<Notice>,
    reading: Vec<Reading>,
    last_notice: Instant,
    look_at: Instant,
}

impl App {
    /// Follows a run from `after_seq` on.
    #[tracing::instrument(name = "runs.watch", skip_all)]
    pub(crate) async fn watch_run(
        self: &Arc<Self>,
        tenant: TenantId,
        run_id: RunId,
        after_seq: u64,
        with_deltas: bool,
    ) -> Result<Watch, ServiceError> {
        let found = self.ports.store.get(tenant, run_id).await.map_err(of_store)?;
        let run = found.ok_or_else(|| no_such_run(run_id))?;
        if after_seq > run.last_seq {
            let message = format!("after_seq is {after_seq}, the run's last event is {}", run.last_seq);
            return Err(ServiceError::new(Kind::OutOfRange, "SEQ_OUT_OF_RANGE", message));
        }
        // An event that was committed since is found by the first look, which is due at once; later ones are hinted at.
        let board = self.board.of(run_id);
        let now = Instant::now();
        let mut watch = Watch {
            app: self.clone(),
            tenant,
            run_id,
            hints: board.follow(),
            board,
            seen: Signal::default(),
            with_deltas,
            cursor: after_seq,
            ended: run.state.is_final() && after_seq == run.last_seq,
            queue: VecDeque::new(),
            reading: Vec::new(),
            last_notice: now,
            look_at: now,
        };
        if with_deltas && after_seq > 0 {
            watch.catch_up(after_seq).await?;
        }
        Ok(watch)
    }
}

impl Watch {
    /// The next notice; `None` after the run's last event.
    pub(crate) async fn next(&mut self) -> Result<Option<Notice>, ServiceError> {
        loop {
            if let Some(notice) = self.queue.pop_front() {
                self.last_notice = Instant::now();
                return Ok(Some(notice));
            }
            if self.ended {
                return Ok(None);
            }
            let signal = *self.hints.borrow_and_update();
            if signal.events != self.seen.events || Instant::now() >= self.look_at {
                self.read_events().await?;
            }
            self.seen = signal;
            if self.queue.is_empty() && !self.ended {
                self.read_texts();
            }
            if self.queue.is_empty() && !self.ended {
                self.wait().await;
            }
        }
    }

    /// Which texts were being written when a returning watcher left.
    async fn catch_up(&mut self, up_to: u64) -> Result<(), ServiceError> {
        let mut after = 0;
        while after < up_to {
            let page =
                self.app.ports.store.events(self.tenant, self.run_id, after, PAGE).await.map_err(of_store)?;
            let Some(last) = page.last().map(|e| e.seq) else { break };
            for recorded in page.iter().filter(|e| e.seq <= up_to) {
                self.follow_texts(&recorded.event);
            }
            after = last;
        }
        self.queue.clear();
        Ok(())
    }

    async fn read_events(&mut self) -> Result<(), ServiceError> {
        let page = self
            .app
            .ports
            .store
            .events(self.tenant, self.run_id, self.cursor, PAGE)
            .await
            .map_err(of_store)?;
        let full = page.len() == PAGE as usize;
        for recorded in page {
            self.follow_texts(&recorded.event);
            self.cursor = recorded.seq;
            self.ended = recorded.is_last();
            self.queue.push_back(Notice::Event(recorded));
        }
        self.look_at = if full { Instant::now() } else { Instant::now() + self.app.config.watch_poll() };
        Ok(())
    }

    /// Opens a text when its step begins; sends the rest of it before its step ends.
    fn follow_texts(&mut self, event: &Event) {
        if !self.with_deltas {
            return;
        }
        match event {
            Event::StepStarted { step, attempt } => {
                self.reading.retain(|r| r.step != *step);
                self.reading.push(Reading { step: *step, attempt: *attempt, offset: 0, last_sent: None });
            }
            Event::StepFinished { step, .. } | Event::StepFailed { step, .. } => {
                let at = self.reading.iter().position(|r| r.step == *step);
                if let Some(mut reading) = at.map(|at| self.reading.swap_remove(at)) {
                    let rest = self.delta(&mut reading);
                    self.queue.extend(rest);
                }
            }
            Event::StateChanged { .. } => {}
        }
    }

    /// Text that is due.
    fn read_texts(&mut self) {
        let mut reading = std::mem::take(&mut self.reading);
        for text in &mut reading {
            let unread = self.board.unread(text.step, text.attempt, text.offset);
            let waited = text.last_sent.is_none_or(|sent| sent.elapsed() >= COALESCE);
            if unread >= FULL || (unread > 0 && waited) {
                let delta = self.delta(text);
                self.queue.extend(delta);
            }
        }
        self.reading = reading;
    }

    fn delta(&self, reading: &mut Reading) -> Option<Notice> {
        let text = self.board.read(reading.step, reading.attempt, reading.offset)?;
        let offset = reading.offset as u64;
        reading.offset += text.len();
        reading.last_sent = Some(Instant::now());
        let (seq, at_ms) = (self.cursor, self.app.now());
        Some(Notice::Delta { seq, at_ms, step: reading.step, attempt: reading.attempt, offset, text })
    }

    /// Waits for a hint, for text to fall due, for the next look or for the next heartbeat, whatever comes first.
    async fn wait(&mut self) {
        let heartbeat = self.last_notice + millis(self.app.config.watch_heartbeat_ms);
        let unread = |r: &&Reading| self.board.unread(r.step, r.attempt, r.offset) > 0;
        let due =
            self.reading.iter().filter(unread).filter_map(|r| r.last_sent).map(|sent| sent + COALESCE).min();
        let until = due.unwrap_or(heartbeat).min(heartbeat).min(self.look_at);
        tokio::select! {
            // The board keeps its sender as long as this watcher holds it, so a change is all that can come.
            _ = self.hints.changed() => {}
            () = tokio::time::sleep_until(until) => {}
        }
        if Instant::now() >= heartbeat {
            self.queue.push_back(Notice::Heartbeat { seq: self.cursor, at_ms: self.app.now() });
        }
    }
}
