//! The list of all accounts, and the page of one: what is wrong with it, until when its sign-in is good, and the sign-in
//! itself, by a code that a person types at Microsoft's page.

use axum::extract::{Query, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use chrono::{DateTime, Utc};
use minijinja::context;
use minijinja::value::{Serde, Value};

use super::guard::Viewer;
use super::page::{Named, PageError, page, render};
use super::reports::{Cursor, cut};
use super::store;
use super::text::Moment;
use crate::access;
use crate::account::sign_in::{BeginError, SignIn, State as SignInState};
use crate::account::{self, Account, Grant, State as AccountState};
use crate::app::App;
use crate::id::AccountId;

const PAGE: i64 = 50;
const BY_USERS_ONLY: &str = "This account does not sign in as a user, so there is nothing that a person could type.";

/// All accounts, newest first.
pub(super) async fn list(
    _: Viewer,
    State(app): State<App>,
    Query(cursor): Query<Cursor>,
) -> Result<Response, PageError> {
    let before = cursor.before.map(|text| text.parse()).transpose().map_err(|_| PageError::NotFound)?;
    let mut accounts = account::store::list(&mut *app.pool.acquire().await?, before, PAGE + 1).await?;
    let is_more = cut(&mut accounts, PAGE);
    let next = accounts.last().filter(|_| is_more).map(|account| account.id.to_string());
    let accounts: Vec<Value> = accounts.iter().map(|account| shown(account, app.clock.now())).collect();
    page(&app, "accounts.html", context! { accounts, next, is_first => before.is_none() })
}

/// One account.
pub(super) async fn show(
    _: Viewer,
    State(app): State<App>,
    Named(id): Named<AccountId>,
) -> Result<Response, PageError> {
    page(&app, "account.html", told(&app, id).await?)
}

/// The part of that page that changes, for its script.
pub(super) async fn part(
    _: Viewer,
    State(app): State<App>,
    Named(id): Named<AccountId>,
) -> Result<Response, PageError> {
    Ok(Html(render("account_part.html", told(&app, id).await?)?).into_response())
}

/// Begins a sign-in, or leads to the one that waits already.
pub(super) async fn sign_in(
    Viewer(actor): Viewer,
    State(app): State<App>,
    Named(id): Named<AccountId>,
) -> Result<Redirect, PageError> {
    account::store::find(&mut *app.pool.acquire().await?, id).await?.ok_or(PageError::NotFound)?;
    let (_, begun) = app.sign_ins.begin(id).await.map_err(|error| match error {
        BeginError::Grant => PageError::Conflict(BY_USERS_ONLY),
        BeginError::Microsoft(error) => PageError::Microsoft(error.to_string()),
        BeginError::Store(error) => error.into(),
    })?;
    if begun {
        let mut conn = app.pool.acquire().await?;
        access::store::note(&mut conn, &app.clock, &actor.name, "account.sign_in", &id.to_string()).await?;
    }
    Ok(Redirect::to(&format!("/accounts/{id}")))
}

async fn told(app: &App, id: AccountId) -> Result<Value, PageError> {
    let mut conn = app.pool.acquire().await?;
    // Before the rows: what changes while they are read shows as a newer version.
    let version = store::account_version(&mut conn, id).await?;
    let account = account::store::find(&mut conn, id).await?.ok_or(PageError::NotFound)?;
    let sign_in = account::store::sign_in(&mut conn, id).await?;
    drop(conn);
    let now = app.clock.now();
    let sign_in = sign_in.map(|one| progress(&one, now));
    Ok(context! { version, sign_in, ..shown(&account, now) })
}

fn shown(account: &Account, now: DateTime<Utc>) -> Value {
    let moment = |at: Option<DateTime<Utc>>| Serde(at.map(|at| Moment::new(at, now)));
    let locked = account.state == AccountState::SignInRequired;
    let blocked = account.blocked_until.filter(|until| *until > now);
    let (state, tone) = match (locked, blocked.is_some()) {
        (true, _) => ("sign-in required", "bad"),
        (false, true) => ("waiting", "busy"),
        (false, false) => ("active", "good"),
    };
    context! {
        id => account.id.to_string(), name => &account.name, program => account.program.as_str(), state, tone, locked,
        grant => account.grant.as_str().replace('_', " "), tenant => &account.tenant_id, client => &account.client_id,
        trouble => &account.last_failure, since => moment(account.sign_in_since), blocked => moment(blocked),
        refreshed => moment(account.refreshed_at), ends => moment(account.sign_in_expires_at()),
        secret_ends => moment(account.client_secret_expires_at), warnings => account.warnings(),
        can_sign_in => account.grant == Grant::RefreshToken,
        api => account.api_url.as_str(), login => account.login_url.as_str(),
    }
}

fn progress(sign_in: &SignIn, now: DateTime<Utc>) -> Value {
    let is_recent = sign_in.expires_at > now;
    let is_open = sign_in.state == SignInState::Waiting && is_recent;
    // The address comes from outside: only what leads to a page becomes a link.
    let is_page = ["https://", "http://"].iter().any(|scheme| sign_in.verification_uri.starts_with(scheme));
    context! {
        is_open, code => &sign_in.user_code, address => &sign_in.verification_uri, is_page,
        expires => Serde(Moment::new(sign_in.expires_at, now)), failure => &sign_in.failure,
        is_done => sign_in.state == SignInState::Done && is_recent,
        is_expired => sign_in.state == SignInState::Expired,
    }
}
