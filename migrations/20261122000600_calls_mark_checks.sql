-- A call makes the check of its report due, however it was written: so that many calls can be copied in. Owner: src/callback.

alter table checks add column claimed_calls bigint not null default 0, add column claimed_lease bigint not null default -1;
comment on column checks.claimed_calls is 'How many calls there were when the check was claimed: so many it covers at least.';
comment on column checks.claimed_lease is 'The lease that claimed_calls is of. An old replica beside a new one claims without noting either.';

create function asks_after(checks, at timestamptz) returns boolean language sql stable as $$
    select coalesce($1.expected_since > at - interval '1 minute', false) and case
        when $1.lease_until is null then coalesce($1.due_at <= at, false) and $1.calls > $1.done_calls
        else $1.claimed_lease = $1.lease and $1.calls > $1.claimed_calls
    end
$$;
comment on function asks_after is
    'Whether this check asks the API after a call that came at this time in any case: it is due for a call and was not begun, or it is under way and is followed by another. Such a call can leave it alone.';

create function mark_checks_called() returns trigger
language plpgsql set plan_cache_mode = force_generic_plan as $$
declare
    at timestamptz;
    is_news boolean;
begin
    -- Nearly always so where calls come in crowds. Batches for the same reports then don't wait for each other's commit either.
    if not exists (
        select from came
        where not exists (
            select from checks where checks.report_id = came.report_id and asks_after(checks, came.received_at)
        )
    ) then
        return null;
    end if;

    update callbacks set verdict = 'unknown_report'
    where id in (select id from came where not exists (select from checks where checks.report_id = came.report_id));

    select max(received_at) into at from came;
    with counted as (
        select report_id, count(*) as calls from came group by report_id
    ), locked as (
        -- in the order of ids, so that two batches never wait for each other in a circle
        select checks.report_id, checks.due_at from checks
        where checks.report_id in (select report_id from counted) and not asks_after(checks, at)
        order by checks.report_id
        for update
    ), called as (
        update checks
        set calls = checks.calls + counted.calls, due_at = least(checks.due_at, at), expected_since = at, tries = 0,
            called_since = case when checks.calls > checks.done_calls then coalesce(checks.called_since, at) else at end
        from counted join locked using (report_id)
        where checks.report_id = counted.report_id
        returning coalesce(locked.due_at > at, true) as was_idle
    )
    select coalesce(bool_or(was_idle), false) into is_news from called;
    -- A check that was due already has been hinted at, or the one under way is followed by another.
    if is_news then
        perform pg_notify('tidings', 'callbacks: checks');
    end if;
    return null;
end
$$;

create trigger mark_checks_called after insert on callbacks
    referencing new table as came for each statement execute function mark_checks_called();

comment on function checks_called is
    'For an old replica beside a new one, which counts its calls by it once more than the trigger does. Nothing else uses it.';
