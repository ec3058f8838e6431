-- What the callback door does in one statement, and the order of its index. Owner of the function: src/report.

-- The statement that inserts callbacks calls it last, so that the rows are locked no longer than the commit takes. A function,
-- as the door has no second round trip to spare and `checks` is written by its owner only; plpgsql, as that keeps its plan.
create function checks_called(ids uuid[], counts bigint[], at timestamptz) returns boolean
language plpgsql set plan_cache_mode = force_generic_plan as $$
declare
    woken boolean;
begin
    with locked as (
        -- in the order of ids, so that two batches never wait for each other in a circle
        select checks.report_id, checks.due_at from checks
        where checks.report_id = any(ids)
        order by checks.report_id
        for update
    ), called as (
        update checks
        set calls = checks.calls + new.calls, due_at = least(checks.due_at, at), expected_since = at, tries = 0
        from unnest(ids, counts) as new (report_id, calls)
        join locked using (report_id)
        where checks.report_id = new.report_id
        returning coalesce(locked.due_at > at, true) as was_idle
    )
    select coalesce(bool_or(was_idle), false) into woken from called;
    return woken;
end
$$;
comment on function checks_called is
    'Adds calls to the checks of reports and makes them due. Tells whether that is news for any of them.';

-- The calls of one report come in the order of their ids: ascending, each goes to the end of its report's pages and leaves them
-- full; descending, every page was split in halves.
drop index callbacks_report_id_id_idx;
create index callbacks_report_id_id_idx on callbacks (report_id, id);
