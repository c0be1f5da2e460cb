//! From points to the lists of the legs.

use std::collections::{BTreeMap, HashMap};

use copydesk_types::{DocumentId, KnowledgeBaseId, PassageId};
use qdrant_client::qdrant::{
    Condition, DenseVector, Filter, PayloadIncludeSelector, Query, QueryBatchPoints, QueryPoints,
    SearchParams, VectorInput, VectorsSelector, WithPayloadSelector, WithVectorsSelector, query,
    vector_input, with_payload_selector, with_vectors_selector,
};

use super::count::View;
use super::layout::{Layout, TOKENS, WORDS, dense, key};
use super::link::{Access, Fault};
use super::mark::{self, Mark};
use super::point::{Read, read, sparse, tokens};
use super::{Key, QdrantIndex};
use crate::domain::inspection::Inspection;
use crate::domain::lens::Lens;
use crate::domain::ranking::Leaf;
use crate::domain::recalled::{self, Direction, Recalled, References, Tokens, Words, cut};
use crate::domain::token_weights::TokenWeights;
use crate::ports::{Change, Corpus, Embedded, IndexError};

/// How often a list is made anew when what it was made from moved meanwhile.
const ATTEMPTS: usize = 4;
/// How much longer the next list is when one was too short.
const LONGER: usize = 4;

/// What is asked of points.
struct Ask {
    query: Option<query::Variant>,
    using: Option<String>,
    filter: Filter,
    exact: bool,
    terms: bool,
    /// The vectors that come along.
    vectors: Vec<String>,
}

/// Points that were recalled, and the score of the last when there may be more.
struct Page {
    chunks: Vec<Recalled>,
    last: Option<f64>,
}

/// A list cannot be made because what it was made from has moved: what is to be shown at least now.
struct Moved(Vec<(KnowledgeBaseId, u64)>);

/// What comes of a look at points.
enum Outcome<T> {
    Done(T),
    Moved(Moved),
}

/// A search that is done again while what it looks through moves.
struct Tries {
    corpus: Corpus,
    attempt: usize,
}

impl Tries {
    fn new(corpus: &Corpus) -> Self {
        Self { corpus: corpus.clone(), attempt: 1 }
    }

    fn is_last(&self) -> bool {
        self.attempt >= ATTEMPTS
    }

    /// # Errors
    /// When that was the last one.
    fn again(&mut self, Moved(newer): Moved) -> Result<(), IndexError> {
        if self.is_last() {
            return Err(IndexError::Unavailable("what is searched changes all the time".to_owned()));
        }
        self.attempt += 1;
        for (base, version) in newer {
            let own = self.corpus.knowledge_bases.iter_mut().find(|(own, _)| *own == base);
            own.into_iter().for_each(|(_, own)| *own = version.max(*own));
        }
        Ok(())
    }
}

impl QdrantIndex {
    pub(super) async fn words(
        &self,
        corpus: &Corpus,
        terms: &[String],
        lens: &Lens,
        parents: usize,
    ) -> Result<Vec<Leaf>, IndexError> {
        if terms.is_empty() || parents == 0 {
            return Ok(Vec::new());
        }
        let mut tries = Tries::new(corpus);
        loop {
            let view = self.view(&tries.corpus).await?;
            match Box::pin(self.by_these(&view, terms, lens, parents, tries.is_last())).await? {
                Outcome::Done(list) => return Ok(list),
                Outcome::Moved(moved) => tries.again(moved)?,
            }
        }
    }

    async fn by_these(
        &self,
        view: &View,
        terms: &[String],
        lens: &Lens,
        parents: usize,
        last_try: bool,
    ) -> Result<Outcome<Vec<Leaf>>, IndexError> {
        let (statistics, weighed) = match self.weighed(view, terms).await {
            Ok(known) => known,
            Err(fault) => return self.moved(fault, last_try),
        };
        let references = view.references().unwrap_or(References::one(1.0));
        let Some(words) = Words::new(&statistics, &weighed, references) else {
            return Ok(Outcome::Done(Vec::new()));
        };
        let weights = words.weights().iter().map(|(term, weight)| (*term, *weight as f32));
        let Some(question) = sparse(weights) else { return Ok(Outcome::Done(Vec::new())) };
        let ask = Ask {
            query: Some(nearest(vector_input::Variant::Sparse(question))),
            using: Some(WORDS.to_owned()),
            filter: view.through(lens),
            exact: lens.exact,
            terms: true,
            vectors: Vec::new(),
        };
        let score = |chunk| words.score(chunk);
        self.listed(view, ask, (parents, last_try), score, |last| words.ceiling(last)).await
    }

    pub(super) async fn meanings(
        &self,
        corpus: &Corpus,
        vector: Vec<f32>,
        lens: &Lens,
        parents: usize,
    ) -> Result<Vec<Leaf>, IndexError> {
        let Some(direction) = Direction::new(vector).filter(|_| parents > 0) else { return Ok(Vec::new()) };
        let width = direction.width();
        let question = vector_input::Variant::Dense(DenseVector { data: direction.unit() });
        let held = |layout: &Layout| layout.widths.contains(&width);
        let (score, ceiling) = (|chunk| direction.score(chunk), |last| direction.ceiling(last));
        self.by_vector(corpus, (dense(width), question), held, (lens, parents), score, ceiling).await
    }

    pub(super) async fn tokens(
        &self,
        corpus: &Corpus,
        weights: &TokenWeights,
        lens: &Lens,
        parents: usize,
    ) -> Result<Vec<Leaf>, IndexError> {
        let Some(asked) = Tokens::new(weights.clone()).filter(|_| parents > 0) else { return Ok(Vec::new()) };
        let question = vector_input::Variant::Sparse(tokens(asked.weights()));
        let held = |layout: &Layout| layout.tokens;
        let (score, ceiling) = (|chunk| asked.score(chunk), |last| asked.ceiling(last));
        self.by_vector(corpus, (TOKENS.to_owned(), question), held, (lens, parents), score, ceiling).await
    }

    /// A leg that compares one named vector of the points, which comes along to be compared again. Nothing where the
    /// collection holds none.
    async fn by_vector(
        &self,
        corpus: &Corpus,
        (name, question): (String, vector_input::Variant),
        held: impl Fn(&Layout) -> bool,
        (lens, parents): (&Lens, usize),
        score: impl Fn(Recalled) -> Option<Leaf>,
        ceiling: impl Fn(f64) -> f64,
    ) -> Result<Vec<Leaf>, IndexError> {
        let mut tries = Tries::new(corpus);
        loop {
            let view = self.view(&tries.corpus).await?;
            if !held(&view.layout) {
                return Ok(Vec::new());
            }
            let ask = Ask {
                query: Some(nearest(question.clone())),
                using: Some(name.clone()),
                filter: view.through(lens),
                exact: lens.exact,
                terms: false,
                vectors: vec![name.clone()],
            };
            let list = self.listed(&view, ask, (parents, tries.is_last()), &score, &ceiling);
            match Box::pin(list).await? {
                Outcome::Done(list) => return Ok(list),
                Outcome::Moved(moved) => tries.again(moved)?,
            }
        }
    }

    pub(super) async fn look(
        &self,
        corpus: &Corpus,
        terms: &[String],
        question: Option<Embedded>,
        passages: &[PassageId],
    ) -> Result<Inspection, IndexError> {
        let (vector, weights) = question.map(|own| (own.vector, own.weights)).unzip();
        let question = (vector.and_then(Direction::new), weights.flatten());
        let passages: Vec<String> = passages.iter().map(ToString::to_string).collect();
        let mut tries = Tries::new(corpus);
        loop {
            let view = self.view(&tries.corpus).await?;
            let last_try = tries.is_last();
            match Box::pin(self.at_these(&view, terms, &question, &passages, last_try)).await? {
                Outcome::Done(seen) => return Ok(seen),
                Outcome::Moved(moved) => tries.again(moved)?,
            }
        }
    }

    async fn at_these(
        &self,
        view: &View,
        terms: &[String],
        (direction, weights): &(Option<Direction>, Option<TokenWeights>),
        passages: &[String],
        last_try: bool,
    ) -> Result<Outcome<Inspection>, IndexError> {
        let (statistics, weighed) = match self.weighed(view, terms).await {
            Ok(known) => known,
            Err(fault) => return self.moved(fault, last_try),
        };
        let mut vectors: Vec<String> = view.layout.widths.iter().copied().map(dense).collect();
        vectors.extend(weights.iter().filter(|_| view.layout.tokens).map(|_| TOKENS.to_owned()));
        let mut chunks = Vec::new();
        // Some at once: a passage has a handful of chunks, and all of them must come.
        for some in passages.chunks(64) {
            let mut filter = view.filter();
            filter.must.push(Condition::matches(key::PASSAGE, some.to_vec()));
            let ask = Ask {
                query: None,
                using: None,
                filter,
                exact: true,
                terms: !terms.is_empty(),
                vectors: vectors.clone(),
            };
            match self.page(view, &ask, self.link.config().candidates as usize, last_try).await? {
                Outcome::Done(page) => chunks.extend(page.chunks),
                Outcome::Moved(moved) => return Ok(Outcome::Moved(moved)),
            }
        }
        let seen = recalled::inspection(&statistics, weighed, direction.as_ref(), weights.clone(), chunks);
        Ok(Outcome::Done(seen))
    }

    /// A collection that is gone has moved; every other fault is one.
    fn moved<T>(&self, fault: Fault, last_try: bool) -> Result<Outcome<T>, IndexError> {
        if last_try || !matches!(fault, Fault::Missing(_)) {
            return Err(fault.into());
        }
        self.forget_all();
        Ok(Outcome::Moved(Moved(Vec::new())))
    }

    /// The corpus, each knowledge base at its wanted version or a later one.
    async fn view(&self, corpus: &Corpus) -> Result<View, IndexError> {
        let mut bases = Vec::with_capacity(corpus.knowledge_bases.len());
        for (base, version) in &corpus.knowledge_bases {
            let of = (corpus.tenant, *base);
            let known = self.held(of).mark().filter(|mark| mark.version >= *version && mark.is_clean());
            let mark = match known {
                Some(mark) => mark,
                None => Box::pin(self.catch_up(of, *version)).await?,
            };
            bases.push((*base, mark));
        }
        let layout = self.layout().await?;
        Ok(View { tenant: corpus.tenant, bases, layout })
    }

    /// The best of a leg, as many as are needed for the end of the list to be certain.
    async fn listed(
        &self,
        view: &View,
        ask: Ask,
        (parents, last_try): (usize, bool),
        score: impl Fn(Recalled) -> Option<Leaf>,
        ceiling: impl Fn(f64) -> f64,
    ) -> Result<Outcome<Vec<Leaf>>, IndexError> {
        let most = self.link.config().candidates as usize;
        let mut limit = parents.saturating_mul(2).saturating_add(16).min(most);
        loop {
            let page = match Box::pin(self.page(view, &ask, limit, last_try)).await? {
                Outcome::Done(page) => page,
                Outcome::Moved(moved) => return Ok(Outcome::Moved(moved)),
            };
            let leaves: Vec<Leaf> = page.chunks.into_iter().filter_map(&score).collect();
            // Beyond the most that is looked at, what was not seen is taken to be worse.
            let unseen = page.last.filter(|_| limit < most).map(&ceiling);
            if let Some(list) = cut(leaves, parents, unseen) {
                return Ok(Outcome::Done(list));
            }
            limit = limit.saturating_mul(LONGER).min(most);
        }
    }

    /// Asks once, together with the marks: what moved while it was asked is asked again. Hits that the rows do not know
    /// are dropped.
    async fn page(
        &self,
        view: &View,
        ask: &Ask,
        limit: usize,
        last_try: bool,
    ) -> Result<Outcome<Page>, IndexError> {
        let keys = view.keys();
        let queries = vec![self.query(ask, limit), mark::query(self.alias(), &keys)];
        let request = QueryBatchPoints {
            collection_name: self.alias().to_owned(),
            query_points: queries,
            ..QueryBatchPoints::default()
        };
        let asked = self.link.call("query", Access::Read, |mut clients| {
            let request = request.clone();
            async move { clients.points.query_batch(request).await }
        });
        let mut answers = match asked.await {
            Ok(answer) => answer.result.into_iter(),
            Err(fault) => return self.moved(fault, last_try),
        };
        let (found, marks) = match (answers.next(), answers.next()) {
            (Some(found), Some(marks)) => (found.result, marks.result),
            _ => return Err(Fault::Unfit("an answer to two questions is not two answers".into()).into()),
        };
        let marks: HashMap<Key, Mark> = marks.iter().filter_map(|point| Mark::read(&point.payload)).collect();
        if !self.same(view, &marks) && !last_try {
            return Ok(Outcome::Moved(Moved(Vec::new())));
        }
        let last = (found.len() >= limit).then(|| found.last().map_or(0.0, |point| f64::from(point.score)));
        let read: Vec<Read> =
            found.into_iter().filter_map(|point| read(point.payload, point.vectors)).collect();
        let (chunks, stale) = self.known_to_rows(view, read).await?;
        if !stale.is_empty() && !last_try {
            return Ok(Outcome::Moved(Moved(stale)));
        }
        Ok(Outcome::Done(Page { chunks, last }))
    }

    fn query(&self, ask: &Ask, limit: usize) -> QueryPoints {
        let mut fields = vec![
            key::PASSAGE,
            key::ORDINAL,
            key::START,
            key::END,
            key::KIND,
            key::DOCUMENT,
            key::BASE,
            key::BORN,
            key::SIZE,
        ];
        if ask.terms {
            fields.extend([key::TERMS, key::REPEATS]);
        }
        let fields = fields.into_iter().map(str::to_owned).collect();
        let with_payload = with_payload_selector::SelectorOptions::Include(PayloadIncludeSelector { fields });
        let names = VectorsSelector { names: ask.vectors.clone() };
        let with_vectors = (!ask.vectors.is_empty()).then_some(WithVectorsSelector {
            selector_options: Some(with_vectors_selector::SelectorOptions::Include(names)),
        });
        let params = SearchParams {
            exact: Some(ask.exact),
            hnsw_ef: Some(u64::from(self.link.config().hnsw_ef_search).max(limit as u64)),
            ..SearchParams::default()
        };
        QueryPoints {
            collection_name: self.alias().to_owned(),
            query: ask.query.clone().map(|variant| Query { variant: Some(variant) }),
            using: ask.using.clone(),
            filter: Some(ask.filter.clone()),
            params: ask.query.is_some().then_some(params),
            limit: Some(limit as u64),
            with_payload: Some(WithPayloadSelector { selector_options: Some(with_payload) }),
            with_vectors,
            ..QueryPoints::default()
        }
    }

    /// Whether the marks are still those of the view. Newer ones are noted, missing ones forgotten.
    fn same(&self, view: &View, marks: &HashMap<Key, Mark>) -> bool {
        let mut same = true;
        for (base, seen) in &view.bases {
            let of = (view.tenant, *base);
            let now = marks.get(&of).copied();
            if now != Some(*seen) {
                self.held(of).note(now);
                same = false;
            }
        }
        same
    }

    /// The chunks of documents that are in the rows as they are here, and the versions to catch up with where they are
    /// not.
    async fn known_to_rows(
        &self,
        view: &View,
        read: Vec<Read>,
    ) -> Result<(Vec<Recalled>, Vec<(KnowledgeBaseId, u64)>), IndexError> {
        let mut documents: BTreeMap<KnowledgeBaseId, Vec<DocumentId>> = BTreeMap::new();
        read.iter().for_each(|one| documents.entry(one.base).or_default().push(one.document));
        let mut versions: HashMap<DocumentId, u64> = HashMap::new();
        for (base, ids) in &mut documents {
            ids.sort_unstable();
            ids.dedup();
            for some in ids.chunks(1_000) {
                versions.extend(self.source.last_changes(view.tenant, *base, some).await?);
            }
        }
        let (mut chunks, mut stale) = (Vec::with_capacity(read.len()), BTreeMap::new());
        for Read { mut chunk, document, base, born } in read {
            let now = versions.get(&document).copied();
            if let (Some(place), true) = (view.place(base), now == Some(born)) {
                chunk.leaf.base = place;
                chunks.push(chunk);
            } else {
                let version = now.unwrap_or(u64::MAX);
                stale.entry(base).or_insert_with(BTreeMap::new).insert(document, version);
            }
        }
        let mut newer = Vec::new();
        for (base, documents) in stale {
            newer.push(self.put_right(view, base, documents).await?);
        }
        Ok((chunks, newer))
    }

    /// Documents whose points are not those of the rows: either the rows have moved on, or the points should be gone.
    async fn put_right(
        &self,
        view: &View,
        base: KnowledgeBaseId,
        documents: BTreeMap<DocumentId, u64>,
    ) -> Result<(KnowledgeBaseId, u64), IndexError> {
        let of = (view.tenant, base);
        let shown = view.bases.iter().find(|(own, _)| *own == base).map_or(0, |(_, mark)| mark.version);
        let newest = documents.values().copied().filter(|version| *version != u64::MAX).max();
        let change = |(document, version): (&DocumentId, &u64)| Change {
            document: *document,
            version: *version,
            chunks: 0,
        };
        let late: Vec<Change> = (documents.iter())
            .filter(|(_, version)| **version <= shown || **version == u64::MAX)
            .map(change)
            .collect();
        if !late.is_empty() {
            tracing::warn!(documents = late.len(), "points of old versions are deleted");
            self.heal(of, &late).await?;
        }
        Ok((base, newest.unwrap_or(shown)))
    }
}

fn nearest(variant: vector_input::Variant) -> query::Variant {
    query::Variant::Nearest(VectorInput { variant: Some(variant) })
}
