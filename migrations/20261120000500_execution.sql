-- What a callback meant. Owner: src/execution.

create table executions (
    id uuid primary key,
    report_id uuid not null references reports,
    remote_id text not null,
    remote_report_id text not null,
    status text not null,
    state text not null check (state in ('pending', 'ready', 'stored', 'failed')),
    found_by text not null check (found_by in ('callback', 'schedule', 'manual')),
    silent boolean not null default false,
    generated_at timestamptz,
    archive_date date not null,
    failure text,
    found_at timestamptz not null,
    updated_at timestamptz not null,
    unique (report_id, remote_id),
    check ((state = 'failed') = (failure is not null))
);
create index on executions (report_id, id desc);
create index on executions (state, id desc);
create index on executions (report_id) where state = 'pending';
comment on table executions is 'Runs of reports. `status` is the API''s word, `state` is ours.';
comment on column executions.silent is 'Older than our knowledge of the report: archived, but nobody is told.';
