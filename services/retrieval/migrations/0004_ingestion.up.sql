-- Documents are staged as bytes and parsed by the worker; what became of each stays until the ingestion's retention
-- ends, and the bytes of a failed one until then or until it is tried again.
ALTER TABLE ingestion_item RENAME COLUMN text TO content;
ALTER TABLE ingestion_item ADD COLUMN size_bytes BIGINT NOT NULL DEFAULT 0;
-- How often its work was begun; how often it was lost since it was last asked for.
ALTER TABLE ingestion_item ADD COLUMN attempts BIGINT NOT NULL DEFAULT 0;
ALTER TABLE ingestion_item ADD COLUMN lost BIGINT NOT NULL DEFAULT 0;
-- The ingestion's count of changes at which this row last changed: a watcher reads on from there.
ALTER TABLE ingestion_item ADD COLUMN change BIGINT NOT NULL DEFAULT 0;
ALTER TABLE ingestion_item ADD COLUMN update_time BIGINT NOT NULL DEFAULT 0;
ALTER TABLE ingestion_item ADD COLUMN document_id TEXT NOT NULL DEFAULT '';
ALTER TABLE ingestion_item ADD COLUMN chunks BIGINT NOT NULL DEFAULT 0;
CREATE INDEX ingestion_item_state ON ingestion_item (tenant, ingestion_id, state, lost, ordinal);
CREATE INDEX ingestion_item_key ON ingestion_item (tenant, key);
CREATE INDEX ingestion_item_change ON ingestion_item (tenant, ingestion_id, change);
CREATE INDEX ingestion_item_kept ON ingestion_item (tenant, size_bytes) WHERE content IS NOT NULL;

ALTER TABLE ingestion ADD COLUMN documents_failed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE ingestion ADD COLUMN documents_cancelled BIGINT NOT NULL DEFAULT 0;
ALTER TABLE ingestion ADD COLUMN bytes_total BIGINT NOT NULL DEFAULT 0;
ALTER TABLE ingestion ADD COLUMN bytes_done BIGINT NOT NULL DEFAULT 0;
ALTER TABLE ingestion ADD COLUMN changes BIGINT NOT NULL DEFAULT 0;
-- The item that the holder is at, and how far it is. Still there when another takes the job: its holder was lost.
ALTER TABLE ingestion ADD COLUMN at_ordinal BIGINT;
ALTER TABLE ingestion ADD COLUMN at_stage TEXT NOT NULL DEFAULT '';
CREATE INDEX ingestion_open_of_base ON ingestion (tenant, knowledge_base_id, create_time) WHERE finish_time IS NULL;
CREATE INDEX ingestion_finished ON ingestion (finish_time) WHERE finish_time IS NOT NULL;

-- The bytes that were uploaded, and the time of the upload: an older upload never replaces a newer one.
ALTER TABLE document ADD COLUMN upload_bytes BIGINT NOT NULL DEFAULT 0;
ALTER TABLE document ADD COLUMN upload_time BIGINT NOT NULL DEFAULT 0;
UPDATE document SET upload_bytes = size_bytes;

-- What a tenant has stored. Its row is the last that a transaction locks.
CREATE TABLE tenant_usage (
    tenant TEXT NOT NULL,
    documents BIGINT NOT NULL,
    chunks BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    PRIMARY KEY (tenant)
);
INSERT INTO tenant_usage (tenant, documents, chunks, bytes)
    SELECT tenant, COUNT(*), CAST(SUM(chunk_count) AS BIGINT), CAST(SUM(upload_bytes) AS BIGINT)
    FROM document GROUP BY tenant;
