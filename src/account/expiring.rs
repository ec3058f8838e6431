//! Tells ahead of time that a sign-in ends: 14 and 3 days before a client secret's given end, and before the end of the 90
//! days that a refresh token may lie idle. Each is told once per end; a new end is told anew.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::json;
use sqlx::PgPool;

use super::{Account, State, store};
use crate::clock::Clock;
use crate::db::Stored;
use crate::event::{self, About, Fact, Kind};
use crate::id::AccountId;

/// The days before an end at which it is told, fewest first.
const THRESHOLDS: [i64; 2] = [3, 14];
const PAGE: i64 = 200;

/// Tells what ends soon; gives how many were told.
pub async fn tell(pool: &PgPool, clock: &Clock) -> Stored<usize> {
    let (mut told, mut before) = (0, None::<AccountId>);
    loop {
        let accounts = store::list(&mut *pool.acquire().await?, before, PAGE).await?;
        for fact in accounts.iter().flat_map(|account| facts(account, clock.now())) {
            // One by one: each is once by its key, and no change of another table goes with it.
            told += usize::from(event::store::append(&mut *pool.acquire().await?, clock, fact).await?.is_some());
        }
        before = accounts.last().map(|account| account.id);
        if before.is_none() {
            return Ok(told);
        }
    }
}

/// What is to be told of an account now. Whoever must sign in anyway was told that already.
fn facts(account: &Account, now: DateTime<Utc>) -> Vec<Fact> {
    let refresh = account.sign_in_expires_at().filter(|_| account.state == State::Active);
    [("client_secret", account.client_secret_expires_at), ("refresh_token", refresh)]
        .into_iter()
        .filter_map(|(what, expires_at)| fact(account, what, expires_at?, now))
        .collect()
}

fn fact(account: &Account, what: &str, expires_at: DateTime<Utc>, now: DateTime<Utc>) -> Option<Fact> {
    let left = expires_at - now;
    let threshold = THRESHOLDS.into_iter().find(|days| left <= TimeDelta::days(*days))?;
    if left <= TimeDelta::zero() {
        return None;
    }
    let (id, expires_at) = (account.id, expires_at.to_rfc3339_opts(SecondsFormat::Secs, true));
    // The last day counts as one.
    let days = left.num_days() + i64::from(left > TimeDelta::days(left.num_days()));
    Some(Fact {
        kind: Kind::AccountSignInExpiring,
        key: format!("expiring:{id}:{what}:{expires_at}:{threshold}"),
        about: About { account_id: Some(id), ..About::default() },
        data: json!({
            "account": { "id": id, "name": account.name }, "what": what, "expires_at": expires_at, "days": days,
        }),
    })
}
