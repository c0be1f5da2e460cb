//! Who tells the shared limits what became of this process' places.
use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};

use super::super::lock;
use super::{Heard, LEASE};
use crate::limits::{News, PlaceId, SharedLimits};

/// The most news told at once.
const BATCH: usize = 128;
/// The most news kept while nobody hears them.
const KEPT: usize = 4_096;
/// How often it is tried to tell what was not heard.
const RETRY: Duration = Duration::from_secs(1);

/// What happens to a place.
pub(super) enum Note {
    /// Its call begins.
    Began(PlaceId),
    /// It is to be told.
    News(News),
}

/// Tells what becomes of the places of this process, and renews them. It ends with the gate and the last of them.
///
/// What it could not tell it tells when it is heard again: a server that was frozen takes the places that it was asked
/// for when it goes on, long after their calls. One that was started anew passes the old news over.
pub(super) struct Clerk {
    limits: Arc<dyn SharedLimits>,
    provider: Arc<str>,
    room: Arc<Notify>,
    heard: Arc<Mutex<Option<Heard>>>,
    /// The calls under way.
    held: HashSet<PlaceId>,
    untold: VecDeque<News>,
    /// True from a failure until all is told and renewed.
    away: bool,
}

impl Clerk {
    pub(super) fn new(
        limits: Arc<dyn SharedLimits>,
        provider: Arc<str>,
        room: Arc<Notify>,
        heard: Arc<Mutex<Option<Heard>>>,
    ) -> Self {
        let (held, untold) = (HashSet::new(), VecDeque::new());
        Self { limits, provider, room, heard, held, untold, away: false }
    }

    pub(super) async fn run(mut self, mut notes: UnboundedReceiver<Note>) {
        let mut renewal = interval_at(Instant::now() + LEASE / 3, LEASE / 3);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut retry = interval(RETRY);
        retry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                count = notes.recv_many(&mut batch, BATCH) => {
                    if count == 0 {
                        return;
                    }
                    batch.drain(..).for_each(|note| self.read(note));
                    self.tell().await;
                }
                _ = renewal.tick(), if !self.held.is_empty() => self.renew().await,
                _ = retry.tick(), if self.away => self.tell().await,
            }
        }
    }

    fn read(&mut self, note: Note) {
        match note {
            Note::Began(place) => drop(self.held.insert(place)),
            Note::News(news) => {
                if let News::Released(place) | News::GivenBack(place) = news {
                    self.held.remove(&place);
                }
                self.untold.push_back(news);
            }
        }
    }

    async fn tell(&mut self) {
        let anything = !self.untold.is_empty();
        while !self.untold.is_empty() {
            let news: Vec<News> = self.untold.iter().take(BATCH).copied().collect();
            if self.limits.settle(&self.provider, &news).await.is_err() {
                self.away = true;
                // The first are those that are known there.
                self.untold.truncate(KEPT);
                break;
            }
            self.untold.drain(..news.len());
        }
        if self.away && self.untold.is_empty() {
            self.renew().await;
        }
        if anything {
            // A wait that was heard of may be shorter now.
            *lock(&self.heard) = None;
            self.room.notify_one();
        }
    }

    async fn renew(&mut self) {
        let held: Vec<PlaceId> = self.held.iter().copied().collect();
        self.away = self.limits.renew(&self.provider, &held, LEASE).await.is_err();
    }
}
