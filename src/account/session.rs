//! The only door to Microsoft.
//!
//! [`Sessions::call`] hands the API's client a token. A token is renewed five minutes before its end, and once when the
//! API does not take it; one renewal at a time per account (see `renew`). `Retry-After` holds for the whole account, and so
//! does a wait that grows while the service is away, so that many reports do not hammer it together. When only a person can
//! mend it, the account is marked and that is told once; until then nothing of the account is asked. The API may refuse
//! one call for want of MFA and take the next, so that is believed only of a fresh token.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;
use sqlx::PgPool;

use super::{Account, State, store};
use crate::clock::Clock;
use crate::db::{StoreError, Stored};
use crate::event::{self, About, Fact, Kind};
use crate::id::AccountId;
use crate::insights::{self, Api, Pace};
use crate::outbound::Outbound;
use crate::retry::{Backoff, Failure, bounded};
use crate::secret::{Keyring, Secret};
use crate::wake::{Topic, Wake};

/// Why a call was not answered.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The account waits: for a person, or for the end of a `Retry-After`. Nothing was asked and no try counts.
    #[error("the account waits: {0}")]
    Waiting(String),
    /// The API or its sign-in answered with an error.
    #[error(transparent)]
    Api(#[from] insights::Error),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CallError {
    /// Whether and when it makes sense to try again.
    pub fn failure(&self) -> Failure {
        match self {
            Self::Api(error) => error.failure(),
            Self::Waiting(_) | Self::Store(_) => Failure::transient(self.to_string()),
        }
    }
}

/// An access token.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) access: Secret,
    pub(super) good_until: DateTime<Utc>,
    /// The renewal that brought it.
    pub(super) renewal: i64,
    /// The credentials that it was got with.
    pub(super) version: i64,
}

type Slot = Arc<tokio::sync::Mutex<Option<Held>>>;

/// Signs accounts in, and calls the API for them.
#[derive(Debug, Clone)]
pub struct Sessions {
    pub(super) pool: PgPool,
    pub(super) clock: Clock,
    pub(super) keyring: Keyring,
    pub(super) outbound: Outbound,
    wake: Wake,
    calls_per_second: u32,
    held: Arc<Mutex<HashMap<AccountId, Slot>>>,
    /// Apart from what is held: credentials that change do not make calls any faster.
    paces: Arc<Mutex<HashMap<AccountId, Arc<Pace>>>>,
}

impl Sessions {
    /// No token is held at first. No account makes more calls a second than that, in this process.
    pub fn new(
        pool: PgPool,
        clock: Clock,
        keyring: Keyring,
        outbound: Outbound,
        wake: Wake,
        calls_per_second: u32,
    ) -> Self {
        Self { pool, clock, keyring, outbound, wake, calls_per_second, held: Arc::default(), paces: Arc::default() }
    }

    /// Asks the API something for an account; once more with a fresh token if the first was not taken.
    pub async fn call<T, F>(&self, id: AccountId, ask: impl Fn(Api) -> F) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, insights::Error>>,
    {
        let account = self.account(id).await?;
        if account.state == State::SignInRequired {
            return Err(CallError::Waiting(account.last_failure.unwrap_or_else(|| "sign-in is required".into())));
        }
        self.ask(&account, ask).await
    }

    /// Forgets the held token: it is known to be of no use.
    pub(super) fn forget(&self, id: AccountId) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    async fn ask<T, F>(&self, account: &Account, ask: impl Fn(Api) -> F) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, insights::Error>>,
    {
        self.ask_telling(account, &mut false, ask).await
    }

    /// The same; tells also where it fails whether the sign-in gives a token: one that was held may be revoked.
    pub(super) async fn ask_telling<T, F>(
        &self,
        account: &Account,
        has_token: &mut bool,
        ask: impl Fn(Api) -> F,
    ) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, insights::Error>>,
    {
        if store::is_blocked(account, self.clock.now()) {
            return Err(CallError::Waiting(left_alone(account)));
        }
        let mut held = self.token(account, None).await?;
        *has_token = true;
        let mut answer = ask(self.api(account, held.access.clone())).await;
        if matches!(answer, Err(insights::Error::Unauthorized(_) | insights::Error::SignInRequired(_))) {
            *has_token = false;
            held = self.token(account, Some(&held.access)).await?;
            *has_token = true;
            answer = ask(self.api(account, held.access.clone())).await;
        }
        match answer {
            Ok(answer) => {
                if account.failures > 0 {
                    store::answered(&mut *self.acquire().await?, account.id).await?;
                }
                Ok(answer)
            }
            Err(error) => Err(self.noted(account, held.renewal, error).await?),
        }
    }

    pub(super) async fn account(&self, id: AccountId) -> Stored<Account> {
        let mut conn = self.pool.acquire().await?;
        store::find(&mut conn, id).await?.ok_or(StoreError::Lost)
    }

    fn api(&self, account: &Account, token: Secret) -> Api {
        let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
        let pace = paces.entry(account.id).or_insert_with(|| Arc::new(Pace::new(self.calls_per_second)));
        Api::new(self.outbound.clone(), account.api_url.clone(), token, pace.clone())
    }

    pub(super) fn slot(&self, id: AccountId) -> Slot {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_default().clone()
    }

    /// A token that is good for a while and is not `refused`.
    pub(super) async fn token(&self, account: &Account, refused: Option<&Secret>) -> Result<Held, CallError> {
        let slot = self.slot(account.id);
        let mut slot = slot.lock().await;
        if let Some(held) = &*slot
            && held.good_until > self.clock.now()
            && held.version == account.credentials_version
            && refused.is_none_or(|refused| !refused.matches(&held.access))
        {
            return Ok(held.clone());
        }
        Ok(slot.insert(self.renew_apart(account.id, account.state).await?).clone())
    }

    pub(super) async fn acquire(&self) -> Stored<sqlx::pool::PoolConnection<sqlx::Postgres>> {
        Ok(self.pool.acquire().await?)
    }

    /// Keeps what an error, met with the token of a `renewal`, means for the whole account.
    pub(super) async fn noted(&self, account: &Account, renewal: i64, error: insights::Error) -> Stored<CallError> {
        let (id, now) = (account.id, self.clock.now());
        match &error {
            insights::Error::Throttled { after, .. } => {
                let longest = store::LONGEST_BLOCK.to_std().expect("an hour is not negative");
                let after = bounded(*after, Duration::from_secs(1), longest);
                store::block(&mut *self.acquire().await?, id, now + after, now).await?;
            }
            // A fresh token that is not taken either is trouble of theirs, and must not be renewed in a loop.
            insights::Error::Unavailable { reading: true, .. } | insights::Error::Unauthorized(_) => {
                let wait = |failures| Backoff::MICROSOFT.wait(failures);
                let mut tx = self.pool.begin().await?;
                store::away(&mut tx, id, now, wait).await?;
                tx.commit().await?;
            }
            insights::Error::SignInRequired(why) => {
                let wanted = account.credential_wanted().map(|wanted| format!("{why}; {wanted}"));
                self.require_sign_in(account, renewal, wanted.as_ref().unwrap_or(why), now).await?;
                return Ok(CallError::Waiting(wanted.unwrap_or_else(|| error.to_string())));
            }
            _ => {}
        }
        Ok(CallError::Api(error))
    }

    async fn require_sign_in(&self, account: &Account, renewal: i64, why: &str, now: DateTime<Utc>) -> Stored<()> {
        let id = account.id;
        self.forget(id);
        let mut tx = self.pool.begin().await?;
        if let Some(name) = store::require_sign_in(&mut tx, id, renewal, why, now).await? {
            let fact = Fact {
                kind: Kind::AccountSignInRequired,
                key: format!("sign_in:{id}:{}", now.timestamp_micros()),
                about: About { account_id: Some(id), ..About::default() },
                data: json!({ "account": { "id": id, "name": name, "grant": account.grant }, "reason": why }),
            };
            event::store::append(&mut tx, &self.clock, fact).await?;
            tracing::warn!(account = %id, why, "the account can't sign in; its work waits");
        }
        tx.commit().await?;
        self.wake.hint(Topic::Events);
        Ok(())
    }
}

/// Until when the account makes no call, and why.
pub(super) fn left_alone(account: &Account) -> String {
    let until = account.blocked_until.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true)).unwrap_or_default();
    let why = if account.failures > 0 { "Microsoft did not answer" } else { "Microsoft asked for a pause" };
    format!("no call before {until}, because {why}")
}
