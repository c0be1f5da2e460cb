ALTER TABLE new_vector DROP COLUMN text_hash;
DROP TABLE document_terms;
