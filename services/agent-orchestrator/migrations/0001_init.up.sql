-- A run: what was asked, where it stands, what came of it. Times are milliseconds since 1970, money is nano-dollars.
CREATE TABLE run (
    tenant TEXT NOT NULL,
    run_id TEXT NOT NULL,
    request_id TEXT NOT NULL,
    input_hash TEXT NOT NULL,
    definition TEXT NOT NULL,
    brand_id TEXT NOT NULL,
    state TEXT NOT NULL,
    spec TEXT NOT NULL,
    brand TEXT NOT NULL,
    delegation TEXT NOT NULL,
    trace_id TEXT NOT NULL,
    budget_nanos BIGINT,
    spent_nanos BIGINT NOT NULL DEFAULT 0,
    input_tokens BIGINT NOT NULL DEFAULT 0,
    cached_input_tokens BIGINT NOT NULL DEFAULT 0,
    output_tokens BIGINT NOT NULL DEFAULT 0,
    tokens_estimated BIGINT NOT NULL DEFAULT 0,
    last_seq BIGINT NOT NULL DEFAULT 0,
    error TEXT,
    result TEXT,
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    finished_at BIGINT,
    deadline_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, run_id),
    UNIQUE (tenant, request_id)
);
-- Deadlines are looked up among the living runs only.
CREATE INDEX run_deadline ON run (deadline_at) WHERE state IN ('queued', 'running');

-- A step of a run. `fence` grows with every claim, so that a worker that lost its lease cannot finish the step.
CREATE TABLE task (
    tenant TEXT NOT NULL,
    run_id TEXT NOT NULL,
    step_key TEXT NOT NULL,
    ordinal BIGINT NOT NULL,
    state TEXT NOT NULL,
    attempt BIGINT NOT NULL DEFAULT 0,
    fence BIGINT NOT NULL DEFAULT 0,
    lease_owner TEXT NOT NULL DEFAULT '',
    lease_until BIGINT NOT NULL DEFAULT 0,
    run_after BIGINT NOT NULL,
    started_at BIGINT,
    finished_at BIGINT,
    output TEXT,
    summary TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (tenant, run_id, step_key)
);
CREATE INDEX task_ready ON task (tenant, run_after) WHERE state = 'ready';
CREATE INDEX task_running ON task (lease_until) WHERE state = 'running';

-- What a finished model or tool call inside a step returned, so that a repeated step repeats no finished call.
CREATE TABLE step_call (
    tenant TEXT NOT NULL,
    run_id TEXT NOT NULL,
    step_key TEXT NOT NULL,
    call_key TEXT NOT NULL,
    input_hash TEXT NOT NULL,
    output TEXT NOT NULL,
    cost_nanos BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, run_id, step_key, call_key, input_hash)
);

-- What happened in a run, numbered from 1 without gaps.
CREATE TABLE event (
    tenant TEXT NOT NULL,
    run_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, run_id, seq)
);

-- Ended runs whose outcome has not reached the archive yet.
CREATE TABLE outbox (
    tenant TEXT NOT NULL,
    run_id TEXT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    next_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, run_id)
);
CREATE INDEX outbox_due ON outbox (next_at);

-- One row per tenant: the turn in which tenants are served, and the lock that makes their limit exact.
CREATE TABLE lane (
    tenant TEXT NOT NULL PRIMARY KEY,
    last_claim BIGINT NOT NULL DEFAULT 0
);
