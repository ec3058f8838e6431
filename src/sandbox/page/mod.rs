//! The page: what exists in the sandbox, what it did, and what it caught, about as the receiver would see it.
//!
//! Everything shown came from somewhere else and is escaped. No script runs: the policy of the page forbids it, and a
//! mail's own HTML sits in a frame of its own. A message that can't be laid out is shown as it came.

mod control;
mod device;
mod given;
mod text;

use std::sync::LazyLock;

use axum::Router;
use axum::extract::{DefaultBodyLimit, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Json, Response};
use axum::routing::{get, post};
use minijinja::value::{Serde, Value as Shown};
use minijinja::{Environment, UndefinedBehavior, context};
use serde_json::{Value, json};

use super::clockwork;
use super::fault::Fault;
use super::handle::Handle;
use super::world::{Caught, CaughtKind, Posted, stamp};

const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'";
const MAX_BODY: usize = 4 * 1024;

/// The page and its data: the demo shows them beside its own.
pub fn router(handle: Handle) -> Router {
    Router::new()
        .route("/sandbox", get(page))
        .route("/sandbox/api/state", get(state))
        .route("/sandbox/control", get(controls))
        .route("/sandbox/device", get(device::page).post(device::submit))
        .route("/sandbox/api/device/{user_code}", post(device::confirm))
        .merge(control::router())
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(handle)
}

/// `?still` leaves out the refreshing, for reading at leisure.
async fn page(State(handle): State<Handle>, RawQuery(query): RawQuery) -> Response {
    let caught: Vec<Shown> = handle.caught().iter().rev().map(card).collect();
    let page = context! { state => Serde(snapshot(&handle)), caught, still => query.as_deref() == Some("still") };
    shown("page.html", page)
}

/// A whole page under its policy.
fn shown(template: &str, values: Shown) -> Response {
    match render(template, values) {
        Ok(html) => ([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "the sandbox's page can't be shown");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn state(State(handle): State<Handle>) -> Json<Value> {
    Json(snapshot(&handle))
}

/// Where the switches are; it does not refresh, so that a form can be filled in.
async fn controls(State(handle): State<Handle>) -> Response {
    let faults: Vec<Shown> =
        Fault::ALL.iter().map(|fault| context! { name => fault.name(), about => fault.about() }).collect();
    shown("control.html", context! { state => Serde(snapshot(&handle)), faults })
}

fn snapshot(handle: &Handle) -> Value {
    let (pace, now) = (handle.pace(), handle.now());
    let accounts: Vec<Value> = handle
        .accounts()
        .iter()
        .map(|account| json!({"tenant": account.tenant, "client_id": account.client_id, "username": account.username}))
        .collect();
    handle.with(|world| {
        let reports = world.reports.iter().rev().map(|report| {
            let mut view = json!(report);
            view["due_at"] = json!(clockwork::due_at(report, pace).map(stamp));
            view
        });
        json!({
            "url": handle.url(),
            "now": stamp(now),
            "accounts": accounts,
            "speed": handle.settings().speed,
            "rows": world.next_files.rows,
            "columns": world.next_files.columns,
            "faults": world.faults,
            "rates": world.faults.rates(),
            "mfa_demanded": world.sign_ins.mfa_demanded,
            "devices": world.sign_ins.devices.iter().filter(|device| device.waits(now)).map(|device| &device.user_code).collect::<Vec<_>>(),
            "counts": world.counts,
            "queries": world.queries.iter().filter(|query| query.account.is_some()).collect::<Vec<_>>(),
            "reports": reports.collect::<Vec<_>>(),
            "callbacks": world.callbacks.iter().rev().collect::<Vec<_>>(),
            "caught": world.caught.iter().rev().collect::<Vec<_>>(),
        })
    })
}

/// One caught message, laid out by the template of its kind.
fn card(caught: &Caught) -> Shown {
    let (kind, at) = (&caught.what, stamp(caught.at));
    let (name, content) = match kind {
        CaughtKind::Mail(mail) => ("mail", json!(mail)),
        CaughtKind::Slack(posted) => ("slack", body(posted)),
        CaughtKind::Teams(posted) => ("teams", body(posted)),
        CaughtKind::Webhook(posted) => {
            ("webhook", json!({"headers": posted.headers, "body": pretty(&body(posted), &posted.body)}))
        }
    };
    let path = match kind {
        CaughtKind::Mail(mail) => mail.envelope_to.join(", "),
        CaughtKind::Slack(posted) | CaughtKind::Teams(posted) | CaughtKind::Webhook(posted) => posted.path.clone(),
    };
    let html = render(&format!("{name}.html"), context! { message => Serde(&content) })
        .or_else(|_| render("raw.html", context! { raw => pretty(&content, "") }))
        .unwrap_or_default();
    context! { id => &caught.id, kind => name, at, path, html => Shown::from_safe_string(html) }
}

fn body(posted: &Posted) -> Value {
    serde_json::from_str(&posted.body).unwrap_or(Value::Null)
}

fn pretty(json: &Value, otherwise: &str) -> String {
    let shown = if json.is_null() { None } else { serde_json::to_string_pretty(json).ok() };
    shown.unwrap_or_else(|| otherwise.to_owned())
}

fn render(name: &str, values: Shown) -> Result<String, minijinja::Error> {
    TEMPLATES.get_template(name)?.render(values)
}

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut templates = Environment::new();
    templates.set_undefined_behavior(UndefinedBehavior::Chainable);
    for (name, source) in [
        ("page.html", include_str!("templates/page.html")),
        ("control.html", include_str!("templates/control.html")),
        ("refused.html", include_str!("templates/refused.html")),
        ("device.html", include_str!("templates/device.html")),
        ("style.css", include_str!("templates/style.css")),
        ("mail.html", include_str!("templates/mail.html")),
        ("slack.html", include_str!("templates/slack.html")),
        ("teams.html", include_str!("templates/teams.html")),
        ("card_elements.html", include_str!("templates/card_elements.html")),
        ("webhook.html", include_str!("templates/webhook.html")),
        ("raw.html", include_str!("templates/raw.html")),
    ] {
        templates.add_template(name, source).expect("the embedded templates can be read; a test renders each");
    }
    templates.add_filter("markdown", |text: String| Shown::from_safe_string(text::markdown(&text)));
    templates.add_filter("slack_text", slack_text);
    templates.add_filter("address", |text: String| text::address(&text).to_owned());
    templates
});

/// A text object of Slack's: its kind decides whether marks are shown as marks.
fn slack_text(text: &Shown) -> Result<Shown, minijinja::Error> {
    let content = text.get_attr("text")?;
    let content = content.as_str().unwrap_or_default();
    let is_plain = text.get_attr("type")?.as_str() == Some("plain_text");
    Ok(Shown::from_safe_string(if is_plain { text::plain(content) } else { text::mrkdwn(content) }))
}
