-- no-transaction
-- What it found, executions_report_id_state_id_idx finds too.
drop index concurrently if exists executions_report_id_idx;
