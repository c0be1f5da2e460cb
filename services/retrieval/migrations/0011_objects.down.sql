-- Only what stands in rows can be taken back: run with `retrieval.objects.backend = "rows"` first, until everything is moved.
CREATE TABLE document_original (
    tenant TEXT NOT NULL,
    document_id TEXT NOT NULL,
    content BYTEA NOT NULL,
    PRIMARY KEY (tenant, document_id)
);
-- An original is always one part.
INSERT INTO document_original (tenant, document_id, content)
    SELECT o.tenant, o.owner, p.content FROM object o
    JOIN object_part p ON p.tenant = o.tenant AND p.object_id = o.object_id AND p.ordinal = 0
    WHERE o.state = 'stored' AND o.owner LIKE 'doc%';
CREATE TABLE snapshot_part (
    tenant TEXT NOT NULL,
    snapshot_id TEXT NOT NULL,
    ordinal BIGINT NOT NULL,
    content BYTEA NOT NULL,
    PRIMARY KEY (tenant, snapshot_id, ordinal)
);
INSERT INTO snapshot_part (tenant, snapshot_id, ordinal, content)
    SELECT o.tenant, o.owner, p.ordinal, p.content FROM object o
    JOIN object_part p ON p.tenant = o.tenant AND p.object_id = o.object_id
    WHERE o.state = 'stored' AND o.owner LIKE 'snp%';
DROP TABLE object_part;
DROP TABLE object;
