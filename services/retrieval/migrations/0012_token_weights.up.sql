-- What an embedder that weighs tokens says of a chunk beside its vector: for each token that counts its id in four bytes,
-- lowest first, in order, and its weight in units of 2^-13 in two. NULL where the embedder gives none.
ALTER TABLE chunk ADD COLUMN token_weights BYTEA;
ALTER TABLE kept_vector ADD COLUMN token_weights BYTEA;
ALTER TABLE new_vector ADD COLUMN token_weights BYTEA;
