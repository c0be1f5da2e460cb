//! The generated messages, clients and servers of every contract under `proto/`, and their descriptors.
//!
//! Nothing is written by hand here but this map: what a message means is said in the `.proto` files.
#![allow(missing_docs, clippy::all, clippy::pedantic)]

/// How methods may be called.
pub mod options {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("copydesk.options.v1");
    }
}
/// Values that more than one service speaks of.
pub mod types {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("copydesk.types.v1");
    }
}
/// Rank 0: models.
pub mod llm_router {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("copydesk.llm_router.v1");
    }
}
/// Rank 1: documents and search.
pub mod retrieval {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("copydesk.retrieval.v1");
    }
}
/// Rank 2: brands, feedback, lessons.
pub mod learning {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("copydesk.learning.v1");
    }
}
/// Rank 3: runs and agents.
pub mod agent_orchestrator {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("copydesk.agent_orchestrator.v1");
    }
}
/// Rank 4: tenants and keys.
pub mod gateway {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("copydesk.gateway.v1");
    }
}

/// Every contract as an encoded `google.protobuf.FileDescriptorSet`, custom options kept.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.binpb"));
