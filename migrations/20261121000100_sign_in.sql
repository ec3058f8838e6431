-- How accounts sign in, and what is known of when that ends. Owner: src/account.

alter table accounts
    add column token_version smallint not null default 1 check (token_version in (1, 2)),
    add column client_certificate bytea,
    add column client_certificate_print bytea,
    add column client_secret_expires_at timestamptz,
    add column refreshed_at timestamptz,
    add column failures integer not null default 0 check (failures >= 0),
    add constraint accounts_client_certificate_check
        check ((client_certificate is null) = (client_certificate_print is null));

comment on column accounts.client_certificate is
    'Sealed PEM of a certificate and its key. Of secret and certificate the one given last counts; the other is forgotten.';
comment on column accounts.refreshed_at is
    'When the refresh token was last renewed; null where it has not been since it was given.';
comment on column accounts.failures is
    'Reading calls that failed one after another because the service was away: each blocks the account for longer.';

create table sign_ins (
    account_id uuid primary key references accounts on delete cascade,
    state text not null check (state in ('waiting', 'done', 'failed', 'expired')),
    device_code bytea,
    user_code text not null,
    verification_uri text not null,
    message text not null,
    interval_seconds integer not null check (interval_seconds > 0),
    expires_at timestamptz not null,
    failure text,
    due_at timestamptz,
    claim bigint not null default 0,
    leased_until timestamptz,
    begun_at timestamptz not null,
    check ((state = 'waiting') = (device_code is not null)),
    check ((state = 'waiting') = (due_at is not null))
);
create index sign_ins_due on sign_ins (due_at) where state = 'waiting';
comment on table sign_ins is
    'The last sign-in of each account by a code that a person types on another device. The device code is sealed and forgotten at the end.';
