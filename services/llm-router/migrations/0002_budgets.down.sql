DROP TABLE budget_lease;

DROP TABLE budget_window;

DROP TABLE budget_change;

DROP TABLE budget;

DELETE FROM answer WHERE owner <> '';

ALTER TABLE answer DROP COLUMN owner;

DROP INDEX usage_record_agent_spent;

DROP INDEX usage_record_spent;

DROP INDEX usage_record_model;

DROP INDEX usage_record_agent;

ALTER TABLE usage_record DROP COLUMN hedge;

ALTER TABLE usage_record DROP COLUMN provider;

ALTER TABLE usage_record DROP COLUMN tier;

ALTER TABLE usage_record DROP COLUMN upstream_status;

ALTER TABLE usage_record DROP COLUMN first_token_us;

ALTER TABLE usage_record DROP COLUMN replica;

ALTER TABLE usage_record DROP COLUMN ordered_ms;

ALTER TABLE usage_record DROP COLUMN operation;
