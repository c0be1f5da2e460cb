//! Ways to ask for sources.

use std::time::Duration;

use copydesk_proto::retrieval::v1::ingest_source_request::Part;
use copydesk_proto::retrieval::v1::ingest_source_start::Source;
use copydesk_proto::retrieval::v1::{
    IngestSourceRequest, IngestSourceStart, Ingestion, IngestionState, WebPagesSource,
};
use tonic::Status;

use super::Tenant;

pub fn wish(request_id: &str, base: &str, source: Source) -> IngestSourceStart {
    IngestSourceStart {
        request_id: request_id.into(),
        knowledge_base_id: base.into(),
        source: Some(source),
        ..IngestSourceStart::default()
    }
}

pub fn pages(urls: &[String]) -> Source {
    Source::WebPages(WebPagesSource { urls: urls.to_vec() })
}

impl Tenant {
    pub async fn ask_for(&self, start: IngestSourceStart, content: &[&[u8]]) -> Result<Ingestion, Status> {
        let parts = content.iter().map(|part| Part::Content(part.to_vec()));
        let parts = std::iter::once(Part::Start(start)).chain(parts);
        let requests: Vec<_> = parts.map(|part| IngestSourceRequest { part: Some(part) }).collect();
        let answer = self.run(self.ingestions().ingest_source(tokio_stream::iter(requests))).await?;
        Ok(answer.into_inner().ingestion.unwrap())
    }

    /// Asks for a source and waits for the end of its job.
    pub async fn fetched(&self, start: IngestSourceStart) -> Ingestion {
        let ingestion = self.ask_for(start, &[]).await.unwrap();
        self.ended(&ingestion.ingestion_id).await
    }

    pub async fn ended(&self, id: &str) -> Ingestion {
        tokio::time::timeout(Duration::from_secs(120), self.watched(id)).await.unwrap().pop().unwrap()
    }

    /// Keys of a knowledge base's documents, sorted.
    pub async fn keys_of(&self, base: &str) -> Vec<String> {
        let mut keys: Vec<_> = self.documents(base).await.into_iter().map(|document| document.key).collect();
        keys.sort();
        keys
    }
}

/// Done, unchanged, failed, deleted.
pub fn counts(ingestion: &Ingestion) -> (u32, u32, u32, u32) {
    let deleted = ingestion.source.as_ref().map_or(0, |source| source.documents_deleted);
    (ingestion.documents_done, ingestion.documents_unchanged, ingestion.documents_failed, deleted)
}

/// Keys, or their ends, and reasons of what failed.
pub fn failures(ingestion: &Ingestion) -> Vec<(&str, &str)> {
    let pairs = ingestion.failures.iter().map(|failure| {
        let end = failure.key.rfind('/').map_or(0, |at| at);
        (&failure.key[end..], failure.reason.as_str())
    });
    pairs.collect()
}

pub fn succeeded(ingestion: &Ingestion) {
    assert_eq!(ingestion.state(), IngestionState::Succeeded, "{ingestion:?}");
}
