//! The whole mesh as its users know it. One program, for a program per file would link everything anew.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step must stop the test")]

mod bad_input;
mod cli;
mod crash;
mod daily;
mod eval;
mod guard;
mod mesh;
mod model;
mod reading;
mod reload;
mod rerank;
mod support;
mod tenants;
mod topologies;
