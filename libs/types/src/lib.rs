//! Ids and value objects that every crate may name.
//!
//! Not here: anything of the wire, of storage or of time. Read next: `copydesk-rpc` for how a call is made.

mod id;
mod money;
mod scope;
mod secret;

pub use id::{
    BrandId, DocumentId, FeedbackId, IdError, IngestionId, KeyId, KnowledgeBaseId, LessonId, ObjectId,
    PassageId, RunId, SnapshotId, TenantId, UsageId,
};
pub use money::{NanoDollars, Price};
pub use scope::{Scope, Scopes};
pub use secret::{Secret, SecretFault, SecretPlace};
