ALTER TABLE new_vector DROP COLUMN token_weights;
ALTER TABLE kept_vector DROP COLUMN token_weights;
ALTER TABLE chunk DROP COLUMN token_weights;
