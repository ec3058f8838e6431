-- no-transaction
-- callbacks_of_report_idx finds the same for less.
drop index concurrently if exists callbacks_report_id_id_idx;
