//! The table `accounts`.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use url::Url;

use super::{Account, Checked, Grant, ProgramName, State};
use crate::clock::Clock;
use crate::db::{self, LEASE, StoreError, Stored};
use crate::id::AccountId;
use crate::secret::{Keyring, Sealed, Secret};

/// No `Retry-After` holds longer.
pub(super) const LONGEST_BLOCK: TimeDelta = TimeDelta::hours(1);

struct Row {
    id: AccountId,
    name: String,
    program: String,
    tenant_id: String,
    client_id: String,
    grant_kind: String,
    login_url: String,
    api_url: String,
    username: Option<String>,
    state: String,
    sign_in_since: Option<DateTime<Utc>>,
    last_failure: Option<String>,
    blocked_until: Option<DateTime<Utc>>,
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
            login_url: Url::parse(&row.login_url).map_err(|_| corrupt("login_url"))?,
            api_url: Url::parse(&row.api_url).map_err(|_| corrupt("api_url"))?,
            state: if row.state == "active" { State::Active } else { State::SignInRequired },
            id: row.id,
            name: row.name,
            tenant_id: row.tenant_id,
            client_id: row.client_id,
            username: row.username,
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
        r#"select id as "id: _", name, program, tenant_id, client_id, grant_kind, login_url, api_url, username, state,
               sign_in_since, last_failure, blocked_until, created_at, updated_at
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

/// Adds an account. A name that is taken violates `accounts_name_key`.
pub async fn insert(conn: &mut PgConnection, clock: &Clock, keyring: &Keyring, account: &Checked) -> Stored<AccountId> {
    let id: AccountId = clock.new_id();
    let draft = &account.draft;
    sqlx::query!(
        "insert into accounts (id, name, program, tenant_id, client_id, grant_kind, login_url, api_url, username,
             created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)",
        id.0,
        draft.name.trim(),
        draft.program.as_str(),
        draft.tenant_id,
        draft.client_id,
        draft.grant.as_str(),
        account.login_url.as_str(),
        account.api_url.as_str(),
        draft.username,
        clock.now()
    )
    .execute(&mut *conn)
    .await?;
    set_credentials(conn, clock, keyring, id, account).await?;
    Ok(id)
}

/// Changes an account. Credentials that differ from those given before replace them and make the account active again.
pub async fn update(
    conn: &mut PgConnection,
    clock: &Clock,
    keyring: &Keyring,
    id: AccountId,
    account: &Checked,
) -> Stored<()> {
    let draft = &account.draft;
    let result = sqlx::query!(
        "update accounts
         set name = $2, tenant_id = $3, client_id = $4, grant_kind = $5, login_url = $6, api_url = $7, username = $8,
             updated_at = $9
         where id = $1",
        id.0,
        draft.name.trim(),
        draft.tenant_id,
        draft.client_id,
        draft.grant.as_str(),
        account.login_url.as_str(),
        account.api_url.as_str(),
        draft.username,
        clock.now()
    )
    .execute(&mut *conn)
    .await?;
    db::one(&result)?;
    set_credentials(conn, clock, keyring, id, account).await
}

async fn set_credentials(
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
    // The same value as was given before changes nothing: a refresh token was rotated since, and the newer one stays.
    sqlx::query!(
        "with new as (
             select $2::bytea is not null and (client_secret_print = any($3::bytea[])) is not true as client_secret,
                    $4::bytea is not null and (refresh_token_print = any($5::bytea[])) is not true as refresh_token,
                    $6::bytea is not null and (password_print = any($7::bytea[])) is not true as password
             from accounts where id = $1
         ), change as (
             select new.*, new.client_secret or new.refresh_token or new.password as any from new
         )
         update accounts
         set client_secret = case when change.client_secret then $2 else accounts.client_secret end,
             refresh_token = case when change.refresh_token then $4 else accounts.refresh_token end,
             password = case when change.password then $6 else accounts.password end,
             client_secret_print = coalesce(($3::bytea[])[1], client_secret_print),
             refresh_token_print = coalesce(($5::bytea[])[1], refresh_token_print),
             password_print = coalesce(($7::bytea[])[1], password_print),
             state = case when change.any then 'active' else state end,
             sign_in_since = case when change.any then null else sign_in_since end,
             last_failure = case when change.any then null else last_failure end,
             -- a renewal under way was asked for with the old ones: what it brings must not replace these
             renewal = case when change.any then renewal + 1 else renewal end,
             renewal_until = case when change.any then null else renewal_until end,
             updated_at = $8
         from change
         where id = $1",
        id.0,
        secret,
        secret_prints.as_deref(),
        refresh,
        refresh_prints.as_deref(),
        password,
        password_prints.as_deref(),
        clock.now()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Removes an account; one that has reports violates a foreign key.
pub async fn delete(conn: &mut PgConnection, id: AccountId) -> Stored<bool> {
    let result = sqlx::query!("delete from accounts where id = $1", id.0).execute(conn).await?;
    Ok(result.rows_affected() == 1)
}

/// The secrets of an account, opened.
pub(super) async fn credentials(
    conn: &mut PgConnection,
    keyring: &Keyring,
    id: AccountId,
) -> Stored<super::Credentials> {
    let row = sqlx::query!("select client_secret, refresh_token, password from accounts where id = $1", id.0)
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
    Ok(super::Credentials {
        client_secret: open("client_secret", row.client_secret)?,
        refresh_token: open("refresh_token", row.refresh_token)?,
        password: open("password", row.password)?,
    })
}

/// Takes the lease of the one renewal that may be under way; `None` if another has it.
pub(super) async fn claim_renewal(conn: &mut PgConnection, id: AccountId, now: DateTime<Utc>) -> Stored<Option<i64>> {
    let claim = sqlx::query_scalar!(
        "update accounts
         set renewal = renewal + 1, renewal_until = $3
         where id = $1
           -- one that ends later than the longest lease was taken before the clock was set back
           and (renewal_until is null or renewal_until <= $2 or renewal_until > $3)
         returning renewal",
        id.0,
        now,
        now + LEASE
    )
    .fetch_optional(conn)
    .await?;
    Ok(claim)
}

/// Ends a renewal that worked: the rotated refresh token is kept before the new access token is used. Why a person must sign
/// in stays told: a token alone does not mend that.
pub(super) async fn renewed(
    conn: &mut PgConnection,
    keyring: &Keyring,
    id: AccountId,
    claim: i64,
    refresh: Option<&Secret>,
    now: DateTime<Utc>,
) -> Stored<()> {
    let sealed = refresh.map(|token| keyring.seal(&place(id, "refresh_token"), token).0);
    let result = sqlx::query!(
        "update accounts
         set refresh_token = coalesce($3, refresh_token), renewal_until = null,
             last_failure = case when state = 'active' then null else last_failure end, updated_at = $4
         where id = $1 and renewal = $2",
        id.0,
        claim,
        sealed,
        now
    )
    .execute(conn)
    .await?;
    db::one(&result)
}

/// Ends a renewal that did not work.
pub(super) async fn not_renewed(conn: &mut PgConnection, id: AccountId, claim: i64, why: &str) -> Stored<()> {
    sqlx::query!(
        "update accounts set renewal_until = null, last_failure = $3 where id = $1 and renewal = $2",
        id.0,
        claim,
        why
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Marks that a person must sign in again; gives the account's name, if it was not marked before. What was met with
/// the token of another than the latest `renewal` says nothing of the credentials that are there now.
pub(super) async fn require_sign_in(
    conn: &mut PgConnection,
    id: AccountId,
    renewal: i64,
    why: &str,
    now: DateTime<Utc>,
) -> Stored<Option<String>> {
    let name = sqlx::query_scalar!(
        "update accounts set state = 'sign_in_required', sign_in_since = $2, last_failure = $3, updated_at = $2
         where id = $1 and state = 'active' and renewal = $4
         returning name",
        id.0,
        now,
        why,
        renewal
    )
    .fetch_optional(conn)
    .await?;
    Ok(name)
}

/// Marks that nobody need sign in any more.
pub(super) async fn signed_in(conn: &mut PgConnection, id: AccountId, now: DateTime<Utc>) -> Stored<()> {
    sqlx::query!(
        "update accounts set state = 'active', sign_in_since = null, last_failure = null, updated_at = $2
         where id = $1 and state = 'sign_in_required'",
        id.0,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Keeps the `Retry-After` of the whole account, at most an hour; a longer one that still holds stays.
pub(super) async fn block(
    conn: &mut PgConnection,
    id: AccountId,
    until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Stored<()> {
    sqlx::query!(
        "update accounts
         set blocked_until = case when blocked_until > $2 and blocked_until <= $3 then blocked_until else $2 end
         where id = $1",
        id.0,
        until,
        now + LONGEST_BLOCK
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Whether a `Retry-After` holds; one beyond the longest was kept before the clock was set back.
pub(super) fn is_blocked(account: &Account, now: DateTime<Utc>) -> bool {
    account.blocked_until.is_some_and(|until| until > now && until <= now + LONGEST_BLOCK)
}

fn place(id: AccountId, column: &str) -> String {
    format!("accounts:{column}:{id}")
}
