DROP TABLE snapshot_part;
DROP TABLE snapshot;
DROP TABLE document_original;
