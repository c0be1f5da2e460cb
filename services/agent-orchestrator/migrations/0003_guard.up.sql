-- A tenant's policy for the guard. Times are milliseconds since 1970.
CREATE TABLE guard_policy (
    tenant TEXT NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    body TEXT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- What a judge model said of a claim, by the hash of claim, evidence and the judge's version. Old ones are deleted.
CREATE TABLE judge_opinion (
    tenant TEXT NOT NULL,
    question_hash TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, question_hash)
);
CREATE INDEX judge_opinion_age ON judge_opinion (created_at);

-- What people say of claims, beside what guard and judge said. The words of a claim are not kept.
CREATE TABLE human_verdict (
    tenant TEXT NOT NULL,
    request_id TEXT NOT NULL,
    ordinal BIGINT NOT NULL,
    claim_hash TEXT NOT NULL,
    guard_verdict TEXT NOT NULL,
    risk DOUBLE PRECISION NOT NULL,
    judge_verdict TEXT,
    human_verdict TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, request_id, ordinal)
);
