//! The index in a Qdrant server gives the answers of the index in memory, and bears what a server and a network do.
//!
//! Against a double of ours on the official generated types, always. Against a real server when `QDRANT_URL` names one
//! (`QDRANT_API_KEY` its key): the cases of `conformance` and `filters`, in collections of their own that are deleted
//! afterwards.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "the lint's exception for tests does not see the cases as tests"
)]

#[path = "../black_box/common/mod.rs"]
mod common;
mod double;
mod library;
mod pair;

mod conformance;
mod faults;
mod filters;
mod writers;
