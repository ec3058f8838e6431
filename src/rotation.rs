//! Changing the secret key: what still needs which key, and bringing it under the newest one.
//!
//! A new key stands first in `TIDINGS_SECRET_KEY`, the old one behind it. What rests sealed is sealed anew here, in small
//! batches; the addresses of reports are sent to Microsoft by the comparison of [`crate::report::compare`], when no run is lost
//! by it; answers kept for a repeat are gone after a day. Then nothing needs the old key, and it can be removed. One that is
//! removed earlier is noticed at the next start, which is refused: a secret that nothing opens is lost, and a callback whose
//! key is gone looks forged. Links that were sent out (files, unsubscribe) are signed and not kept, so they can't be counted:
//! they end with their key. Sessions and API keys are signed by none.

use std::collections::BTreeMap;

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::db::{StoreError, Stored};
use crate::secret::Keyring;
use crate::{access, account, notification, report};

const BATCH: i64 = 20;

/// What still needs a key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uses {
    /// Accounts with a secret that it sealed.
    pub accounts: i64,
    /// Subscriptions with a secret that it sealed.
    pub subscriptions: i64,
    /// Reports at Microsoft whose callback address it signed, or may have.
    pub reports: i64,
    /// Answers kept for a repeat, at most a day; some thousands are counted.
    pub answers: i64,
}

impl Uses {
    /// How many in all.
    pub fn count(&self) -> i64 {
        self.accounts + self.subscriptions + self.reports + self.answers
    }

    /// Without what is no harm to lose.
    fn lasting(&self) -> Self {
        Self { answers: 0, ..self.clone() }
    }
}

/// As in "seals 2 accounts and signs the addresses of 3 reports".
impl std::fmt::Display for Uses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let some = |verb: &str, count: i64, noun: &str| {
            let many = if count == 1 { "" } else { "s" };
            (count > 0).then(|| format!("{verb} {count} {noun}{many}"))
        };
        let parts: Vec<String> = [
            some("seals", self.accounts, "account"),
            some("seals", self.subscriptions, "subscription"),
            some("signs the addresses of", self.reports, "report"),
            some("seals", self.answers, "answer"),
        ]
        .into_iter()
        .flatten()
        .collect();
        f.write_str(&parts.join(" and "))
    }
}

/// Where a key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// First in the setting: it seals and signs.
    Newest,
    /// Behind it: it opens and verifies.
    Older,
    /// No more in the setting.
    Removed,
}

/// A key, and what needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUses {
    /// Its id, which tells nothing of the key.
    pub id: String,
    /// Where it stands.
    pub place: Place,
    /// What needs it.
    pub uses: Uses,
}

/// Why the service does not start with these keys.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// Something needs a key that was removed.
    #[error(
        "the secret key with the id {id} was removed and still {uses}: put it back behind the new one in \
         TIDINGS_SECRET_KEY until `tidings status` says that nothing uses it"
    )]
    StillNeeded {
        /// The id of the key.
        id: String,
        /// What needs it.
        uses: Uses,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The keys of the setting in their order, and behind them those that were removed too early.
pub async fn keys(conn: &mut PgConnection, keyring: &Keyring) -> Stored<Vec<KeyUses>> {
    let mut found = found(conn).await?;
    // Which key an address was made with that an older version sent is known after the next comparison.
    let unnamed = found.remove("").unwrap_or_default().reports;
    let mut keys = Vec::new();
    for (at, id) in keyring.ids().into_iter().enumerate() {
        let mut uses = found.remove(&id).unwrap_or_default();
        let place = if at == 0 { Place::Newest } else { Place::Older };
        uses.reports += if place == Place::Older { unnamed } else { 0 };
        keys.push(KeyUses { id, place, uses });
    }
    // The address of a report that was adopted may be another service's: no key of ours made it.
    for id in access::store::known_keys(conn).await? {
        keys.extend(found.remove(&id).map(|uses| KeyUses { id, place: Place::Removed, uses }));
    }
    Ok(keys)
}

/// Refuses to start without a key that is still needed.
pub async fn check(pool: &PgPool, keyring: &Keyring) -> Result<(), RotationError> {
    let mut conn = pool.acquire().await.map_err(StoreError::from)?;
    for key in keys(&mut conn, keyring).await? {
        let uses = key.uses.lasting();
        if key.place == Place::Removed && uses.count() > 0 {
            return Err(RotationError::StillNeeded { id: key.id, uses });
        }
    }
    Ok(())
}

/// Brings all that rests sealed under the newest key; tells how many rows that were. Any number of replicas may do it at once.
pub async fn reseal(pool: &PgPool, keyring: &Keyring) -> Stored<usize> {
    let mut done = 0;
    for table in [Table::Accounts, Table::SignIns, Table::Subscriptions] {
        let mut after = Uuid::nil();
        loop {
            let ids = batch(pool, keyring, (table, after)).await?;
            done += ids.len();
            match ids.last() {
                Some(last) => after = *last,
                None => break,
            }
        }
    }
    if done > 0 {
        tracing::info!(rows = done, "sealed with the newest key");
    }
    Ok(done)
}

/// Shows as a metric what needs the newest key, and what the older ones: those can be removed at none.
pub async fn measure(pool: &PgPool, keyring: &Keyring) -> Stored<()> {
    let keys = keys(&mut *pool.acquire().await?, keyring).await?;
    for (place, label) in [(Place::Newest, "newest"), (Place::Older, "older")] {
        let count: i64 = keys.iter().filter(|key| key.place == place).map(|key| key.uses.count()).sum();
        metrics::gauge!("tidings_secret_key_uses", "key" => label)
            .set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Table {
    Accounts,
    SignIns,
    Subscriptions,
}

async fn batch(pool: &PgPool, keyring: &Keyring, (table, after): (Table, Uuid)) -> Stored<Vec<Uuid>> {
    let mut tx = pool.begin().await?;
    let ids = match table {
        Table::Accounts => account::store::reseal(&mut tx, keyring, after, BATCH).await?,
        Table::SignIns => account::store::reseal_sign_ins(&mut tx, keyring, after, BATCH).await?,
        Table::Subscriptions => notification::store::reseal::reseal(&mut tx, keyring, after, BATCH).await?,
    };
    tx.commit().await?;
    Ok(ids)
}

async fn found(conn: &mut PgConnection) -> Stored<BTreeMap<String, Uses>> {
    let mut found = BTreeMap::<String, Uses>::new();
    for (key, count) in account::store::sealed_by(conn).await? {
        found.entry(key).or_default().accounts = count;
    }
    for (key, count) in notification::store::reseal::sealed_by(conn).await? {
        found.entry(key).or_default().subscriptions = count;
    }
    for (key, count) in report::store::signed_by(conn).await? {
        found.entry(key).or_default().reports = count;
    }
    for (key, count) in access::store::answers_sealed_by(conn).await? {
        found.entry(key).or_default().answers = count;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_a_key_is_said_in_words() {
        let uses = Uses { accounts: 2, subscriptions: 1, reports: 3, answers: 0 };

        assert_eq!(uses.to_string(), "seals 2 accounts and seals 1 subscription and signs the addresses of 3 reports");
    }
}
