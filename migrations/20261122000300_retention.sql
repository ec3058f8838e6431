-- What is old goes, and lists stay fast at any size. Indexes are made one by one in the files after this one, without a lock
-- that the door would wait for.

create table event_removals (
    one boolean primary key default true check (one),
    last_seq bigint not null
);
insert into event_removals (last_seq) values (0);
comment on table event_removals is
    'One row: the highest number of an event that was removed, so that a reader who lags behind it is told. Owner: src/event.';

-- These grow without end. By default they would be vacuumed when a fifth of them has changed: of ten million rows, weeks of
-- what retention removes. In small helpings, index entries are cleaned and pages marked as visible while they are still warm.
alter table callbacks set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.05);
alter table attempts set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.05);
alter table deliveries set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.05);
alter table events set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.05);

-- A few rows that change with every batch of calls: old versions are cleaned before they are many.
alter table checks set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
