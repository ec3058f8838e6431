-- A report there is left behind only when all that it made is here. Owner: src/report.

alter table checks
    add column closing_since timestamptz,
    add column closed_at timestamptz;
comment on column checks.closing_since is
    'Since when the report is known to be over there: a question for everything that is claimed after this closes it.';
comment on column checks.closed_at is 'When that question was answered.';
