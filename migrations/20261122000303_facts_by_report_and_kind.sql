-- no-transaction
-- The facts of one kind about one report, however rare.
create index concurrently if not exists events_report_id_kind_id_idx on events (report_id, kind, id desc nulls last);
