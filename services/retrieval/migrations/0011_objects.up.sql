-- Originals and snapshots' files are objects: bytes that stand in a place of their own, under keys that are never used twice.
-- An object is noted here before its first byte is written and forgotten after its last one is removed.
CREATE TABLE object (
    tenant TEXT NOT NULL,
    object_id TEXT NOT NULL,
    -- `rows` (object_part), or the name of a folder or a bucket.
    place TEXT NOT NULL,
    -- `pending`: nobody refers to it yet; `stored`; `gone`: nobody refers to it any more, its bytes are to be removed.
    state TEXT NOT NULL,
    -- The document or the snapshot whose bytes it holds; empty while it is pending.
    owner TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    -- BLAKE3; empty for snapshots that an earlier build made: their own hash is in `snapshot`.
    content_hash TEXT NOT NULL,
    -- The multipart upload that writes it, where there is one.
    upload TEXT NOT NULL,
    -- When it may be looked at: a pending one counts as left behind then, one that is gone is to be removed, a stored one may be
    -- moved to another place.
    due BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    PRIMARY KEY (tenant, object_id)
);
CREATE INDEX object_owner ON object (tenant, owner) WHERE state = 'stored';
CREATE INDEX object_due ON object (due) WHERE state <> 'stored';
CREATE INDEX object_place ON object (place, due) WHERE state = 'stored';

-- What was stored before are objects in rows. The worker moves them when another place is configured.
INSERT INTO object (tenant, object_id, place, state, owner, size_bytes, content_hash, upload, due, attempts)
    SELECT o.tenant, 'obj_' || substr(o.document_id, 5), 'rows', 'stored', o.document_id, length(o.content),
      d.content_hash, '', 0, 0
    FROM document_original o JOIN document d ON d.tenant = o.tenant AND d.document_id = o.document_id;
INSERT INTO object (tenant, object_id, place, state, owner, size_bytes, content_hash, upload, due, attempts)
    SELECT tenant, 'obj_' || substr(snapshot_id, 5), 'rows', 'stored', snapshot_id, size_bytes, '', '', 0, 0
    FROM snapshot;
ALTER TABLE snapshot_part RENAME TO object_part;
ALTER TABLE object_part RENAME COLUMN snapshot_id TO object_id;
UPDATE object_part SET object_id = 'obj_' || substr(object_id, 5);
INSERT INTO object_part (tenant, object_id, ordinal, content)
    SELECT tenant, 'obj_' || substr(document_id, 5), 0, content FROM document_original;
DROP TABLE document_original;
