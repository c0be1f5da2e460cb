//! The library, by way of retrieval.
use async_trait::async_trait;
use copydesk_proto::retrieval::v1 as pb;
use copydesk_proto::retrieval::v1::search_service_client::SearchServiceClient;
use copydesk_proto::types::v1::SourceKind;
use copydesk_rpc::{Channel, ServiceError};

use super::convert;
use crate::ports::{Found, Library, SearchQuery, Sources};

/// Retrieval as a library.
#[derive(Clone)]
pub struct Retrieval {
    client: SearchServiceClient<Channel>,
}

impl Retrieval {
    /// Over a channel to retrieval.
    pub fn new(channel: Channel) -> Self {
        Self { client: SearchServiceClient::new(channel) }
    }
}

/// The source kinds that are searched alone (none: every kind) and those that are left out.
fn kinds(sources: Sources) -> (&'static [SourceKind], &'static [SourceKind]) {
    match sources {
        Sources::All => (&[], &[]),
        Sources::Facts => (&[], &[SourceKind::Post, SourceKind::Issue]),
        Sources::OnlyPosts => (&[SourceKind::Post], &[]),
    }
}

#[async_trait]
impl Library for Retrieval {
    async fn search(&self, query: &SearchQuery) -> Result<Found, ServiceError> {
        let (only, without) = kinds(query.sources);
        let request = pb::SearchRequest {
            knowledge_base_ids: query.knowledge_base_ids.clone(),
            query: query.query.clone(),
            top_k: 0,
            content_type: convert::content_type(query.content_type).into(),
            source_kinds: only.iter().map(|kind| i32::from(*kind)).collect(),
            exclude_source_kinds: without.iter().map(|kind| i32::from(*kind)).collect(),
            ..pb::SearchRequest::default()
        };
        let mut client = self.client.clone();
        let answer =
            client.search(request).await.map_err(|s| ServiceError::from_peer(s, "retrieval"))?.into_inner();
        let mode = match answer.mode() {
            pb::SearchMode::Hybrid => "hybrid",
            _ => "lexical",
        };
        let passages =
            answer.hits.into_iter().filter_map(|hit| hit.passage).map(convert::passage_of).collect();
        Ok(Found { passages, mode: mode.to_owned() })
    }
}
