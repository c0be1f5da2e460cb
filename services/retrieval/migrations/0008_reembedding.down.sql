DROP TABLE new_vector;
DROP TABLE reembedding;
