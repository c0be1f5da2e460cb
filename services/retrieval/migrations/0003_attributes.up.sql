-- What a caller says of a document beside its text, as JSON, and where it can be read.
ALTER TABLE document ADD COLUMN attributes TEXT NOT NULL DEFAULT '{}';
ALTER TABLE document ADD COLUMN source_uri TEXT NOT NULL DEFAULT '';
ALTER TABLE ingestion_item ADD COLUMN attributes TEXT NOT NULL DEFAULT '{}';
ALTER TABLE ingestion_item ADD COLUMN source_uri TEXT NOT NULL DEFAULT '';
