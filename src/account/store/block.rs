//! What keeps an account from calling for a while: `Retry-After`, and a service that is away.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use crate::account::Account;
use crate::db::Stored;
use crate::id::AccountId;

/// No `Retry-After` holds longer.
pub(in crate::account) const LONGEST_BLOCK: TimeDelta = TimeDelta::hours(1);

/// Keeps the `Retry-After` of the whole account, at most an hour; a longer one that still holds stays.
pub(in crate::account) async fn block(
    conn: &mut PgConnection,
    id: AccountId,
    until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Stored<()> {
    sqlx::query!(
        "update accounts
         set blocked_until = case when blocked_until > $2 and blocked_until <= $3 then blocked_until else $2 end
         where id = $1",
        id.0,
        until,
        now + LONGEST_BLOCK
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Counts a call that was not answered and keeps the account from calling for as long as `wait` says of the count. Calls
/// that fail together count once: what was under way says nothing more of the time after the first. For a transaction: the
/// others wait for its end.
pub(in crate::account) async fn away(
    conn: &mut PgConnection,
    id: AccountId,
    now: DateTime<Utc>,
    wait: impl Fn(u32) -> Duration,
) -> Stored<()> {
    let failures = sqlx::query_scalar!(
        "update accounts set failures = least(failures + 1, 1000)
         where id = $1
           and (blocked_until is null or blocked_until <= $2 or blocked_until > $3)
         returning failures",
        id.0,
        now,
        now + LONGEST_BLOCK
    )
    .fetch_optional(&mut *conn)
    .await?;
    match failures.and_then(|failures| u32::try_from(failures).ok()) {
        Some(failures) => block(conn, id, now + wait(failures), now).await,
        None => Ok(()),
    }
}

/// The service is back.
pub(in crate::account) async fn answered(conn: &mut PgConnection, id: AccountId) -> Stored<()> {
    sqlx::query!("update accounts set failures = 0 where id = $1 and failures > 0", id.0).execute(conn).await?;
    Ok(())
}

/// Whether a `Retry-After` holds; one beyond the longest was kept before the clock was set back.
pub(in crate::account) fn is_blocked(account: &Account, now: DateTime<Utc>) -> bool {
    account.blocked_until.is_some_and(|until| until > now && until <= now + LONGEST_BLOCK)
}
