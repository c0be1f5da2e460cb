//! For tests only: the house rules as code, the real program as a child process, and a client that is as plain as a
//! stranger's.
//!
//! [`house`] reads manifests and sources and says where the workspace leaves its own rules. [`program`] starts, kills
//! and ends `copydesk`. [`client`] calls it with tonic's own transport, so that nothing of ours helps the caller;
//! [`raw`] goes one level below and keeps no clock. Doubles of a single service stand beside that service's tests.
//!
//! No lib may use this crate, not even for its tests: a circle of dev-dependencies is compiled twice.
pub mod client;
pub mod house;
pub mod program;
pub mod raw;
