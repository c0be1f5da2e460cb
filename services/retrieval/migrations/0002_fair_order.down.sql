DROP INDEX ingestion_served;
