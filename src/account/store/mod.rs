//! The table `accounts`: what an account is. What it signs in with, and what keeps it from calling, is in files beside.

mod block;
mod credentials;
mod renewal;
mod reseal;
mod sign_ins;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use url::Url;

use super::{Account, Checked, Grant, ProgramName, State, TokenVersion};
use crate::clock::Clock;
use crate::db::{self, StoreError, Stored};
use crate::id::AccountId;
use crate::secret::Keyring;

pub(super) use block::{LONGEST_BLOCK, answered, away, block, is_blocked};
pub use credentials::differing;
pub(super) use credentials::{credentials, sealed_refresh_token};
pub(super) use renewal::{claim_renewal, idle, not_renewed, renewed, require_sign_in, signed_in};
pub use reseal::{reseal, reseal_sign_ins, sealed_by};
pub use sign_ins::find as sign_in;
pub(super) use sign_ins::{Claimed, Ended, begin, claim_due, end, later, release};

/// Why an account waits that nobody has signed in for.
pub(super) const NOBODY_YET: &str = "nobody has signed in yet";

struct Row {
    id: AccountId,
    name: String,
    program: String,
    tenant_id: String,
    client_id: String,
    grant_kind: String,
    token_version: i16,
    login_url: String,
    api_url: String,
    username: Option<String>,
    has_proof: bool,
    has_password: bool,
    state: String,
    sign_in_since: Option<DateTime<Utc>>,
    last_failure: Option<String>,
    blocked_until: Option<DateTime<Utc>>,
    failures: i32,
    credentials_version: i64,
    client_secret_expires_at: Option<DateTime<Utc>>,
    refreshed_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl TryFrom<Row> for Account {
    type Error = StoreError;

    fn try_from(row: Row) -> Stored<Self> {
        let corrupt = |what: &str| StoreError::Corrupt { table: "accounts", id: row.id.to_string(), what: what.into() };
        Ok(Self {
            program: if row.program == "cmp" { ProgramName::Cmp } else { ProgramName::Mpn },
            grant: match row.grant_kind.as_str() {
                "refresh_token" => Grant::RefreshToken,
                "password" => Grant::Password,
                _ => Grant::ClientCredentials,
            },
            token_version: if row.token_version == 2 { TokenVersion::Two } else { TokenVersion::One },
            failures: u32::try_from(row.failures).map_err(|_| corrupt("failures"))?,
            credentials_version: row.credentials_version,
            client_secret_expires_at: row.client_secret_expires_at,
            refreshed_at: row.refreshed_at,
            login_url: Url::parse(&row.login_url).map_err(|_| corrupt("login_url"))?,
            api_url: Url::parse(&row.api_url).map_err(|_| corrupt("api_url"))?,
            state: if row.state == "active" { State::Active } else { State::SignInRequired },
            id: row.id,
            name: row.name,
            tenant_id: row.tenant_id,
            client_id: row.client_id,
            username: row.username,
            has_proof: row.has_proof,
            has_password: row.has_password,
            sign_in_since: row.sign_in_since,
            last_failure: row.last_failure,
            blocked_until: row.blocked_until,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// One account.
pub async fn find(conn: &mut PgConnection, id: AccountId) -> Stored<Option<Account>> {
    Ok(select(conn, Some(id), None, 1).await?.pop())
}

/// One account, held until the transaction ends: of two changes at once the second reads what the first made.
pub async fn hold(conn: &mut PgConnection, id: AccountId) -> Stored<Option<Account>> {
    sqlx::query!("select id from accounts where id = $1 for no key update", id.0).fetch_optional(&mut *conn).await?;
    find(conn, id).await
}

/// Newest first.
pub async fn list(conn: &mut PgConnection, before: Option<AccountId>, limit: i64) -> Stored<Vec<Account>> {
    select(conn, None, before, limit).await
}

async fn select(
    conn: &mut PgConnection,
    id: Option<AccountId>,
    before: Option<AccountId>,
    limit: i64,
) -> Stored<Vec<Account>> {
    sqlx::query_as!(
        Row,
        r#"select id as "id: _", name, program, tenant_id, client_id, grant_kind, token_version, login_url, api_url,
               username, num_nonnulls(client_secret, client_certificate) > 0 as "has_proof!",
               password is not null as "has_password!", state, sign_in_since, last_failure, blocked_until,
               failures, credentials_version, client_secret_expires_at, refreshed_at, created_at, updated_at
           from accounts
           where ($1::uuid is null or id = $1) and ($2::uuid is null or id < $2)
           order by id desc
           limit $3"#,
        id.map(|id| id.0),
        before.map(|id| id.0),
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Account::try_from)
    .collect()
}

/// Adds an account; one that signs in with a refresh token and has none waits for a person. A name that is taken violates
/// `accounts_name_key`.
pub async fn insert(conn: &mut PgConnection, clock: &Clock, keyring: &Keyring, account: &Checked) -> Stored<AccountId> {
    let id: AccountId = clock.new_id();
    let draft = &account.draft;
    let waits = draft.grant == Grant::RefreshToken && draft.credentials.refresh_token.is_none();
    sqlx::query!(
        "insert into accounts (id, name, program, tenant_id, client_id, grant_kind, login_url, api_url, username,
             created_at, updated_at, token_version, client_secret_expires_at, state, sign_in_since, last_failure)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::timestamptz, $10, $11, $12,
             case when $13 then 'sign_in_required' else 'active' end, case when $13 then $10::timestamptz end,
             case when $13 then $14 end)",
        id.0,
        draft.name.trim(),
        draft.program.as_str(),
        draft.tenant_id,
        draft.client_id,
        draft.grant.as_str(),
        account.login_url.as_str(),
        account.api_url.as_str(),
        draft.username,
        clock.now(),
        i16::from(u8::from(draft.token_version)),
        draft.client_secret_expires_at,
        waits,
        NOBODY_YET
    )
    .execute(&mut *conn)
    .await?;
    credentials::set(conn, clock, keyring, id, account).await?;
    Ok(id)
}

/// Changes an account. Another identity, and credentials that differ from those given before, make the account active again.
pub async fn update(
    conn: &mut PgConnection,
    clock: &Clock,
    keyring: &Keyring,
    id: AccountId,
    account: &Checked,
) -> Stored<()> {
    let draft = &account.draft;
    let result = sqlx::query!(
        "with before as (
             select (tenant_id, client_id, grant_kind, login_url, api_url, username, token_version)
                        is distinct from ($3, $4, $5, $6, $7, $8, $10) as is_another,
                    $5 = 'refresh_token' and refresh_token is null as waits
             from accounts where id = $1 for update
         )
         update accounts
         set name = $2, tenant_id = $3, client_id = $4, grant_kind = $5, login_url = $6, api_url = $7, username = $8,
             updated_at = $9, token_version = $10, client_secret_expires_at = $11,
             state = case when is_another and not waits then 'active' else state end,
             sign_in_since = case when is_another and not waits then null else sign_in_since end,
             last_failure = case when is_another and not waits then null else last_failure end,
             -- a renewal under way was asked for by who this was before
             renewal = case when is_another then renewal + 1 else renewal end,
             renewal_until = case when is_another then null else renewal_until end,
             credentials_version = case when is_another then credentials_version + 1 else credentials_version end
         from before
         where id = $1",
        id.0,
        draft.name.trim(),
        draft.tenant_id,
        draft.client_id,
        draft.grant.as_str(),
        account.login_url.as_str(),
        account.api_url.as_str(),
        draft.username,
        clock.now(),
        i16::from(u8::from(draft.token_version)),
        draft.client_secret_expires_at
    )
    .execute(&mut *conn)
    .await?;
    db::one(&result)?;
    credentials::set(conn, clock, keyring, id, account).await
}

/// Removes an account; one that has reports violates a foreign key.
pub async fn delete(conn: &mut PgConnection, id: AccountId) -> Stored<bool> {
    let result = sqlx::query!("delete from accounts where id = $1", id.0).execute(conn).await?;
    Ok(result.rows_affected() == 1)
}
