-- What a document was read as; empty for those that were stored before it was kept.
ALTER TABLE document ADD COLUMN format TEXT NOT NULL DEFAULT '';

-- The pages of a document: where each stands in its text, how hard it was to read and which way it was read.
CREATE TABLE document_page (
    tenant TEXT NOT NULL,
    document_id TEXT NOT NULL,
    number BIGINT NOT NULL,
    span_start BIGINT NOT NULL,
    span_end BIGINT NOT NULL,
    complexity TEXT NOT NULL,
    path TEXT NOT NULL,
    -- One a line.
    reasons TEXT NOT NULL,
    -- BLAKE3 of the picture that it was read from; empty for none.
    picture_hash TEXT NOT NULL,
    PRIMARY KEY (tenant, document_id, number)
);
CREATE INDEX document_page_picture ON document_page (tenant, picture_hash);

-- What a vision model read, kept as long as a document shows the picture; what no stored document has shown yet goes with
-- the knowledge base for which it was read first.
CREATE TABLE picture_text (
    tenant TEXT NOT NULL,
    picture_hash TEXT NOT NULL,
    knowledge_base_id TEXT NOT NULL,
    reader TEXT NOT NULL,
    text BYTEA NOT NULL,
    create_time BIGINT NOT NULL,
    PRIMARY KEY (tenant, picture_hash, reader)
);
