ALTER TABLE knowledge_base ADD COLUMN kind TEXT NOT NULL DEFAULT 'general';
ALTER TABLE knowledge_base ADD COLUMN dimensions BIGINT NOT NULL DEFAULT 0;

-- The first 16 bytes of the text's BLAKE3: a chunk whose text was embedded before takes that vector.
ALTER TABLE chunk ADD COLUMN text_hash BYTEA;
CREATE INDEX chunk_of_text ON chunk (tenant, text_hash);

-- Vectors of documents that are not stored yet: work that a crash must not cost again.
CREATE TABLE kept_vector (
    tenant TEXT NOT NULL,
    knowledge_base_id TEXT NOT NULL,
    embedder TEXT NOT NULL,
    text_hash BYTEA NOT NULL,
    vector BYTEA NOT NULL,
    keep_time BIGINT NOT NULL,
    PRIMARY KEY (tenant, embedder, text_hash)
);
CREATE INDEX kept_vector_age ON kept_vector (keep_time);
CREATE INDEX kept_vector_of_knowledge_base ON kept_vector (tenant, knowledge_base_id);
