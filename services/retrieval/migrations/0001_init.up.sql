-- Texts are BYTEA: a document may hold U+0000, which a TEXT column of PostgreSQL cannot, and passages are cut by bytes.
CREATE TABLE knowledge_base (
    tenant TEXT NOT NULL,
    knowledge_base_id TEXT NOT NULL,
    name TEXT NOT NULL,
    version BIGINT NOT NULL,
    document_count BIGINT NOT NULL,
    chunk_count BIGINT NOT NULL,
    embedder TEXT NOT NULL,
    create_time BIGINT NOT NULL,
    PRIMARY KEY (tenant, knowledge_base_id)
);

-- What a caller's request id made, for as long as that exists.
CREATE TABLE request (
    tenant TEXT NOT NULL,
    method TEXT NOT NULL,
    request_id TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    PRIMARY KEY (tenant, method, request_id)
);
CREATE INDEX request_resource ON request (tenant, resource_id);

CREATE TABLE document (
    tenant TEXT NOT NULL,
    document_id TEXT NOT NULL,
    knowledge_base_id TEXT NOT NULL,
    key TEXT NOT NULL,
    title TEXT NOT NULL,
    source_kind TEXT NOT NULL,
    content_type TEXT NOT NULL,
    version BIGINT NOT NULL,
    size_bytes BIGINT NOT NULL,
    content_hash TEXT NOT NULL,
    chunk_count BIGINT NOT NULL,
    create_time BIGINT NOT NULL,
    update_time BIGINT NOT NULL,
    PRIMARY KEY (tenant, document_id),
    UNIQUE (tenant, knowledge_base_id, key)
);
CREATE INDEX document_of_knowledge_base ON document (tenant, knowledge_base_id, document_id);

CREATE TABLE document_text (
    tenant TEXT NOT NULL,
    document_id TEXT NOT NULL,
    text BYTEA NOT NULL,
    PRIMARY KEY (tenant, document_id)
);

-- The version of the knowledge base that last changed a document; stays when the document is deleted, so that an
-- index in memory can catch up with deletions too.
CREATE TABLE document_change (
    tenant TEXT NOT NULL,
    knowledge_base_id TEXT NOT NULL,
    document_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (tenant, knowledge_base_id, document_id)
);
CREATE INDEX document_change_version ON document_change (tenant, knowledge_base_id, version);

CREATE TABLE passage (
    tenant TEXT NOT NULL,
    passage_id TEXT NOT NULL,
    document_id TEXT NOT NULL,
    ordinal BIGINT NOT NULL,
    span_start BIGINT NOT NULL,
    span_end BIGINT NOT NULL,
    token_count BIGINT NOT NULL,
    PRIMARY KEY (tenant, passage_id)
);
CREATE INDEX passage_of_document ON passage (tenant, document_id);

CREATE TABLE chunk (
    tenant TEXT NOT NULL,
    document_id TEXT NOT NULL,
    passage_id TEXT NOT NULL,
    ordinal BIGINT NOT NULL,
    document_version BIGINT NOT NULL,
    span_start BIGINT NOT NULL,
    span_end BIGINT NOT NULL,
    token_count BIGINT NOT NULL,
    vector BYTEA,
    PRIMARY KEY (tenant, document_id, passage_id, ordinal)
);

CREATE TABLE ingestion (
    tenant TEXT NOT NULL,
    ingestion_id TEXT NOT NULL,
    knowledge_base_id TEXT NOT NULL,
    state TEXT NOT NULL,
    documents_total BIGINT NOT NULL,
    documents_done BIGINT NOT NULL,
    documents_unchanged BIGINT NOT NULL,
    chunks_written BIGINT NOT NULL,
    create_time BIGINT NOT NULL,
    finish_time BIGINT,
    -- For whom the worker acts.
    delegation TEXT NOT NULL,
    -- Who holds it: a worker's writes carry the fence it got with the lease.
    fence BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    PRIMARY KEY (tenant, ingestion_id)
);
CREATE INDEX ingestion_open ON ingestion (create_time) WHERE finish_time IS NULL;
CREATE INDEX ingestion_of_knowledge_base ON ingestion (tenant, knowledge_base_id);

-- The staging area. Rows without an ingestion are of an upload that goes on, or of one that broke.
CREATE TABLE ingestion_item (
    tenant TEXT NOT NULL,
    ingestion_id TEXT NOT NULL,
    ordinal BIGINT NOT NULL,
    state TEXT NOT NULL,
    key TEXT NOT NULL,
    title TEXT NOT NULL,
    format TEXT NOT NULL,
    source_kind TEXT NOT NULL,
    content_type TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    text BYTEA,
    reason TEXT NOT NULL,
    message TEXT NOT NULL,
    stage_time BIGINT NOT NULL,
    PRIMARY KEY (tenant, ingestion_id, ordinal)
);
CREATE INDEX ingestion_item_staged ON ingestion_item (stage_time);
