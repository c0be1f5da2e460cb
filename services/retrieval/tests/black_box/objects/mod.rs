//! Originals and snapshots in a folder, in rows and in a bucket of an S3 server: the same promises everywhere.
//!
//! The S3 server is the one that `COPYDESK_TEST_S3_URL` names (`deploy/s3-for-tests.sh` starts one); each test has a bucket
//! of its own there. Without the variable that part is skipped, unless `COPYDESK_REQUIRE_S3=1` turns the skip into a
//! failure.

#![allow(clippy::unwrap_used, reason = "the lint's exception for tests does not see the cases as tests")]

mod contract;
mod faults;
mod kills;
mod places;
mod service;
