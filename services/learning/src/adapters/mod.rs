//! The windows: what stands behind the ports.

pub mod database;
pub mod retrieval;
