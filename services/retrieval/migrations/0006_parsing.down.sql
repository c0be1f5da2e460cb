DROP TABLE picture_text;
DROP TABLE document_page;
ALTER TABLE document DROP COLUMN format;
