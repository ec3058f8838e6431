//! Who may do what: API keys, sign-in links and sessions of the dashboard, idempotency keys, and the log of who changed what.
//!
//! Keys and sessions are 256 random bits, so their SHA-256 is enough to keep. The admin key of the settings exists without
//! a row and may do everything.

pub mod store;

use std::time::Duration;

use chrono::TimeDelta;
use sqlx::{PgConnection, PgPool};

use crate::clock::Clock;
use crate::db::{StoreError, Stored};
use crate::id::KeyId;
use crate::secret::{Keyring, Secret, digest, random_token};

/// A dashboard session lasts this long.
pub const SESSION_LIFE: Duration = Duration::from_secs(12 * 3600);
const LINK_LIFE: TimeDelta = TimeDelta::minutes(15);
const KEY_PREFIX: &str = "tdk_";

/// What a key allows.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Look at everything but secrets.
    Read,
    /// Change reports, subscriptions and deliveries too, and let a person sign in to an account.
    Write,
    /// Change accounts and keys too.
    Admin,
}

impl Scope {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// For the audit log: `key:{id}`, `admin key` or `session`.
    pub name: String,
    /// The key that it holds, if that has a row.
    key_id: Option<KeyId>,
    scope: Scope,
}

impl Actor {
    fn new(name: impl Into<String>, scope: Scope) -> Self {
        Self { name: name.into(), key_id: None, scope }
    }

    /// What this one may do.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// Whether this one may do what needs `scope`.
    pub fn may(&self, scope: Scope) -> bool {
        self.scope >= scope
    }
}

/// Knows keys and sessions.
#[derive(Debug, Clone)]
pub struct Access {
    pool: PgPool,
    clock: Clock,
    admin_key: Option<Secret>,
    /// Also in `{data_dir}/admin.key`, for the command line on this machine.
    local_key: Option<Secret>,
}

/// No key of ours made what the database holds.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The database knows other keys only.
    #[error(
        "TIDINGS_SECRET_KEY is not the key that this database was used with: every callback would look forged and every \
         stored secret be unreadable; give the old key (it may stand behind a new one, with a comma between them)"
    )]
    Wrong,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Access {
    /// Keys of the settings beside those of the database.
    pub fn new(pool: PgPool, clock: Clock, admin_key: Option<Secret>, local_key: Option<Secret>) -> Self {
        Self { pool, clock, admin_key, local_key }
    }

    /// Who holds this key.
    pub async fn by_key(&self, key: &Secret) -> Stored<Option<Actor>> {
        let ours = [&self.admin_key, &self.local_key];
        if ours.into_iter().flatten().any(|ours| ours.matches(key)) {
            return Ok(Some(Actor::new("admin key", Scope::Admin)));
        }
        if !key.expose().starts_with(KEY_PREFIX) {
            return Ok(None);
        }
        let mut conn = self.pool.acquire().await?;
        let found = store::key_by_digest(&mut conn, &digest(key), self.clock.now()).await?;
        Ok(found.and_then(|key| {
            let scope = key.scopes.iter().copied().max()?;
            Some(Actor { key_id: Some(key.id), ..Actor::new(format!("key:{}", key.id), scope) })
        }))
    }

    /// Makes a key; it is shown this once.
    pub async fn create_key(
        &self,
        conn: &mut PgConnection,
        name: &str,
        scopes: &[Scope],
    ) -> Stored<(store::Key, Secret)> {
        let secret = random_token(KEY_PREFIX);
        let key = store::Key {
            id: self.clock.new_id::<KeyId>(),
            name: name.to_owned(),
            scopes: scopes.to_vec(),
            created_at: self.clock.now(),
            last_used_at: None,
        };
        store::insert_key(conn, &key, &digest(&secret)).await?;
        Ok((key, secret))
    }

    /// A token that opens one session, once, within a quarter of an hour.
    pub async fn sign_in_link(&self) -> Stored<Secret> {
        let token = random_token("");
        let mut conn = self.pool.acquire().await?;
        store::insert_link(&mut conn, &digest(&token), self.clock.now() + LINK_LIFE).await?;
        Ok(token)
    }

    /// Opens a session with a link's token, which is gone then.
    pub async fn use_link(&self, token: &Secret) -> Stored<Option<Secret>> {
        let mut tx = self.pool.begin().await?;
        if !store::take_link(&mut tx, &digest(token), self.clock.now()).await? {
            return Ok(None);
        }
        let session = self.open_session(&mut tx, &Actor::new("sign-in link", Scope::Write)).await?;
        tx.commit().await?;
        Ok(Some(session))
    }

    /// Opens a session with a key that may change things; it ends with the key.
    pub async fn sign_in(&self, key: &Secret) -> Stored<Option<Secret>> {
        match self.by_key(key).await? {
            Some(actor) if actor.may(Scope::Write) => {
                let mut conn = self.pool.acquire().await?;
                Ok(Some(self.open_session(&mut conn, &actor).await?))
            }
            _ => Ok(None),
        }
    }

    async fn open_session(&self, conn: &mut PgConnection, actor: &Actor) -> Stored<Secret> {
        let session = random_token("");
        let now = self.clock.now();
        store::insert_session(conn, &digest(&session), actor, now, now + SESSION_LIFE).await?;
        Ok(session)
    }

    /// Whose session a cookie holds.
    pub async fn by_session(&self, session: &Secret) -> Stored<Option<Actor>> {
        let mut conn = self.pool.acquire().await?;
        let found = store::session(&mut conn, &digest(session), self.clock.now()).await?;
        Ok(found.map(|actor| Actor::new(format!("session of {actor}"), Scope::Write)))
    }

    /// Ends a session.
    pub async fn sign_out(&self, session: &Secret) -> Stored<()> {
        let mut conn = self.pool.acquire().await?;
        store::delete_session(&mut conn, &digest(session)).await
    }
}

/// Notices a wrong key at start: one of ours must be among those that the database was used with.
pub async fn check_keyring(pool: &PgPool, clock: &Clock, keyring: &Keyring) -> Result<(), KeyringError> {
    let ours = keyring.check_values();
    let mut tx = pool.begin().await.map_err(StoreError::from)?;
    let known = store::key_checks(&mut tx).await?;
    if !known.is_empty() && !known.iter().any(|known| ours.contains(known)) {
        return Err(KeyringError::Wrong);
    }
    for (id, value) in ours {
        store::insert_key_check(&mut tx, &id, &value, clock.now()).await?;
    }
    tx.commit().await.map_err(StoreError::from)?;
    Ok(())
}

/// Whether a database was used with a secret key before.
pub async fn knows_a_key(pool: &PgPool) -> Stored<bool> {
    Ok(!store::key_checks(&mut *pool.acquire().await?).await?.is_empty())
}
