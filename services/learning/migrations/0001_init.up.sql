-- Brands: for whom content is written. knowledge_bases is a JSON list of ids.
CREATE TABLE brands (
    tenant TEXT NOT NULL,
    brand_id TEXT NOT NULL,
    request_id TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    name TEXT NOT NULL,
    voice TEXT NOT NULL,
    audience TEXT NOT NULL,
    language TEXT NOT NULL,
    knowledge_bases TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant, brand_id),
    UNIQUE (tenant, request_id)
);
CREATE INDEX brands_by_time ON brands (tenant, created_ms);

-- What came of runs. decision is what people made of the draft: 1 accepted, -1 refused, 0 undecided.
CREATE TABLE outcomes (
    tenant TEXT NOT NULL,
    run_id TEXT NOT NULL,
    brand_id TEXT NOT NULL,
    state BIGINT NOT NULL,
    workflow TEXT NOT NULL,
    definition_version TEXT NOT NULL,
    topic TEXT NOT NULL,
    content_type BIGINT NOT NULL,
    text TEXT NOT NULL,
    score DOUBLE PRECISION NOT NULL,
    confidence DOUBLE PRECISION NOT NULL,
    corrections BIGINT NOT NULL,
    unsupported BIGINT NOT NULL,
    claims BIGINT NOT NULL,
    cost_nanos BIGINT NOT NULL,
    duration_ms BIGINT NOT NULL,
    degraded BIGINT NOT NULL,
    lessons TEXT NOT NULL,
    finished_ms BIGINT NOT NULL,
    decision BIGINT NOT NULL DEFAULT 0,
    decided_ms BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, run_id)
);
CREATE INDEX outcomes_by_decision ON outcomes (tenant, decided_ms) WHERE decision <> 0;

-- Verdicts. lessons is a JSON list of the lessons that the verdict made or strengthened.
CREATE TABLE feedback (
    tenant TEXT NOT NULL,
    feedback_id TEXT NOT NULL,
    request_id TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    run_id TEXT NOT NULL,
    brand_id TEXT NOT NULL,
    kind BIGINT NOT NULL,
    rating BIGINT NOT NULL,
    comment TEXT NOT NULL,
    edited_text TEXT NOT NULL,
    principal TEXT NOT NULL,
    lessons TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant, feedback_id),
    UNIQUE (tenant, request_id)
);
CREATE INDEX feedback_by_time ON feedback (tenant, created_ms);
CREATE INDEX feedback_by_brand ON feedback (tenant, brand_id, created_ms);
CREATE INDEX feedback_by_run ON feedback (tenant, run_id, created_ms);

-- Lessons. merge_key is what makes two lessons of one brand the same; sources is a JSON list of runs and topics.
CREATE TABLE lessons (
    tenant TEXT NOT NULL,
    lesson_id TEXT NOT NULL,
    brand_id TEXT NOT NULL,
    merge_key TEXT NOT NULL,
    content_type BIGINT NOT NULL,
    origin BIGINT NOT NULL,
    rule BIGINT NOT NULL,
    rule_limit BIGINT NOT NULL,
    phrase TEXT NOT NULL,
    text TEXT NOT NULL,
    support BIGINT NOT NULL,
    contra BIGINT NOT NULL,
    sources TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    asserted_ms BIGINT NOT NULL,
    supported_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant, lesson_id),
    UNIQUE (tenant, brand_id, merge_key)
);
CREATE INDEX lessons_by_time ON lessons (tenant, brand_id, created_ms);
CREATE INDEX lessons_by_support ON lessons (tenant, brand_id, supported_ms);

-- One row per brand that every change of its lessons locks first, so that changes come one after the other.
CREATE TABLE lesson_books (
    tenant TEXT NOT NULL,
    brand_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (tenant, brand_id)
);
