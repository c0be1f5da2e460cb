DROP INDEX usage_record_agent;

DROP INDEX usage_record_newest;

CREATE INDEX usage_record_newest ON usage_record (tenant, time_ms DESC, usage_id DESC);

CREATE INDEX usage_record_agent ON usage_record (tenant, agent, time_ms DESC, usage_id DESC) WHERE agent <> '';

CREATE INDEX usage_record_model ON usage_record (tenant, model, time_ms DESC, usage_id DESC);

CREATE INDEX usage_record_spent ON usage_record (tenant, ordered_ms, cost_nanos);

CREATE INDEX usage_record_agent_spent ON usage_record (tenant, agent, ordered_ms, cost_nanos) WHERE agent <> '';
