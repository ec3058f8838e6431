-- The whole life of a report: changed in place, adopted, compared with what is there, ended. Owner: src/report.

alter table reports
    drop column settle_since,
    drop constraint reports_state_check,
    add constraint reports_state_check
        check (state in ('draft', 'registered', 'paused', 'rejected', 'retired', 'ended')),
    add column end_at timestamptz,
    add column recreate boolean not null default false,
    add column amend boolean not null default false,
    add column sent jsonb,
    add column ran int not null default 0 check (ran >= 0),
    add column adopted_at timestamptz,
    add column drift jsonb,
    add column drift_since timestamptz,
    add column compared_at timestamptz,
    add check ((drift is null) = (drift_since is null));

comment on column reports.end_at is 'No run after it; only the marketplace''s program takes one.';
comment on column reports.recreate is 'After its last run it is made anew there instead of ending.';
comment on column reports.amend is 'What changed can be changed there: it is to be sent by an update.';
comment on column reports.sent is
    'What the API was given last, with a print of the callback address. A comparison holds it against what is there.';
comment on column reports.ran is 'Runs of schedules before the one in `sent`; what is left of `occurrences` is without them.';
comment on column reports.adopted_at is 'It existed there before us: what it made before this is archived in silence.';
comment on column reports.drift is 'How what is there differs from `sent`, as of the last comparison; addresses redacted.';

-- What was sent until now; which address it was is not known.
update reports
set sent = jsonb_build_object(
    'name', name, 'description', description, 'format', format, 'callback_method', callback_method,
    'start_at', to_char(start_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    'interval_hours', interval_hours, 'occurrences', occurrences)
where there <> 'none';

create table comparisons (
    account_id uuid primary key references accounts on delete cascade,
    due_at timestamptz not null,
    lease bigint not null default 0,
    lease_until timestamptz
);
create index on comparisons (due_at);
comment on table comparisons is 'When what an account has there is next compared with what was sent. Owner: src/report.';

insert into comparisons (account_id, due_at)
select account_id, min(created_at) from reports group by account_id;
