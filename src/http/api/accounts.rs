//! `/accounts`: Partner Center identities. Secrets go in and never come out.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::account_input::AccountInput;
use super::valid::Valid;
use crate::access;
use crate::account::sign_in::{BeginError, SignIn};
use crate::account::verify::Verified;
use crate::account::{self, Account, Grant, ProgramName, State as AccountState, TokenVersion};
use crate::app::App;
use crate::http::error::ApiError;
use crate::http::extract::{Body, MayAdmin, MayRead, MayWrite, Page, Paging, Params, PathId};
use crate::id::AccountId;
use crate::report::store::queries;
use crate::wake::Topic;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(show, change, remove))
        .routes(routes!(verify))
        .routes(routes!(compare))
        .routes(routes!(validate))
        .routes(routes!(begin_sign_in, show_sign_in))
}

/// An account, without its secrets.
#[derive(Debug, Serialize, ToSchema)]
struct AccountView {
    id: AccountId,
    name: String,
    program: ProgramName,
    tenant_id: String,
    client_id: String,
    grant: Grant,
    #[schema(value_type = u8)]
    token_version: TokenVersion,
    username: Option<String>,
    login_url: String,
    api_url: String,
    state: AccountState,
    /// Since when it cannot sign in: a person must, or it needs a good credential; `last_failure` says what.
    sign_in_since: Option<DateTime<Utc>>,
    /// What went wrong last, if the last sign-in did.
    last_failure: Option<String>,
    /// No call before: the API asked us to wait, or was away.
    blocked_until: Option<DateTime<Utc>>,
    /// When the client secret, or the certificate, runs out, where that was said.
    client_secret_expires_at: Option<DateTime<Utc>>,
    /// When the refresh token was last renewed.
    refreshed_at: Option<DateTime<Utc>>,
    /// When the sign-in ends if its refresh token is not used until then; it is used at least weekly.
    sign_in_expires_at: Option<DateTime<Utc>>,
    /// What works now and may not for long, or not for everything.
    warnings: Vec<&'static str>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Account> for AccountView {
    fn from(account: Account) -> Self {
        Self {
            sign_in_expires_at: account.sign_in_expires_at(),
            warnings: account.warnings(),
            token_version: account.token_version,
            client_secret_expires_at: account.client_secret_expires_at,
            refreshed_at: account.refreshed_at,
            id: account.id,
            name: account.name,
            program: account.program,
            tenant_id: account.tenant_id,
            client_id: account.client_id,
            grant: account.grant,
            username: account.username,
            login_url: account.login_url.into(),
            api_url: account.api_url.into(),
            state: account.state,
            sign_in_since: account.sign_in_since,
            last_failure: account.last_failure,
            blocked_until: account.blocked_until,
            created_at: account.created_at,
            updated_at: account.updated_at,
        }
    }
}

/// What works for an account.
#[derive(Debug, Serialize, ToSchema)]
struct VerifiedView {
    /// Whether everything asked for was answered.
    ok: bool,
    /// Whether the sign-in gave a token.
    token: bool,
    /// Whether the API took the token and answered.
    api: bool,
    /// The datasets it shows.
    datasets: Vec<String>,
    /// What the answer says of the role in Partner Center, where it says something.
    role: Option<&'static str>,
    /// Whether the sign-in counts as one with MFA, where the API says so.
    mfa_compliant: Option<bool>,
    /// What is wrong, if anything.
    problem: Option<String>,
    /// What works now and may not for long, or not for everything.
    warnings: Vec<&'static str>,
}

/// In what an account differs from what was given.
#[derive(Debug, Serialize, ToSchema)]
struct Compared {
    /// The names of the given fields that differ from what is kept. A secret differs from the one that was given last; a
    /// refresh token that was renewed since does not differ from itself.
    differs: Vec<&'static str>,
}

/// Make an account
#[utoipa::path(post, path = "/accounts", tag = "accounts", request_body = AccountInput,
    responses((status = 201, body = AccountView), (status = 422, body = crate::http::error::Problem)))]
async fn create(
    State(app): State<App>,
    MayAdmin(actor): MayAdmin,
    Body(input): Body<AccountInput>,
) -> Result<(StatusCode, Json<AccountView>), ApiError> {
    let checked = input.into_new(&app.guard)?;
    let mut tx = app.pool.begin().await?;
    let id = account::store::insert(&mut tx, &app.clock, &app.keyring, &checked).await?;
    access::store::note(&mut tx, &app.clock, &actor.name, "account.create", &id.to_string()).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(find(&app, id).await?)))
}

/// Say what is wrong with an account, or that it could be made
#[utoipa::path(post, path = "/accounts/validate", tag = "accounts", request_body = AccountInput,
    responses((status = 200, body = Valid), (status = 422, body = crate::http::error::Problem)))]
async fn validate(
    State(app): State<App>,
    _: MayAdmin,
    Body(input): Body<AccountInput>,
) -> Result<Json<Valid>, ApiError> {
    input.into_new(&app.guard)?;
    Ok(Json(Valid::default()))
}

/// List accounts, newest first
#[utoipa::path(get, path = "/accounts", tag = "accounts", params(Paging), responses((status = 200, body = Page<AccountView>)))]
async fn list(
    State(app): State<App>,
    _: MayRead,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<AccountView>>, ApiError> {
    let (limit, before) = paging.read()?;
    let accounts = account::store::list(&mut *app.pool.acquire().await?, before, limit).await?;
    let items = accounts.into_iter().map(AccountView::from).collect();
    Ok(Json(Page::new(items, limit, |account| account.id.to_string())))
}

/// Show an account
#[utoipa::path(get, path = "/accounts/{id}", tag = "accounts", params(("id" = AccountId, Path)),
    responses((status = 200, body = AccountView), (status = 404, body = crate::http::error::Problem)))]
async fn show(
    State(app): State<App>,
    _: MayRead,
    PathId(id): PathId<AccountId>,
) -> Result<Json<AccountView>, ApiError> {
    find(&app, id).await.map(Json)
}

/// Change an account; a new credential lets its work go on
#[utoipa::path(patch, path = "/accounts/{id}", tag = "accounts", params(("id" = AccountId, Path)),
    request_body = AccountInput, responses((status = 200, body = AccountView), (status = 422, body = crate::http::error::Problem)))]
async fn change(
    State(app): State<App>,
    MayAdmin(actor): MayAdmin,
    PathId(id): PathId<AccountId>,
    Body(input): Body<AccountInput>,
) -> Result<Json<AccountView>, ApiError> {
    let mut tx = app.pool.begin().await?;
    let account = account::store::hold(&mut tx, id).await?.ok_or(ApiError::NotFound("no such account"))?;
    let checked = input.into_change(&account, &app.guard)?;
    if checked.changes(&account).contains(&"program") {
        return Err(ApiError::field("program", "cannot be changed; make another account"));
    }
    account::store::update(&mut tx, &app.clock, &app.keyring, id, &checked).await?;
    access::store::note(&mut tx, &app.clock, &actor.name, "account.change", &id.to_string()).await?;
    tx.commit().await?;
    wake_work(&app);
    find(&app, id).await.map(Json)
}

/// Remove an account that has no reports
#[utoipa::path(delete, path = "/accounts/{id}", tag = "accounts", params(("id" = AccountId, Path)),
    responses((status = 204), (status = 409, body = crate::http::error::Problem)))]
async fn remove(
    State(app): State<App>,
    MayAdmin(actor): MayAdmin,
    PathId(id): PathId<AccountId>,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.pool.begin().await?;
    queries::delete_unused(&mut tx, id).await?;
    if !account::store::delete(&mut tx, id).await? {
        return Err(ApiError::NotFound("no such account"));
    }
    access::store::note(&mut tx, &app.clock, &actor.name, "account.remove", &id.to_string()).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sign in and look what the API shows; if that works, nobody need sign in again
#[utoipa::path(post, path = "/accounts/{id}/verify", tag = "accounts", params(("id" = AccountId, Path)),
    responses((status = 200, body = VerifiedView), (status = 404, body = crate::http::error::Problem)))]
async fn verify(
    State(app): State<App>,
    MayWrite(actor): MayWrite,
    PathId(id): PathId<AccountId>,
) -> Result<Json<VerifiedView>, ApiError> {
    let warnings = find(&app, id).await?.warnings;
    let mut conn = app.pool.acquire().await?;
    access::store::note(&mut conn, &app.clock, &actor.name, "account.verify", &id.to_string()).await?;
    drop(conn);
    let Verified { token, api, datasets, role, mfa_compliant, problem } = app.sessions.verify(id).await?;
    if api {
        wake_work(&app);
    }
    let datasets = datasets.into_iter().map(|one| one.name).collect();
    Ok(Json(VerifiedView { ok: api, token, api, datasets, role, mfa_compliant, problem, warnings }))
}

/// Say in what an account differs from what is given
#[utoipa::path(post, path = "/accounts/{id}/compare", tag = "accounts", params(("id" = AccountId, Path)),
    request_body = AccountInput, responses((status = 200, body = Compared), (status = 422, body = crate::http::error::Problem)))]
async fn compare(
    State(app): State<App>,
    _: MayAdmin,
    PathId(id): PathId<AccountId>,
    Body(input): Body<AccountInput>,
) -> Result<Json<Compared>, ApiError> {
    let mut conn = app.pool.acquire().await?;
    let account = account::store::find(&mut conn, id).await?.ok_or(ApiError::NotFound("no such account"))?;
    let checked = input.into_change(&account, &app.guard)?;
    let mut differs = checked.changes(&account);
    differs.extend(account::store::differing(&mut conn, &app.keyring, id, checked.credentials()).await?);
    differs.sort_unstable();
    Ok(Json(Compared { differs }))
}

/// Begin a sign-in by a code that a person types at Microsoft's page; one that waits already is given again
#[utoipa::path(post, path = "/accounts/{id}/sign-in", tag = "accounts", params(("id" = AccountId, Path)),
    responses((status = 201, body = SignIn), (status = 200, body = SignIn), (status = 409, body = crate::http::error::Problem)))]
async fn begin_sign_in(
    State(app): State<App>,
    MayWrite(actor): MayWrite,
    PathId(id): PathId<AccountId>,
) -> Result<(StatusCode, Json<SignIn>), ApiError> {
    find(&app, id).await?;
    let (sign_in, begun) = app.sign_ins.begin(id).await?;
    if begun {
        let mut conn = app.pool.acquire().await?;
        access::store::note(&mut conn, &app.clock, &actor.name, "account.sign_in", &id.to_string()).await?;
    }
    Ok((if begun { StatusCode::CREATED } else { StatusCode::OK }, Json(sign_in)))
}

/// Show how the last sign-in by a code stands
#[utoipa::path(get, path = "/accounts/{id}/sign-in", tag = "accounts", params(("id" = AccountId, Path)),
    responses((status = 200, body = SignIn), (status = 404, body = crate::http::error::Problem)))]
async fn show_sign_in(
    State(app): State<App>,
    // Whoever knows the code can sign in with it.
    _: MayWrite,
    PathId(id): PathId<AccountId>,
) -> Result<Json<SignIn>, ApiError> {
    let sign_in = account::store::sign_in(&mut *app.pool.acquire().await?, id).await?;
    sign_in.map(Json).ok_or(ApiError::NotFound("no sign-in of this account was begun"))
}

/// What waited for the account may go on.
fn wake_work(app: &App) {
    for topic in [Topic::Reports, Topic::Checks, Topic::Executions] {
        app.wake.hint(topic);
    }
}

async fn find(app: &App, id: AccountId) -> Result<AccountView, ApiError> {
    let account = account::store::find(&mut *app.pool.acquire().await?, id).await?;
    account.map(AccountView::from).ok_or(ApiError::NotFound("no such account"))
}

impl From<BeginError> for ApiError {
    fn from(error: BeginError) -> Self {
        match error {
            BeginError::Grant => Self::Conflict(error.to_string()),
            BeginError::Microsoft(error) => Self::Upstream(error.to_string()),
            BeginError::Store(error) => error.into(),
        }
    }
}
