-- When a report is late, and since when a call waits for its check. Owner: src/report.

-- An old replica beside a new one tells of late reports after its two hours.
alter table reports add column grace_hours int not null default 2 check (grace_hours between 1 and 2160);
comment on column reports.grace_hours is 'So long after it was expected a report is late.';

alter table checks add column called_since timestamptz;
comment on column checks.called_since is
    'When the first call came that no finished check covers; of calls during a check, when it began. It says something while calls > done_calls.';

update checks
set called_since = (
    select received_at from callbacks where callbacks.report_id = checks.report_id order by id desc limit 1
)
where calls > done_calls;

-- As before, and it keeps when the first call came. Neither column is in an index, so that a call stays a cheap update.
create or replace function checks_called(ids uuid[], counts bigint[], at timestamptz) returns boolean
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
        set calls = checks.calls + new.calls, due_at = least(checks.due_at, at), expected_since = at, tries = 0,
            called_since = case when checks.calls > checks.done_calls then coalesce(checks.called_since, at) else at end
        from unnest(ids, counts) as new (report_id, calls)
        join locked using (report_id)
        where checks.report_id = new.report_id
        returning coalesce(locked.due_at > at, true) as was_idle
    )
    select coalesce(bool_or(was_idle), false) into woken from called;
    return woken;
end
$$;
