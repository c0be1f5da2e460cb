DROP TABLE kept_vector;
DROP INDEX chunk_of_text;
ALTER TABLE chunk DROP COLUMN text_hash;
ALTER TABLE knowledge_base DROP COLUMN dimensions;
ALTER TABLE knowledge_base DROP COLUMN kind;
