//! The leg of learned token weights, end to end: a tiny model of BERT's kind with BGE-M3's head, its weights known here, so
//! that every score is held against a computation of our own.

#![allow(clippy::unwrap_used, reason = "the lint's exception for tests does not see the cases as tests")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::common::{Bench, Doc, Tenant, benches_of, doc, request, rows, titles};
use copydesk_proto::retrieval::v1::restore_snapshot_request::Part;
use copydesk_proto::retrieval::v1::snapshot_service_client::SnapshotServiceClient;
use copydesk_proto::retrieval::v1::{
    CreateSnapshotRequest, DeleteDocumentRequest, DeleteKnowledgeBaseRequest, ExplainSearchRequest,
    FusionMethod, FusionOptions, ListEmbeddersRequest, ReembedKnowledgeBaseRequest, RestoreSnapshotRequest,
    RestoreStart, SearchHit, SearchMode, SearchRequest,
};
use copydesk_proto::types::v1::SourceKind;
use copydesk_retrieval::embedders::{Embedders, Entry, open_local};
use copydesk_retrieval::ports::{Embedder, Purpose};
use copydesk_retrieval::{Config, EmbedderConfig, TokenWeighing, assemble_with};
use copydesk_rpc::testing;
use serde_json::json;

const WORDS: [&str; 12] =
    ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "of", "badger", "zebra", "van", "cold", "okapi", "walrus"];
const WIDTH: usize = 4;
const PLACES: usize = 24;
const HEAD: [f32; WIDTH] = [0.75, -0.5, 0.25, 1.0];
const BIAS: f32 = 2.0;

/// A model's weights: no layers, so that a token's vector is the norm of what its word and its place give.
fn word(at: usize) -> [f32; WIDTH] {
    [0, 1, 2, 3].map(|side| ((at * 7 + side * 5 + at * side * 3) % 11) as f32 / 4.0 - 1.25)
}

fn place(at: usize) -> [f32; WIDTH] {
    [0, 1, 2, 3].map(|side| ((at * 3 + side * 7) % 5) as f32 / 16.0)
}

/// A safetensors file of these tensors.
fn safetensors(tensors: &[(&str, Vec<usize>, Vec<f32>)]) -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, shape, values) in tensors {
        let start = data.len();
        data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        let tensor = json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]});
        header.insert((*name).to_owned(), tensor);
    }
    let header = serde_json::to_vec(&header).unwrap();
    [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
}

/// Writes the model into a folder.
fn write_model(folder: &Path) {
    let config = json!({
        "model_type": "bert", "hidden_size": WIDTH, "num_hidden_layers": 0, "num_attention_heads": 1,
        "intermediate_size": WIDTH, "max_position_embeddings": PLACES, "layer_norm_eps": 1e-5,
    });
    let vocabulary: serde_json::Map<_, _> =
        WORDS.iter().enumerate().map(|(id, word)| ((*word).to_owned(), id.into())).collect();
    let tokenizer = json!({
        "normalizer": {"type": "BertNormalizer"}, "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "vocab": vocabulary},
    });
    let words = (0..WORDS.len()).flat_map(word).collect();
    let places = (0..PLACES).flat_map(place).collect();
    let model = [
        ("embeddings.word_embeddings.weight", vec![WORDS.len(), WIDTH], words),
        ("embeddings.position_embeddings.weight", vec![PLACES, WIDTH], places),
        ("embeddings.token_type_embeddings.weight", vec![1, WIDTH], vec![0.0; WIDTH]),
        ("embeddings.LayerNorm.weight", vec![WIDTH], vec![1.0; WIDTH]),
        ("embeddings.LayerNorm.bias", vec![WIDTH], vec![0.0; WIDTH]),
    ];
    let head = [("weight", vec![1, WIDTH], HEAD.to_vec()), ("bias", vec![1], vec![BIAS])];
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    std::fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    std::fs::write(folder.join("model.safetensors"), safetensors(&model)).unwrap();
    std::fs::write(folder.join("sparse_linear.safetensors"), safetensors(&head)).unwrap();
}

/// What the tokens of a text count, by our own computation: relu(w · h + b) of every known word at its place behind [CLS],
/// the highest of each.
fn weighed(text: &str) -> BTreeMap<usize, f64> {
    let mut weights = BTreeMap::new();
    for (at, own) in text.to_lowercase().split_whitespace().enumerate() {
        let Some(id) = WORDS.iter().position(|word| *word == own) else { continue };
        let row: Vec<f64> =
            word(id).iter().zip(place(at + 1)).map(|(a, b)| f64::from(*a) + f64::from(b)).collect();
        let mean = row.iter().sum::<f64>() / WIDTH as f64;
        let variance = row.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / WIDTH as f64;
        let norm = row.iter().map(|value| (value - mean) / (variance + 1e-5).sqrt());
        let number: f64 =
            norm.zip(HEAD).map(|(value, weight)| value * f64::from(weight)).sum::<f64>() + f64::from(BIAS);
        if number > 0.0 {
            let held = weights.entry(id).or_insert(0.0f64);
            *held = held.max(number);
        }
    }
    weights
}

/// The sum of the products of what two texts share.
fn shared(left: &str, right: &str) -> f64 {
    let right = weighed(right);
    weighed(left).iter().filter_map(|(id, weight)| Some(weight * right.get(id)?)).sum()
}

/// What rounding to 2⁻¹³ may take of such a sum, generously.
const ROUNDING: f64 = 2e-3;

fn open(folder: &Path, token_weights: TokenWeighing) -> Arc<dyn Embedder> {
    let config = EmbedderConfig { model_dir: folder.to_owned(), token_weights, ..EmbedderConfig::default() };
    open_local(&config, Path::new("")).unwrap()
}

/// The model without its head and with it, under names that say so.
fn both(folder: &Path) -> Embedders {
    let entry = |name: &str, how| Entry { name: name.into(), kind: "local", embedder: open(folder, how) };
    Embedders::new(
        vec![entry("plain", TokenWeighing::Off), entry("weighing", TokenWeighing::Auto)],
        Some("weighing"),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_local_model_gives_the_weights_that_its_head_makes() {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path());
    let (plain, weighing) =
        (open(folder.path(), TokenWeighing::Off), open(folder.path(), TokenWeighing::Auto));
    assert_eq!((plain.weighs_tokens(), weighing.weighs_tokens()), (false, true));
    assert_ne!(plain.id(), weighing.id(), "what is compared with what is told by the id");
    let texts = [
        "the badger of the zebra",
        "van van van cold okapi",
        "",
        "nothing known [SEP]",
        "Walrus walrus the walrus",
    ];
    let own = |model: &Arc<dyn Embedder>| {
        let (model, texts) = (model.clone(), texts.map(str::to_owned).to_vec());
        async move { model.embed(texts, Purpose::Document).await.unwrap() }
    };
    let (without, with) = (own(&plain).await, own(&weighing).await);
    let mut counted = 0;
    for ((text, without), with) in texts.iter().zip(without).zip(with) {
        assert_eq!((without.weights, without.vector), (None, with.vector));
        let found: BTreeMap<usize, f64> = (with.weights.unwrap().weights())
            .map(|(token, weight)| (token as usize, f64::from(weight)))
            .collect();
        let expected = weighed(text);
        assert!(found.keys().eq(expected.keys()), "{text}: {found:?} {expected:?}");
        assert!(found.values().zip(expected.values()).all(|(a, b)| (a - b).abs() < 1e-4), "{text}");
        counted += found.len();
    }
    assert!(counted >= 5, "{counted}: the test says something");

    // A head that cannot be used is refused with its reason.
    let refused = |bytes: &[u8]| {
        std::fs::write(folder.path().join("sparse_linear.safetensors"), bytes).unwrap();
        let config = EmbedderConfig { model_dir: folder.path().to_owned(), ..EmbedderConfig::default() };
        open_local(&config, Path::new("")).err().unwrap().reason
    };
    let wide = [("weight", vec![1, 5], vec![0.0; 5]), ("bias", vec![1], vec![0.0])];
    for bytes in [b"odd".to_vec(), safetensors(&wide), safetensors(&wide[1..])] {
        let reason = refused(&bytes);
        assert!(reason.starts_with("sparse_linear.safetensors cannot be used"), "{reason}");
    }
}

const TEXTS: [(&str, &str, SourceKind); 5] = [
    ("a", "the badger of the zebra", SourceKind::Post),
    ("b", "cold van of the okapi", SourceKind::Issue),
    ("c", "walrus cold cold van", SourceKind::Post),
    ("d", "zebra zebra badger van", SourceKind::Issue),
    ("e", "unknown words only here", SourceKind::Post),
];

fn docs() -> Vec<Doc> {
    TEXTS.iter().map(|(key, text, kind)| doc(key, *kind, *text)).collect()
}

/// What a query shares with each document that it shares something with, best first.
fn expected(query: &str) -> Vec<(String, f64)> {
    let all = TEXTS.iter().map(|(key, text, _)| ((*key).to_owned(), shared(query, text)));
    let mut all: Vec<_> = all.filter(|(_, score)| *score > 0.0).collect();
    all.sort_by(|left, right| right.1.total_cmp(&left.1));
    all
}

/// The hits of the sparse leg in its order.
fn by_tokens(hits: &[SearchHit]) -> Vec<(String, f64)> {
    let mut found: Vec<_> = hits.iter().filter(|hit| hit.sparse_rank.is_some()).collect();
    found.sort_by_key(|hit| hit.sparse_rank);
    assert!(found.iter().zip(1..).all(|(hit, rank)| hit.sparse_rank == Some(rank)), "ranks without gaps");
    assert!(hits.iter().all(|hit| hit.sparse_rank.is_some() == hit.sparse_normal.is_some()));
    found.iter().map(|hit| (hit.passage.as_ref().unwrap().title.clone(), hit.sparse_score.unwrap())).collect()
}

async fn agrees(tenant: &Tenant, base: &str) {
    for query in ["badger", "the of", "cold van walrus", "zebra okapi the zebra"] {
        let answer = tenant.search_with(request(&[base], query, 20)).await.unwrap();
        assert_eq!((answer.mode(), answer.degraded, answer.sparse), (SearchMode::Hybrid, false, true));
        let (found, expected) = (by_tokens(&answer.hits), expected(query));
        assert_eq!(found.len(), expected.len(), "{query}: {found:?} {expected:?}");
        for (one, other) in found.iter().zip(&expected) {
            assert!(
                one.0 == other.0 && (one.1 - other.1).abs() < ROUNDING,
                "{query}: {found:?} {expected:?}"
            );
        }
    }
}

async fn reembed(tenant: &Tenant, base: &str, to: &str) {
    let request = ReembedKnowledgeBaseRequest {
        request_id: format!("to {to}"),
        knowledge_base_id: base.into(),
        embedder: to.into(),
    };
    tenant.run(tenant.knowledge().reembed_knowledge_base(request)).await.unwrap();
    while tenant.base(base).await.reembedding.is_some() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Chunks that have weights.
async fn weighing_rows(bench: &Bench) -> i64 {
    rows(&bench.database, "chunk WHERE token_weights IS NOT NULL").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_knowledge_base_gets_the_leg_with_its_embedder_and_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path());
    for bench in benches_of(Config::default(), both(folder.path()), None).await {
        println!("on {}", bench.name);
        let tenant = bench.tenant(1);
        let list = tenant.run(tenant.knowledge().list_embedders(ListEmbeddersRequest {})).await.unwrap();
        let list: Vec<_> = list.into_inner().embedders.iter().map(|one| one.weighs_tokens).collect();
        assert_eq!(list, [false, true]);
        let base = tenant.new_base_with("company", "plain").await.unwrap().knowledge_base_id;
        tenant.ingest("1", &base, &docs()).await;
        let plain = tenant.search_with(request(&[&base], "the badger", 20)).await.unwrap();
        assert_eq!((plain.mode(), plain.sparse), (SearchMode::Hybrid, false));
        assert_eq!((by_tokens(&plain.hits).len(), weighing_rows(&bench).await), (0, 0));

        reembed(&tenant, &base, "weighing").await;
        assert_eq!(weighing_rows(&bench).await, 5, "also of the text without a known word");
        agrees(&tenant, &base).await;
        steered(&tenant, &base).await;
        explained(&tenant, &base).await;

        // A process that starts anew reads the weights from the rows.
        let context = testing::context(&std::env::temp_dir());
        let service = assemble_with(
            Config::default(),
            bench.database.clone(),
            context,
            both(folder.path()),
            None,
            None,
        );
        let again = Bench { channel: testing::local(service), ..bench.clone() };
        agrees(&again.tenant(1), &base).await;

        // A document of the same text takes the stored weights; a snapshot holds them.
        let more = tenant.new_base_with("more", "weighing").await.unwrap().knowledge_base_id;
        tenant.ingest("2", &more, &docs()).await;
        agrees(&tenant, &more).await;
        let restored = restored(&tenant, &base).await;
        agrees(&tenant, &restored).await;
        assert_eq!(weighing_rows(&bench).await, 15);

        // What is deleted is found by no leg, and leaves no weights.
        let gone = tenant.documents(&more).await.into_iter().find(|document| document.key == "a").unwrap();
        let delete = DeleteDocumentRequest { document_id: gone.document_id };
        tenant.run(tenant.knowledge().delete_document(delete)).await.unwrap();
        let left = tenant.search_with(request(&[&more], "badger", 20)).await.unwrap();
        assert!(!titles(&left.hits).contains(&"a".to_owned()) && left.sparse);
        let delete = DeleteKnowledgeBaseRequest { knowledge_base_id: more };
        tenant.run(tenant.knowledge().delete_knowledge_base(delete)).await.unwrap();
        assert_eq!(weighing_rows(&bench).await, 10);

        // And back: the old embedder's knowledge base has no such leg any more.
        reembed(&tenant, &base, "none").await;
        assert_eq!(weighing_rows(&bench).await, 5, "those of the restored one");
        let lexical = tenant.search_with(request(&[&base], "badger", 20)).await.unwrap();
        assert_eq!((lexical.mode(), lexical.sparse), (SearchMode::Lexical, false));
        bench.database.close().await;
    }
}

/// Weights, modes, methods and filters.
async fn steered(tenant: &Tenant, base: &str) {
    let plain = request(&[base], "the of", 20);
    let fused = |options| SearchRequest { fusion: Some(options), ..plain.clone() };
    let off = fused(FusionOptions { sparse_weight: Some(0.0), ..FusionOptions::default() });
    let off = tenant.search_with(off).await.unwrap();
    assert!(!off.sparse && by_tokens(&off.hits).is_empty());
    let words = SearchRequest { mode: SearchMode::Lexical.into(), ..plain.clone() };
    let words = tenant.search_with(words).await.unwrap();
    assert!(!words.sparse && words.hits.is_empty(), "they are no words of BM25");
    // The words of the query are no terms: what stands first stands there by its tokens and its meaning.
    for method in [FusionMethod::Dbsf, FusionMethod::Rrf] {
        let heavy = FusionOptions {
            method: method.into(),
            sparse_weight: Some(4.0),
            dense_weight: Some(0.01),
            ..FusionOptions::default()
        };
        let answer = tenant.search_with(fused(heavy)).await.unwrap();
        assert_eq!((answer.fusion(), &titles(&answer.hits)[0]), (method, &expected("the of")[0].0));
    }
    let issues = SearchRequest { source_kinds: vec![SourceKind::Issue.into()], ..plain.clone() };
    let issues = tenant.search_with(issues).await.unwrap();
    let wanted: Vec<_> = expected("the of")
        .into_iter()
        .map(|(key, _)| key)
        .filter(|key| ["b", "d"].contains(&&**key))
        .collect();
    let found: Vec<_> = by_tokens(&issues.hits).into_iter().map(|(key, _)| key).collect();
    assert_eq!(found, wanted, "filters come before ranking");
    let odd = fused(FusionOptions { sparse_weight: Some(5.0), ..FusionOptions::default() });
    let odd = crate::common::refusal(&tenant.search_with(odd).await.unwrap_err());
    assert_eq!(odd.1, ["fusion.sparse_weight"]);
}

async fn explained(tenant: &Tenant, base: &str) {
    let search = request(&[base], "cold van walrus", 20);
    let answer = tenant.search_with(search.clone()).await.unwrap();
    for hit in &answer.hits {
        let passage = hit.passage.clone().unwrap();
        let request =
            ExplainSearchRequest { search: Some(search.clone()), passage_id: passage.passage_id.clone() };
        let told = tenant.run(tenant.searches().explain_search(request)).await.unwrap().into_inner();
        assert_eq!(told.hit.as_ref(), Some(hit));
        let sparse = told.sparse.unwrap();
        assert_eq!(sparse.score, hit.sparse_score.unwrap_or_default());
        let sum: f64 = sparse.tokens.iter().map(|token| token.contribution).sum();
        assert!((sum - sparse.score).abs() < 1e-9 && sparse.list_end.is_none());
        let query = weighed("cold van walrus");
        assert!(sparse.tokens.iter().map(|token| token.token as usize).eq(query.keys().copied()));
        let text = TEXTS.iter().find(|(key, ..)| *key == passage.title).unwrap().1;
        let own = weighed(text);
        for (token, asked) in sparse.tokens.iter().zip(query.values()) {
            let held = own.get(&(token.token as usize)).copied().unwrap_or_default();
            assert!((token.in_query - asked).abs() < 1e-4 && (token.in_chunk - held).abs() < 1e-4);
        }
    }
    assert!(answer.hits.iter().any(|hit| hit.sparse_score.is_some()));
}

/// A knowledge base of the snapshot of another one.
async fn restored(tenant: &Tenant, base: &str) -> String {
    let mut client = SnapshotServiceClient::new(tenant.bench.channel.clone());
    let request = CreateSnapshotRequest { knowledge_base_id: base.into() };
    let made = tenant.run(client.create_snapshot(request)).await.unwrap().into_inner().snapshot.unwrap();
    let start = Part::Start(RestoreStart {
        request_id: "back".into(),
        name: "back".into(),
        snapshot_id: made.snapshot_id,
    });
    let messages = tokio_stream::iter([RestoreSnapshotRequest { part: Some(start) }]);
    let restored = tenant.run(client.restore_snapshot(messages)).await.unwrap().into_inner();
    restored.knowledge_base.unwrap().knowledge_base_id
}
