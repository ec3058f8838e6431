-- Who may do what. Owner: src/access.

create table secret_keys (
    key_id text primary key,
    check_value bytea not null,
    created_at timestamptz not null
);
comment on table secret_keys is
    'One value per service key that only its holder can compute: a wrong TIDINGS_SECRET_KEY is noticed at start.';

create table api_keys (
    id uuid primary key,
    name text not null,
    digest bytea not null unique,
    scopes text[] not null check (scopes <@ array['read', 'write', 'admin'] and cardinality(scopes) > 0),
    created_at timestamptz not null,
    last_used_at timestamptz
);
comment on table api_keys is 'API keys: 256 random bits, kept as SHA-256.';

create table sign_in_links (
    digest bytea primary key,
    expires_at timestamptz not null
);
comment on table sign_in_links is 'One-time addresses that open a dashboard session; a used one is gone.';

create table sessions (
    digest bytea primary key,
    actor text not null,
    key_id uuid references api_keys on delete cascade,
    created_at timestamptz not null,
    expires_at timestamptz not null
);
comment on table sessions is
    'Dashboard sessions: the cookie holds 256 random bits, the row their SHA-256. One that a key opened ends with the key.';

create table idempotency (
    actor text not null,
    key text not null,
    request bytea not null,
    status int,
    answer bytea,
    created_at timestamptz not null,
    primary key (actor, key),
    check ((status is null) = (answer is null))
);
create index on idempotency (created_at);
comment on table idempotency is
    'Idempotency-Key: a hash of the request that came first, and its answer, sealed; without an answer it is under way.';

create table audit (
    id uuid primary key,
    at timestamptz not null,
    actor text not null,
    action text not null,
    subject text not null
);
comment on table audit is 'Who changed what, when. Only ever appended to.';
