//! The windows: database, peers, clock.
pub mod clock;
pub(crate) mod convert;
pub mod learning;
pub mod llm_router;
pub mod retrieval;
pub mod store;
pub mod web;
