//! Making a brand, once per request id.

use copydesk_types::{BrandId, TenantId};

use super::App;
use crate::domain::brand::{Brand, BrandFields};
use crate::domain::fingerprint::fingerprint;
use crate::error::Error;
use crate::ports::{RequestKey, Stored};

impl App {
    /// Makes a brand; the same request id and fields again give the same brand as it is now.
    ///
    /// # Errors
    /// [`Error::RequestIdReused`] when the request id came with other fields before.
    #[tracing::instrument(name = "learning.create_brand", skip_all)]
    pub async fn create_brand(
        &self,
        tenant: TenantId,
        request_id: String,
        fields: BrandFields,
    ) -> Result<Brand, Error> {
        let request = RequestKey { id: request_id, fingerprint: digest(&fields) };
        let now_ms = self.clock.now_ms();
        let brand =
            Brand { id: BrandId::generate(), fields, version: 1, created_ms: now_ms, updated_ms: now_ms };
        match self.store.create_brand(tenant, &brand, &request).await? {
            Stored::New(brand) | Stored::Known(brand) => Ok(brand),
            Stored::Reused => Err(Error::RequestIdReused("brand")),
        }
    }
}

fn digest(fields: &BrandFields) -> String {
    let bases: Vec<String> = fields.knowledge_bases.iter().map(ToString::to_string).collect();
    let words = [&fields.name, &fields.voice, &fields.audience, &fields.language];
    fingerprint(words.into_iter().chain(&bases).map(String::as_str))
}
