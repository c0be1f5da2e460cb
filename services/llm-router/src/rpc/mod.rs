//! The door: convert, ask the desk, convert.
mod llm;
mod routing;
mod usage;

use std::sync::Arc;

use crate::app::Desk;

/// The handlers.
#[derive(Clone)]
pub struct Rpc {
    desk: Arc<Desk>,
}

impl Rpc {
    /// Handlers over a desk.
    pub fn new(desk: Arc<Desk>) -> Self {
        Self { desk }
    }
}
