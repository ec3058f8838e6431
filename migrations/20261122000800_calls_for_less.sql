-- What a call costs the database, without what only looked again at what the door has made. A sixth less for a batch of calls,
-- and nearly half for one that comes alone. Owner: src/callback.

-- The door makes it, so that nothing is gained by reading it as JSON once more. The table is written anew meanwhile, and an old
-- replica beside a new one cannot write single calls: there is none yet, as none was released.
alter table callbacks alter column headers type text using headers::text;
comment on column callbacks.headers is 'A list of name and value, as JSON.';

-- The door does not think of it: a call is accepted until the trigger finds that its report is gone. A check of each row, and of
-- nothing but these two words, is not worth its time.
alter table callbacks alter column verdict set default 'accepted', drop constraint callbacks_verdict_check;
comment on column callbacks.verdict is 'accepted, or unknown_report: set by the trigger.';

-- No parameters: all plans are kept. They are made when a batch is small and must do for a large one: checks are found by their
-- key, however few there are, and nothing is joined but by it.
create or replace function mark_checks_called() returns trigger
language plpgsql set enable_seqscan = off as $$
declare
    is_news boolean;
begin
    -- Nearly always so where calls come in crowds. Batches for the same reports then don't wait for each other's commit either.
    if not exists (
        select from came
        where (select asks_after(checks, came.received_at) from checks where checks.report_id = came.report_id) is not true
    ) then
        return null;
    end if;

    update callbacks set verdict = 'unknown_report'
    where id in (
        select id from came where (select true from checks where checks.report_id = came.report_id) is null
    );

    with last as (
        select max(received_at) as at from came
    ), counted as (
        select report_id, count(*) as calls from came group by report_id
    ), locked as (
        -- in the order of ids, so that two batches never wait for each other in a circle
        select checks.report_id, checks.due_at, counted.calls from last, counted join checks using (report_id)
        where not asks_after(checks, last.at)
        order by checks.report_id
        for update of checks
    ), called as (
        update checks
        set calls = checks.calls + locked.calls, due_at = least(checks.due_at, last.at), expected_since = last.at, tries = 0,
            called_since = case when checks.calls > checks.done_calls then coalesce(checks.called_since, last.at) else last.at end
        from last, locked
        where checks.report_id = locked.report_id
        returning coalesce(locked.due_at > last.at, true) as was_idle
    )
    select coalesce(bool_or(was_idle), false) into is_news from called;
    -- A check that was due already has been hinted at, or the one under way is followed by another.
    if is_news then
        perform pg_notify('tidings', 'callbacks: checks');
    end if;
    return null;
end
$$;
