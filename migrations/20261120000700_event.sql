-- The log of facts. Owner: src/event.

create table events (
    id uuid primary key,
    seq bigint unique,
    kind text not null,
    key text not null unique,
    occurred_at timestamptz not null,
    account_id uuid,
    report_id uuid,
    execution_id uuid,
    file_id uuid,
    subscription_id uuid,
    data jsonb not null
);
create index on events (id) where seq is null;
create index on events (kind, id desc);
create index on events (report_id, id desc);
comment on table events is
    'What happened and can be subscribed to, written in the transaction that made it true. A key makes "once" literal. No address, no secret.';
comment on column events.seq is
    'Given after the commit by one numbering step at a time, so that a reader who goes by it misses nothing.';

create table event_numbers (
    one boolean primary key default true check (one),
    last_seq bigint not null
);
insert into event_numbers (last_seq) values (0);
comment on table event_numbers is 'One row: the last number given; locked by whoever numbers.';
