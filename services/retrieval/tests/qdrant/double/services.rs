//! The double's services, on the official generated types.

use std::collections::BTreeMap;
use std::sync::Arc;

use qdrant_client::qdrant::collections_server::Collections;
use qdrant_client::qdrant::points_server::Points;
use qdrant_client::qdrant::points_update_operation::Operation;
use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::{self as q, alias_operations, points_selector, vectors_config};
use tonic::{Request, Response, Status};

use super::engine::{Collection, chosen, id_of, id_text, refused, values};
use super::faults::Shared;

pub type Answer<T> = Result<Response<T>, Status>;

#[derive(Clone)]
pub struct Server(pub Arc<Shared>);

fn absent(method: &str) -> Status {
    Status::unimplemented(format!("the double has no {method}"))
}

fn done() -> q::UpdateResult {
    q::UpdateResult { operation_id: Some(1), status: q::UpdateStatus::Completed.into() }
}

fn changed() -> q::PointsOperationResponse {
    q::PointsOperationResponse { result: Some(done()), ..q::PointsOperationResponse::default() }
}

fn must_wait(wait: Option<bool>) -> Result<(), Status> {
    if wait == Some(true) { Ok(()) } else { Err(refused("whoever does not wait does not see what it wrote")) }
}

fn delete(collection: &mut Collection, selector: Option<q::PointsSelector>) -> Result<(), Status> {
    let filter = match selector.and_then(|selector| selector.points_selector_one_of) {
        Some(points_selector::PointsSelectorOneOf::Filter(filter)) => filter,
        _ => return Err(refused("the double deletes by filter")),
    };
    let gone: Vec<String> =
        collection.matching(Some(&filter))?.into_iter().map(|(id, _)| id.clone()).collect();
    gone.iter().for_each(|id| {
        collection.points.remove(id);
    });
    Ok(())
}

#[tonic::async_trait]
impl Points for Server {
    async fn upsert(&self, _: Request<q::UpsertPoints>) -> Answer<q::PointsOperationResponse> {
        Err(absent("upsert"))
    }

    async fn delete(&self, _: Request<q::DeletePoints>) -> Answer<q::PointsOperationResponse> {
        Err(absent("delete"))
    }

    async fn create_field_index(
        &self,
        request: Request<q::CreateFieldIndexCollection>,
    ) -> Answer<q::PointsOperationResponse> {
        self.0
            .answer("create_field_index", |engine| {
                let request = request.into_inner();
                must_wait(request.wait)?;
                let tenant = match request.field_index_params.and_then(|params| params.index_params) {
                    Some(q::payload_index_params::IndexParams::KeywordIndexParams(params)) => {
                        params.is_tenant.unwrap_or_default()
                    }
                    _ => false,
                };
                engine.collection_mut(&request.collection_name)?.indexes.insert(request.field_name, tenant);
                Ok(changed())
            })
            .await
    }

    async fn create_vector_name(
        &self,
        request: Request<q::CreateVectorNameRequest>,
    ) -> Answer<q::PointsOperationResponse> {
        if self.0.is_old() {
            return Err(absent("create_vector_name"));
        }
        self.0
            .answer("create_vector_name", |engine| {
                let request = request.into_inner();
                let collection = engine.collection_mut(&request.collection_name)?;
                match request.vector_config {
                    Some(q::create_vector_name_request::VectorConfig::DenseConfig(config)) => {
                        collection.dense.insert(request.vector_name, config.size);
                        Ok(changed())
                    }
                    Some(q::create_vector_name_request::VectorConfig::SparseConfig(_)) => {
                        collection.sparse.insert(request.vector_name);
                        Ok(changed())
                    }
                    None => Err(refused("a vector of no kind")),
                }
            })
            .await
    }

    async fn update_batch(&self, request: Request<q::UpdateBatchPoints>) -> Answer<q::UpdateBatchResponse> {
        self.0
            .answer("update_batch", |engine| {
                let request = request.into_inner();
                must_wait(request.wait)?;
                let collection = engine.collection_mut(&request.collection_name)?;
                let mut result = Vec::new();
                for operation in request.operations {
                    match operation.operation {
                        Some(Operation::Upsert(list)) => collection.upsert(list.points)?,
                        Some(Operation::DeletePoints(one)) => delete(collection, one.points)?,
                        _ => return Err(refused("the double upserts and deletes")),
                    }
                    result.push(done());
                }
                Ok(q::UpdateBatchResponse { result, ..q::UpdateBatchResponse::default() })
            })
            .await
    }

    async fn get(&self, request: Request<q::GetPoints>) -> Answer<q::GetResponse> {
        self.0
            .answer("get", |engine| {
                let request = request.into_inner();
                let collection = engine.collection(&request.collection_name)?;
                let mut result = Vec::new();
                for id in &request.ids {
                    let id = id_text(Some(id))?;
                    if let Some(point) = collection.points.get(&id) {
                        result.push(q::RetrievedPoint {
                            id: Some(id_of(&id)),
                            payload: chosen(&point.payload, request.with_payload.as_ref()),
                            ..q::RetrievedPoint::default()
                        });
                    }
                }
                Ok(q::GetResponse { result, ..q::GetResponse::default() })
            })
            .await
    }

    async fn scroll(&self, request: Request<q::ScrollPoints>) -> Answer<q::ScrollResponse> {
        self.0
            .answer("scroll", |engine| {
                let request = request.into_inner();
                let collection = engine.collection(&request.collection_name)?;
                let from = request.offset.as_ref().map(|id| id_text(Some(id))).transpose()?;
                let mut found = collection.matching(request.filter.as_ref())?;
                found.retain(|(id, _)| from.as_ref().is_none_or(|from| *id >= from));
                // Smaller pages than are asked for: whoever reads only the first one is found out.
                let limit = (request.limit.unwrap_or(10) as usize).min(3);
                let next_page_offset = found.get(limit).map(|(id, _)| id_of(id));
                let shown = |(id, point): &(&String, &super::engine::Point)| q::RetrievedPoint {
                    id: Some(id_of(id)),
                    payload: chosen(&point.payload, request.with_payload.as_ref()),
                    ..q::RetrievedPoint::default()
                };
                let result = found.iter().take(limit).map(shown).collect();
                Ok(q::ScrollResponse { next_page_offset, result, ..q::ScrollResponse::default() })
            })
            .await
    }

    async fn count(&self, request: Request<q::CountPoints>) -> Answer<q::CountResponse> {
        self.0
            .answer("count", |engine| {
                let request = request.into_inner();
                if request.exact != Some(true) {
                    return Err(refused(
                        "the double counts exactly, and who does not ask for it gets it by luck",
                    ));
                }
                let count =
                    engine.collection(&request.collection_name)?.matching(request.filter.as_ref())?.len();
                let result = Some(q::CountResult { count: count as u64 });
                Ok(q::CountResponse { result, ..q::CountResponse::default() })
            })
            .await
    }

    async fn facet(&self, request: Request<q::FacetCounts>) -> Answer<q::FacetResponse> {
        self.0
            .answer("facet", |engine| {
                let request = request.into_inner();
                let collection = engine.collection(&request.collection_name)?;
                if !collection.indexes.contains_key(&request.key) || request.exact != Some(true) {
                    return Err(refused(format!("Bad request: no index for {}", request.key)));
                }
                let mut counts: BTreeMap<String, u64> = BTreeMap::new();
                for (_, point) in collection.matching(request.filter.as_ref())? {
                    for value in values(&point.payload, &request.key) {
                        if let Some(Kind::StringValue(text)) = &value.kind {
                            *counts.entry(text.clone()).or_default() += 1;
                        }
                    }
                }
                let hit = |(text, count)| q::FacetHit {
                    value: Some(q::FacetValue { variant: Some(q::facet_value::Variant::StringValue(text)) }),
                    count,
                };
                let limit = request.limit.unwrap_or(10) as usize;
                let hits = counts.into_iter().map(hit).take(limit).collect();
                Ok(q::FacetResponse { hits, ..q::FacetResponse::default() })
            })
            .await
    }

    async fn query_batch(&self, request: Request<q::QueryBatchPoints>) -> Answer<q::QueryBatchResponse> {
        let request = request.into_inner();
        let method = match request.query_points.first().and_then(|query| query.using.as_deref()) {
            Some("words") => "query_words",
            Some(_) => "query_vectors",
            None => "query_points",
        };
        self.0
            .answer(method, |engine| {
                let collection = engine.collection(&request.collection_name)?;
                let mut result = Vec::new();
                for query in &request.query_points {
                    result.push(q::BatchResult { result: collection.query(query)? });
                }
                Ok(q::QueryBatchResponse { result, ..q::QueryBatchResponse::default() })
            })
            .await
    }

    async fn update_vectors(&self, _: Request<q::UpdatePointVectors>) -> Answer<q::PointsOperationResponse> {
        Err(absent("update_vectors"))
    }

    async fn delete_vectors(&self, _: Request<q::DeletePointVectors>) -> Answer<q::PointsOperationResponse> {
        Err(absent("delete_vectors"))
    }

    async fn set_payload(&self, _: Request<q::SetPayloadPoints>) -> Answer<q::PointsOperationResponse> {
        Err(absent("set_payload"))
    }

    async fn overwrite_payload(&self, _: Request<q::SetPayloadPoints>) -> Answer<q::PointsOperationResponse> {
        Err(absent("overwrite_payload"))
    }

    async fn delete_payload(&self, _: Request<q::DeletePayloadPoints>) -> Answer<q::PointsOperationResponse> {
        Err(absent("delete_payload"))
    }

    async fn clear_payload(&self, _: Request<q::ClearPayloadPoints>) -> Answer<q::PointsOperationResponse> {
        Err(absent("clear_payload"))
    }

    async fn delete_field_index(
        &self,
        _: Request<q::DeleteFieldIndexCollection>,
    ) -> Answer<q::PointsOperationResponse> {
        Err(absent("delete_field_index"))
    }

    async fn delete_vector_name(
        &self,
        _: Request<q::DeleteVectorNameRequest>,
    ) -> Answer<q::PointsOperationResponse> {
        Err(absent("delete_vector_name"))
    }

    async fn search(&self, _: Request<q::SearchPoints>) -> Answer<q::SearchResponse> {
        Err(absent("search"))
    }

    async fn search_batch(&self, _: Request<q::SearchBatchPoints>) -> Answer<q::SearchBatchResponse> {
        Err(absent("search_batch"))
    }

    async fn search_groups(&self, _: Request<q::SearchPointGroups>) -> Answer<q::SearchGroupsResponse> {
        Err(absent("search_groups"))
    }

    async fn recommend(&self, _: Request<q::RecommendPoints>) -> Answer<q::RecommendResponse> {
        Err(absent("recommend"))
    }

    async fn recommend_batch(
        &self,
        _: Request<q::RecommendBatchPoints>,
    ) -> Answer<q::RecommendBatchResponse> {
        Err(absent("recommend_batch"))
    }

    async fn recommend_groups(
        &self,
        _: Request<q::RecommendPointGroups>,
    ) -> Answer<q::RecommendGroupsResponse> {
        Err(absent("recommend_groups"))
    }

    async fn discover(&self, _: Request<q::DiscoverPoints>) -> Answer<q::DiscoverResponse> {
        Err(absent("discover"))
    }

    async fn discover_batch(&self, _: Request<q::DiscoverBatchPoints>) -> Answer<q::DiscoverBatchResponse> {
        Err(absent("discover_batch"))
    }

    async fn query(&self, _: Request<q::QueryPoints>) -> Answer<q::QueryResponse> {
        Err(absent("query"))
    }

    async fn query_groups(&self, _: Request<q::QueryPointGroups>) -> Answer<q::QueryGroupsResponse> {
        Err(absent("query_groups"))
    }

    async fn search_matrix_pairs(
        &self,
        _: Request<q::SearchMatrixPoints>,
    ) -> Answer<q::SearchMatrixPairsResponse> {
        Err(absent("search_matrix_pairs"))
    }

    async fn search_matrix_offsets(
        &self,
        _: Request<q::SearchMatrixPoints>,
    ) -> Answer<q::SearchMatrixOffsetsResponse> {
        Err(absent("search_matrix_offsets"))
    }
}

fn operated() -> q::CollectionOperationResponse {
    q::CollectionOperationResponse { result: true, ..q::CollectionOperationResponse::default() }
}

#[tonic::async_trait]
impl Collections for Server {
    async fn get(
        &self,
        request: Request<q::GetCollectionInfoRequest>,
    ) -> Answer<q::GetCollectionInfoResponse> {
        self.0
            .answer("collection_info", |engine| {
                let collection = engine.collection(&request.get_ref().collection_name)?;
                let params = |(name, size): (&String, &u64)| {
                    let distance = q::Distance::Dot.into();
                    (name.clone(), q::VectorParams { size: *size, distance, ..q::VectorParams::default() })
                };
                let map = collection.dense.iter().map(params).collect();
                let sparse =
                    collection.sparse.iter().map(|name| (name.clone(), q::SparseVectorParams::default()));
                let params = q::CollectionParams {
                    vectors_config: Some(q::VectorsConfig {
                        config: Some(vectors_config::Config::ParamsMap(q::VectorParamsMap { map })),
                    }),
                    sparse_vectors_config: Some(q::SparseVectorConfig { map: sparse.collect() }),
                    ..q::CollectionParams::default()
                };
                let config = q::CollectionConfig { params: Some(params), ..q::CollectionConfig::default() };
                let info = q::CollectionInfo { config: Some(config), ..q::CollectionInfo::default() };
                Ok(q::GetCollectionInfoResponse { result: Some(info), time: 0.0 })
            })
            .await
    }

    async fn list(&self, _: Request<q::ListCollectionsRequest>) -> Answer<q::ListCollectionsResponse> {
        self.0
            .answer("list_collections", |engine| {
                let names = engine.collections.keys();
                let collections = names.map(|name| q::CollectionDescription { name: name.clone() }).collect();
                Ok(q::ListCollectionsResponse { collections, time: 0.0 })
            })
            .await
    }

    async fn create(&self, request: Request<q::CreateCollection>) -> Answer<q::CollectionOperationResponse> {
        self.0
            .answer("create_collection", |engine| {
                let request = request.into_inner();
                let name = request.collection_name;
                if engine.collections.contains_key(&name) || engine.aliases.contains_key(&name) {
                    return Err(refused(format!("Wrong input: Collection `{name}` already exists!")));
                }
                let mut collection = Collection::default();
                if let Some(vectors_config::Config::ParamsMap(map)) =
                    request.vectors_config.and_then(|vectors| vectors.config)
                {
                    let dense = map.map.into_iter().map(|(name, params)| (name, params.size));
                    collection.dense.extend(dense);
                }
                collection.sparse.extend(request.sparse_vectors_config.unwrap_or_default().map.into_keys());
                engine.collections.insert(name, collection);
                Ok(operated())
            })
            .await
    }

    async fn delete(&self, request: Request<q::DeleteCollection>) -> Answer<q::CollectionOperationResponse> {
        self.0
            .answer("delete_collection", |engine| {
                let name = &request.get_ref().collection_name;
                engine.collections.remove(name);
                engine.aliases.retain(|_, own| own != name);
                Ok(operated())
            })
            .await
    }

    async fn update_aliases(
        &self,
        request: Request<q::ChangeAliases>,
    ) -> Answer<q::CollectionOperationResponse> {
        self.0
            .answer("update_aliases", |engine| {
                let mut aliases = engine.aliases.clone();
                for action in request.into_inner().actions {
                    match action.action {
                        Some(alias_operations::Action::CreateAlias(one)) => {
                            engine.collection(&one.collection_name)?;
                            aliases.insert(one.alias_name, one.collection_name);
                        }
                        Some(alias_operations::Action::DeleteAlias(one)) => {
                            aliases.remove(&one.alias_name);
                        }
                        _ => return Err(refused("the double creates and deletes aliases")),
                    }
                }
                engine.aliases = aliases;
                Ok(operated())
            })
            .await
    }

    async fn list_aliases(&self, _: Request<q::ListAliasesRequest>) -> Answer<q::ListAliasesResponse> {
        self.0
            .answer("list_aliases", |engine| {
                let alias = |(alias, collection): (&String, &String)| q::AliasDescription {
                    alias_name: alias.clone(),
                    collection_name: collection.clone(),
                };
                Ok(q::ListAliasesResponse { aliases: engine.aliases.iter().map(alias).collect(), time: 0.0 })
            })
            .await
    }

    async fn update(&self, _: Request<q::UpdateCollection>) -> Answer<q::CollectionOperationResponse> {
        Err(absent("update"))
    }

    async fn list_collection_aliases(
        &self,
        _: Request<q::ListCollectionAliasesRequest>,
    ) -> Answer<q::ListAliasesResponse> {
        Err(absent("list_collection_aliases"))
    }

    async fn collection_cluster_info(
        &self,
        _: Request<q::CollectionClusterInfoRequest>,
    ) -> Answer<q::CollectionClusterInfoResponse> {
        Err(absent("collection_cluster_info"))
    }

    async fn collection_exists(
        &self,
        _: Request<q::CollectionExistsRequest>,
    ) -> Answer<q::CollectionExistsResponse> {
        Err(absent("collection_exists"))
    }

    async fn update_collection_cluster_setup(
        &self,
        _: Request<q::UpdateCollectionClusterSetupRequest>,
    ) -> Answer<q::UpdateCollectionClusterSetupResponse> {
        Err(absent("update_collection_cluster_setup"))
    }

    async fn create_shard_key(
        &self,
        _: Request<q::CreateShardKeyRequest>,
    ) -> Answer<q::CreateShardKeyResponse> {
        Err(absent("create_shard_key"))
    }

    async fn delete_shard_key(
        &self,
        _: Request<q::DeleteShardKeyRequest>,
    ) -> Answer<q::DeleteShardKeyResponse> {
        Err(absent("delete_shard_key"))
    }

    async fn list_shard_keys(&self, _: Request<q::ListShardKeysRequest>) -> Answer<q::ListShardKeysResponse> {
        Err(absent("list_shard_keys"))
    }
}
