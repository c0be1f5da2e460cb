//! What the desk needs from outside: a model, a library, the web, an archive, a store and a clock.
//!
//! Peers' errors are [`copydesk_rpc::ServiceError`]s: `is_retryable` says whether another attempt may help.
mod archive;
mod guard;
mod library;
mod model;
mod packs;
mod store;
mod web;

pub use archive::{Archive, FiguresQuery, LessonQuery};
pub use guard::{GuardStore, HumanVerdict, StoredPolicy};
pub use library::{Found, Library, SearchQuery, Sources};
pub use model::{Brief, LanguageModel, Message, ModelCall, ModelReply, Place, Task};
pub use packs::{Choice, Lists, PackStore, StoredPack};
pub use store::{
    Call, Claim, ClaimOrder, Completion, Created, Decide, Depth, Failure, ListFilter, Onward, RunStore,
    Settled, Undelivered,
};
pub use web::{Web, WebQuery};

/// The time, as rows are stamped with it.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970.
    fn now_ms(&self) -> i64;
}
