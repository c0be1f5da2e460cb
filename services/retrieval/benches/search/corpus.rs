//! A made-up library: vectors in clusters, words by how often words come, twenty tenants' worth of attributes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use copydesk_retrieval::domain::attributes::{Attributes, Flat, Scalar};
use copydesk_retrieval::domain::filter::{Facts, FieldPath, Filter, Test};
use copydesk_retrieval::domain::lens::Lens;
use copydesk_retrieval::domain::source::{ContentType, SourceKind};
use copydesk_retrieval::domain::terms::DocumentTerms;
use copydesk_retrieval::ports::{Change, ChunkedDocument, IndexSource, StoredChunk};
use copydesk_store::StoreError;
use copydesk_types::{DocumentId, KnowledgeBaseId, PassageId, TenantId};

/// Values of a vector.
pub const WIDTH: usize = 384;
/// Terms of a chunk, repeats included.
pub const TERMS: usize = 55;
/// Chunks of a document, and of a passage.
pub const CHUNKS: u32 = 10;
const PER_PASSAGE: u128 = 4;
const CLUSTERS: u64 = 200;
const VOCABULARY: f64 = 30_000.0;
pub const TENANTS: u32 = 20;

/// Numbers that are the same in every run.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn unit(&mut self) -> f32 {
        (self.roll() >> 40) as f32 / (1u64 << 24) as f32
    }

    /// Nearly normal, with mean 0 and deviation 1.
    fn normal(&mut self) -> f32 {
        ((0..6).map(|_| self.unit()).sum::<f32>() - 3.0) * 2.0f32.sqrt()
    }

    /// A word: the n-th comes about 1/n as often as the first.
    pub fn word(&mut self) -> String {
        format!("w{}", VOCABULARY.powf(f64::from(self.unit())) as u32)
    }

    /// A vector near one of the centres.
    pub fn vector(&mut self) -> Vec<f32> {
        let mut centre = Self::new(1 + self.roll() % CLUSTERS);
        let noise = 0.7 / (WIDTH as f32).sqrt();
        let scale = 1.0 / (WIDTH as f32).sqrt();
        (0..WIDTH).map(|_| centre.normal() * scale + self.normal() * noise).collect()
    }
}

/// A document, made from its number.
pub fn document(number: u32) -> ChunkedDocument {
    let mut dice = Dice::new(u64::from(number) + 1_000_003);
    let (mut texts, mut chunks) = (Vec::new(), Vec::new());
    for at in 0..CHUNKS {
        texts.push((0..TERMS).map(|_| dice.word()).collect());
        let passage = u128::from(number * CHUNKS + at) / PER_PASSAGE;
        chunks.push(StoredChunk {
            passage: PassageId::from_u128(passage),
            ordinal: at % PER_PASSAGE as u32,
            span: u64::from(at) * 100..u64::from(at) * 100 + 99,
            vector: Some(dice.vector()),
            weights: None,
        });
    }
    let terms = DocumentTerms::of_terms(&[], texts.into_iter());
    ChunkedDocument { facts: facts(number), terms, chunks }
}

fn facts(number: u32) -> Facts {
    let said = serde_json::json!({"tenant": tenant(number), "year": 2000 + number % 30});
    let attributes = Attributes::from_json(&said.to_string()).unwrap_or_default();
    Facts {
        id: DocumentId::from_u128(u128::from(number)),
        key: format!("docs/{number}.md").into(),
        title: "".into(),
        kind: SourceKind::Document,
        content_type: ContentType::Blog,
        update_time: 0,
        attributes: Flat::of(&attributes),
    }
}

fn tenant(number: u32) -> String {
    format!("tenant {}", number % TENANTS)
}

/// Sees one document in twenty.
pub fn one_in_twenty(number: u32) -> Lens {
    let test = Test::OneOf(vec![Scalar::Text(tenant(number).into())]);
    let filter = Filter::Field(FieldPath::Attribute("tenant".into()), test);
    Lens { filter: Some(Arc::new(filter)), ..Lens::all() }
}

/// Sees every other document.
pub fn half() -> Lens {
    let tenants = (0..TENANTS).step_by(2).map(|number| Scalar::Text(tenant(number).into()));
    let filter = Filter::Field(FieldPath::Attribute("tenant".into()), Test::OneOf(tenants.collect()));
    Lens { filter: Some(Arc::new(filter)), ..Lens::all() }
}

/// Rows that are in memory and grow: what a database would answer, without its time.
#[derive(Default)]
pub struct Rows(Mutex<BTreeMap<u64, u32>>);

impl Rows {
    /// Writes a document and gives the version that did.
    pub fn write(&self, number: u32) -> u64 {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let version = rows.last_key_value().map_or(1, |(version, _)| version + 1);
        rows.insert(version, number);
        version
    }

    /// The version of the last write.
    pub fn version(&self) -> u64 {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rows.last_key_value().map_or(0, |(version, _)| *version)
    }
}

#[async_trait]
impl IndexSource for Rows {
    async fn changes(&self, _: TenantId, _: KnowledgeBaseId, after: u64) -> Result<Vec<Change>, StoreError> {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let change = |(version, number): (&u64, &u32)| Change {
            document: DocumentId::from_u128(u128::from(*number)),
            version: *version,
            chunks: u64::from(CHUNKS),
        };
        Ok(rows.range(after + 1..).map(change).collect())
    }

    async fn chunked(&self, _: TenantId, ids: &[DocumentId]) -> Result<Vec<ChunkedDocument>, StoreError> {
        Ok(ids.iter().map(|id| document(id.as_u128() as u32)).collect())
    }

    async fn last_changes(
        &self,
        _: TenantId,
        _: KnowledgeBaseId,
        ids: &[DocumentId],
    ) -> Result<HashMap<DocumentId, u64>, StoreError> {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all = rows.iter().map(|(version, number)| (DocumentId::from_u128((*number).into()), *version));
        Ok(all.filter(|(id, _)| ids.contains(id)).collect())
    }

    async fn every_knowledge_base(&self) -> Result<Vec<(TenantId, KnowledgeBaseId, u64)>, StoreError> {
        Ok(Vec::new())
    }
}
