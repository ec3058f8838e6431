//! The renewal of an account's token, and whether a person must sign in: who renews, what came of it, since when nobody can.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::sealed_refresh_token;
use crate::db::{self, LEASE, Stored};
use crate::id::AccountId;
use crate::secret::{Keyring, Secret};

/// Takes the lease of the one renewal that may be under way; `None` if another has it.
pub(in crate::account) async fn claim_renewal(
    conn: &mut PgConnection,
    id: AccountId,
    now: DateTime<Utc>,
) -> Stored<Option<i64>> {
    let claim = sqlx::query_scalar!(
        "update accounts
         set renewal = renewal + 1, renewal_until = $3
         where id = $1
           -- one that ends much later than the longest lease was taken before the clock was set back
           and (renewal_until is null or renewal_until <= $2 or renewal_until - interval '30 seconds' > $3)
         returning renewal",
        id.0,
        now,
        now + LEASE
    )
    .fetch_optional(conn)
    .await?;
    Ok(claim)
}

/// Ends a renewal that worked: the rotated refresh token is kept before the new access token is used. Why a person must sign
/// in stays told: a token alone does not mend that. The other grants have no use of the refresh token that some answers bring.
pub(in crate::account) async fn renewed(
    conn: &mut PgConnection,
    keyring: &Keyring,
    id: AccountId,
    claim: i64,
    refresh: Option<&Secret>,
    now: DateTime<Utc>,
) -> Stored<()> {
    let sealed = refresh.map(|token| sealed_refresh_token(keyring, id, token));
    let result = sqlx::query!(
        "update accounts
         set refresh_token = case when grant_kind = 'refresh_token' then coalesce($3, refresh_token)
                                  else refresh_token end,
             renewal_until = null, refreshed_at = case when grant_kind = 'refresh_token' then $4::timestamptz end,
             last_failure = case when state = 'active' then null else last_failure end
         where id = $1 and renewal = $2",
        id.0,
        claim,
        sealed,
        now
    )
    .execute(conn)
    .await?;
    db::one(&result)
}

/// Ends a renewal that did not work; `why` where that is not known already.
pub(in crate::account) async fn not_renewed(
    conn: &mut PgConnection,
    id: AccountId,
    claim: i64,
    why: Option<&str>,
) -> Stored<()> {
    sqlx::query!(
        "update accounts set renewal_until = null, last_failure = coalesce($3, last_failure) where id = $1 and renewal = $2",
        id.0,
        claim,
        why
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Marks that a person must sign in again; gives the account's name, if it was not marked before. What was met with
/// the token of another than the latest `renewal` says nothing of the credentials that are there now.
pub(in crate::account) async fn require_sign_in(
    conn: &mut PgConnection,
    id: AccountId,
    renewal: i64,
    why: &str,
    now: DateTime<Utc>,
) -> Stored<Option<String>> {
    let name = sqlx::query_scalar!(
        "update accounts set state = 'sign_in_required', sign_in_since = $2, last_failure = $3, updated_at = $2
         where id = $1 and state = 'active' and renewal = $4
         returning name",
        id.0,
        now,
        why,
        renewal
    )
    .fetch_optional(conn)
    .await?;
    Ok(name)
}

/// Marks that nobody need sign in any more.
pub(in crate::account) async fn signed_in(conn: &mut PgConnection, id: AccountId, now: DateTime<Utc>) -> Stored<()> {
    sqlx::query!(
        "update accounts set state = 'active', sign_in_since = null, last_failure = null, updated_at = $2
         where id = $1 and state = 'sign_in_required'",
        id.0,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Accounts whose refresh token was not renewed since, or never: those that can be asked.
pub(in crate::account) async fn idle(
    conn: &mut PgConnection,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
    limit: i64,
) -> Stored<Vec<AccountId>> {
    Ok(sqlx::query_scalar!(
        r#"select id as "id: AccountId" from accounts
           where grant_kind = 'refresh_token' and refresh_token is not null and state = 'active'
             and (refreshed_at is null or refreshed_at <= $1)
             and (blocked_until is null or blocked_until <= $2 or blocked_until > $2 + interval '1 hour')
           order by refreshed_at nulls first, id
           limit $3"#,
        since,
        now,
        limit
    )
    .fetch_all(conn)
    .await?)
}
