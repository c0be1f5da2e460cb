DROP TABLE answer;

DROP TABLE usage_record;
