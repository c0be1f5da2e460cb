//! What the black-box tests share.
#![allow(dead_code, missing_docs, reason = "each test binary uses its own part")]

pub mod gates;
pub mod kinds;
pub mod ledger;
pub mod mesh;
pub mod prompts;
pub mod redis;
pub mod server;
pub mod shared;
