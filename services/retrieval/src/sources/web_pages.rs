//! Pages of the web, each by its URL.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use super::{At, Entry, Source, Tools, spec};
use crate::domain::origin::{Miss, SourceDocument, Step};
use crate::domain::records;
use crate::domain::source::SourceKind;
use crate::domain::web::target::Target;
use crate::ports::Page;

/// This source.
pub const ENTRY: Entry =
    Entry { kind: "web_pages", summary: "pages of the web, by their URLs", source: Some(&WebPages) };

/// Pages of one step.
const STEP: usize = 16;
/// Pages that are asked for at once.
const AT_ONCE: usize = 4;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The URLs, each once.
    pub urls: Vec<String>,
}

struct WebPages;

#[async_trait]
impl Source for WebPages {
    async fn step(&self, tools: &Tools, at: At<'_>) -> Result<Step, Miss> {
        let Spec { urls } = spec(&at)?;
        let from: usize = at.cursor.parse().unwrap_or(0);
        let until = urls.len().min(from + STEP);
        let some: Vec<String> = urls.get(from..until).unwrap_or_default().to_vec();
        let pages: Vec<_> = some.into_iter().map(|url| page(tools, url, at.mirror)).collect();
        let mut step = Step::default();
        let mut pages = futures_util::stream::iter(pages).buffered(AT_ONCE);
        while let Some(page) = pages.next().await {
            match page {
                Ok(document) => step.documents.extend(document),
                Err(miss) => step.misses.push(miss),
            }
        }
        step.next = (until < urls.len()).then(|| until.to_string());
        Ok(step)
    }
}

/// A page as a document; none when it is gone and may be.
async fn page(tools: &Tools, url: String, may_be_gone: bool) -> Result<Option<SourceDocument>, Miss> {
    let mut fetched = tools.pages.page(&url).await;
    if fetched.as_ref().is_err_and(|error| error.fault.may_pass()) {
        tokio::time::sleep(tools.config.sources.pause()).await;
        fetched = tools.pages.page(&url).await;
    }
    let page = match fetched {
        Ok(page) => page,
        Err(error) if error.is_gone() && may_be_gone => return Ok(None),
        Err(error) => return Err(Miss::new(url, error.fault.word(), error.message)),
    };
    let most = tools.config.limits.max_document_bytes;
    if page.readable.len() as u64 > most {
        return Err(Miss::new(url, records::reason::TOO_LARGE, format!("is longer than {most} bytes")));
    }
    Ok(Some(document(url, page)))
}

fn document(url: String, page: Page) -> SourceDocument {
    let host = Target::parse(&page.url).map(|target| target.host().to_owned()).unwrap_or_default();
    SourceDocument {
        key: url,
        title: String::new(),
        format: page.format,
        kind: SourceKind::WebPage,
        attributes: BTreeMap::from([("host", host.into()), ("media_type", page.media_type.into())]),
        uri: page.url,
        content: page.readable,
    }
}
