//! Brings what rests sealed in `subscriptions` under the newest key, and tells which keys are still needed.
//!
//! A batch locks its rows until its transaction ends, so that a change meanwhile waits and none is overwritten; of two
//! replicas the second finds nothing left. What can't be opened stays as it is and is logged.

use sqlx::PgConnection;
use uuid::Uuid;

use super::place;
use crate::db::Stored;
use crate::id::SubscriptionId;
use crate::secret::{Keyring, Sealed};

/// Reseals the next few subscriptions after this id; tells which, and none when all are done. The caller owns the
/// transaction.
pub async fn reseal(conn: &mut PgConnection, keyring: &Keyring, after: Uuid, limit: i64) -> Stored<Vec<Uuid>> {
    let rows = sqlx::query!(
        r#"select id as "id: SubscriptionId", endpoint, endpoint_print, secret
           from subscriptions
           where id > $1 and (substring(endpoint from 1 for 4) <> $2 or substring(secret from 1 for 4) <> $2)
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
        let renew = |column: &str, rests, print| keyring.reseal(&place(row.id, column), &Sealed(rests), print);
        let endpoint = renew("endpoint", row.endpoint, Some(&row.endpoint_print));
        let secret = row.secret.map(|rests| renew("secret", rests, None)).transpose();
        match endpoint.and_then(|endpoint| Ok((endpoint, secret?))) {
            Ok((endpoint, secret)) => {
                // Not `updated_at`: nothing has changed that anybody gave or sees.
                sqlx::query!(
                    "update subscriptions set endpoint = $2, endpoint_print = $3, secret = $4 where id = $1",
                    row.id.0,
                    endpoint.sealed.0,
                    endpoint.print.as_deref().unwrap_or(&row.endpoint_print),
                    secret.map(|secret| secret.sealed.0)
                )
                .execute(&mut *conn)
                .await?;
            }
            Err(error) => {
                tracing::error!(row = %row.id, %error, "a subscription's secret can't be opened and stays under its old key");
            }
        }
    }
    Ok(ids)
}

/// How many subscriptions rest, in part or whole, under each key; removed ones too, as they rest all the same.
pub async fn sealed_by(conn: &mut PgConnection) -> Stored<Vec<(String, i64)>> {
    let rows = sqlx::query!(
        r#"select encode(substring(rests from 1 for 4), 'hex') as "key!", count(distinct id) as "count!"
           from (select id, unnest(array[endpoint, secret]) as rests from subscriptions) as sealed
           where rests is not null
           group by 1"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.key, row.count)).collect())
}
