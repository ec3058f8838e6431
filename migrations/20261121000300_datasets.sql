-- What an account can ask for, and queries that are changed or were found there. Owner: src/report.

create table datasets (
    account_id uuid primary key references accounts on delete cascade,
    items jsonb not null,
    fetched_at timestamptz not null
);
comment on table datasets is 'What the API showed an account last: queries are checked against it before anything is sent.';

alter table queries add column adopted boolean not null default false;
comment on column queries.adopted is 'Found there, not made by us: never deleted there.';

alter table queries add column incidental boolean not null default false;
comment on column queries.incidental is
    'Made from the text of a report, not by itself: what the API has of it goes when no report uses it any more.';

create table leftovers (
    account_id uuid not null references accounts on delete cascade,
    remote_id text not null,
    primary key (account_id, remote_id)
);
comment on table leftovers is
    'Queries there that are of no use any more; deleted as soon as no report there may still run them.';
