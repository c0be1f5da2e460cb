//! The brand's published texts, read from the library.

use async_trait::async_trait;
use copydesk_proto::retrieval::v1::knowledge_service_client::KnowledgeServiceClient;
use copydesk_proto::retrieval::v1::{
    Document, GetDocumentRequest, GetKnowledgeBaseRequest, ListDocumentsRequest,
};
use copydesk_proto::types::v1::SourceKind;
use copydesk_rpc::{Channel, ServiceError};
use copydesk_types::KnowledgeBaseId;
use futures_util::{StreamExt, TryStreamExt, stream};
use tonic::{Code, Response, Status};

use crate::domain::outcome::ContentType;
use crate::ports::PublishedTexts;

const PEER: &str = "retrieval";
/// Calls to the library at a time for one caller.
const PARALLEL: usize = 8;
const PAGE: u32 = 500;

/// The library as the archive sees it.
#[derive(Clone)]
pub struct Library {
    client: KnowledgeServiceClient<Channel>,
}

impl Library {
    /// The library behind this channel.
    pub fn new(channel: Channel) -> Self {
        // A text may be larger than the usual message: the library takes documents of many megabytes.
        let client = KnowledgeServiceClient::new(channel).max_decoding_message_size(64 << 20);
        Self { client }
    }

    async fn version(
        mut self,
        base: KnowledgeBaseId,
    ) -> Result<Option<(KnowledgeBaseId, u64)>, ServiceError> {
        let request = GetKnowledgeBaseRequest { knowledge_base_id: base.to_string() };
        let answer = found(self.client.get_knowledge_base(request).await)?;
        Ok(answer.and_then(|a| a.knowledge_base).map(|known| (base, known.version)))
    }

    /// The newest documents of one knowledge base, `most` at most.
    async fn published(
        mut self,
        base: KnowledgeBaseId,
        content_type: ContentType,
        most: usize,
    ) -> Result<Vec<Document>, ServiceError> {
        let mut documents = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = ListDocumentsRequest {
                knowledge_base_id: base.to_string(),
                page_size: PAGE,
                page_token: std::mem::take(&mut page_token),
                source_kind: SourceKind::Post.into(),
                content_type: content_type.code(),
                ..ListDocumentsRequest::default()
            };
            let Some(page) = found(self.client.list_documents(request).await)? else { break };
            documents.extend(page.documents);
            page_token = page.next_page_token;
            if page_token.is_empty() || documents.len() >= most {
                break;
            }
        }
        documents.truncate(most);
        Ok(documents)
    }

    async fn text(mut self, document_id: String) -> Result<Option<String>, ServiceError> {
        let request = GetDocumentRequest { document_id, with_text: true, ..Default::default() };
        let answer = found(self.client.get_document(request).await)?;
        Ok(answer.and_then(|a| a.document).map(|document| document.text))
    }
}

#[async_trait]
impl PublishedTexts for Library {
    async fn versions(&self, bases: &[KnowledgeBaseId]) -> Result<Vec<(KnowledgeBaseId, u64)>, ServiceError> {
        let calls: Vec<_> = bases.iter().map(|base| self.clone().version(*base)).collect();
        let versions: Vec<Option<_>> = stream::iter(calls).buffered(PARALLEL).try_collect().await?;
        Ok(versions.into_iter().flatten().collect())
    }

    async fn texts(
        &self,
        bases: &[KnowledgeBaseId],
        content_type: ContentType,
        most: usize,
    ) -> Result<Vec<String>, ServiceError> {
        let lists: Vec<_> =
            bases.iter().map(|base| self.clone().published(*base, content_type, most)).collect();
        let lists: Vec<Vec<Document>> = stream::iter(lists).buffered(PARALLEL).try_collect().await?;
        let mut documents: Vec<Document> = lists.into_iter().flatten().collect();
        let made = |document: &Document| document.create_time.map(|t| (t.seconds, t.nanos));
        documents.sort_by(|a, b| made(b).cmp(&made(a)).then_with(|| b.document_id.cmp(&a.document_id)));
        documents.truncate(most);
        let texts: Vec<_> = documents.into_iter().map(|d| self.clone().text(d.document_id)).collect();
        let texts: Vec<Option<String>> = stream::iter(texts).buffered(PARALLEL).try_collect().await?;
        Ok(texts.into_iter().flatten().collect())
    }
}

/// The answer, or `None` when what was asked for is gone.
fn found<T>(answer: Result<Response<T>, Status>) -> Result<Option<T>, ServiceError> {
    match answer {
        Ok(response) => Ok(Some(response.into_inner())),
        Err(status) if status.code() == Code::NotFound => Ok(None),
        Err(status) => Err(ServiceError::from_peer(status, PEER)),
    }
}
