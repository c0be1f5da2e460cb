-- What an ingestion is fetched from; empty for uploads. The cursor says where the fetching goes on; it is written together
-- with what was fetched up to there.
ALTER TABLE ingestion ADD COLUMN source_kind TEXT NOT NULL DEFAULT '';
ALTER TABLE ingestion ADD COLUMN source_name TEXT NOT NULL DEFAULT '';
ALTER TABLE ingestion ADD COLUMN source_spec TEXT NOT NULL DEFAULT '';
ALTER TABLE ingestion ADD COLUMN source_content_type TEXT NOT NULL DEFAULT '';
ALTER TABLE ingestion ADD COLUMN source_mirror BIGINT NOT NULL DEFAULT 0;
ALTER TABLE ingestion ADD COLUMN source_state TEXT NOT NULL DEFAULT '';
ALTER TABLE ingestion ADD COLUMN source_cursor TEXT NOT NULL DEFAULT '';
-- What the source said of its state, to be asked with the next time.
ALTER TABLE ingestion ADD COLUMN source_mark TEXT NOT NULL DEFAULT '';
-- How often a process began to fetch since something was fetched last.
ALTER TABLE ingestion ADD COLUMN source_attempts BIGINT NOT NULL DEFAULT 0;
ALTER TABLE ingestion ADD COLUMN documents_deleted BIGINT NOT NULL DEFAULT 0;

-- What sources brought, by their names, and when: a document that was stored later is somebody else's.
CREATE TABLE source_document (
    tenant TEXT NOT NULL,
    knowledge_base_id TEXT NOT NULL,
    name TEXT NOT NULL,
    key TEXT NOT NULL,
    ingest_time BIGINT NOT NULL,
    PRIMARY KEY (tenant, knowledge_base_id, name, key)
);

-- The mark of the last whole fetching of a source, and what was asked for then.
CREATE TABLE source_mark (
    tenant TEXT NOT NULL,
    knowledge_base_id TEXT NOT NULL,
    name TEXT NOT NULL,
    spec TEXT NOT NULL,
    mark TEXT NOT NULL,
    PRIMARY KEY (tenant, knowledge_base_id, name)
);
