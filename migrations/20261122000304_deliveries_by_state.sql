-- no-transaction
-- The deliveries of one subscription in one state, however rare.
create index concurrently if not exists deliveries_subscription_id_state_id_idx on deliveries
    (subscription_id, state, id desc nulls last);
