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

use super::{Account, Grant, store};
use crate::clock::Clock;
use crate::db::{StoreError, Stored};
use crate::event::{self, About, Fact, Kind};
use crate::id::AccountId;
use crate::insights::{self, Api};
use crate::outbound::Outbound;
use crate::retry::{Failure, bounded};
use crate::secret::{Keyring, Secret};
use crate::wake::{Topic, Wake};

const EARLY: Duration = Duration::from_secs(300);
const RENEWAL_POLL: Duration = Duration::from_millis(100);
const RENEWAL_WAIT: Duration = Duration::from_secs(35);
const LONGEST_BLOCK: Duration = Duration::from_secs(3600);

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
        if store::waits(&account, self.clock.now()) {
            return Err(CallError::Waiting(account.last_failure.unwrap_or_else(|| "throttled".into())));
        }
        let first = self.token(&account, None).await?;
        let mut answer = ask(self.api(&account, first.clone())).await;
        if matches!(answer, Err(insights::Error::Unauthorized(_))) {
            let second = self.token(&account, Some(&first)).await?;
            answer = ask(self.api(&account, second)).await;
        }
        match answer {
            Ok(answer) => Ok(answer),
            Err(error) => Err(self.noted(&account, error).await?),
        }
    }

    /// Forgets the held token, because the credentials changed.
    pub fn forget(&self, id: AccountId) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    async fn account(&self, id: AccountId) -> Stored<Account> {
        let mut conn = self.pool.acquire().await?;
        store::find(&mut conn, id).await?.ok_or(StoreError::Lost)
    }

    fn api(&self, account: &Account, token: Secret) -> Api {
        Api::new(self.outbound.clone(), account.api_url.clone(), token)
    }

    /// A token that is good for a while and is not `refused`.
    async fn token(&self, account: &Account, refused: Option<&Secret>) -> Result<Secret, CallError> {
        let slot = self.held.lock().unwrap_or_else(PoisonError::into_inner).entry(account.id).or_default().clone();
        let mut held = slot.lock().await;
        if let Some(held) = &*held
            && held.good_until > self.clock.now()
            && refused.is_none_or(|refused| !refused.matches(&held.access))
        {
            return Ok(held.access.clone());
        }
        let token = self.renew(account).await?;
        let good_until = self.clock.now() + token.life.saturating_sub(EARLY);
        *held = Some(Held { access: token.access.clone(), good_until });
        Ok(token.access)
    }

    async fn renew(&self, account: &Account) -> Result<insights::Token, CallError> {
        let claim = self.claim_renewal(account.id).await?;
        let credentials = store::credentials(&mut *self.acquire().await?, &self.keyring, account.id).await?;
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
                store::renewed(&mut conn, &self.keyring, account.id, claim, token.refresh.as_ref(), now).await?;
                Ok(token)
            }
            Err(error) => {
                store::not_renewed(&mut conn, account.id, claim, &error.to_string()).await?;
                drop(conn);
                Err(self.noted(account, error).await?)
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

    /// Keeps what an error means for the whole account.
    async fn noted(&self, account: &Account, error: insights::Error) -> Stored<CallError> {
        let now = self.clock.now();
        match &error {
            insights::Error::Throttled { after } => {
                let after = bounded(*after, Duration::from_secs(1), LONGEST_BLOCK);
                store::block(&mut *self.acquire().await?, account.id, now + after).await?;
            }
            insights::Error::SignInRequired(why) => {
                self.require_sign_in(account, why, now).await?;
                return Ok(CallError::Waiting(error.to_string()));
            }
            _ => {}
        }
        Ok(CallError::Api(error))
    }

    async fn require_sign_in(&self, account: &Account, why: &str, now: DateTime<Utc>) -> Stored<()> {
        self.forget(account.id);
        let mut tx = self.pool.begin().await?;
        if let Some(name) = store::require_sign_in(&mut tx, account.id, why, now).await? {
            let fact = Fact {
                kind: Kind::AccountSignInRequired,
                key: format!("sign_in:{}:{}", account.id, now.timestamp_micros()),
                about: About { account_id: Some(account.id), ..About::default() },
                data: json!({ "account": { "id": account.id, "name": name }, "reason": why }),
            };
            event::store::append(&mut tx, &self.clock, fact).await?;
            tracing::warn!(account = %account.id, why, "a person must sign in again; the account's work waits");
        }
        tx.commit().await?;
        self.wake.hint(Topic::Events);
        Ok(())
    }
}
