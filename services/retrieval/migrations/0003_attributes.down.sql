ALTER TABLE ingestion_item DROP COLUMN source_uri;
ALTER TABLE ingestion_item DROP COLUMN attributes;
ALTER TABLE document DROP COLUMN source_uri;
ALTER TABLE document DROP COLUMN attributes;
