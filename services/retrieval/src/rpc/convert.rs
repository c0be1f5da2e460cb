//! Messages into values and back. Every fault of a message is collected, none is guessed away.

use copydesk_proto::retrieval::v1 as pb;
use copydesk_proto::types::v1 as types;
use copydesk_rpc::Violations;
use prost_types::Timestamp;

use super::attributes;
use crate::domain::origin::{IngestionSource, SourceState};
use crate::domain::reading::{Complexity, Page, Path};
use crate::domain::records::{Document, Ingestion, IngestionState, KnowledgeBase, Passage};
use crate::domain::source::{ContentType, Format, KnowledgeBaseKind, SourceKind};
use crate::domain::upload::Header;

/// A kind of source; unset reads as a plain document, `None` is not a value of the list.
pub(super) fn source_kind(value: i32) -> Option<SourceKind> {
    use types::SourceKind as Pb;
    Some(match Pb::try_from(value).ok()? {
        Pb::Unspecified | Pb::Document => SourceKind::Document,
        Pb::Readme => SourceKind::Readme,
        Pb::Product => SourceKind::Product,
        Pb::Changelog => SourceKind::Changelog,
        Pb::Issue => SourceKind::Issue,
        Pb::CaseStudy => SourceKind::CaseStudy,
        Pb::Post => SourceKind::Post,
        Pb::Example => SourceKind::Example,
        Pb::Commit => SourceKind::Commit,
        Pb::Code => SourceKind::Code,
        Pb::WebPage => SourceKind::WebPage,
    })
}

fn source_kind_value(kind: SourceKind) -> i32 {
    use types::SourceKind as Pb;
    let value = match kind {
        SourceKind::Document => Pb::Document,
        SourceKind::Readme => Pb::Readme,
        SourceKind::Product => Pb::Product,
        SourceKind::Changelog => Pb::Changelog,
        SourceKind::Issue => Pb::Issue,
        SourceKind::CaseStudy => Pb::CaseStudy,
        SourceKind::Post => Pb::Post,
        SourceKind::Example => Pb::Example,
        SourceKind::Commit => Pb::Commit,
        SourceKind::Code => Pb::Code,
        SourceKind::WebPage => Pb::WebPage,
    };
    value.into()
}

/// A content type; unset reads as blog, `None` is not a value of the list.
pub(super) fn content_type(value: i32) -> Option<ContentType> {
    use types::ContentType as Pb;
    Some(match Pb::try_from(value).ok()? {
        Pb::Unspecified | Pb::Blog => ContentType::Blog,
        Pb::Social => ContentType::Social,
        Pb::Ad => ContentType::Ad,
    })
}

fn content_type_value(content_type: ContentType) -> i32 {
    use types::ContentType as Pb;
    let value = match content_type {
        ContentType::Blog => Pb::Blog,
        ContentType::Social => Pb::Social,
        ContentType::Ad => Pb::Ad,
    };
    value.into()
}

fn format(value: i32) -> Option<Format> {
    match pb::DocumentFormat::try_from(value).ok()? {
        pb::DocumentFormat::Unspecified => None,
        pb::DocumentFormat::Text => Some(Format::Text),
        pb::DocumentFormat::Markdown => Some(Format::Markdown),
        pb::DocumentFormat::Auto => Some(Format::Auto),
        pb::DocumentFormat::Html => Some(Format::Html),
        pb::DocumentFormat::Pdf => Some(Format::Pdf),
        pb::DocumentFormat::Docx => Some(Format::Docx),
        pb::DocumentFormat::Pptx => Some(Format::Pptx),
        pb::DocumentFormat::Xlsx => Some(Format::Xlsx),
        pb::DocumentFormat::Csv => Some(Format::Csv),
        pb::DocumentFormat::Image => Some(Format::Image),
    }
}

fn format_value(stored: Option<Format>) -> i32 {
    let value = match stored {
        None => pb::DocumentFormat::Unspecified,
        Some(Format::Text) => pb::DocumentFormat::Text,
        Some(Format::Markdown) => pb::DocumentFormat::Markdown,
        Some(Format::Auto) => pb::DocumentFormat::Auto,
        Some(Format::Html) => pb::DocumentFormat::Html,
        Some(Format::Pdf) => pb::DocumentFormat::Pdf,
        Some(Format::Docx) => pb::DocumentFormat::Docx,
        Some(Format::Pptx) => pb::DocumentFormat::Pptx,
        Some(Format::Xlsx) => pb::DocumentFormat::Xlsx,
        Some(Format::Csv) => pb::DocumentFormat::Csv,
        Some(Format::Image) => pb::DocumentFormat::Image,
    };
    value.into()
}

/// A document's page.
pub(super) fn page(page: Page) -> pb::DocumentPage {
    let complexity = match page.complexity {
        Complexity::Low => pb::Complexity::Low,
        Complexity::Medium => pb::Complexity::Medium,
        Complexity::High => pb::Complexity::High,
        Complexity::Extreme => pb::Complexity::Extreme,
    };
    let path = match page.path {
        Path::Text => pb::ParsePath::Text,
        Path::Layout => pb::ParsePath::Layout,
        Path::Ocr => pb::ParsePath::Ocr,
    };
    pb::DocumentPage {
        number: page.number,
        span: Some(types::Span { start: page.span.start as u64, end: page.span.end as u64 }),
        complexity: complexity.into(),
        reasons: page.reasons,
        path: path.into(),
    }
}

/// A field whose unset value means "all": `None` when unset, a fault when it is not a value of the list.
pub(super) fn filter<T>(
    field: &str,
    value: i32,
    read: fn(i32) -> Option<T>,
    violations: &mut Violations,
) -> Option<T> {
    if value == 0 {
        return None;
    }
    let read = read(value);
    violations.check(read.is_some(), field, "is not one of the listed values");
    read
}

/// A list of kinds; unset ones and unknown ones are faults.
pub(super) fn kinds(field: &str, values: &[i32], violations: &mut Violations) -> Vec<SourceKind> {
    let read = values.iter().enumerate().filter_map(|(at, value)| {
        let kind = if *value == 0 { None } else { source_kind(*value) };
        violations.check(kind.is_some(), format!("{field}[{at}]"), "is not one of the listed values");
        kind
    });
    read.collect()
}

/// A caller's request id.
pub(super) fn request_id(id: &str, violations: &mut Violations) {
    violations.length("request_id", id, 1, 128);
    violations.check(!id.contains(char::is_control), "request_id", "must not contain control characters");
}

pub(super) fn header(start: pb::DocumentStart) -> Header {
    Header {
        key: start.key,
        title: start.title,
        format: format(start.format),
        source_kind: source_kind(start.source_kind),
        content_type: content_type(start.content_type),
        attributes: attributes::attributes(start.attributes),
        source_uri: start.source_uri,
    }
}

pub(super) fn timestamp(ms: i64) -> Timestamp {
    let nanos = ms.rem_euclid(1000) as i32 * 1_000_000;
    Timestamp { seconds: ms.div_euclid(1000), nanos }
}

pub(super) fn knowledge_base(base: KnowledgeBase) -> pb::KnowledgeBase {
    pb::KnowledgeBase {
        knowledge_base_id: base.id.to_string(),
        name: base.name,
        document_count: base.documents,
        chunk_count: base.chunks,
        version: base.version,
        create_time: Some(timestamp(base.create_time)),
        embedder: base.embedder,
        kind: match base.kind {
            KnowledgeBaseKind::General => pb::KnowledgeBaseKind::General,
            KnowledgeBaseKind::CodeRepository => pb::KnowledgeBaseKind::CodeRepository,
        }
        .into(),
        dimensions: base.dimensions,
        reembedding: base.reembedding.map(|reembedding| pb::Reembedding {
            embedder: reembedding.embedder,
            dimensions: reembedding.dimensions,
            chunks_total: base.chunks,
            chunks_done: reembedding.chunks_done.min(base.chunks),
            start_time: Some(timestamp(reembedding.start_time)),
            error: reembedding.error,
        }),
    }
}

/// What a knowledge base holds; unset reads as general, `None` is not a value of the list.
pub(super) fn knowledge_base_kind(value: i32) -> Option<KnowledgeBaseKind> {
    Some(match pb::KnowledgeBaseKind::try_from(value).ok()? {
        pb::KnowledgeBaseKind::Unspecified | pb::KnowledgeBaseKind::General => KnowledgeBaseKind::General,
        pb::KnowledgeBaseKind::CodeRepository => KnowledgeBaseKind::CodeRepository,
    })
}

pub(super) fn document(document: Document, text: Option<String>) -> pb::Document {
    pb::Document {
        document_id: document.id.to_string(),
        knowledge_base_id: document.knowledge_base.to_string(),
        key: document.key,
        title: document.title,
        source_kind: source_kind_value(document.source_kind),
        content_type: content_type_value(document.content_type),
        version: document.version,
        size_bytes: document.size,
        content_hash: document.content_hash,
        chunk_count: document.chunks,
        create_time: Some(timestamp(document.create_time)),
        update_time: Some(timestamp(document.update_time)),
        text: text.unwrap_or_default(),
        attributes: attributes::message(&document.attributes),
        source_uri: document.source_uri,
        format: format_value(document.format),
        pages: Vec::new(),
    }
}

pub(super) fn ingestion(ingestion: Ingestion) -> pb::Ingestion {
    let state = match ingestion.state {
        IngestionState::Queued => pb::IngestionState::Queued,
        IngestionState::Running => pb::IngestionState::Running,
        IngestionState::Succeeded => pb::IngestionState::Succeeded,
        IngestionState::Failed => pb::IngestionState::Failed,
        IngestionState::Cancelled => pb::IngestionState::Cancelled,
    };
    let ended = ingestion.done + ingestion.unchanged + ingestion.failed + ingestion.cancelled;
    let failures = ingestion.failures.into_iter().map(|failure| pb::IngestionFailure {
        key: failure.key,
        reason: failure.reason,
        message: failure.message,
    });
    pb::Ingestion {
        ingestion_id: ingestion.id.to_string(),
        knowledge_base_id: ingestion.knowledge_base.to_string(),
        state: state.into(),
        documents_total: ingestion.total,
        documents_done: ingestion.done,
        documents_unchanged: ingestion.unchanged,
        chunks_written: ingestion.chunks,
        failures: failures.collect(),
        create_time: Some(timestamp(ingestion.create_time)),
        finish_time: ingestion.finish_time.map(timestamp),
        documents_failed: ingestion.failed,
        documents_cancelled: ingestion.cancelled,
        documents_waiting: ingestion.total.saturating_sub(ended),
        bytes_total: ingestion.bytes_total,
        bytes_done: ingestion.bytes_done,
        source: ingestion.source.map(source),
    }
}

fn source(source: IngestionSource) -> pb::IngestionSource {
    let state = match source.state {
        SourceState::Fetching => pb::SourceState::Fetching,
        SourceState::Fetched => pb::SourceState::Fetched,
        SourceState::Failed => pb::SourceState::Failed,
    };
    pb::IngestionSource {
        kind: source.kind,
        name: source.name,
        state: state.into(),
        documents_deleted: source.deleted,
    }
}

pub(super) fn passage(passage: Passage, score: f64) -> types::Passage {
    types::Passage {
        passage_id: passage.id.to_string(),
        document_id: passage.document.to_string(),
        document_version: passage.version,
        title: passage.title,
        source_kind: source_kind_value(passage.source_kind),
        span: Some(types::Span { start: passage.span.start, end: passage.span.end }),
        text: passage.text,
        score,
        source_uri: passage.source_uri,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_of_the_lists_has_its_twin() {
        for kind in SourceKind::ALL {
            assert_eq!(source_kind(source_kind_value(*kind)), Some(*kind));
        }
        for kind in ContentType::ALL {
            assert_eq!(content_type(content_type_value(*kind)), Some(*kind));
        }
        for kind in Format::ALL {
            assert_eq!(format(format_value(Some(*kind))), Some(*kind));
        }
        assert_eq!((source_kind(0), content_type(0)), (Some(SourceKind::Document), Some(ContentType::Blog)));
        assert_eq!((source_kind(99), content_type(-1), format(0), format(99)), (None, None, None, None));
    }

    #[test]
    fn times_before_1970_stay_valid() {
        assert_eq!(timestamp(-1), Timestamp { seconds: -1, nanos: 999_000_000 });
        assert_eq!(timestamp(1_500), Timestamp { seconds: 1, nanos: 500_000_000 });
    }
}
