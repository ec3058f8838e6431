//! The table `sign_ins`: one row per account, its last sign-in by a code.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::sealed_refresh_token;
use crate::account::sign_in::{SignIn, State};
use crate::db::{self, LEASE, StoreError, Stored};
use crate::id::AccountId;
use crate::insights::DeviceCode;
use crate::secret::{Keyring, Sealed, Secret};

/// A sign-in to be asked about.
#[derive(Debug, Clone)]
pub(in crate::account) struct Claimed {
    pub(in crate::account) account_id: AccountId,
    pub(in crate::account) claim: i64,
    pub(in crate::account) interval: TimeDelta,
    device_code: Sealed,
}

impl Claimed {
    /// What Microsoft is asked with.
    pub(in crate::account) fn device_code(&self, keyring: &Keyring) -> Stored<Secret> {
        keyring.open(&place(self.account_id), &self.device_code).map_err(|error| StoreError::Corrupt {
            table: "sign_ins",
            id: self.account_id.to_string(),
            what: format!("device_code is {error}"),
        })
    }
}

/// How a sign-in ended.
#[derive(Debug)]
pub(in crate::account) enum Ended {
    Done(Secret),
    Failed(String),
    Expired,
}

/// The last sign-in of an account.
pub async fn find(conn: &mut PgConnection, id: AccountId) -> Stored<Option<SignIn>> {
    let row = sqlx::query!(
        "select state, user_code, verification_uri, message, interval_seconds, expires_at, failure
         from sign_ins where account_id = $1",
        id.0
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| SignIn {
        state: match row.state.as_str() {
            "waiting" => State::Waiting,
            "done" => State::Done,
            "expired" => State::Expired,
            _ => State::Failed,
        },
        user_code: row.user_code,
        verification_uri: row.verification_uri,
        message: row.message,
        interval_seconds: row.interval_seconds,
        expires_at: row.expires_at,
        failure: row.failure,
    }))
}

/// Begins a sign-in, in the place of the account's last; false if that still waits.
pub(in crate::account) async fn begin(
    conn: &mut PgConnection,
    keyring: &Keyring,
    id: AccountId,
    code: &DeviceCode,
    now: DateTime<Utc>,
) -> Stored<bool> {
    let interval = i32::try_from(code.interval.as_secs()).unwrap_or(i32::MAX);
    let result = sqlx::query!(
        "insert into sign_ins (account_id, state, device_code, user_code, verification_uri, message, interval_seconds,
             expires_at, due_at, begun_at)
         values ($1, 'waiting', $2, $3, $4, $5, $6, $7, $8, $9)
         on conflict (account_id) do update
         set state = 'waiting', device_code = excluded.device_code, user_code = excluded.user_code,
             verification_uri = excluded.verification_uri, message = excluded.message,
             interval_seconds = excluded.interval_seconds, expires_at = excluded.expires_at, failure = null,
             due_at = excluded.due_at, claim = sign_ins.claim + 1, leased_until = null, begun_at = excluded.begun_at
         where sign_ins.state <> 'waiting' or sign_ins.expires_at <= $9",
        id.0,
        keyring.seal(&place(id), &code.device_code).0,
        code.user_code,
        code.verification_uri,
        code.message,
        interval,
        now + code.life,
        now + code.interval,
        now
    )
    .execute(conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Takes the leases of sign-ins that are due.
pub(in crate::account) async fn claim_due(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> Stored<Vec<Claimed>> {
    let rows = sqlx::query!(
        r#"with due as (
               select account_id from sign_ins
               where state = 'waiting'
                 -- nothing waits longer than two minutes: what is due later was set before the clock was set back
                 and (due_at <= $1 or due_at > $1 + interval '10 minutes')
                 and (leased_until is null or leased_until <= $1 or leased_until - interval '30 seconds' > $2)
               order by due_at
               limit $3
               for update skip locked
           )
           update sign_ins
           set claim = claim + 1, leased_until = $2
           from due where sign_ins.account_id = due.account_id
           returning sign_ins.account_id as "account_id: AccountId", claim, device_code as "device_code!",
               interval_seconds"#,
        now,
        now + LEASE,
        limit
    )
    .fetch_all(conn)
    .await?;
    let claimed = rows.into_iter().map(|row| Claimed {
        account_id: row.account_id,
        claim: row.claim,
        interval: TimeDelta::seconds(row.interval_seconds.into()),
        device_code: Sealed(row.device_code),
    });
    Ok(claimed.collect())
}

/// Asks again later, every so many seconds. One whose code has run out meanwhile is asked about once more then.
pub(in crate::account) async fn later(
    conn: &mut PgConnection,
    claimed: &Claimed,
    interval: TimeDelta,
    now: DateTime<Utc>,
) -> Stored<()> {
    let result = sqlx::query!(
        "update sign_ins set leased_until = null, due_at = $3, interval_seconds = $4
         where account_id = $1 and claim = $2 and state = 'waiting'",
        claimed.account_id.0,
        claimed.claim,
        now + interval,
        i32::try_from(interval.num_seconds()).unwrap_or(i32::MAX)
    )
    .execute(conn)
    .await?;
    db::one(&result)
}

/// Gives a claim back that nothing came of: it is due as before.
pub(in crate::account) async fn release(conn: &mut PgConnection, claim: &Claimed) -> Stored<()> {
    let result = sqlx::query!(
        "update sign_ins set leased_until = null where account_id = $1 and claim = $2 and state = 'waiting'",
        claim.account_id.0,
        claim.claim
    )
    .execute(conn)
    .await?;
    db::one(&result)
}

/// Ends a sign-in. When it worked, its refresh token is the account's, which can be used again. The print of a token that
/// was given before stays: that one again is still the older of the two.
pub(in crate::account) async fn end(
    conn: &mut PgConnection,
    keyring: &Keyring,
    claimed: &Claimed,
    ended: &Ended,
    now: DateTime<Utc>,
) -> Stored<()> {
    let (state, failure) = match ended {
        Ended::Done(_) => ("done", None),
        Ended::Failed(why) => ("failed", Some(why.as_str())),
        Ended::Expired => ("expired", Some("nobody typed the code in time")),
    };
    let result = sqlx::query!(
        "update sign_ins set state = $3, failure = $4, device_code = null, due_at = null, leased_until = null
         where account_id = $1 and claim = $2 and state = 'waiting'",
        claimed.account_id.0,
        claimed.claim,
        state,
        failure
    )
    .execute(&mut *conn)
    .await?;
    db::one(&result)?;
    let Ended::Done(token) = ended else { return Ok(()) };
    sqlx::query!(
        "update accounts
         set refresh_token = $2, refresh_token_print = coalesce(refresh_token_print, $3), refreshed_at = $4,
             state = 'active', sign_in_since = null, last_failure = null,
             -- a renewal under way was asked for with the older one: what it brings must not replace this
             renewal = renewal + 1, renewal_until = null, credentials_version = credentials_version + 1, updated_at = $4
         where id = $1",
        claimed.account_id.0,
        sealed_refresh_token(keyring, claimed.account_id, token),
        keyring.fingerprint(token),
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) fn place(id: AccountId) -> String {
    format!("sign_ins:device_code:{id}")
}
