DROP TABLE lane;
DROP TABLE outbox;
DROP TABLE event;
DROP TABLE step_call;
DROP TABLE task;
DROP TABLE run;
