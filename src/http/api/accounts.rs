//! `/accounts`: Partner Center identities. Secrets go in and never come out.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access;
use crate::account::{self, Account, Checked, Credentials, Draft, Grant, ProgramName, State as AccountState};
use crate::app::App;
use crate::field::FieldErrors;
use crate::http::error::ApiError;
use crate::http::extract::{Body, MayAdmin, MayRead, MayWrite, Page, Paging, Params, PathId};
use crate::id::AccountId;
use crate::outbound::Guard;
use crate::report::store::queries;
use crate::secret::Secret;
use crate::wake::Topic;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(show, change, remove)).routes(routes!(verify))
}

/// An account to be made or changed; when changing, what is not given stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AccountInput {
    /// Unique, at most 100 characters.
    name: Option<String>,
    /// `mpn` (Partner Insights) or `cmp` (commercial marketplace analytics).
    program: Option<ProgramName>,
    /// The directory: a GUID or a domain.
    tenant_id: Option<String>,
    /// The application.
    client_id: Option<String>,
    /// `refresh_token`, `client_credentials` or `password` (legacy).
    grant: Option<Grant>,
    /// Needed for `client_credentials`, and for the others where the application has one.
    #[schema(value_type = Option<String>, write_only)]
    client_secret: Option<Secret>,
    /// Needed for `refresh_token`. The same value again never replaces one that was rotated since.
    #[schema(value_type = Option<String>, write_only)]
    refresh_token: Option<Secret>,
    /// Needed for `password`.
    username: Option<String>,
    /// Needed for `password`.
    #[schema(value_type = Option<String>, write_only)]
    password: Option<Secret>,
    /// Microsoft's own when not given; `/{tenant_id}/oauth2/token` is appended.
    login_url: Option<String>,
    /// The whole base of the API; Microsoft's own for the program when not given.
    api_url: Option<String>,
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
    username: Option<String>,
    login_url: String,
    api_url: String,
    state: AccountState,
    /// Since when a person must sign in again.
    sign_in_since: Option<DateTime<Utc>>,
    /// What went wrong last, if the last sign-in did.
    last_failure: Option<String>,
    /// No call before: the API asked us to wait.
    blocked_until: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Account> for AccountView {
    fn from(account: Account) -> Self {
        Self {
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
struct Verified {
    /// Whether the API answered.
    ok: bool,
    /// The datasets it shows.
    datasets: Vec<String>,
    /// What is wrong, if anything.
    problem: Option<String>,
}

impl AccountInput {
    /// A checked new account, or everything that is wrong with it.
    fn into_new(self, guard: &Guard) -> Result<Checked, FieldErrors> {
        let mut errors = FieldErrors::default();
        errors.expect(self.program.is_some(), "program", "is needed: mpn or cmp");
        errors.expect(self.grant.is_some(), "grant", "is needed: refresh_token, client_credentials or password");
        // Which secrets are needed depends on the grant.
        let grant_is_known = self.grant.is_some();
        let draft = Draft {
            name: self.name.unwrap_or_default(),
            program: self.program.unwrap_or(ProgramName::Mpn),
            tenant_id: self.tenant_id.unwrap_or_default(),
            client_id: self.client_id.unwrap_or_default(),
            grant: self.grant.unwrap_or(Grant::RefreshToken),
            login_url: self.login_url,
            api_url: self.api_url,
            username: self.username,
            credentials: Credentials {
                client_secret: self.client_secret,
                refresh_token: self.refresh_token,
                password: self.password,
            },
        };
        match draft.check(guard, grant_is_known) {
            Ok(checked) => errors.result(checked),
            Err(more) => {
                errors.0.extend(more.0);
                Err(errors)
            }
        }
    }

    fn into_change(self, account: Account) -> Result<Draft, ApiError> {
        if self.program.is_some_and(|program| program != account.program) {
            return Err(ApiError::field("program", "cannot be changed; make another account"));
        }
        Ok(Draft {
            name: self.name.unwrap_or(account.name),
            program: account.program,
            tenant_id: self.tenant_id.unwrap_or(account.tenant_id),
            client_id: self.client_id.unwrap_or(account.client_id),
            grant: self.grant.unwrap_or(account.grant),
            login_url: Some(self.login_url.unwrap_or_else(|| account.login_url.into())),
            api_url: Some(self.api_url.unwrap_or_else(|| account.api_url.into())),
            username: self.username.or(account.username),
            credentials: Credentials {
                client_secret: self.client_secret,
                refresh_token: self.refresh_token,
                password: self.password,
            },
        })
    }
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
    let account = account::store::find(&mut tx, id).await?.ok_or(ApiError::NotFound("no such account"))?;
    let checked = input.into_change(account)?.check(&app.guard, false)?;
    account::store::update(&mut tx, &app.clock, &app.keyring, id, &checked).await?;
    access::store::note(&mut tx, &app.clock, &actor.name, "account.change", &id.to_string()).await?;
    tx.commit().await?;
    app.sessions.forget(id);
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
    app.sessions.forget(id);
    Ok(StatusCode::NO_CONTENT)
}

/// Sign in and look what the API shows; if that works, nobody need sign in again
#[utoipa::path(post, path = "/accounts/{id}/verify", tag = "accounts", params(("id" = AccountId, Path)),
    responses((status = 200, body = Verified), (status = 404, body = crate::http::error::Problem)))]
async fn verify(
    State(app): State<App>,
    MayWrite(actor): MayWrite,
    PathId(id): PathId<AccountId>,
) -> Result<Json<Verified>, ApiError> {
    find(&app, id).await?;
    let mut conn = app.pool.acquire().await?;
    access::store::note(&mut conn, &app.clock, &actor.name, "account.verify", &id.to_string()).await?;
    drop(conn);
    Ok(Json(match app.sessions.verify(id).await {
        Ok(datasets) => {
            wake_work(&app);
            Verified { ok: true, datasets: datasets.into_iter().map(|one| one.name).collect(), problem: None }
        }
        Err(error) => Verified { ok: false, datasets: Vec::new(), problem: Some(error.to_string()) },
    }))
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
