-- What we ask Microsoft for. Owner: src/report.

create table queries (
    id uuid primary key,
    account_id uuid not null references accounts,
    name text not null,
    text text not null,
    remote_id text,
    created_at timestamptz not null,
    unique (account_id, name)
);
comment on table queries is 'Queries we keep for an account; remote_id once the API has it.';

create table reports (
    id uuid primary key,
    account_id uuid not null references accounts,
    query_id uuid not null references queries,
    name text not null,
    slug text not null,
    description text,
    start_at timestamptz,
    interval_hours int check (interval_hours between 1 and 2160),
    occurrences int check (occurrences > 0),
    execute_now boolean not null,
    query_start_at timestamptz,
    query_end_at timestamptz,
    format text not null check (format in ('csv', 'tsv')),
    callback_method text not null check (callback_method in ('POST', 'GET')),
    state text not null default 'draft' check (state in ('draft', 'registered', 'paused', 'rejected', 'retired')),
    there text not null default 'none' check (there in ('none', 'active', 'paused')),
    remake boolean not null default false,
    settle_at timestamptz,
    settle_tries int not null default 0,
    settle_since timestamptz,
    lease bigint not null default 0,
    lease_until timestamptz,
    last_failure text,
    expected_at timestamptz,
    late_since timestamptz,
    arrived_at timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    check (execute_now = (interval_hours is null)),
    check (execute_now or query_start_at is null)
);
create unique index reports_account_id_name_key on reports (account_id, name) where state <> 'retired';
create index on reports (settle_at) where settle_at is not null;
create index on reports (expected_at) where expected_at is not null and late_since is null;
comment on table reports is
    'Our intent and state. `there` is what the API has; where it differs from `state`, settle_at says when to bring it into line.';

comment on column reports.remake is 'What changed cannot be changed there: it is deleted there and registered anew.';

create table registrations (
    id uuid primary key,
    report_id uuid not null references reports,
    remote_id text not null unique,
    created_at timestamptz not null,
    ended_at timestamptz
);
create unique index on registrations (report_id) where ended_at is null;
comment on table registrations is 'Under which ids the API knew a report: one made anew there keeps its history here.';

create table checks (
    report_id uuid primary key references reports,
    due_at timestamptz,
    calls bigint not null default 0,
    done_calls bigint not null default 0,
    expected_since timestamptz,
    tries int not null default 0,
    manual boolean not null default false,
    good_at timestamptz,
    lease bigint not null default 0,
    lease_until timestamptz
) with (fillfactor = 70);
create index on checks (due_at) where due_at is not null;
comment on table checks is
    'When to ask the API for executions of a report. A callback adds to calls and makes it due; done_calls is how many a finished check covered.';
comment on column checks.expected_since is 'A run is expected since then: asked for quickly at first, then less often.';
