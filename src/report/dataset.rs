//! What an account can ask for: asked of the API, and kept with its age, because it changes a few times a year and is needed
//! for every query. What is kept is also good when the API is not to be reached; then it says why it is old.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;

use super::store::datasets::{self, Kept};
use crate::account::session::{CallError, Sessions};
use crate::clock::Clock;
use crate::db::{StoreError, Stored};
use crate::id::AccountId;
use crate::insights::{self, Dataset};

/// What is shown is not older than this if it can be helped.
const SHOWN: TimeDelta = TimeDelta::hours(24);
/// Nothing is refused for what is older than this if newer can be had.
const TRUSTED: TimeDelta = TimeDelta::hours(1);
/// Who makes a report waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The datasets of accounts.
#[derive(Debug, Clone)]
pub struct Datasets {
    /// Where they are kept.
    pub pool: PgPool,
    /// The time.
    pub clock: Clock,
    /// The door to Microsoft.
    pub sessions: Sessions,
}

/// What is known of an account's datasets.
#[derive(Debug)]
pub struct Known {
    /// All of them.
    pub items: Vec<Dataset>,
    /// When the API showed them.
    pub fetched_at: DateTime<Utc>,
    /// Why they are older than was asked for.
    pub problem: Option<String>,
}

impl From<Kept> for Known {
    fn from(kept: Kept) -> Self {
        Self { items: kept.items, fetched_at: kept.fetched_at, problem: None }
    }
}

impl Datasets {
    /// The datasets of an account, not older than a day, or `fresh`; older ones where the API cannot be asked.
    pub async fn of(&self, account: AccountId, fresh: bool) -> Result<Known, CallError> {
        let kept = self.kept(account).await?;
        let now = self.clock.now();
        match kept {
            Some(kept) if !fresh && !is_old(&kept, now, SHOWN) => Ok(kept.into()),
            kept => match (self.ask(account).await, kept) {
                (Ok(known), _) => Ok(known),
                (Err(CallError::Store(error)), _) => Err(error.into()),
                (Err(error), Some(kept)) => Ok(Known { problem: Some(error.to_string()), ..kept.into() }),
                (Err(error), None) => Err(error),
            },
        }
    }

    /// What is known without waiting for long; nothing, if the API cannot be asked.
    pub(super) async fn at_hand(&self, account: AccountId) -> Stored<Vec<Dataset>> {
        match self.kept(account).await? {
            Some(kept) => Ok(kept.items),
            None => Ok(self.ask_soon(account).await?.unwrap_or_default()),
        }
    }

    /// The same asked again, where what was at hand is not quite new.
    pub(super) async fn newer(&self, account: AccountId) -> Stored<Option<Vec<Dataset>>> {
        match self.kept(account).await? {
            Some(kept) if is_old(&kept, self.clock.now(), TRUSTED) => self.ask_soon(account).await,
            _ => Ok(None),
        }
    }

    async fn ask_soon(&self, account: AccountId) -> Stored<Option<Vec<Dataset>>> {
        match tokio::time::timeout(PATIENCE, self.ask(account)).await {
            Ok(Ok(known)) => Ok(Some(known.items)),
            // There is no such account: who uses its id will be told.
            Ok(Err(CallError::Store(StoreError::Lost) | CallError::Waiting(_) | CallError::Api(_))) | Err(_) => {
                Ok(None)
            }
            Ok(Err(CallError::Store(error))) => Err(error),
        }
    }

    async fn ask(&self, account: AccountId) -> Result<Known, CallError> {
        let ask = |api: insights::Api| async move { api.datasets().await };
        let items = self.sessions.call(account, ask).await?;
        let fetched_at = self.clock.now();
        let mut conn = self.pool.acquire().await.map_err(StoreError::from)?;
        datasets::keep(&mut conn, account, &items, fetched_at).await?;
        Ok(Known { items, fetched_at, problem: None })
    }

    async fn kept(&self, account: AccountId) -> Stored<Option<Kept>> {
        datasets::find(&mut *self.pool.acquire().await?, account).await
    }
}

/// A time ahead of ours was written before the clock was set back.
fn is_old(kept: &Kept, now: DateTime<Utc>, most: TimeDelta) -> bool {
    kept.outdated || now - kept.fetched_at > most || kept.fetched_at > now
}
