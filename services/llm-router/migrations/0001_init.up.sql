CREATE TABLE usage_record (
    tenant TEXT NOT NULL,
    usage_id TEXT NOT NULL,
    time_ms BIGINT NOT NULL,
    run_id TEXT NOT NULL,
    step TEXT NOT NULL,
    agent TEXT NOT NULL,
    agent_version TEXT NOT NULL,
    task BIGINT NOT NULL,
    model TEXT NOT NULL,
    outcome TEXT NOT NULL,
    input_tokens BIGINT NOT NULL,
    cached_input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    estimated BIGINT NOT NULL,
    cost_nanos BIGINT NOT NULL,
    price_version TEXT NOT NULL,
    latency_us BIGINT NOT NULL,
    PRIMARY KEY (tenant, usage_id)
);

CREATE INDEX usage_record_newest ON usage_record (tenant, time_ms DESC, usage_id DESC);

CREATE INDEX usage_record_run ON usage_record (tenant, run_id, time_ms DESC, usage_id DESC) WHERE run_id <> '';

CREATE TABLE answer (
    tenant TEXT NOT NULL,
    request_id TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    body TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant, request_id)
);

CREATE INDEX answer_expiry ON answer (expires_ms);
