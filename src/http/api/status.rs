//! `/status`: counts, lag and health of every stage.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::db::Due;
use crate::http::error::ApiError;
use crate::http::extract::MayRead;
use crate::http::lag::{Lag, MOST_COUNTED};
use crate::notification::store::deliveries;
use crate::rotation::{self, KeyUses, Place};
use crate::{db, execution, report};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show))
}

/// How everything stands.
#[derive(Debug, Serialize, ToSchema)]
struct Status {
    version: &'static str,
    now: DateTime<Utc>,
    /// How many are in each state; of the newest 10000. Of executions and deliveries, 10000 means that many or more.
    reports: BTreeMap<String, i64>,
    executions: BTreeMap<String, i64>,
    deliveries: BTreeMap<String, i64>,
    /// When the oldest delivery that is due was due.
    oldest_due_delivery_at: Option<DateTime<Utc>>,
    /// Reports that were called and whose call no finished check covers; `oldest_at` is the first of these calls.
    unresolved_callbacks: DueView,
    /// What is due of each stage: `register`, `discover`, `download`, `fan_out`, `deliver`. What waits for an account that
    /// needs a sign-in is not.
    due: BTreeMap<&'static str, DueView>,
    /// More than 5000 either way is too much.
    database_clock_ahead_ms: i64,
    /// Whether mails can be sent at all.
    mail_is_set: bool,
    /// The secret keys, newest first, and what still needs each. An older one that nothing needs can be removed.
    secret_keys: Vec<SecretKey>,
}

/// How much is due, and since when.
#[derive(Debug, Serialize, ToSchema)]
struct DueView {
    /// Of each stage, and of deliveries for each subscription, counted up to 10000.
    count: i64,
    /// Nothing when nothing is due.
    oldest_at: Option<DateTime<Utc>>,
}

impl From<Due> for DueView {
    fn from(Due { count, oldest_at }: Due) -> Self {
        Self { count, oldest_at }
    }
}

/// A secret key, by its id, and what still needs it.
#[derive(Debug, Serialize, ToSchema)]
struct SecretKey {
    /// Tells nothing of the key.
    id: String,
    place: Place,
    /// Whether anything below needs it.
    in_use: bool,
    /// Accounts with a secret that it sealed.
    accounts: i64,
    /// Subscriptions with a secret that it sealed.
    subscriptions: i64,
    /// Reports whose callback address it signed: they get a new one when no run is lost by it.
    reports: i64,
    /// Answers kept for the repeat of a request; gone after a day.
    answers: i64,
}

impl From<KeyUses> for SecretKey {
    fn from(KeyUses { id, place, uses }: KeyUses) -> Self {
        Self {
            id,
            place,
            in_use: uses.count() > 0,
            accounts: uses.accounts,
            subscriptions: uses.subscriptions,
            reports: uses.reports,
            answers: uses.answers,
        }
    }
}

/// Show how every stage stands
#[utoipa::path(get, path = "/status", tag = "status", responses((status = 200, body = Status)))]
async fn show(State(app): State<App>, _: MayRead) -> Result<Json<Status>, ApiError> {
    let mut conn = app.pool.acquire().await?;
    let now = app.clock.now();
    let lag = Lag::read(&mut conn, now).await?;
    let [.., (_, delivering)] = &lag.stages;
    Ok(Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        now,
        reports: report::store::count(&mut conn, MOST_COUNTED).await?.into_iter().collect(),
        executions: execution::store::count(&mut conn, MOST_COUNTED).await?.into_iter().collect(),
        deliveries: deliveries::count(&mut conn, MOST_COUNTED).await?.into_iter().collect(),
        oldest_due_delivery_at: delivering.oldest_at,
        unresolved_callbacks: lag.unresolved.into(),
        due: lag.stages.into_iter().map(|(stage, due)| (stage, due.into())).collect(),
        database_clock_ahead_ms: db::clock_difference(&mut conn, &app.clock).await?,
        mail_is_set: app.channels.mail_is_set(),
        secret_keys: rotation::keys(&mut conn, &app.keyring).await?.into_iter().map(SecretKey::from).collect(),
    }))
}
