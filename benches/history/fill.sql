-- A history of 100 days, in the order in which it happened. How much of it: the settings fill.callbacks, fill.executions
-- and fill.deliveries. What runs by itself is at rest: the account waits for a person, the subscriptions are paused.

-- Nothing here breaks a reference, and checking so many takes longer than writing them. Only a superuser may leave it out.
do $$ begin
    set session_replication_role = replica;
exception when insufficient_privilege then null;
end $$;
set synchronous_commit = off;

-- an id as the service would have made it at that time
create function pg_temp.id_at(at timestamptz) returns uuid language sql volatile as $$
    select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7' || substr(md5(random()::text), 1, 3)
        || '8' || substr(md5(random()::text), 1, 15))::uuid
$$;

create temp table life as
select timestamptz '2026-11-21 00:00Z' - interval '100 days' as born, interval '100 days' as age;

insert into accounts (id, name, program, tenant_id, client_id, grant_kind, login_url, api_url, state, sign_in_since,
    created_at, updated_at)
select pg_temp.id_at(born), 'contoso', 'mpn', 'tenant', 'client', 'client_credentials', 'https://login.example',
    'https://api.example', 'sign_in_required', born, born, born
from life;

insert into queries (id, account_id, name, text, remote_id, created_at)
select pg_temp.id_at(born), accounts.id, 'usage', 'SELECT Month FROM OfficeUsage TIMESPAN LAST_MONTH', 'query', born
from life, accounts;

create temp table report_ids as
select n, pg_temp.id_at(born + n * interval '1 second') as id, born + n * interval '1 second' as made_at
from life, generate_series(0, 499) as n;

insert into reports (id, account_id, query_id, name, slug, start_at, interval_hours, execute_now, format, callback_method,
    state, there, expected_at, late_since, arrived_at, created_at, updated_at)
select report_ids.id, accounts.id, queries.id, 'report ' || n, 'report-' || n, made_at, 24, false, 'csv', 'POST',
    'registered', 'active', made_at + interval '101 days', null, made_at + interval '100 days', made_at, made_at
from report_ids, accounts, queries;
insert into registrations (id, report_id, remote_id, created_at)
select pg_temp.id_at(made_at), id, 'remote ' || n, made_at
from report_ids;
insert into checks (report_id, due_at, calls, done_calls) select id, made_at + interval '101 days', 20000, 20000 from report_ids;

create temp table subscription_ids as
select n, pg_temp.id_at(born + n * interval '1 second') as id from life, generate_series(0, 19) as n;

insert into subscriptions (id, name, channel, endpoint, endpoint_shown, endpoint_print, secret, state, created_at, updated_at)
select id, 'subscription ' || n, 'webhook', '\x00', 'https://hooks.example/…', sha256(n::text::bytea), '\x00', 'paused', born, born
from subscription_ids, life;

-- Reports are called with very different frequency; the last one has ten calls in all, and the one before it was called often
-- until half of the time was over.
insert into callbacks (id, received_at, report_id, verdict, method, path, query, headers, body, body_escaped, body_cut,
    remote_address)
select pg_temp.id_at(at), at, report_ids.id, 'accepted', 'POST', '/' || report_ids.id, null,
    '{"host": ["tidings.example.com"], "user-agent": ["Microsoft Partner Insights/1.0"], "content-type": ["application/json"],
      "content-length": ["2"], "x-request-id": ["5f0d8c5e"], "accept": ["*/*"]}', '{}', false, false, '20.190.128.7'
from (
    select born + i * (age / current_setting('fill.callbacks')::int) as at,
        case when i % (current_setting('fill.callbacks')::int / 10) = 0 then 499
            when i % 10 = 1 and i < current_setting('fill.callbacks')::int / 2 then 498
            else least(498, floor(499 * random() * random()))::int end as n
    from life, generate_series(1, current_setting('fill.callbacks')::int) as i
) as call
join report_ids using (n);

create temp table runs as
select i, report_ids.id as report_id, pg_temp.id_at(at) as id, pg_temp.id_at(at) as file_id, pg_temp.id_at(at) as event_id, at,
    case when i > most - 5 then 'pending' when i > most - 10 then 'ready' when i % 1000 = 0 then 'failed' else 'stored' end
        as state
from (
    select i, current_setting('fill.executions')::int as most,
        born + i * (age / current_setting('fill.executions')::int) as at,
        case when i % (current_setting('fill.executions')::int / 10) = 0 then 499
            when i % 10 = 1 and i < current_setting('fill.executions')::int / 2 then 498
            else least(498, floor(499 * random() * random()))::int end as n
    from life, generate_series(1, current_setting('fill.executions')::int) as i
) as run
join report_ids using (n)
order by i;

insert into executions (id, report_id, remote_id, remote_report_id, status, state, found_by, generated_at, archive_date,
    failure, found_at, updated_at)
select id, report_id, 'remote ' || i, 'remote', case state when 'pending' then 'Running' when 'failed' then 'Failed' else 'Completed' end,
    state, 'callback', at, at::date, case when state = 'failed' then 'the API says Failed' end, at, at
from runs order by i;

insert into downloads (id, execution_id, report_id, state, due_at, since, location, format, encoding, size_bytes,
    stored_bytes, sha256, rows, columns, first_rows, stored_at)
select file_id, id, report_id, 'stored', at, at, 'report/' || i, 'csv', 'gzip', 1000000, 100000, md5(i::text) || md5(i::text), 1000,
    '["Month", "CustomerName", "CustomerTenantId", "ProductName", "Licenses", "ActiveUsers"]',
    '[["2026-10", "Fabrikam", "5f0d8c5e", "Exchange", "100", "80"], ["2026-10", "Contoso", "5f0d8c5f", "Teams", "50", "40"]]', at
from runs where state = 'stored' order by i;

insert into events (id, seq, kind, key, occurred_at, account_id, report_id, execution_id, file_id, data)
select event_id, i, case when runs.state = 'failed' then 'report.failed' when i % 50 = 0 then 'report.empty'
        when i % 10007 = 0 then 'report.late' else 'report.ready' end,
    'ready:' || runs.id, at, accounts.id, report_id, runs.id, file_id,
    '{"report": {"id": "0", "name": "report"}, "execution": {"id": "0", "status": "Completed"},
      "file": {"id": "0", "rows": 1000, "format": "csv", "size_bytes": 1000000, "columns": ["Month", "CustomerName"]}}'
from runs, accounts where runs.state in ('stored', 'failed') order by i;
update event_numbers set last_seq = (select max(seq) from events);
update fan_out set seq = (select last_seq from event_numbers);

-- Each event goes to so many subscriptions in turn; the last subscription got few.
create temp table duties as
select pg_temp.id_at(at) as id, event_id, subscription_ids.id as subscription_id, at,
    case when i > most - 100 then 'pending' when i % 5003 = 0 then 'cancelled' when i % 101 = 0 then 'failed'
        else 'delivered' end as state
from (
    select i, each, most, case when i % (most / 20) = 0 and each = 0 then 19 else (i * 5 + each) % 19 end as n, event_id, at
    from runs, (select current_setting('fill.executions')::int as most) as most,
        generate_series(0, current_setting('fill.deliveries')::int / current_setting('fill.executions')::int - 1) as each
    where state in ('stored', 'failed')
) as duty
join subscription_ids using (n)
order by i, each;

insert into deliveries (id, event_id, subscription_id, state, reason, due_at, tries, since, created_at, finished_at)
select id, event_id, subscription_id, state, case when state in ('failed', 'cancelled') then 'the endpoint answered 500' end,
    at, 1, at, at, case when state <> 'pending' then at + interval '1 second' end
from duties;

insert into attempts (id, delivery_id, number, trigger, started_at, finished_at, outcome, status, detail)
select pg_temp.id_at(at), id, 1, 'schedule', at, at + interval '1 second',
    case state when 'delivered' then 'delivered' else 'retry' end, case state when 'delivered' then 200 else 500 end, 'ok'
from duties where state <> 'cancelled';

insert into audit (id, at, actor, action, subject)
select pg_temp.id_at(made_at), made_at, 'session', 'report.update', id::text from report_ids;
