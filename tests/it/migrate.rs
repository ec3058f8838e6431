//! Bringing the schema up to date.

use tidings::db::migrate;

use crate::support::database::fresh;

#[tokio::test]
async fn an_index_whose_making_was_cut_off_is_made_again() {
    let database = fresh().await;
    let cut_off = "update pg_index set indisvalid = false
        where indexrelid = 'deliveries_subscription_id_state_id_idx'::regclass";
    sqlx::query(cut_off).execute(&database.pool).await.unwrap();
    let not_done = "delete from _sqlx_migrations where description = 'deliveries by state'";
    assert_eq!(sqlx::query(not_done).execute(&database.pool).await.unwrap().rows_affected(), 1);

    migrate(&database.options).await.unwrap();

    let is_valid = "select indisvalid from pg_index
        where indexrelid = 'deliveries_subscription_id_state_id_idx'::regclass";
    assert!(sqlx::query_scalar::<_, bool>(is_valid).fetch_one(&database.pool).await.unwrap());
}
