//! The web, by way of retrieval: the mesh has no other way out.
use async_trait::async_trait;
use copydesk_proto::retrieval::v1 as pb;
use copydesk_proto::retrieval::v1::web_service_client::WebServiceClient;
use copydesk_rpc::{Channel, ServiceError};

use crate::domain::passage::WebNote;
use crate::ports::{Web, WebQuery};

/// Retrieval's web service.
#[derive(Clone)]
pub struct RetrievalWeb {
    client: WebServiceClient<Channel>,
}

impl RetrievalWeb {
    /// Over a channel to retrieval.
    pub fn new(channel: Channel) -> Self {
        Self { client: WebServiceClient::new(channel) }
    }
}

#[async_trait]
impl Web for RetrievalWeb {
    async fn search(&self, query: &WebQuery) -> Result<Vec<WebNote>, ServiceError> {
        let request = pb::SearchWebRequest {
            query: query.query.clone(),
            max_results: query.max_results,
            ..pb::SearchWebRequest::default()
        };
        let answer = self.client.clone().search_web(request).await;
        let answer = answer.map_err(|status| ServiceError::from_peer(status, "retrieval"))?.into_inner();
        let notes = answer.results.into_iter();
        Ok(notes.map(|note| WebNote { title: note.title, url: note.url, content: note.content }).collect())
    }
}
