//! The sealed columns of `accounts`, each beside a print of the value as it was given.

use sqlx::PgConnection;

use crate::account::{Checked, Credentials};
use crate::clock::Clock;
use crate::db::{StoreError, Stored};
use crate::id::AccountId;
use crate::secret::{Keyring, Sealed, Secret};

/// Keeps the credentials that were given. The same value as was given before changes nothing: a refresh token was rotated
/// since, and the newer one stays. Any that differs makes the account active again. Of secret and certificate the one
/// that came last counts.
pub(super) async fn set(
    conn: &mut PgConnection,
    clock: &Clock,
    keyring: &Keyring,
    id: AccountId,
    account: &Checked,
) -> Stored<()> {
    let given = &account.draft.credentials;
    let seal = |column: &str, secret: &Option<Secret>| {
        secret.as_ref().map(|secret| (keyring.seal(&place(id, column), secret).0, keyring.fingerprints(secret)))
    };
    let (secret, secret_prints) = seal("client_secret", &given.client_secret).unzip();
    let (refresh, refresh_prints) = seal("refresh_token", &given.refresh_token).unzip();
    let (password, password_prints) = seal("password", &given.password).unzip();
    let (certificate, certificate_prints) = seal("client_certificate", &given.client_certificate).unzip();
    sqlx::query!(
        "with new as (
             select $2::bytea is not null and (client_secret_print = any($3::bytea[])) is not true as client_secret,
                    $4::bytea is not null and (refresh_token_print = any($5::bytea[])) is not true as refresh_token,
                    $6::bytea is not null and (password_print = any($7::bytea[])) is not true as password,
                    $8::bytea is not null and (client_certificate_print = any($9::bytea[])) is not true as certificate
             from accounts where id = $1
         ), change as (
             select new.*, new.client_secret or new.refresh_token or new.password or new.certificate as any from new
         )
         update accounts
         set client_secret = case when change.client_secret then $2
                                  when not change.certificate then accounts.client_secret end,
             client_certificate = case when change.certificate then $8
                                       when not change.client_secret then accounts.client_certificate end,
             refresh_token = case when change.refresh_token then $4 else accounts.refresh_token end,
             refreshed_at = case when not change.refresh_token then refreshed_at end,
             password = case when change.password then $6 else accounts.password end,
             client_secret_print = case when not change.certificate
                                        then coalesce(($3::bytea[])[1], client_secret_print) end,
             client_certificate_print = case when not change.client_secret
                                             then coalesce(($9::bytea[])[1], client_certificate_print) end,
             refresh_token_print = coalesce(($5::bytea[])[1], refresh_token_print),
             password_print = coalesce(($7::bytea[])[1], password_print),
             state = case when change.any and not waits then 'active' else state end,
             sign_in_since = case when change.any and not waits then null else sign_in_since end,
             last_failure = case when change.any and not waits then null else last_failure end,
             -- a renewal under way was asked for with the old ones: what it brings must not replace these
             renewal = case when change.any then renewal + 1 else renewal end,
             renewal_until = case when change.any then null else renewal_until end,
             credentials_version = case when change.any then credentials_version + 1 else credentials_version end,
             updated_at = $10
         from change,
              -- whom nobody has signed in for yet has no use of any other credential
              lateral (select grant_kind = 'refresh_token' and refresh_token is null and $4::bytea is null as waits
                       from accounts where id = $1) as waiting
         where id = $1",
        id.0,
        secret,
        secret_prints.as_deref(),
        refresh,
        refresh_prints.as_deref(),
        password,
        password_prints.as_deref(),
        certificate,
        certificate_prints.as_deref(),
        clock.now()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The names of the given credentials that differ from what was given before.
pub async fn differing(
    conn: &mut PgConnection,
    keyring: &Keyring,
    id: AccountId,
    given: &Credentials,
) -> Stored<Vec<&'static str>> {
    let kept = sqlx::query!(
        "select client_secret_print, client_certificate_print, refresh_token_print, password_print
         from accounts where id = $1",
        id.0
    )
    .fetch_one(conn)
    .await?;
    Ok([
        ("client_secret", &given.client_secret, kept.client_secret_print),
        ("client_certificate", &given.client_certificate, kept.client_certificate_print),
        ("refresh_token", &given.refresh_token, kept.refresh_token_print),
        ("password", &given.password, kept.password_print),
    ]
    .into_iter()
    .filter_map(|(name, given, kept)| {
        let prints = keyring.fingerprints(given.as_ref()?);
        (!kept.is_some_and(|kept| prints.contains(&kept))).then_some(name)
    })
    .collect())
}

/// The secrets of an account, opened.
pub(in crate::account) async fn credentials(
    conn: &mut PgConnection,
    keyring: &Keyring,
    id: AccountId,
) -> Stored<Credentials> {
    let row = sqlx::query!(
        "select client_secret, client_certificate, refresh_token, password from accounts where id = $1",
        id.0
    )
    .fetch_one(conn)
    .await?;
    let open = |column: &str, sealed: Option<Vec<u8>>| {
        let opened = sealed.map(|sealed| keyring.open(&place(id, column), &Sealed(sealed))).transpose();
        opened.map_err(|error| StoreError::Corrupt {
            table: "accounts",
            id: id.to_string(),
            what: format!("{column} is {error}"),
        })
    };
    Ok(Credentials {
        client_secret: open("client_secret", row.client_secret)?,
        client_certificate: open("client_certificate", row.client_certificate)?,
        refresh_token: open("refresh_token", row.refresh_token)?,
        password: open("password", row.password)?,
    })
}

/// A refresh token as it rests in its column.
pub(in crate::account) fn sealed_refresh_token(keyring: &Keyring, id: AccountId, token: &Secret) -> Vec<u8> {
    keyring.seal(&place(id, "refresh_token"), token).0
}

pub(super) fn place(id: AccountId, column: &str) -> String {
    format!("accounts:{column}:{id}")
}
