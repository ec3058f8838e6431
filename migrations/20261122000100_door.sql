-- What makes checks due in the statement that records callbacks. Owner: src/report.

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
            -- One that is due for a call and was not begun asks the API after this call anyway. Left alone, batches for the same
            -- reports don't wait for each other's commit.
            and not (coalesce(checks.due_at <= at, false) and checks.calls > checks.done_calls and checks.lease_until is null
                and coalesce(checks.expected_since > at - interval '1 minute', false))
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
    'Makes the checks of called reports due and counts the calls, where they are not due for a call already. Tells if that is news.';
