//! Signing in with a code that a person types on another device. The server asks Microsoft meanwhile, so neither a page that
//! is closed nor a process that is killed ends it.
//!
//! A sign-in belongs to an account, which has one at a time. [`SignIns::begin`] gets a code; the step asks as often as
//! Microsoft allows whether it was typed. What ends it is an answer or the end of the code; trouble that passes does not.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;

use super::renew::Proof;
use super::store::{self, Claimed, Ended};
use super::{Account, Grant, TokenVersion};
use crate::clock::Clock;
use crate::db::{StoreError, Stored};
use crate::id::AccountId;
use crate::insights::{self, Application, DeviceProgress};
use crate::outbound::Outbound;
use crate::secret::Keyring;
use crate::wake::{Topic, Wake};

/// Asked to slow down, we ask so much less often, as the standard has it.
const SLOWER: TimeDelta = TimeDelta::seconds(5);
const LEAST_INTERVAL: TimeDelta = TimeDelta::seconds(1);
const LONGEST_INTERVAL: TimeDelta = TimeDelta::minutes(2);

/// A sign-in, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct SignIn {
    /// Where it stands.
    pub state: State,
    /// What the person types…
    pub user_code: String,
    /// …and where.
    pub verification_uri: String,
    /// The same as a sentence, in Microsoft's words.
    pub message: String,
    /// When the code runs out.
    pub expires_at: DateTime<Utc>,
    /// How often Microsoft is asked.
    pub interval_seconds: i32,
    /// Why it failed, if it did.
    pub failure: Option<String>,
}

/// Where a sign-in stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[schema(as = SignInState)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nobody has typed the code yet.
    Waiting,
    /// Somebody has; the account works.
    Done,
    /// Microsoft said no.
    Failed,
    /// Nobody has typed the code in time.
    Expired,
}

/// Why no sign-in was begun.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// The account does not sign in as a user who can do that.
    #[error("only accounts with the grant refresh_token are signed in to by a person")]
    Grant,
    /// Microsoft gave no code.
    #[error(transparent)]
    Microsoft(#[from] insights::Error),
    /// The database failed, or the account is gone.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Begins sign-ins, and asks what became of them.
#[derive(Debug, Clone)]
pub struct SignIns {
    /// Where our rows are.
    pub pool: PgPool,
    /// The time.
    pub clock: Clock,
    /// Seals.
    pub keyring: Keyring,
    /// Calls.
    pub outbound: Outbound,
    /// Told when an account can be used again.
    pub wake: Wake,
}

/// A sign-in to be asked about.
#[derive(Debug, Clone)]
pub struct Work(Claimed);

impl SignIns {
    /// Begins a sign-in, or gives the one that waits already; true if it was begun here.
    pub async fn begin(&self, id: AccountId) -> Result<(SignIn, bool), BeginError> {
        let mut conn = self.pool.acquire().await.map_err(StoreError::from)?;
        let account = store::find(&mut conn, id).await?.ok_or(StoreError::Lost)?;
        if account.grant != Grant::RefreshToken {
            return Err(BeginError::Grant);
        }
        let now = self.clock.now();
        let waits = |one: &SignIn| one.state == State::Waiting && one.expires_at > now;
        if let Some(waiting) = store::sign_in(&mut conn, id).await?.filter(waits) {
            return Ok((waiting, false));
        }
        drop(conn);
        let code = insights::begin_device(&self.outbound, &application(&account, &Proof::None, now)).await?;
        let mut conn = self.pool.acquire().await.map_err(StoreError::from)?;
        let begun = store::begin(&mut conn, &self.keyring, id, &code, self.clock.now()).await?;
        Ok((store::sign_in(&mut conn, id).await?.ok_or(StoreError::Lost)?, begun))
    }

    /// Takes sign-ins that may be asked about.
    pub async fn claim(&self, limit: i64) -> Stored<Vec<Work>> {
        let mut tx = self.pool.begin().await?;
        let claimed = store::claim_due(&mut tx, self.clock.now(), limit).await?;
        tx.commit().await?;
        Ok(claimed.into_iter().map(Work).collect())
    }

    /// Gives one back that was not asked about.
    pub async fn release(&self, Work(claimed): Work) -> Stored<()> {
        store::release(&mut *self.pool.acquire().await?, &claimed).await
    }

    /// Asks about one and records the answer.
    pub async fn perform(&self, Work(claimed): Work) -> Stored<()> {
        let outcome = match self.ask(&claimed).await {
            Ok((until, told)) => self.outcome(&claimed, until, told),
            // What can't be opened now never can: another key was used.
            Err(StoreError::Corrupt { what, .. }) => Ok(Ended::Failed(what)),
            Err(error) => return Err(error),
        };
        let mut tx = self.pool.begin().await?;
        let now = self.clock.now();
        match &outcome {
            Ok(ended) => store::end(&mut tx, &self.keyring, &claimed, ended, now).await?,
            Err(interval) => store::later(&mut tx, &claimed, *interval, now).await?,
        }
        tx.commit().await?;
        if outcome.is_ok() {
            self.wake_work();
        }
        Ok(())
    }

    /// Until when the code is good, and what Microsoft says.
    async fn ask(&self, claimed: &Claimed) -> Stored<(DateTime<Utc>, Result<DeviceProgress, insights::Error>)> {
        let mut conn = self.pool.acquire().await?;
        let account = store::find(&mut conn, claimed.account_id).await?.ok_or(StoreError::Lost)?;
        let until = store::sign_in(&mut conn, account.id).await?.ok_or(StoreError::Lost)?.expires_at;
        let credentials = store::credentials(&mut conn, &self.keyring, account.id).await?;
        drop(conn);
        let (code, proof) = (claimed.device_code(&self.keyring)?, Proof::of(credentials)?);
        let application = application(&account, &proof, self.clock.now());
        Ok((until, insights::poll_device(&self.outbound, &application, &code).await))
    }

    /// How it ended, or how long to wait before the next question.
    fn outcome(
        &self,
        claimed: &Claimed,
        until: DateTime<Utc>,
        told: Result<DeviceProgress, insights::Error>,
    ) -> Result<Ended, TimeDelta> {
        let interval = claimed.interval.clamp(LEAST_INTERVAL, LONGEST_INTERVAL);
        match told {
            Ok(DeviceProgress::Done(token)) => Ok(token.refresh.map_or_else(
                || {
                    Ended::Failed(
                        "the sign-in brought no refresh token; the application needs the scope offline_access".into(),
                    )
                },
                Ended::Done,
            )),
            Ok(DeviceProgress::Refused(why)) => Ok(Ended::Failed(why)),
            Ok(DeviceProgress::Expired) => Ok(Ended::Expired),
            _ if self.clock.now() >= until => Ok(Ended::Expired),
            Ok(DeviceProgress::Waiting) => Err(interval),
            Ok(DeviceProgress::SlowDown) => Err((interval + SLOWER).min(LONGEST_INTERVAL)),
            Err(error) => {
                tracing::warn!(account = %claimed.account_id, %error, "failed to ask about a sign-in; it is asked again");
                let after = error.failure().after.and_then(|after| TimeDelta::from_std(after).ok());
                Err(after.unwrap_or(interval).clamp(interval, LONGEST_INTERVAL))
            }
        }
    }

    fn wake_work(&self) {
        for topic in [Topic::Reports, Topic::Checks, Topic::Executions] {
            self.wake.hint(topic);
        }
    }
}

/// Device codes are known to version 2 of the sign-in only.
fn application<'a>(account: &'a Account, proof: &'a Proof, now: DateTime<Utc>) -> Application<'a> {
    Application { version: TokenVersion::Two.endpoint(), ..proof.application(account, now) }
}
