//! Deletes queries there that nothing uses any more: a user may have a hundred of them. It is done after whatever else is
//! done for the account, a few at a time, and not by a date of its own: what is left over costs nothing but its place.

use sqlx::PgPool;

use super::store::queries;
use crate::account::session::{CallError, Sessions};
use crate::db::{StoreError, Stored};
use crate::id::AccountId;
use crate::insights;

/// Each is a call that may take its time.
const AT_MOST: i64 = 5;

/// Deletes there some of what is left over of an account's queries. What cannot be deleted now is tried the next time.
pub(super) async fn delete_leftovers(pool: &PgPool, sessions: &Sessions, account: AccountId) -> Stored<()> {
    let mut conn = pool.acquire().await?;
    queries::release(&mut conn, account).await?;
    let left = queries::idle_leftovers(&mut conn, account, AT_MOST).await?;
    drop(conn);
    for id in &left {
        match sessions.call(account, |api| async move { api.delete_query(id).await }).await {
            Ok(()) => {}
            Err(CallError::Api(error @ insights::Error::Refused { .. })) => {
                tracing::warn!(query = id.0, %error, "a query of no use stays there: the API does not delete it");
            }
            Err(CallError::Store(StoreError::Lost)) => return Ok(()),
            Err(CallError::Store(error)) => return Err(error),
            Err(error) => {
                tracing::debug!(query = id.0, %error, "a query of no use is deleted there later");
                return Ok(());
            }
        }
        queries::forget_leftover(&mut *pool.acquire().await?, account, id).await?;
    }
    Ok(())
}
