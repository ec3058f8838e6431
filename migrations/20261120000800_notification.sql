-- Telling people. Owner: src/notification.

create table subscriptions (
    id uuid primary key,
    name text not null,
    channel text not null check (channel in ('email', 'slack', 'teams', 'webhook')),
    endpoint bytea not null,
    endpoint_shown text not null,
    endpoint_print bytea not null,
    secret bytea,
    kinds text[],
    report_ids uuid[],
    owner text,
    first_rows text not null default 'off' check (first_rows in ('off', 'masked')),
    state text not null default 'active' check (state in ('active', 'paused', 'suspended')),
    last_failure text,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    removed_at timestamptz,
    check ((channel = 'webhook') = (secret is not null))
);
comment on table subscriptions is
    'Who wants which events, and where. The endpoint is sealed: chat and webhook addresses are secrets.';

create table fan_out (
    one boolean primary key default true check (one),
    seq bigint not null
);
insert into fan_out (seq) values (0);
comment on table fan_out is 'One row: up to which event deliveries were made; locked by whoever makes them.';

create table deliveries (
    id uuid primary key,
    event_id uuid not null references events,
    subscription_id uuid not null references subscriptions,
    state text not null check (state in ('pending', 'delivered', 'failed', 'cancelled')),
    reason text,
    due_at timestamptz not null,
    tries int not null default 0,
    since timestamptz not null,
    trigger text not null default 'schedule' check (trigger in ('schedule', 'resend')),
    lease bigint not null default 0,
    lease_until timestamptz,
    created_at timestamptz not null,
    finished_at timestamptz,
    unique (event_id, subscription_id),
    check ((state = 'pending') = (finished_at is null))
) with (fillfactor = 80);
create index on deliveries (subscription_id, due_at) where state = 'pending';
create index on deliveries (subscription_id, id desc);
create index on deliveries (state, id desc);
comment on table deliveries is
    'The duty to bring one event to one subscription. The id goes out with every attempt, so that a repeat can be told.';

create table attempts (
    id uuid primary key,
    delivery_id uuid not null references deliveries,
    number int not null,
    trigger text not null check (trigger in ('schedule', 'resend')),
    started_at timestamptz not null,
    finished_at timestamptz not null,
    outcome text not null check (outcome in ('delivered', 'retry', 'payload', 'gone', 'ours')),
    status int,
    detail text not null
);
create index on attempts (delivery_id, number);
comment on table attempts is 'Each try of a delivery, with what the other side answered.';
