//! `BrandService` on the wire.

use copydesk_proto::learning::v1 as pb;
use copydesk_proto::learning::v1::brand_service_server::BrandService;
use copydesk_rpc::{Caller, Violations};
use copydesk_types::BrandId;
use tonic::{Request, Response, Status};

use super::{Door, fields, next_token, page, refused, timestamp};
use crate::domain::brand::{Brand, BrandFields, BrandPatch};
use crate::domain::metrics::{BrandMetrics, SignaturePhrase};
use crate::domain::outcome::ContentType;

const BRANDS: &str = "ListBrands";

#[tonic::async_trait]
impl BrandService for Door {
    async fn create_brand(
        &self,
        request: Request<pb::CreateBrandRequest>,
    ) -> Result<Response<pb::CreateBrandResponse>, Status> {
        let caller = Caller::of(&request)?;
        let pb::CreateBrandRequest { request_id, brand } = request.into_inner();
        let mut violations = Violations::new();
        let request_id = fields::request_id(request_id, &mut violations);
        violations.check(brand.is_some(), "brand", "must be set");
        let fields = brand.map(|brand| brand_fields(brand, &mut violations)).unwrap_or_default();
        violations.finish()?;
        let brand = self.app.create_brand(caller.tenant, request_id, fields).await.map_err(refused)?;
        Ok(Response::new(pb::CreateBrandResponse { brand: Some(brand_out(brand)) }))
    }

    async fn get_brand(
        &self,
        request: Request<pb::GetBrandRequest>,
    ) -> Result<Response<pb::GetBrandResponse>, Status> {
        let caller = Caller::of(&request)?;
        let mut violations = Violations::new();
        let id = violations.parse::<BrandId>("brand_id", &request.get_ref().brand_id);
        let id = fields::all_read(id, violations)?;
        let brand = self.app.get_brand(caller.tenant, id).await.map_err(refused)?;
        Ok(Response::new(pb::GetBrandResponse { brand: Some(brand_out(brand)) }))
    }

    async fn list_brands(
        &self,
        request: Request<pb::ListBrandsRequest>,
    ) -> Result<Response<pb::ListBrandsResponse>, Status> {
        let tenant = Caller::of(&request)?.tenant;
        let pb::ListBrandsRequest { page_size, page_token } = request.into_inner();
        let mut violations = Violations::new();
        let page = page(tenant, BRANDS, page_size, &page_token, &mut violations);
        violations.finish()?;
        let listed = self.app.list_brands(tenant, page).await.map_err(refused)?;
        let next_page_token = next_token(tenant, BRANDS, &listed);
        let brands = listed.items.into_iter().map(brand_out).collect();
        Ok(Response::new(pb::ListBrandsResponse { brands, next_page_token }))
    }

    async fn update_brand(
        &self,
        request: Request<pb::UpdateBrandRequest>,
    ) -> Result<Response<pb::UpdateBrandResponse>, Status> {
        let caller = Caller::of(&request)?;
        let pb::UpdateBrandRequest { brand, update_mask } = request.into_inner();
        let mut violations = Violations::new();
        violations.check(brand.is_some(), "brand", "must be set");
        let mut brand = brand.unwrap_or_default();
        let id = violations.parse::<BrandId>("brand.brand_id", &brand.brand_id);
        let etag = std::mem::take(&mut brand.etag);
        let patch = patch(brand, &update_mask.unwrap_or_default().paths, &mut violations);
        let id = fields::all_read(id, violations)?;
        let etag = Some(etag.as_str()).filter(|etag| !etag.is_empty());
        let brand = self.app.update_brand(caller.tenant, id, etag, &patch).await.map_err(refused)?;
        Ok(Response::new(pb::UpdateBrandResponse { brand: Some(brand_out(brand)) }))
    }

    async fn get_brand_metrics(
        &self,
        request: Request<pb::GetBrandMetricsRequest>,
    ) -> Result<Response<pb::GetBrandMetricsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let mut violations = Violations::new();
        let id = violations.parse::<BrandId>("brand_id", &request.brand_id);
        let content_type = fields::content_type("content_type", request.content_type, &mut violations);
        let id = fields::all_read(id, violations)?;
        let content_type = content_type.unwrap_or(ContentType::Social);
        let metrics = self.app.brand_metrics(caller.tenant, id, content_type).await.map_err(refused)?;
        Ok(Response::new(pb::GetBrandMetricsResponse { metrics: metrics.map(|m| metrics_out(&m)) }))
    }
}

fn brand_fields(brand: pb::Brand, violations: &mut Violations) -> BrandFields {
    BrandFields {
        name: name(brand.name, violations),
        voice: words("brand.voice", brand.voice, violations),
        audience: words("brand.audience", brand.audience, violations),
        language: fields::language("brand.language", brand.language, violations),
        knowledge_bases: fields::knowledge_bases(KNOWLEDGE_BASES, &brand.knowledge_base_ids, violations),
    }
}

/// The new values of the fields that the mask names; what it does not name is not looked at.
fn patch(brand: pb::Brand, paths: &[String], violations: &mut Violations) -> BrandPatch {
    violations.check(!paths.is_empty(), "update_mask", "must name at least one field");
    let mut patch = BrandPatch::default();
    let named = |path: &str| paths.iter().any(|p| p == path);
    if named("name") {
        patch.name = Some(name(brand.name, violations));
    }
    if named("voice") {
        patch.voice = Some(words("brand.voice", brand.voice, violations));
    }
    if named("audience") {
        patch.audience = Some(words("brand.audience", brand.audience, violations));
    }
    if named("language") {
        patch.language = Some(fields::language("brand.language", brand.language, violations));
    }
    if named("knowledge_base_ids") {
        patch.knowledge_bases =
            Some(fields::knowledge_bases(KNOWLEDGE_BASES, &brand.knowledge_base_ids, violations));
    }
    let known = ["name", "voice", "audience", "language", "knowledge_base_ids"];
    for (at, _) in
        paths.iter().enumerate().filter(|(_, path)| !known.contains(&path.as_str())).take(MOST_PATHS)
    {
        violations.push(format!("update_mask.paths[{at}]"), format!("must be one of {}", known.join(", ")));
    }
    patch
}

const KNOWLEDGE_BASES: &str = "brand.knowledge_base_ids";
/// Unknown paths that are told of at once.
const MOST_PATHS: usize = 16;

fn name(value: String, violations: &mut Violations) -> String {
    fields::text("brand.name", value, 1, 200, violations)
}

fn words(field: &str, value: String, violations: &mut Violations) -> String {
    fields::text(field, value, 0, 1_000, violations)
}

fn brand_out(brand: Brand) -> pb::Brand {
    let etag = brand.etag();
    let BrandFields { name, voice, audience, language, knowledge_bases } = brand.fields;
    pb::Brand {
        brand_id: brand.id.to_string(),
        name,
        voice,
        audience,
        language,
        knowledge_base_ids: knowledge_bases.iter().map(ToString::to_string).collect(),
        etag,
        create_time: Some(timestamp(brand.created_ms)),
        update_time: Some(timestamp(brand.updated_ms)),
    }
}

fn metrics_out(metrics: &BrandMetrics) -> pb::BrandMetrics {
    let phrases = metrics.signature_phrases.iter();
    let phrase = |p: &SignaturePhrase| pb::SignaturePhrase { phrase: p.phrase.clone(), count: p.count };
    pb::BrandMetrics {
        texts: metrics.texts,
        sentences: metrics.sentences,
        sentence_words_mean: metrics.sentence_words_mean,
        sentence_words_sd: metrics.sentence_words_sd,
        text_words_mean: metrics.text_words_mean,
        paragraph_sentences_median: metrics.paragraph_sentences_median,
        flesch_reading_ease: metrics.flesch_reading_ease,
        flesch_kincaid_grade: metrics.flesch_kincaid_grade,
        lexical_diversity: metrics.lexical_diversity,
        question_share: metrics.question_share,
        hashtags_mean: metrics.hashtags_mean,
        signature_phrases: phrases.map(phrase).collect(),
    }
}
