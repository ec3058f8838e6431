//! The renewal of an account's token: by one at a time across all replicas, and kept before it is used.
//!
//! A kill between Microsoft's answer and our commit leaves the old refresh token good: it is revoked when the new one is
//! first used, and that one is used only after its commit. A renewal that comes to its end after its lease ran out, or after
//! other credentials were given, changes nothing.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::session::{CallError, Held, Sessions, left_alone};
use super::{Account, Credentials, Grant, State, store};
use crate::db::{StoreError, Stored, lease};
use crate::id::AccountId;
use crate::insights::{self, Application, Certificate};
use crate::secret::Secret;

const EARLY: Duration = Duration::from_secs(300);
const RENEWAL_POLL: Duration = Duration::from_millis(100);
/// Longer than a lease: a renewal that was killed does not hold up the next for good.
const RENEWAL_WAIT: Duration = Duration::from_secs(35);

/// A turn and the question to Microsoft; a caller that has left would wait for ever.
const RENEWAL_TIME: Duration = Duration::from_secs(180);

/// A refresh token lives for 90 days from its last use; with no reports to ask for it is used so often.
const LONGEST_IDLE: TimeDelta = TimeDelta::days(7);
const IDLE_AT_ONCE: i64 = 20;

impl Sessions {
    /// Renews what was not renewed for a week, a few accounts at a time; gives how many were tried. What goes wrong is
    /// kept with the account.
    pub async fn keep_fresh(&self) -> Stored<usize> {
        let now = self.clock.now();
        let idle = store::idle(&mut *self.acquire().await?, now - LONGEST_IDLE, now, IDLE_AT_ONCE).await?;
        for id in &idle {
            match self.refresh(*id).await {
                Err(CallError::Store(error)) => return Err(error),
                Err(error) => tracing::warn!(account = %id, %error, "failed to keep a sign-in fresh"),
                Ok(()) => {}
            }
        }
        Ok(idle.len())
    }

    /// Renews an account's token, whether or not the one at hand is still good.
    pub async fn refresh(&self, id: AccountId) -> Result<(), CallError> {
        let slot = self.slot(id);
        let mut slot = slot.lock().await;
        let state = self.account(id).await?.state;
        *slot = Some(self.renew_apart(id, state).await?);
        Ok(())
    }

    /// Renews in a task of its own, which goes on when the caller leaves: the old refresh token may be gone there once the
    /// new one was given.
    pub(super) async fn renew_apart(&self, id: AccountId, seen: State) -> Result<Held, CallError> {
        let sessions = self.clone();
        let renewal = tokio::spawn(async move {
            let renewed = async { Ok(sessions.renew(id, seen).await) };
            lease::in_time(RENEWAL_TIME, renewed).await?
        });
        renewal.await.map_err(|_| CallError::Waiting("the renewal of the token was cut off".into()))?
    }

    /// Whoever stood in line is not to ask for what was refused to the one before: `seen` is the state that the caller saw.
    async fn renew(&self, id: AccountId, seen: State) -> Result<Held, CallError> {
        may_ask(&self.account(id).await?, seen, self.clock.now())?;
        let claim = self.claim_renewal(id).await?;
        // Read after the claim: what is given later has a higher number, and our answer is not taken for its own.
        let mut conn = self.acquire().await?;
        let account = store::find(&mut conn, id).await?.ok_or(StoreError::Lost)?;
        let credentials = store::credentials(&mut conn, &self.keyring, id).await?;
        if let Err(waits) = may_ask(&account, seen, self.clock.now()) {
            store::not_renewed(&mut conn, id, claim, None).await?;
            return Err(waits);
        }
        drop(conn);
        let answer = self.sign_in(&account, credentials).await?;
        let mut conn = self.acquire().await?;
        match answer {
            Ok(token) => {
                let now = self.clock.now();
                store::renewed(&mut conn, &self.keyring, id, claim, token.refresh.as_ref(), now).await?;
                let good_until = now + token.life.saturating_sub(EARLY);
                Ok(Held { access: token.access, good_until, renewal: claim, version: account.credentials_version })
            }
            Err(error) => {
                drop(conn);
                let why = (!matches!(error, insights::Error::SignInRequired(_))).then(|| error.to_string());
                // Noted before the next in line may claim: that one looks at what was noted.
                let error = self.noted(&account, claim, error).await?;
                store::not_renewed(&mut *self.acquire().await?, id, claim, why.as_deref()).await?;
                Err(error)
            }
        }
    }

    async fn sign_in(
        &self,
        account: &Account,
        mut credentials: Credentials,
    ) -> Stored<Result<insights::Token, insights::Error>> {
        let (refresh, password) = (credentials.refresh_token.take(), credentials.password.take().unwrap_or_default());
        let grant = match (account.grant, &refresh) {
            (Grant::RefreshToken, None) => {
                return Ok(Err(insights::Error::SignInRequired(store::NOBODY_YET.into())));
            }
            (Grant::RefreshToken, Some(token)) => insights::Grant::RefreshToken(token),
            (Grant::ClientCredentials, _) => insights::Grant::ClientCredentials,
            (Grant::Password, _) => {
                insights::Grant::Password(account.username.as_deref().unwrap_or_default(), &password)
            }
        };
        let proof = Proof::of(credentials)?;
        let application = proof.application(account, self.clock.now());
        Ok(insights::request_token(&self.outbound, &application, &grant).await)
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
}

/// Whether an account is neither blocked nor stopped since its state was seen.
fn may_ask(account: &Account, seen: State, now: DateTime<Utc>) -> Result<(), CallError> {
    if account.state == State::SignInRequired && seen == State::Active {
        return Err(CallError::Waiting(account.last_failure.clone().unwrap_or_else(|| "sign-in is required".into())));
    }
    if store::is_blocked(account, now) {
        return Err(CallError::Waiting(left_alone(account)));
    }
    Ok(())
}

/// How an account's application proves itself.
pub(super) enum Proof {
    None,
    Secret(Secret),
    Certificate(Box<Certificate>),
}

impl Proof {
    /// A certificate that can't be read was refused when it was given.
    pub(super) fn of(credentials: Credentials) -> Stored<Self> {
        Ok(match (credentials.client_certificate, credentials.client_secret) {
            (Some(pem), _) => {
                let corrupt = |bad: insights::BadCertificate| StoreError::Corrupt {
                    table: "accounts",
                    id: "client_certificate".into(),
                    what: bad.to_string(),
                };
                Self::Certificate(Box::new(Certificate::read(&pem).map_err(corrupt)?))
            }
            (None, Some(secret)) => Self::Secret(secret),
            (None, None) => Self::None,
        })
    }

    pub(super) fn application<'a>(&'a self, account: &'a Account, now: DateTime<Utc>) -> Application<'a> {
        Application {
            login: &account.login_url,
            tenant: &account.tenant_id,
            client_id: &account.client_id,
            version: account.token_version.endpoint(),
            proof: match self {
                Self::None => insights::Proof::None,
                Self::Secret(secret) => insights::Proof::Secret(secret),
                Self::Certificate(certificate) => insights::Proof::Certificate(certificate),
            },
            now,
        }
    }
}
