-- Whose Partner Center we speak for. Owner: src/account.

create table accounts (
    id uuid primary key,
    name text not null unique,
    program text not null check (program in ('mpn', 'cmp')),
    tenant_id text not null,
    client_id text not null,
    grant_kind text not null check (grant_kind in ('refresh_token', 'client_credentials', 'password')),
    login_url text not null,
    api_url text not null,
    client_secret bytea,
    client_secret_print bytea,
    refresh_token bytea,
    refresh_token_print bytea,
    username text,
    password bytea,
    password_print bytea,
    state text not null default 'active' check (state in ('active', 'sign_in_required')),
    sign_in_since timestamptz,
    last_failure text,
    blocked_until timestamptz,
    renewal bigint not null default 0,
    renewal_until timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    check ((state = 'sign_in_required') = (sign_in_since is not null)),
    check ((client_secret is null) = (client_secret_print is null)),
    check ((refresh_token is null) = (refresh_token_print is null)),
    check ((password is null) = (password_print is null))
);
comment on table accounts is
    'Partner Center identities. Credentials are sealed; a print is a keyed hash of the value as it was given, so that the same value again changes nothing.';
comment on column accounts.blocked_until is 'Retry-After of the whole account: no call before.';
comment on column accounts.renewal_until is 'Lease of the one renewal of the token that may be under way.';
