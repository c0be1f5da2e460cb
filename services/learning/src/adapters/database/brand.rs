//! The table `brands`.

use copydesk_store::{Database, Row, StoreError, Value, params};
use copydesk_types::{BrandId, TenantId};

use super::{id, json, page_clause, to_json};
use crate::domain::brand::{Brand, BrandFields, BrandPatch};
use crate::ports::{Page, RequestKey, Stored, Update};

pub(super) async fn create(
    database: &Database,
    tenant: TenantId,
    brand: &Brand,
    request: &RequestKey,
) -> Result<Stored<Brand>, StoreError> {
    let fields = &brand.fields;
    let inserted = database
        .execute(
            "INSERT INTO brands (tenant, brand_id, request_id, fingerprint, name, voice, audience, language, \
             knowledge_bases, version, created_ms, updated_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
             ON CONFLICT (tenant, request_id) DO NOTHING",
            &params![
                tenant.to_string(),
                brand.id.to_string(),
                &request.id,
                &request.fingerprint,
                &fields.name,
                &fields.voice,
                &fields.audience,
                &fields.language,
                to_json(&fields.knowledge_bases),
                brand.version,
                brand.created_ms,
                brand.updated_ms,
            ],
        )
        .await?;
    if inserted == 1 {
        return Ok(Stored::New(brand.clone()));
    }
    let known = database
        .query_opt(
            "SELECT * FROM brands WHERE tenant = $1 AND request_id = $2",
            &params![tenant.to_string(), &request.id],
        )
        .await?;
    match known {
        Some(row) if row.get::<String>("fingerprint")? == request.fingerprint => {
            Ok(Stored::Known(read(&row)?))
        }
        _ => Ok(Stored::Reused),
    }
}

pub(super) async fn get(
    database: &Database,
    tenant: TenantId,
    brand: BrandId,
) -> Result<Option<Brand>, StoreError> {
    let row = database
        .query_opt(
            "SELECT * FROM brands WHERE tenant = $1 AND brand_id = $2",
            &params![tenant.to_string(), brand.to_string()],
        )
        .await?;
    row.as_ref().map(read).transpose()
}

pub(super) async fn list(
    database: &Database,
    tenant: TenantId,
    page: &Page,
) -> Result<Vec<Brand>, StoreError> {
    let mut params: Vec<Value> = params![tenant.to_string()].into();
    let page = page_clause(page, "brand_id", &mut params);
    let rows = database.query(format!("SELECT * FROM brands WHERE tenant = $1{page}"), &params).await?;
    rows.iter().map(read).collect()
}

pub(super) async fn update(
    database: &Database,
    tenant: TenantId,
    brand: BrandId,
    etag: Option<&str>,
    patch: &BrandPatch,
    now_ms: i64,
) -> Result<Update, StoreError> {
    let mut tx = database.begin().await?;
    let lock = tx.dialect().for_update();
    let row = tx
        .query_opt(
            format!("SELECT * FROM brands WHERE tenant = $1 AND brand_id = $2{lock}"),
            &params![tenant.to_string(), brand.to_string()],
        )
        .await?;
    let Some(stored) = row.as_ref().map(read).transpose()? else { return Ok(Update::Absent) };
    if etag.is_some_and(|etag| etag != stored.etag()) {
        return Ok(Update::Stale);
    }
    let changed = stored.patched(patch.clone(), now_ms);
    let fields = &changed.fields;
    tx.execute(
        "UPDATE brands SET name = $3, voice = $4, audience = $5, language = $6, knowledge_bases = $7, version = $8, \
         updated_ms = $9 WHERE tenant = $1 AND brand_id = $2",
        &params![
            tenant.to_string(),
            brand.to_string(),
            &fields.name,
            &fields.voice,
            &fields.audience,
            &fields.language,
            to_json(&fields.knowledge_bases),
            changed.version,
            changed.updated_ms,
        ],
    )
    .await?;
    tx.commit().await?;
    Ok(Update::Changed(changed))
}

fn read(row: &Row) -> Result<Brand, StoreError> {
    Ok(Brand {
        id: id(row, "brand_id")?,
        fields: BrandFields {
            name: row.get("name")?,
            voice: row.get("voice")?,
            audience: row.get("audience")?,
            language: row.get("language")?,
            knowledge_bases: json(row, "knowledge_bases")?,
        },
        version: row.get("version")?,
        created_ms: row.get("created_ms")?,
        updated_ms: row.get("updated_ms")?,
    })
}
