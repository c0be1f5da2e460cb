-- Tells when a tenant was last served, without reading all of its ingestions.
CREATE INDEX ingestion_served ON ingestion (tenant, lease_until);
