-- no-transaction
-- As the one before it, which looked for entries that are the same whenever a page of it was full. There are none.
create index concurrently if not exists callbacks_of_report_idx on callbacks (report_id, id desc) with (deduplicate_items = off);
