//! The collection: its name, its vectors, its payload indexes.
//!
//! Everything is in one collection, whose name has a number at the end; an alias with the configured name leads to it.
//! Whoever needs another layout fills a collection with the next number and moves the alias, which is one step for all.
//! A named vector for each width, `d384`; one sparse vector for the words, and one for the learned weights of tokens. A
//! knowledge base has one embedder, so what two embedders give never meets: every search names its knowledge bases.

use std::collections::{BTreeSet, HashMap};

use qdrant_client::qdrant::{
    AliasOperations, ChangeAliases, CollectionInfo, CreateAlias, CreateCollection,
    CreateFieldIndexCollection, CreateVectorNameRequest, DeleteAlias, DeleteCollection,
    DenseVectorCreationConfig, Distance, FieldType, GetCollectionInfoRequest, HnswConfigDiff,
    IntegerIndexParams, KeywordIndexParams, ListAliasesRequest, ListCollectionsRequest, PayloadIndexParams,
    SparseVectorConfig, SparseVectorCreationConfig, SparseVectorParams, VectorParams, VectorParamsMap,
    VectorsConfig, alias_operations, create_vector_name_request::VectorConfig, payload_index_params,
    vectors_config,
};

use super::link::{Access, Fault, Link};

/// The sparse vector of the words.
pub(super) const WORDS: &str = "words";
/// The sparse vector of the tokens' learned weights. Collections that an earlier build made get it when it is needed.
pub(super) const TOKENS: &str = "tokens";

/// Keys of the payload.
pub(super) mod key {
    /// Whose.
    pub const TENANT: &str = "tenant";
    /// The knowledge base.
    pub const BASE: &str = "base";
    /// The document.
    pub const DOCUMENT: &str = "document";
    /// The passage.
    pub const PASSAGE: &str = "passage";
    /// The chunk's place in its passage.
    pub const ORDINAL: &str = "ordinal";
    /// Where it begins in the document's text.
    pub const START: &str = "start";
    /// Where it ends.
    pub const END: &str = "end";
    /// What kind of source its document is.
    pub const KIND: &str = "kind";
    /// The version of the knowledge base that made it.
    pub const BORN: &str = "born";
    /// How many terms it has, as a word: such can be counted by value.
    pub const SIZE: &str = "size";
    /// Its terms and its title's, each once: the numbers of the rows, as signed ones.
    pub const TERMS: &str = "terms";
    /// Which of them come more than once: `place:count`, by place in `terms`, with blanks between.
    pub const REPEATS: &str = "repeats";
    /// What filters ask of its document, a hash for each path and value.
    pub const FACTS: &str = "facts";
    /// When its document's bytes last changed.
    pub const UPDATED: &str = "updated";
    /// What a point is, when it is no chunk.
    pub const ROLE: &str = "role";
    /// Of a mark: the version that is shown.
    pub const VERSION: &str = "version";
    /// Of a mark: the version up to which what was replaced is gone.
    pub const CLEAN: &str = "clean";
    /// Of a mark: the lowest mean length at which its words are weighed.
    pub const LOW: &str = "low";
    /// Of a mark: the highest.
    pub const HIGH: &str = "high";
}

/// Keys by which points are chosen by their words.
const KEYWORDS: [&str; 7] =
    [key::BASE, key::DOCUMENT, key::PASSAGE, key::KIND, key::SIZE, key::FACTS, key::ROLE];

/// How often the collection is looked for while others make it too.
const LOOKS: usize = 5;

/// A collection as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// Its own name.
    pub collection: String,
    /// The widths of vectors that it takes.
    pub widths: BTreeSet<usize>,
    /// Whether it takes weights of tokens.
    pub tokens: bool,
}

/// The name of the vectors of a width.
pub(super) fn dense(width: usize) -> String {
    format!("d{width}")
}

impl Link {
    /// The collection that the alias leads to; made when there is none.
    pub(super) async fn layout(&self, widths: &BTreeSet<usize>) -> Result<Layout, Fault> {
        let mut looks = 1;
        loop {
            if let Some(collection) = self.aliased().await? {
                return self.look_at(collection).await;
            }
            // One that nobody has given the name yet is of another who makes it, or of one who died over it.
            let newest = self.generations().await?.pop();
            let collection = match newest {
                Some(number) => self.named(number),
                None => self.named(1),
            };
            match self.make(&collection, widths).await {
                Ok(()) | Err(Fault::Existing(_)) => {}
                Err(fault) => return Err(fault),
            }
            match self.switch(None, &collection).await {
                Ok(()) | Err(Fault::Existing(_) | Fault::Missing(_)) => {}
                Err(fault) => return Err(fault),
            }
            looks += 1;
            if looks > LOOKS {
                return Err(Fault::Unfit(format!("the alias {} does not come about", self.config().prefix)));
            }
        }
    }

    /// Lets the collection take vectors of one more width. `Unknown` when the server cannot.
    pub(super) async fn widen(&self, layout: &Layout, width: usize) -> Result<(), Fault> {
        let config = DenseVectorCreationConfig {
            size: width as u64,
            distance: Distance::Dot.into(),
            ..DenseVectorCreationConfig::default()
        };
        self.name_vector(layout, dense(width), VectorConfig::DenseConfig(config)).await
    }

    /// Lets the collection take weights of tokens. `Unknown` as above.
    pub(super) async fn take_tokens(&self, layout: &Layout) -> Result<(), Fault> {
        let config = VectorConfig::SparseConfig(SparseVectorCreationConfig::default());
        self.name_vector(layout, TOKENS.to_owned(), config).await
    }

    async fn name_vector(&self, layout: &Layout, name: String, config: VectorConfig) -> Result<(), Fault> {
        let request = CreateVectorNameRequest {
            collection_name: layout.collection.clone(),
            wait: Some(true),
            vector_name: name,
            vector_config: Some(config),
            ..CreateVectorNameRequest::default()
        };
        let made = self.call("create_vector_name", Access::Write, |mut clients| {
            let request = request.clone();
            async move { clients.points.create_vector_name(request).await }
        });
        match made.await {
            Ok(_) | Err(Fault::Existing(_)) => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// Makes the collection after this one, which takes these widths too, or goes on with one that another began.
    pub(super) async fn next_generation(
        &self,
        layout: &Layout,
        widths: &BTreeSet<usize>,
    ) -> Result<Layout, Fault> {
        let number: u32 = self.number(&layout.collection).unwrap_or_default();
        let collection = self.named(number + 1);
        let widths: BTreeSet<usize> = layout.widths.union(widths).copied().collect();
        self.make(&collection, &widths).await?;
        let made = self.look_at(collection.clone()).await?;
        if made.widths.is_superset(&widths) && made.tokens {
            return Ok(made);
        }
        self.drop_collection(&collection).await?;
        self.make(&collection, &widths).await?;
        Ok(Layout { collection, widths, tokens: true })
    }

    /// Leads the alias to a collection, away from the old one if there was one: in one step.
    pub(super) async fn switch(&self, old: Option<&str>, new: &str) -> Result<(), Fault> {
        let alias = &self.config().prefix;
        let mut actions = Vec::new();
        if old.is_some() {
            let delete = DeleteAlias { alias_name: alias.clone() };
            actions.push(alias_operations::Action::DeleteAlias(delete));
        }
        let create = CreateAlias { collection_name: new.to_owned(), alias_name: alias.clone() };
        actions.push(alias_operations::Action::CreateAlias(create));
        let actions = actions.into_iter().map(|action| AliasOperations { action: Some(action) }).collect();
        let request = ChangeAliases { actions, timeout: None };
        self.call("change_aliases", Access::Write, |mut clients| {
            let request = request.clone();
            async move { clients.collections.update_aliases(request).await }
        })
        .await?;
        if let Some(old) = old {
            self.drop_collection(old).await?;
        }
        Ok(())
    }

    pub(super) async fn drop_collection(&self, collection: &str) -> Result<(), Fault> {
        let request = DeleteCollection { collection_name: collection.to_owned(), timeout: None };
        let deleted = self.call("delete_collection", Access::Write, |mut clients| {
            let request = request.clone();
            async move { clients.collections.delete(request).await }
        });
        match deleted.await {
            Ok(_) | Err(Fault::Missing(_)) => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    fn named(&self, number: u32) -> String {
        format!("{}_{number}", self.config().prefix)
    }

    fn number(&self, collection: &str) -> Option<u32> {
        collection.strip_prefix(&self.config().prefix)?.strip_prefix('_')?.parse().ok()
    }

    async fn aliased(&self) -> Result<Option<String>, Fault> {
        let aliases = self.call("list_aliases", Access::Read, |mut clients| async move {
            clients.collections.list_aliases(ListAliasesRequest {}).await
        });
        let aliases = aliases.await?.aliases.into_iter();
        let mut own = aliases.filter(|alias| alias.alias_name == self.config().prefix);
        Ok(own.next().map(|alias| alias.collection_name))
    }

    /// The numbers of our collections, in order.
    async fn generations(&self) -> Result<Vec<u32>, Fault> {
        let collections = self.call("list_collections", Access::Read, |mut clients| async move {
            clients.collections.list(ListCollectionsRequest {}).await
        });
        let collections = collections.await?.collections;
        let mut numbers: Vec<u32> = collections.iter().filter_map(|one| self.number(&one.name)).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    async fn look_at(&self, collection: String) -> Result<Layout, Fault> {
        let request = GetCollectionInfoRequest { collection_name: collection.clone() };
        let info = self.call("collection_info", Access::Read, |mut clients| {
            let request = request.clone();
            async move { clients.collections.get(request).await }
        });
        let (widths, tokens) = vectors(info.await?.result.unwrap_or_default())
            .map_err(|fault| Fault::Unfit(format!("the collection {collection} is not ours: {fault}")))?;
        Ok(Layout { collection, widths, tokens })
    }

    async fn make(&self, collection: &str, widths: &BTreeSet<usize>) -> Result<(), Fault> {
        let request = self.new_collection(collection, widths);
        let made = self.call("create_collection", Access::Write, |mut clients| {
            let request = request.clone();
            async move { clients.collections.create(request).await }
        });
        match made.await {
            Ok(_) | Err(Fault::Existing(_)) => {}
            // Older servers say so of what is there already.
            Err(Fault::Refused(what, status)) => match self.look_at(collection.to_owned()).await {
                Ok(_) => {}
                Err(_) => return Err(Fault::Refused(what, status)),
            },
            Err(fault) => return Err(fault),
        }
        for (field, index) in indexes() {
            self.index(collection, field, index).await?;
        }
        Ok(())
    }

    fn new_collection(&self, collection: &str, widths: &BTreeSet<usize>) -> CreateCollection {
        let config = self.config();
        let params = |width: &usize| {
            let params = VectorParams {
                size: *width as u64,
                distance: Distance::Dot.into(),
                ..VectorParams::default()
            };
            (dense(*width), params)
        };
        let map = widths.iter().map(params).collect();
        let sparse = [WORDS, TOKENS].map(|name| (name.to_owned(), SparseVectorParams::default()));
        let sparse = SparseVectorConfig { map: HashMap::from(sparse) };
        CreateCollection {
            collection_name: collection.to_owned(),
            hnsw_config: Some(HnswConfigDiff {
                m: Some(config.hnsw_m.into()),
                ef_construct: Some(config.hnsw_ef_construct.into()),
                payload_m: Some(config.hnsw_m.into()),
                ..HnswConfigDiff::default()
            }),
            vectors_config: (!widths.is_empty()).then_some(VectorsConfig {
                config: Some(vectors_config::Config::ParamsMap(VectorParamsMap { map })),
            }),
            sparse_vectors_config: Some(sparse),
            ..CreateCollection::default()
        }
    }

    async fn index(
        &self,
        collection: &str,
        field: &str,
        (kind, params): (FieldType, payload_index_params::IndexParams),
    ) -> Result<(), Fault> {
        let request = CreateFieldIndexCollection {
            collection_name: collection.to_owned(),
            wait: Some(true),
            field_name: field.to_owned(),
            field_type: Some(kind.into()),
            field_index_params: Some(PayloadIndexParams { index_params: Some(params) }),
            ..CreateFieldIndexCollection::default()
        };
        self.call("create_field_index", Access::Write, |mut clients| {
            let request = request.clone();
            async move { clients.points.create_field_index(request).await }
        })
        .await?;
        Ok(())
    }
}

/// The payload indexes: each tenant's points lie together, the rest is found by its words or its version.
fn indexes() -> Vec<(&'static str, (FieldType, payload_index_params::IndexParams))> {
    let keyword = |is_tenant| {
        let params = KeywordIndexParams { is_tenant, ..KeywordIndexParams::default() };
        (FieldType::Keyword, payload_index_params::IndexParams::KeywordIndexParams(params))
    };
    let whole = |lookup| {
        let params = IntegerIndexParams {
            lookup: Some(lookup),
            range: Some(!lookup),
            ..IntegerIndexParams::default()
        };
        (FieldType::Integer, payload_index_params::IndexParams::IntegerIndexParams(params))
    };
    let mut all =
        vec![(key::TENANT, keyword(Some(true))), (key::BORN, whole(false)), (key::TERMS, whole(true))];
    all.extend(KEYWORDS.map(|field| (field, keyword(None))));
    all
}

/// The widths of a collection's vectors, and whether it takes weights of tokens, when it is one of ours.
fn vectors(info: CollectionInfo) -> Result<(BTreeSet<usize>, bool), String> {
    let params = info.config.and_then(|config| config.params).ok_or("it says nothing of itself")?;
    let sparse = params.sparse_vectors_config.unwrap_or_default().map;
    if !sparse.contains_key(WORDS) {
        return Err(format!("it has no sparse vector {WORDS:?}"));
    }
    let map = match params.vectors_config.and_then(|vectors| vectors.config) {
        Some(vectors_config::Config::ParamsMap(map)) => map.map,
        Some(vectors_config::Config::Params(_)) => return Err("its vectors have no names".to_owned()),
        None => HashMap::new(),
    };
    let mut widths = BTreeSet::new();
    for (name, params) in map {
        let Some(width) = name.strip_prefix('d').and_then(|width| width.parse().ok()) else { continue };
        if params.size != width as u64 || params.distance() != Distance::Dot {
            return Err(format!(
                "its vectors {name} have {} values and another distance or width",
                params.size
            ));
        }
        widths.insert(width);
    }
    Ok((widths, sparse.contains_key(TOKENS)))
}
