-- no-transaction
-- The runs of one report in one state, however rare, and the ones that discovery still waits for.
create index concurrently if not exists executions_report_id_state_id_idx on executions (report_id, state, id desc nulls last);
