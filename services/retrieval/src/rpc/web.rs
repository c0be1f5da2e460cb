//! `WebService`.

use copydesk_proto::retrieval::v1 as pb;
use copydesk_proto::retrieval::v1::web_service_server::WebService;
use copydesk_rpc::{Caller, ServiceError, Violations};
use tonic::{Request, Response, Status};

use super::{Door, convert};
use crate::app::ReadPage;
use crate::ports::{WebQuery, WebResult, WebTimeRange, WebTopic};

/// Domains that a search may name, as the strictest provider has it.
const INCLUDED: usize = 300;
const EXCLUDED: usize = 150;

#[tonic::async_trait]
impl WebService for Door {
    async fn search_web(
        &self,
        request: Request<pb::SearchWebRequest>,
    ) -> Result<Response<pb::SearchWebResponse>, Status> {
        let caller = Caller::of(&request)?;
        let query = query(request.into_inner())?;
        let (results, provider) = self.desk.search_web(caller.tenant, &query).await?;
        let results = results.into_iter().map(result).collect();
        Ok(Response::new(pb::SearchWebResponse { results, provider: provider.to_owned() }))
    }

    async fn fetch_page(
        &self,
        request: Request<pb::FetchPageRequest>,
    ) -> Result<Response<pb::FetchPageResponse>, Status> {
        let caller = Caller::of(&request)?;
        let read = self.desk.fetch_page(caller.tenant, &request.into_inner().url).await?;
        Ok(Response::new(page(read)))
    }
}

fn query(request: pb::SearchWebRequest) -> Result<WebQuery, ServiceError> {
    let mut violations = Violations::new();
    violations.length("query", &request.query, 1, 400);
    violations.check(
        request.query.is_empty() || !request.query.trim().is_empty(),
        "query",
        "must not be blank",
    );
    violations.check(request.max_results <= 20, "max_results", "must be at most 20");
    for (field, domains, most) in [
        ("include_domains", &request.include_domains, INCLUDED),
        ("exclude_domains", &request.exclude_domains, EXCLUDED),
    ] {
        violations.check(domains.len() <= most, field, format!("must name at most {most} domains"));
        for (at, domain) in domains.iter().take(most).enumerate() {
            violations.check(is_domain(domain), format!("{field}[{at}]"), "is not a domain");
        }
    }
    let time_range = match pb::WebTimeRange::try_from(request.time_range) {
        Ok(pb::WebTimeRange::Unspecified) => Some(None),
        Ok(pb::WebTimeRange::Day) => Some(Some(WebTimeRange::Day)),
        Ok(pb::WebTimeRange::Week) => Some(Some(WebTimeRange::Week)),
        Ok(pb::WebTimeRange::Month) => Some(Some(WebTimeRange::Month)),
        Ok(pb::WebTimeRange::Year) => Some(Some(WebTimeRange::Year)),
        Err(_) => None,
    };
    violations.check(time_range.is_some(), "time_range", "is not one of the listed values");
    let topic = match pb::WebTopic::try_from(request.topic) {
        Ok(pb::WebTopic::Unspecified | pb::WebTopic::General) => Some(WebTopic::General),
        Ok(pb::WebTopic::News) => Some(WebTopic::News),
        Ok(pb::WebTopic::Finance) => Some(WebTopic::Finance),
        Err(_) => None,
    };
    violations.check(topic.is_some(), "topic", "is not one of the listed values");
    let (time_range, topic) = super::read(time_range.zip(topic), violations)?;
    Ok(WebQuery {
        query: request.query,
        max_results: if request.max_results == 0 { 5 } else { request.max_results },
        include_domains: request.include_domains,
        exclude_domains: request.exclude_domains,
        time_range,
        topic,
    })
}

/// A name of at least two labels, with a path for part of a site.
fn is_domain(text: &str) -> bool {
    let host = text.split('/').next().unwrap_or_default();
    let label = |label: &str| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-');
    text.len() <= 253
        && host.contains('.')
        && host.split('.').all(label)
        && !text.contains(char::is_whitespace)
}

fn result(result: WebResult) -> pb::WebResult {
    pb::WebResult {
        title: result.title,
        url: result.url,
        content: result.content,
        score: result.score,
        published_time: result.published.map(convert::timestamp),
    }
}

fn page(read: ReadPage) -> pb::FetchPageResponse {
    let page = read.page;
    pb::FetchPageResponse {
        size_bytes: page.body.len() as u64,
        final_url: page.url,
        title: read.title,
        text: read.text,
        markdown: read.markdown,
        content_type: page.media_type,
        content_hash: read.hash,
        fetch_time: Some(convert::timestamp(read.time)),
        redirects: page.redirects,
        truncated: read.truncated,
    }
}
