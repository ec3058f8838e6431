-- What arrives. Owner: src/callback.

create table callbacks (
    id uuid primary key,
    received_at timestamptz not null,
    report_id uuid not null,
    verdict text not null check (verdict in ('accepted', 'unknown_report')),
    method text not null,
    path text not null,
    query text,
    headers jsonb not null,
    body text not null,
    body_escaped boolean not null,
    body_cut boolean not null,
    remote_address text
);
create index on callbacks (report_id, id desc);
comment on table callbacks is
    'Genuine calls of our callback addresses, whole. No foreign key: a call for a report that is gone is still a call. The token is not stored.';
comment on column callbacks.path is 'What stood behind the token.';
comment on column callbacks.body_escaped is 'Bytes that are not UTF-8, NUL and backslashes are written as \xNN.';
