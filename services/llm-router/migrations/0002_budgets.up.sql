ALTER TABLE usage_record ADD COLUMN operation BIGINT NOT NULL DEFAULT 1;

ALTER TABLE usage_record ADD COLUMN ordered_ms BIGINT NOT NULL DEFAULT 0;

ALTER TABLE usage_record ADD COLUMN replica TEXT NOT NULL DEFAULT '';

ALTER TABLE usage_record ADD COLUMN first_token_us BIGINT NOT NULL DEFAULT 0;

ALTER TABLE usage_record ADD COLUMN upstream_status BIGINT NOT NULL DEFAULT 0;

ALTER TABLE usage_record ADD COLUMN tier TEXT NOT NULL DEFAULT '';

ALTER TABLE usage_record ADD COLUMN provider TEXT NOT NULL DEFAULT '';

ALTER TABLE usage_record ADD COLUMN hedge BIGINT NOT NULL DEFAULT 0;

-- What stays when the characters of a provider's name are taken from the front begins with the slash.
UPDATE usage_record SET ordered_ms = time_ms, provider = SUBSTR(model, 1,
    LENGTH(model) - LENGTH(LTRIM(model, 'abcdefghijklmnopqrstuvwxyz0123456789-_')));

CREATE INDEX usage_record_agent ON usage_record (tenant, agent, time_ms DESC, usage_id DESC) WHERE agent <> '';

CREATE INDEX usage_record_model ON usage_record (tenant, model, time_ms DESC, usage_id DESC);

CREATE INDEX usage_record_spent ON usage_record (tenant, ordered_ms, cost_nanos);

CREATE INDEX usage_record_agent_spent ON usage_record (tenant, agent, ordered_ms, cost_nanos) WHERE agent <> '';

-- A row with an owner is a claim: its call is under way, and its answer will take its place.
ALTER TABLE answer ADD COLUMN owner TEXT NOT NULL DEFAULT '';

CREATE TABLE budget (
    tenant TEXT NOT NULL,
    budget_id TEXT NOT NULL,
    subject_kind BIGINT NOT NULL,
    subject TEXT NOT NULL,
    period BIGINT NOT NULL,
    limit_nanos BIGINT NOT NULL,
    soft_nanos BIGINT NOT NULL,
    version BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant, subject_kind, subject, period)
);

CREATE UNIQUE INDEX budget_by_id ON budget (budget_id);

-- Counts the changes of a tenant's budgets, so that replicas see at a glance that theirs are old.
CREATE TABLE budget_change (
    tenant TEXT NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL
);

-- granted_nanos is base_nanos and what all leases of the window hold.
CREATE TABLE budget_window (
    budget_id TEXT NOT NULL,
    window_start_ms BIGINT NOT NULL,
    granted_nanos BIGINT NOT NULL,
    base_nanos BIGINT NOT NULL,
    soft_passed_ms BIGINT,
    PRIMARY KEY (budget_id, window_start_ms)
);

-- before_nanos is what the replica had spent in the window, as the ledger said, before it held the lease.
CREATE TABLE budget_lease (
    budget_id TEXT NOT NULL,
    window_start_ms BIGINT NOT NULL,
    window_end_ms BIGINT NOT NULL,
    replica TEXT NOT NULL,
    granted_nanos BIGINT NOT NULL,
    spent_nanos BIGINT NOT NULL,
    before_nanos BIGINT NOT NULL,
    renewed_ms BIGINT NOT NULL,
    PRIMARY KEY (budget_id, window_start_ms, replica)
);

CREATE INDEX budget_lease_renewed ON budget_lease (renewed_ms);
