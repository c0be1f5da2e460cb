//! The index alone, over rows that a service writes: who dies in the middle, who comes late, who works at the same time.

use std::sync::Arc;
use std::time::Duration;

use copydesk_guard::text::terms;
use copydesk_retrieval::adapters::{DatabaseStore, MIGRATOR, MemoryIndex, QdrantIndex};
use copydesk_retrieval::domain::lens::Lens;
use copydesk_retrieval::domain::ranking::Leaf;
use copydesk_retrieval::ports::{
    Corpus, Embedded, IndexError, IndexSource, Inspector, KnowledgeStore, LexicalIndex, VectorIndex,
};
use copydesk_retrieval::{Config, IndexConfig, QdrantConfig, assemble_with};
use copydesk_rpc::testing;
use copydesk_types::{KnowledgeBaseId, TenantId};
use tokio_util::sync::CancellationToken;
use tonic::Code;

use crate::common::letters::{Model, embedders, weights};
use crate::common::{Bench, Doc, Tenant};
use crate::double::{Act, Double};
use crate::library::{Dice, document, library};
use crate::pair::{double, ends};

/// Rows, a service that writes them, and a double.
pub struct Shelf {
    pub tenant: Tenant,
    pub base: KnowledgeBaseId,
    pub store: Arc<DatabaseStore>,
    pub double: Arc<Double>,
    pub config: QdrantConfig,
    uploads: std::sync::atomic::AtomicU32,
}

impl Shelf {
    pub async fn new() -> Self {
        let database = copydesk_store::testing::sqlite(&MIGRATOR).await;
        let models = embedders(&[Model::weighing("test/old", 26, 0)]);
        let context = testing::context(&std::env::temp_dir());
        let service = assemble_with(Config::default(), database.clone(), context, models, None, None);
        let bench = Bench { name: "writer", channel: testing::local(service), database: database.clone() };
        let tenant = bench.tenant(1);
        let base = tenant.new_base("company").await.knowledge_base_id.parse().unwrap();
        let place = double();
        let config = QdrantConfig { attempts: 1, batch: 4, ..place.config };
        let store = Arc::new(DatabaseStore::new(database));
        let double = place.double.unwrap();
        Self { tenant, base, store, double, config, uploads: 0.into() }
    }

    pub async fn ingest(&self, docs: &[Doc]) {
        let number = self.uploads.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        self.tenant.ingest(&format!("upload {number}"), &self.base.to_string(), docs).await;
    }

    /// A process's index.
    pub fn index(&self) -> QdrantIndex {
        self.index_with(self.config.clone())
    }

    pub fn index_with(&self, config: QdrantConfig) -> QdrantIndex {
        QdrantIndex::new(self.store.clone(), config, [26])
    }

    pub async fn corpus(&self) -> Corpus {
        let (tenant, base) = (self.tenant.id, self.base);
        let version = self.store.knowledge_base(tenant, base).await.unwrap().unwrap().version;
        Corpus { tenant, knowledge_bases: vec![(base, version)] }
    }

    /// The lists that the index in memory gives are those of this one, to the last digit, and nothing is left over.
    pub async fn agrees(&self, index: &QdrantIndex) {
        let memory = MemoryIndex::new(self.store.clone(), IndexConfig::default());
        let corpus = self.corpus().await;
        let mut dice = Dice::new(5);
        for length in [1, 3, 8] {
            let words = terms(&dice.words(length));
            let vector: Vec<f32> = (0..26).map(|_| dice.below(9) as f32).collect();
            for parents in [1, 5, 1_000] {
                let lens = Lens::all();
                let expected = memory.by_words(&corpus, &words, &lens, parents).await.unwrap();
                assert_eq!(index.by_words(&corpus, &words, &lens, parents).await.unwrap(), expected);
                let expected = memory.by_meaning(&corpus, vector.clone(), &lens, parents).await.unwrap();
                let found = index.by_meaning(&corpus, vector.clone(), &lens, parents).await.unwrap();
                assert_eq!(found, expected);
                let weights = weights(&dice.words(length));
                let expected = memory.by_tokens(&corpus, &weights, &lens, parents).await.unwrap();
                assert_eq!(index.by_tokens(&corpus, &weights, &lens, parents).await.unwrap(), expected);
                let question = Embedded { vector: vector.clone(), weights: Some(weights) };
                let some: Vec<_> = found.iter().map(|leaf| leaf.passage).take(9).collect();
                let expected = memory.inspect(&corpus, &words, Some(question.clone()), &some).await.unwrap();
                assert_eq!(index.inspect(&corpus, &words, Some(question), &some).await.unwrap(), expected);
            }
        }
        assert_eq!(self.double.chunks(), self.chunks().await, "nothing is left over");
    }

    pub async fn chunks(&self) -> usize {
        self.tenant.base(&self.base.to_string()).await.chunk_count as usize
    }

    /// What the mark of the knowledge base says; there is only one.
    pub fn marked(&self, key: &str) -> Option<String> {
        self.double.engine(|engine| {
            let mut points = engine.collections.values().flat_map(|collection| collection.points.values());
            let mark = points.find(|point| point.payload.contains_key("role"))?;
            Some(format!("{}", mark.payload[key]))
        })
    }

    pub async fn search(&self, index: &QdrantIndex) -> Result<Vec<Leaf>, IndexError> {
        index.by_words(&self.corpus().await, &terms("cold van oil"), &Lens::all(), 9).await
    }
}

/// Documents of which each is changed once, and some go.
async fn changed_library(shelf: &Shelf) {
    shelf.ingest(&library("a", 6, 1)).await;
    let first = shelf.index();
    shelf.agrees(&first).await;
    let docs: Vec<Doc> = (0..3).map(|at| document(&format!("a/{at}"), 90 + at)).collect();
    shelf.ingest(&docs).await;
    let gone = shelf.tenant.documents(&shelf.base.to_string()).await.pop().unwrap();
    let request = copydesk_proto::retrieval::v1::DeleteDocumentRequest { document_id: gone.document_id };
    shelf.tenant.run(shelf.tenant.knowledge().delete_document(request)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_dies_at_any_write_leaves_nothing_half_seen() {
    let acts = [Act::Fail(Code::Unavailable), Act::DoneThenFail(Code::Unavailable), Act::DoneThenCut];
    let mut all = tokio::task::JoinSet::new();
    acts.into_iter().for_each(|act| drop(all.spawn(dies_at_each_write(act))));
    while let Some(done) = all.join_next().await {
        done.unwrap();
    }
}

async fn dies_at_each_write(act: Act) {
    for at in 0.. {
        let shelf = Shelf::new().await;
        ends(changed_library(&shelf)).await;
        shelf.double.on("update_batch", at, 1, act);
        let died = ends(shelf.search(&shelf.index())).await.is_err();
        shelf.double.calm();
        // Another changes the same documents again before somebody starts anew.
        if at % 2 == 1 {
            shelf.ingest(&[document("a/1", 200)]).await;
        }
        ends(shelf.agrees(&shelf.index())).await;
        if !died {
            assert!(at >= 3, "there were {at} writes");
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_that_is_given_up_leaves_the_next_one_to_go_on() {
    let shelf = Shelf::new().await;
    shelf.ingest(&library("a", 8, 1)).await;
    let index = shelf.index();
    for at in 0..3 {
        shelf.double.on("update_batch", at, 1, Act::Hang);
        let given_up = tokio::time::timeout(Duration::from_millis(300), shelf.search(&index)).await;
        assert!(given_up.is_err(), "it hangs at write {at}");
        shelf.double.calm();
    }
    ends(shelf.agrees(&index)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_at_once_write_the_same() {
    let shelf = Arc::new(Shelf::new().await);
    shelf.ingest(&library("a", 10, 1)).await;
    let (left, right) = (shelf.index(), shelf.index());
    let (one, other) = ends(async { tokio::join!(shelf.search(&left), shelf.search(&right)) }).await;
    assert_eq!(one.unwrap(), other.unwrap());
    ends(shelf.agrees(&left)).await;
    ends(changed_library(&shelf)).await;
    let (one, other) = ends(async { tokio::join!(shelf.search(&left), shelf.search(&right)) }).await;
    assert_eq!(one.unwrap(), other.unwrap());
    ends(shelf.agrees(&right)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_late_writer_leaves_is_not_seen_and_goes() {
    let shelf = Shelf::new().await;
    shelf.ingest(&[document("a/0", 1), document("a/1", 2)]).await;
    let index = shelf.index();
    ends(shelf.agrees(&index)).await;
    let old = shelf.double.engine(|engine| {
        let points = engine.collections.values().flat_map(|collection| collection.points.clone());
        points.filter(|(_, point)| !point.payload.contains_key("role")).collect::<Vec<_>>()
    });
    shelf.ingest(&[document("a/0", 3)]).await;
    ends(shelf.agrees(&index)).await;
    let before = shelf.search(&index).await.unwrap();
    shelf.double.engine(|engine| {
        engine.collections.values_mut().for_each(|collection| collection.points.extend(old.clone()));
    });
    assert!(shelf.double.chunks() > shelf.chunks().await);
    let found = ends(shelf.search(&shelf.index())).await.unwrap();
    assert_eq!(found, before, "a fresh process counts and finds only what is in the rows");
    ends(shelf.agrees(&shelf.index())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collection_of_an_earlier_build_takes_weights_of_tokens_too() {
    for old in [false, true] {
        let shelf = Shelf::new().await;
        if old {
            shelf.double.shared.grow_old();
        }
        ends(shelf.agrees(&shelf.index())).await;
        shelf.double.engine(|engine| {
            engine.collections.values_mut().for_each(|collection| _ = collection.sparse.remove("tokens"));
        });
        // Searched before anything has weights, and then filled.
        let index = shelf.index();
        ends(shelf.agrees(&index)).await;
        shelf.ingest(&library("a", 8, 2)).await;
        ends(shelf.agrees(&index)).await;
        let corpus = shelf.corpus().await;
        let found = ends(index.by_tokens(&corpus, &weights("the van"), &Lens::all(), 9)).await.unwrap();
        assert!(!found.is_empty(), "old: {old}");
        let number = if old { 2 } else { 1 };
        let names = shelf.double.engine(|engine| engine.collections.keys().cloned().collect::<Vec<_>>());
        assert_eq!(names, [format!("{}_{number}", shelf.config.prefix)]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_cannot_add_vectors_gets_a_new_collection_behind_the_same_name() {
    let shelf = Shelf::new().await;
    shelf.double.shared.grow_old();
    // The first index knows of no embedder.
    let narrow = QdrantIndex::new(shelf.store.clone(), shelf.config.clone(), []);
    let lexical = shelf.tenant.new_base_with("words", "none").await.unwrap().knowledge_base_id;
    shelf.tenant.ingest("w", &lexical, &library("w", 3, 1)).await;
    let id = lexical.parse().unwrap();
    let version = shelf.store.knowledge_base(shelf.tenant.id, id).await.unwrap().unwrap().version;
    let words = Corpus { tenant: shelf.tenant.id, knowledge_bases: vec![(id, version)] };
    let (van, lens) = (["van".to_owned()], Lens::all());
    let ask = || narrow.by_words(&words, &van, &lens, 9);
    let before = ends(ask()).await.unwrap();
    assert!(!before.is_empty());
    let names = |double: &Double| {
        double.engine(|engine| {
            let collections: Vec<String> = engine.collections.keys().cloned().collect();
            (collections, engine.aliases.clone())
        })
    };
    let prefix = shelf.config.prefix.clone();
    assert_eq!(names(&shelf.double).0, [format!("{prefix}_1")]);

    shelf.ingest(&library("a", 4, 2)).await;
    let found = ends(shelf.search(&narrow)).await.unwrap();
    assert!(!found.is_empty());
    let (collections, aliases) = names(&shelf.double);
    assert_eq!(collections, [format!("{prefix}_2")], "the old one is gone");
    assert_eq!(aliases.get(&prefix), Some(&format!("{prefix}_2")));
    assert_eq!(ends(ask()).await.unwrap(), before, "everything else moved along");
    let memory = MemoryIndex::new(shelf.store.clone(), IndexConfig::default());
    let corpus = shelf.corpus().await;
    let vector = vec![1.0; 26];
    let expected = memory.by_meaning(&corpus, vector.clone(), &Lens::all(), 9).await.unwrap();
    assert_eq!(ends(narrow.by_meaning(&corpus, vector, &Lens::all(), 9)).await.unwrap(), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_are_weighed_anew_when_lengths_have_changed() {
    let shelf = Shelf::new().await;
    let short = |at: u64| Doc { parts: vec![Dice::new(at).words(2).into_bytes().into()], ..document("", at) };
    let mut docs: Vec<Doc> = (0..6).map(short).collect();
    docs.iter_mut().enumerate().for_each(|(at, doc)| doc.start.key = format!("s/{at}"));
    shelf.ingest(&docs).await;
    let index = Arc::new(shelf.index());
    ends(shelf.agrees(&index)).await;
    let references = || ["low", "high"].map(|key| shelf.marked(key).unwrap());
    let before = references();
    shelf.ingest(&library("a", 30, 4)).await;
    ends(shelf.agrees(&index)).await;
    assert_eq!(references(), before, "a search does not do it");
    let stop = CancellationToken::new();
    let following = tokio::spawn(Arc::clone(&index).follow(stop.clone()));
    ends(async {
        while references() == before || references()[0] != references()[1] {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    stop.cancel();
    following.await.unwrap();
    ends(shelf.agrees(&index)).await;
    ends(shelf.agrees(&shelf.index())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_is_ahead_of_the_rows_is_built_again() {
    let shelf = Shelf::new().await;
    shelf.ingest(&library("a", 3, 1)).await;
    ends(shelf.agrees(&shelf.index())).await;
    shelf.double.engine(|engine| {
        for point in engine.collections.values_mut().flat_map(|collection| collection.points.values_mut()) {
            for key in ["born", "version", "clean"] {
                point.payload.entry(key.into()).and_modify(|value| *value = 1_000_000.into());
            }
        }
    });
    let index = Arc::new(shelf.index());
    let stop = CancellationToken::new();
    let following = tokio::spawn(Arc::clone(&index).follow(stop.clone()));
    let version = shelf.corpus().await.knowledge_bases[0].1.to_string();
    ends(async {
        while shelf.marked("clean").as_ref() != Some(&version) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    stop.cancel();
    following.await.unwrap();
    ends(shelf.agrees(&index)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_follower_catches_up_alone_and_again_after_a_fault() {
    let shelf = Shelf::new().await;
    shelf.ingest(&library("a", 6, 1)).await;
    let index = Arc::new(shelf.index());
    shelf.double.on("", 0, 5, Act::Fail(Code::Unavailable));
    let stop = CancellationToken::new();
    let following = tokio::spawn(Arc::clone(&index).follow(stop.clone()));
    let corpus = shelf.corpus().await;
    let version = corpus.knowledge_bases[0].1.to_string();
    ends(async {
        while shelf.marked("clean").as_ref() != Some(&version) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(shelf.double.chunks(), shelf.chunks().await);
    stop.cancel();
    following.await.unwrap();
    shelf.double.shared.calls();
    ends(shelf.search(&index)).await.unwrap();
    assert!(!shelf.double.shared.calls().contains(&"update_batch"), "nothing was left to write");
    let all = shelf.store.every_knowledge_base().await.unwrap();
    assert_eq!(all, [(shelf.tenant.id, shelf.base, corpus.knowledge_bases[0].1)]);
    let other = TenantId::from_u128(9);
    assert!(shelf.store.last_changes(other, shelf.base, &[]).await.unwrap().is_empty());
}
