-- The bytes of documents whose text is not their bytes; the others are stored once.
CREATE TABLE document_original (
    tenant TEXT NOT NULL,
    document_id TEXT NOT NULL,
    content BYTEA NOT NULL,
    PRIMARY KEY (tenant, document_id)
);

-- Snapshots outlive their knowledge bases.
CREATE TABLE snapshot (
    tenant TEXT NOT NULL,
    snapshot_id TEXT NOT NULL,
    knowledge_base_id TEXT NOT NULL,
    name TEXT NOT NULL,
    document_count BIGINT NOT NULL,
    chunk_count BIGINT NOT NULL,
    size_bytes BIGINT NOT NULL,
    content_hash TEXT NOT NULL,
    create_time BIGINT NOT NULL,
    PRIMARY KEY (tenant, snapshot_id)
);

CREATE TABLE snapshot_part (
    tenant TEXT NOT NULL,
    snapshot_id TEXT NOT NULL,
    ordinal BIGINT NOT NULL,
    content BYTEA NOT NULL,
    PRIMARY KEY (tenant, snapshot_id, ordinal)
);
