-- What each document is found by, so that an index need not read its text again: the terms of its title and its chunks.
-- Documents that were stored before have none until an index first reads them.
CREATE TABLE document_terms (
    tenant TEXT NOT NULL,
    document_id TEXT NOT NULL,
    document_version BIGINT NOT NULL,
    terms BYTEA NOT NULL,
    PRIMARY KEY (tenant, document_id)
);

-- A vector is found again by the hash of what was embedded, which is the chunk under its document's title from now on.
-- What reembeddings under way have made so far is of chunks alone: it is made anew.
DELETE FROM new_vector;
ALTER TABLE new_vector ADD COLUMN text_hash BYTEA;
