DROP TABLE human_verdict;
DROP TABLE judge_opinion;
DROP TABLE guard_policy;
