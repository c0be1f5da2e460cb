-- A change of embedder under way; its row goes when it is over.
CREATE TABLE reembedding (
    tenant TEXT NOT NULL,
    knowledge_base_id TEXT NOT NULL,
    embedder TEXT NOT NULL,
    dimensions BIGINT NOT NULL,
    delegation TEXT NOT NULL,
    start_time BIGINT NOT NULL,
    chunks_done BIGINT NOT NULL,
    error TEXT NOT NULL,
    -- Who holds it, as for ingestions.
    fence BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    PRIMARY KEY (tenant, knowledge_base_id)
);
CREATE INDEX reembedding_open ON reembedding (lease_until);

-- What it made so far. Documents have all of their vectors here or none.
CREATE TABLE new_vector (
    tenant TEXT NOT NULL,
    knowledge_base_id TEXT NOT NULL,
    document_id TEXT NOT NULL,
    passage_id TEXT NOT NULL,
    ordinal BIGINT NOT NULL,
    vector BYTEA NOT NULL,
    PRIMARY KEY (tenant, document_id, passage_id, ordinal)
);
CREATE INDEX new_vector_of_knowledge_base ON new_vector (tenant, knowledge_base_id);
