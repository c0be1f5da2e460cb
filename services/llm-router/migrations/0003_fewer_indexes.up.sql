-- Each index is written for every call. One index by time that holds what sums need does the work of three.
DROP INDEX usage_record_spent;

DROP INDEX usage_record_agent_spent;

DROP INDEX usage_record_model;

DROP INDEX usage_record_newest;

DROP INDEX usage_record_agent;

CREATE INDEX usage_record_newest ON usage_record (tenant, time_ms DESC, usage_id DESC, ordered_ms, cost_nanos);

CREATE INDEX usage_record_agent ON usage_record (tenant, agent, time_ms DESC, usage_id DESC, ordered_ms, cost_nanos)
    WHERE agent <> '';
