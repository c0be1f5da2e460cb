-- How often the archive refused an outcome for good, as opposed to not being there.
ALTER TABLE outbox ADD COLUMN refusals BIGINT NOT NULL DEFAULT 0;
