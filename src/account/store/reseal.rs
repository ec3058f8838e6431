//! Brings what rests sealed in `accounts` and `sign_ins` under the newest key, and tells which keys are still needed.
//!
//! A batch locks its rows until its transaction ends, so that a change meanwhile waits and none is overwritten; of two
//! replicas the second finds nothing left. What can't be opened stays as it is and is logged. The print of a refresh token
//! that was renewed since can't be made anew, as the token it is of rests nowhere: when that one is given again after its key
//! is gone, it counts as another.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{credentials, sign_ins};
use crate::db::Stored;
use crate::id::AccountId;
use crate::secret::{Keyring, Sealed, SecretError};

/// Reseals the next few accounts after this id; tells which, and none when all are done. The caller owns the transaction.
pub async fn reseal(conn: &mut PgConnection, keyring: &Keyring, after: Uuid, limit: i64) -> Stored<Vec<Uuid>> {
    let rows = sqlx::query!(
        r#"select id as "id: AccountId", client_secret, client_secret_print, client_certificate,
               client_certificate_print, refresh_token, refresh_token_print, password, password_print
           from accounts
           where id > $1
             and exists (select from unnest(array[client_secret, client_certificate, refresh_token, password]) as rests
                         where substring(rests from 1 for 4) <> $2)
           order by id
           limit $3
           for update"#,
        after,
        keyring.newest_id(),
        limit
    )
    .fetch_all(&mut *conn)
    .await?;
    let ids = rows.iter().map(|row| row.id.0).collect();
    for row in rows {
        let renew = |column: &str, rests, print| resealed(keyring, &credentials::place(row.id, column), (rests, print));
        let renewed = || {
            Ok([
                renew("client_secret", row.client_secret, row.client_secret_print)?,
                renew("client_certificate", row.client_certificate, row.client_certificate_print)?,
                renew("refresh_token", row.refresh_token, row.refresh_token_print)?,
                renew("password", row.password, row.password_print)?,
            ])
        };
        match renewed() {
            Ok(renewed) => set(conn, row.id, renewed).await?,
            Err(error) => cannot("accounts", row.id, &error),
        }
    }
    Ok(ids)
}

/// The same of sign-ins that are under way.
pub async fn reseal_sign_ins(conn: &mut PgConnection, keyring: &Keyring, after: Uuid, limit: i64) -> Stored<Vec<Uuid>> {
    let rows = sqlx::query!(
        r#"select account_id as "id: AccountId", device_code as "device_code!"
           from sign_ins
           where account_id > $1 and substring(device_code from 1 for 4) <> $2
           order by account_id
           limit $3
           for update"#,
        after,
        keyring.newest_id(),
        limit
    )
    .fetch_all(&mut *conn)
    .await?;
    let ids = rows.iter().map(|row| row.id.0).collect();
    for row in rows {
        match keyring.reseal(&sign_ins::place(row.id), &Sealed(row.device_code), None) {
            Ok(done) => {
                sqlx::query!("update sign_ins set device_code = $2 where account_id = $1", row.id.0, done.sealed.0)
                    .execute(&mut *conn)
                    .await?;
            }
            Err(error) => cannot("sign_ins", row.id, &error),
        }
    }
    Ok(ids)
}

/// How many accounts rest, in part or whole, under each key; a sign-in under way counts as its account's.
pub async fn sealed_by(conn: &mut PgConnection) -> Stored<Vec<(String, i64)>> {
    let rows = sqlx::query!(
        r#"select encode(substring(rests from 1 for 4), 'hex') as "key!", count(distinct id) as "count!"
           from (select id, unnest(array[client_secret, client_certificate, refresh_token, password]) as rests
                 from accounts
                 union all
                 select account_id, device_code from sign_ins) as sealed
           where rests is not null
           group by 1"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.key, row.count)).collect())
}

/// A sealed column and its print; both empty where the account has none.
type Column = (Option<Vec<u8>>, Option<Vec<u8>>);

fn resealed(keyring: &Keyring, place: &str, (rests, print): Column) -> Result<Column, SecretError> {
    let Some(rests) = rests else { return Ok((None, print)) };
    let done = keyring.reseal(place, &Sealed(rests), print.as_deref())?;
    Ok((Some(done.sealed.0), done.print))
}

/// Not `updated_at`: nothing has changed that anybody gave or sees.
async fn set(
    conn: &mut PgConnection,
    id: AccountId,
    [secret, certificate, refresh, password]: [Column; 4],
) -> Stored<()> {
    sqlx::query!(
        "update accounts
         set client_secret = $2, client_secret_print = $3, client_certificate = $4, client_certificate_print = $5,
             refresh_token = $6, refresh_token_print = $7, password = $8, password_print = $9
         where id = $1",
        id.0,
        secret.0,
        secret.1,
        certificate.0,
        certificate.1,
        refresh.0,
        refresh.1,
        password.0,
        password.1
    )
    .execute(conn)
    .await?;
    Ok(())
}

fn cannot(table: &str, id: AccountId, error: &SecretError) {
    tracing::error!(table, row = %id, %error, "a secret can't be opened and stays under its old key");
}
