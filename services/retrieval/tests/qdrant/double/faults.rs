//! What goes wrong on demand: a rule waits for a call and decides what becomes of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

use tonic::{Code, Response, Status};

use super::engine::Engine;
use super::services::Answer;

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Nothing is done, and it fails.
    Fail(Code),
    /// It is done, and the answer is lost: it fails.
    DoneThenFail(Code),
    /// It is done after a while.
    Slow(Duration),
    /// Nothing is done and there is no answer.
    Hang,
    /// Nothing is done, and every connection breaks.
    Cut,
    /// It is done, and every connection breaks before the answer.
    DoneThenCut,
}

/// Waits for calls of a method; the empty one is every method.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    pub method: &'static str,
    /// Calls that go well before.
    pub skip: usize,
    /// Calls that it befalls.
    pub times: usize,
    pub act: Act,
}

/// What the services and the test share.
#[derive(Default)]
pub struct Shared {
    pub engine: Mutex<Engine>,
    rules: Mutex<Vec<Rule>>,
    calls: Mutex<Vec<&'static str>>,
    old: AtomicBool,
    pub cut: Mutex<Option<mpsc::Sender<()>>>,
}

impl Shared {
    pub fn is_old(&self) -> bool {
        self.old.load(Ordering::SeqCst)
    }

    /// A server from before vectors could be added.
    pub fn grow_old(&self) {
        self.old.store(true, Ordering::SeqCst);
    }

    pub fn add(&self, rule: Rule) {
        self.rules.lock().unwrap().push(rule);
    }

    pub fn calm(&self) {
        self.rules.lock().unwrap().clear();
    }

    /// The methods that were called since this was asked last.
    pub fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    fn act(&self, method: &'static str) -> Option<Act> {
        self.calls.lock().unwrap().push(method);
        let mut rules = self.rules.lock().unwrap();
        for rule in rules.iter_mut().filter(|rule| rule.method.is_empty() || rule.method == method) {
            if rule.skip > 0 {
                rule.skip -= 1;
            } else if rule.times > 0 {
                rule.times -= 1;
                return Some(rule.act);
            }
        }
        None
    }

    fn cut(&self) {
        if let Some(cut) = self.cut.lock().unwrap().as_ref() {
            // Nobody listens any more when the double is gone.
            let _ = cut.send(());
        }
    }

    pub async fn answer<T>(
        &self,
        method: &'static str,
        work: impl FnOnce(&mut Engine) -> Result<T, Status>,
    ) -> Answer<T> {
        let act = self.act(method);
        let fail = |code| Status::new(code, "as the test wants it");
        match act {
            Some(Act::Fail(code)) => return Err(fail(code)),
            Some(Act::Slow(time)) => tokio::time::sleep(time).await,
            Some(Act::Hang) => std::future::pending::<()>().await,
            Some(Act::Cut) => {
                self.cut();
                std::future::pending::<()>().await;
            }
            Some(Act::DoneThenFail(_) | Act::DoneThenCut) | None => {}
        }
        let done = work(&mut self.engine.lock().unwrap_or_else(PoisonError::into_inner))?;
        match act {
            Some(Act::DoneThenFail(code)) => Err(fail(code)),
            Some(Act::DoneThenCut) => {
                self.cut();
                std::future::pending().await
            }
            _ => Ok(Response::new(done)),
        }
    }
}
