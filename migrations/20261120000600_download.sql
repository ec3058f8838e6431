-- The bytes. Owner: src/download.

create table downloads (
    id uuid primary key,
    execution_id uuid not null unique references executions,
    report_id uuid not null references reports,
    state text not null default 'open' check (state in ('open', 'stored', 'failed')),
    due_at timestamptz not null,
    tries int not null default 0,
    since timestamptz not null,
    lease bigint not null default 0,
    lease_until timestamptz,
    last_failure text,
    location text unique,
    format text,
    encoding text check (encoding in ('identity', 'gzip')),
    size_bytes bigint,
    stored_bytes bigint,
    sha256 text,
    rows bigint,
    columns jsonb,
    first_rows jsonb,
    stored_at timestamptz,
    check ((state = 'stored') = (location is not null)),
    check (location is null or (size_bytes is not null and stored_bytes is not null and sha256 is not null
        and rows is not null and columns is not null and stored_at is not null and encoding is not null))
);
create index on downloads (due_at) where state = 'open';
create index on downloads (report_id, id desc) where state = 'stored';
comment on table downloads is
    'The fetch of one execution''s file, and the file. The id is the file''s; location is relative to the archive.';
comment on column downloads.first_rows is 'A few rows as a taste; cell texts are cut short.';
