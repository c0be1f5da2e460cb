//! How far a document of an upload is, and what a tenant may store.

use copydesk_types::DocumentId;

/// How often the work on a document may be lost before it is poisoned.
pub const LOSSES: u32 = 3;

/// How far a document of an upload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Stored, not begun.
    Waiting,
    /// Its bytes are being read.
    Parsing,
    /// Its text is being cut.
    Chunking,
    /// Its chunks are being embedded.
    Embedding,
    /// Its rows are being written.
    Storing,
    /// It is searchable.
    Done,
    /// Nothing was done for it.
    Unchanged,
    /// It cannot be indexed.
    Failed,
    /// Work on it was lost too often.
    Poisoned,
    /// Its ingestion was cancelled first.
    Cancelled,
}

impl Stage {
    /// Every stage, in the order of the contract.
    pub const ALL: [Self; 10] = [
        Self::Waiting,
        Self::Parsing,
        Self::Chunking,
        Self::Embedding,
        Self::Storing,
        Self::Done,
        Self::Unchanged,
        Self::Failed,
        Self::Poisoned,
        Self::Cancelled,
    ];

    /// The word that is stored in rows.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Parsing => "parsing",
            Self::Chunking => "chunking",
            Self::Embedding => "embedding",
            Self::Storing => "storing",
            Self::Done => "done",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
            Self::Poisoned => "poisoned",
            Self::Cancelled => "cancelled",
        }
    }

    /// The stage with this word, if there is one.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.word() == word)
    }

    /// True between the beginning and the end of the work on a document. Such a stage is no state of its row.
    pub const fn is_at_work(self) -> bool {
        matches!(self, Self::Parsing | Self::Chunking | Self::Embedding | Self::Storing)
    }
}

/// A document of an upload as a caller sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestionDocument {
    /// Its place in the upload, from 0.
    pub ordinal: u32,
    /// The caller's key for it.
    pub key: String,
    /// How far it is.
    pub stage: Stage,
    /// How often its work was begun.
    pub attempts: u32,
    /// A stable word why it ended as it did; empty when it went well.
    pub reason: String,
    /// The same for a person to read.
    pub message: String,
    /// The document that has its key now.
    pub document: Option<DocumentId>,
    /// Child chunks that were written for it.
    pub chunks: u32,
    /// Length of its bytes.
    pub size: u64,
    /// When its row last changed.
    pub update_time: i64,
}

/// What a quota counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Documents stored.
    Documents,
    /// Child chunks stored.
    Chunks,
    /// Bytes of documents, as they were uploaded.
    Bytes,
    /// Ingestions that have not ended.
    OpenIngestions,
}

impl Measure {
    /// The name of its setting.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Documents => "documents",
            Self::Chunks => "chunks",
            Self::Bytes => "bytes",
            Self::OpenIngestions => "open_ingestions",
        }
    }
}

/// What a tenant has stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Documents.
    pub documents: u64,
    /// Child chunks.
    pub chunks: u64,
    /// Bytes of documents, as they were uploaded.
    pub bytes: u64,
    /// Ingestions that have not ended.
    pub open_ingestions: u64,
    /// Staged bytes: of documents that wait, and of failed ones.
    pub waiting_bytes: u64,
}

/// What a tenant may store; 0: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allowance {
    /// Documents.
    pub documents: u64,
    /// Child chunks.
    pub chunks: u64,
    /// Bytes of documents, as they were uploaded.
    pub bytes: u64,
    /// Ingestions that have not ended.
    pub open_ingestions: u64,
}

/// A quota would be exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverQuota {
    /// Which.
    pub measure: Measure,
    /// What is allowed.
    pub limit: u64,
}

impl Allowance {
    /// Whether nothing is limited.
    pub fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }

    /// The first measure that grows by `more` beyond what is allowed, to `after`. What does not grow is never refused:
    /// a tenant above a lowered limit may still replace and delete.
    pub fn exceeded(&self, more: [(Measure, i64, i64); 3]) -> Option<OverQuota> {
        let over = |(measure, more, after): (Measure, i64, i64)| {
            let limit = self.limit(measure);
            let exceeded = limit > 0 && more > 0 && u64::try_from(after).unwrap_or(0) > limit;
            exceeded.then_some(OverQuota { measure, limit })
        };
        more.into_iter().find_map(over)
    }

    /// What is allowed of this; 0: no limit.
    pub const fn limit(&self, measure: Measure) -> u64 {
        match measure {
            Measure::Documents => self.documents,
            Measure::Chunks => self.chunks,
            Measure::Bytes => self.bytes,
            Measure::OpenIngestions => self.open_ingestions,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_find_their_stages() {
        for stage in Stage::ALL {
            assert_eq!(Stage::from_word(stage.word()), Some(stage));
        }
        assert_eq!(Stage::from_word("lost"), None);
    }

    #[test]
    fn only_growth_beyond_a_limit_exceeds_it() {
        let allowance = Allowance { documents: 3, bytes: 100, ..Allowance::default() };
        let check = |documents, bytes| {
            let more = [
                (Measure::Documents, documents, 3 + documents),
                (Measure::Chunks, 50, 1000),
                (Measure::Bytes, bytes, 110 + bytes),
            ];
            allowance.exceeded(more).map(|over| (over.measure, over.limit))
        };
        assert_eq!(check(0, 0), None);
        assert_eq!(check(0, -5), None, "above the limit, but shrinking");
        assert_eq!(check(1, -5), Some((Measure::Documents, 3)));
        assert_eq!(check(0, 1), Some((Measure::Bytes, 100)));
        assert!(Allowance::default().is_unlimited() && !allowance.is_unlimited());
    }
}
