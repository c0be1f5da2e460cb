//! The library as its callers and its neighbours know it. One program, for a program per file would link everything
//! anew.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step must stop the test")]

mod cache;
mod chunking;
mod common;
mod embedders;
mod explain;
mod fetch_kills;
mod filters;
mod git;
mod github;
mod hybrid;
mod ingestions;
mod isolation;
mod kills;
mod limits;
mod minilm;
mod near;
mod objects;
mod ocr;
mod parsing;
mod reembedding;
mod router_embedder;
mod rpc;
mod search_options;
mod snapshots;
mod store;
mod tls;
mod token_weights;
mod uploads;
mod web;
mod web_pages;
mod web_search;
