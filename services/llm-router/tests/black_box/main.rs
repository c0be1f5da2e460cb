//! The router as its callers and its neighbours know it. One program, for a program per file would link everything anew.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step must stop the test")]

mod budgets;
mod cache;
mod caching;
mod count_tokens;
mod example;
mod failover;
mod fault_matrix;
mod gate_faults;
mod gate_reload;
mod gates;
mod hedging;
mod ledger;
mod limits;
mod odd_replies;
mod offline;
mod offline_quality;
mod providers;
mod providers_embed;
mod providers_errors;
mod providers_stream;
mod providers_tools;
mod replicas;
mod resilience;
mod rpc;
mod shared_limits;
mod store;
mod streams;
mod support;
mod tools;
mod usage_rpc;
mod vector_requests;
mod vectors;
