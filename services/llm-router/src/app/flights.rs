//! Calls under way, so that a call with the same id joins the running one instead of paying twice.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use copydesk_types::TenantId;
use tokio::sync::watch;

use crate::domain::Answer;
use crate::error::Error;

type Key = (TenantId, String);
type Outcome = Option<Result<Answer, Error>>;

/// The calls under way. Nothing is awaited while the map is locked.
#[derive(Default)]
pub(super) struct Flights(Arc<Mutex<HashMap<Key, Flight>>>);

struct Flight {
    fingerprint: String,
    outcome: watch::Receiver<Outcome>,
}

/// Where a call finds itself among those under way.
pub(super) enum Place {
    /// Behind another call with the same id.
    Join(Running),
    /// At the head: it must do the work.
    Lead(Lead),
}

/// A call that somebody else makes.
pub(super) struct Running(watch::Receiver<Outcome>);

impl Running {
    /// How it ended; `None` when whoever made it went away.
    pub(super) async fn outcome(mut self) -> Outcome {
        self.0.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone())
    }
}

/// The head of a call. Dropping it gives the place to somebody else.
pub(super) struct Lead {
    seat: Option<(Flights, Key, watch::Sender<Outcome>)>,
}

impl Lead {
    /// A call that nobody can join.
    pub(super) fn alone() -> Self {
        Self { seat: None }
    }

    /// Tells those who joined how it ended.
    pub(super) fn publish(self, outcome: &Result<Answer, Error>) {
        if let Some((_, _, sender)) = &self.seat {
            sender.send_replace(Some(outcome.clone()));
        }
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        if let Some((flights, key, _)) = &self.seat {
            flights.lock().remove(key);
        }
    }
}

impl Flights {
    /// Joins the call with this id, or becomes its head.
    pub(super) fn enter(
        &self,
        tenant: TenantId,
        request_id: &str,
        fingerprint: &str,
    ) -> Result<Place, Error> {
        let key = (tenant, request_id.to_owned());
        let mut flights = self.lock();
        if let Some(flight) = flights.get(&key) {
            return if flight.fingerprint == fingerprint {
                Ok(Place::Join(Running(flight.outcome.clone())))
            } else {
                Err(Error::RequestIdTaken { request_id: key.1 })
            };
        }
        let (sender, outcome) = watch::channel(None);
        flights.insert(key.clone(), Flight { fingerprint: fingerprint.to_owned(), outcome });
        Ok(Place::Lead(Lead { seat: Some((Self(Arc::clone(&self.0)), key, sender)) }))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Flight>> {
        // The map is whole after every operation, so a panic elsewhere does not spoil it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
