ALTER TABLE outbox DROP COLUMN refusals;
