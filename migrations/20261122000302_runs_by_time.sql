-- no-transaction
-- The run before a given one: its columns are compared with those of a new file.
create index concurrently if not exists executions_report_id_made_idx on executions (report_id, coalesce(generated_at, found_at) desc)
    where state = 'stored';
