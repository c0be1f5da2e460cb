-- Every type and feature that services may use, as several statements in one file; even a semicolon in a text.
CREATE TABLE author (
    id BIGINT PRIMARY KEY,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL DEFAULT 'a;b',
    active BIGINT NOT NULL DEFAULT 1 CHECK (active IN (0, 1)),
    UNIQUE (tenant, name)
);

CREATE TABLE note (
    id BIGINT PRIMARY KEY,
    author_id BIGINT REFERENCES author (id),
    score DOUBLE PRECISION,
    body TEXT,
    digest BYTEA
);

CREATE UNIQUE INDEX note_one_scored ON note (author_id) WHERE score > 100;
