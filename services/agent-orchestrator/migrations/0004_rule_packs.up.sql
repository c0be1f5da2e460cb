-- Versions of rule packs. They never change. Times are milliseconds since 1970.
CREATE TABLE rule_pack (
    tenant TEXT NOT NULL,
    pack_id TEXT NOT NULL,
    version TEXT NOT NULL,
    title TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    document TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, pack_id, version)
);

-- Which version holds: a stored one, the built-in one (empty version), or none (`off`). Without a row the built-in pack holds.
CREATE TABLE rule_pack_choice (
    tenant TEXT NOT NULL,
    pack_id TEXT NOT NULL,
    version TEXT NOT NULL,
    is_off BIGINT NOT NULL,
    lists TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, pack_id)
);
