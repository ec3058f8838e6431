-- no-transaction
-- What it found, deliveries_subscription_id_state_id_idx finds too.
drop index concurrently if exists deliveries_subscription_id_id_idx;
