//! The only door to Microsoft.
//!
//! [`Sessions::call`] hands the API's client a token. A token is renewed five minutes before its end, and once when the
//! API does not take it; one renewal at a time per account, across all replicas, by lease. The rotated refresh token is
//! committed before the new access token is used, so that a kill in between leaves the old one good. `Retry-After` holds
//! for the whole account. When only a person can mend it, the account is marked and that is told once; until then nothing
//! of the account is asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgPool;

use super::{Account, Grant, State, store};
use crate::clock::Clock;
use crate::db::{StoreError, Stored};
use crate::event::{self, About, Fact, Kind};
use crate::id::AccountId;
use crate::insights::{self, Api, Dataset};
use crate::outbound::Outbound;
use crate::retry::{Failure, bounded};
use crate::secret::{Keyring, Secret};
use crate::wake::{Topic, Wake};

const EARLY: Duration = Duration::from_secs(300);
const RENEWAL_POLL: Duration = Duration::from_millis(100);
const RENEWAL_WAIT: Duration = Duration::from_secs(35);

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

#[derive(Debug, Clone)]
struct Held {
    access: Secret,
    good_until: DateTime<Utc>,
    /// The renewal that brought it.
    renewal: i64,
}

type Slot = Arc<tokio::sync::Mutex<Option<Held>>>;

/// Signs accounts in, and calls the API for them.
#[derive(Debug, Clone)]
pub struct Sessions {
    pool: PgPool,
    clock: Clock,
    keyring: Keyring,
    outbound: Outbound,
    wake: Wake,
    held: Arc<Mutex<HashMap<AccountId, Slot>>>,
}

impl Sessions {
    /// No token is held at first.
    pub fn new(pool: PgPool, clock: Clock, keyring: Keyring, outbound: Outbound, wake: Wake) -> Self {
        Self { pool, clock, keyring, outbound, wake, held: Arc::default() }
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

    /// Signs in and tells the datasets that the API shows, also where a person had to sign in first: what works is active
    /// again.
    pub async fn verify(&self, id: AccountId) -> Result<Vec<Dataset>, CallError> {
        let account = self.account(id).await?;
        if account.state == State::SignInRequired {
            // A token that was held is not better than what it was refused for.
            self.forget(id);
        }
        let datasets = self.ask(&account, |api| async move { api.datasets().await }).await?;
        store::signed_in(&mut *self.acquire().await?, id, self.clock.now()).await?;
        Ok(datasets)
    }

    /// Forgets the held token, because the credentials changed.
    pub fn forget(&self, id: AccountId) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    async fn ask<T, F>(&self, account: &Account, ask: impl Fn(Api) -> F) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, insights::Error>>,
    {
        if store::is_blocked(account, self.clock.now()) {
            return Err(CallError::Waiting("the API asked us to wait".into()));
        }
        let mut held = self.token(account, None).await?;
        let mut answer = ask(self.api(account, held.access.clone())).await;
        if matches!(answer, Err(insights::Error::Unauthorized(_))) {
            held = self.token(account, Some(&held.access)).await?;
            answer = ask(self.api(account, held.access.clone())).await;
        }
        match answer {
            Ok(answer) => Ok(answer),
            Err(error) => Err(self.noted(account.id, held.renewal, error).await?),
        }
    }

    async fn account(&self, id: AccountId) -> Stored<Account> {
        let mut conn = self.pool.acquire().await?;
        store::find(&mut conn, id).await?.ok_or(StoreError::Lost)
    }

    fn api(&self, account: &Account, token: Secret) -> Api {
        Api::new(self.outbound.clone(), account.api_url.clone(), token)
    }

    /// A token that is good for a while and is not `refused`.
    async fn token(&self, account: &Account, refused: Option<&Secret>) -> Result<Held, CallError> {
        let slot = self.held.lock().unwrap_or_else(PoisonError::into_inner).entry(account.id).or_default().clone();
        let mut slot = slot.lock().await;
        if let Some(held) = &*slot
            && held.good_until > self.clock.now()
            && refused.is_none_or(|refused| !refused.matches(&held.access))
        {
            return Ok(held.clone());
        }
        // It goes on when the caller leaves: the old refresh token may be gone there once the new one was given.
        let (sessions, id) = (self.clone(), account.id);
        let renewal = tokio::spawn(async move { sessions.renew(id).await });
        let held = renewal.await.map_err(|_| CallError::Waiting("the renewal of the token was cut off".into()))??;
        Ok(slot.insert(held).clone())
    }

    async fn renew(&self, id: AccountId) -> Result<Held, CallError> {
        let claim = self.claim_renewal(id).await?;
        // Read after the claim: what is given later has a higher number, and our answer is not taken for its own.
        let account = self.account(id).await?;
        let credentials = store::credentials(&mut *self.acquire().await?, &self.keyring, id).await?;
        let missing = Secret::default();
        let grant = match account.grant {
            Grant::RefreshToken => {
                insights::Grant::RefreshToken(credentials.refresh_token.as_ref().unwrap_or(&missing))
            }
            Grant::ClientCredentials => insights::Grant::ClientCredentials,
            Grant::Password => insights::Grant::Password(
                account.username.as_deref().unwrap_or_default(),
                credentials.password.as_ref().unwrap_or(&missing),
            ),
        };
        let client = (account.client_id.as_str(), credentials.client_secret.as_ref());
        let answer =
            insights::request_token(&self.outbound, &account.login_url, &account.tenant_id, client, &grant).await;
        let mut conn = self.acquire().await?;
        match answer {
            Ok(token) => {
                let now = self.clock.now();
                store::renewed(&mut conn, &self.keyring, id, claim, token.refresh.as_ref(), now).await?;
                let good_until = now + token.life.saturating_sub(EARLY);
                Ok(Held { access: token.access, good_until, renewal: claim })
            }
            Err(error) => {
                store::not_renewed(&mut conn, id, claim, &error.to_string()).await?;
                drop(conn);
                Err(self.noted(id, claim, error).await?)
            }
        }
    }

    async fn acquire(&self) -> Stored<sqlx::pool::PoolConnection<sqlx::Postgres>> {
        Ok(self.pool.acquire().await?)
    }

    async fn claim_renewal(&self, id: AccountId) -> Result<i64, CallError> {
        let began = tokio::time::Instant::now();
        loop {
            if let Some(claim) = store::claim_renewal(&mut *self.acquire().await?, id, self.clock.now()).await? {
                return Ok(claim);
            }
            if began.elapsed() > RENEWAL_WAIT {
                return Err(CallError::Waiting("another replica is renewing the token".into()));
            }
            tokio::time::sleep(RENEWAL_POLL).await;
        }
    }

    /// Keeps what an error, met with the token of a `renewal`, means for the whole account.
    async fn noted(&self, id: AccountId, renewal: i64, error: insights::Error) -> Stored<CallError> {
        let now = self.clock.now();
        match &error {
            insights::Error::Throttled { after } => {
                let longest = store::LONGEST_BLOCK.to_std().expect("an hour is not negative");
                let after = bounded(*after, Duration::from_secs(1), longest);
                store::block(&mut *self.acquire().await?, id, now + after, now).await?;
            }
            insights::Error::SignInRequired(why) => {
                self.require_sign_in(id, renewal, why, now).await?;
                return Ok(CallError::Waiting(error.to_string()));
            }
            _ => {}
        }
        Ok(CallError::Api(error))
    }

    async fn require_sign_in(&self, id: AccountId, renewal: i64, why: &str, now: DateTime<Utc>) -> Stored<()> {
        self.forget(id);
        let mut tx = self.pool.begin().await?;
        if let Some(name) = store::require_sign_in(&mut tx, id, renewal, why, now).await? {
            let fact = Fact {
                kind: Kind::AccountSignInRequired,
                key: format!("sign_in:{id}:{}", now.timestamp_micros()),
                about: About { account_id: Some(id), ..About::default() },
                data: json!({ "account": { "id": id, "name": name }, "reason": why }),
            };
            event::store::append(&mut tx, &self.clock, fact).await?;
            tracing::warn!(account = %id, why, "a person must sign in again; the account's work waits");
        }
        tx.commit().await?;
        self.wake.hint(Topic::Events);
        Ok(())
    }
}
