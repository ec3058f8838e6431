//! Where a person confirms a device code: a form for browsers, a call for programs.

use axum::extract::{Path, Query, State};
use axum::response::{Redirect, Response};
use minijinja::context;
use serde_json::json;

use super::given::Given;
use crate::sandbox::handle::Handle;
use crate::sandbox::sign_in;

/// What the address carries: a code to begin with, or how the last one ended.
#[derive(serde::Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    user_code: String,
    #[serde(default)]
    outcome: String,
}

#[derive(serde::Deserialize)]
pub(super) struct Typed {
    user_code: String,
    #[serde(default)]
    user: String,
    /// Any other answer than `approve` declines.
    answer: String,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    approve: bool,
    /// Who signs in; the application's first user when left out.
    user: Option<String>,
}

pub(super) async fn page(State(handle): State<Handle>, Query(asked): Query<Asked>) -> Response {
    let now = handle.now();
    let waiting: Vec<String> = handle.with(|world| {
        let waiting = world.sign_ins.devices.iter().filter(|device| device.waits(now));
        waiting.map(|device| device.user_code.clone()).collect()
    });
    let users: Vec<String> = handle.accounts().iter().map(|account| account.username.clone()).collect();
    super::shown("device.html", context! { user_code => asked.user_code, outcome => asked.outcome, waiting, users })
}

pub(super) async fn submit(State(handle): State<Handle>, Given { value: typed, .. }: Given<Typed>) -> Redirect {
    let approve = typed.answer == "approve";
    let user = Some(typed.user.as_str()).filter(|user| !user.is_empty());
    let outcome = match (sign_in::confirm(&handle, &typed.user_code, approve, user), approve) {
        (true, true) => "approved",
        (true, false) => "declined",
        (false, _) => "unknown",
    };
    Redirect::to(&format!("/sandbox/device?outcome={outcome}"))
}

pub(super) async fn confirm(
    State(handle): State<Handle>,
    Path(user_code): Path<String>,
    Given { value: answer, asker }: Given<Answer>,
) -> Response {
    if sign_in::confirm(&handle, &user_code, answer.approve, answer.user.as_deref()) {
        return asker.done(json!({"user_code": user_code, "approved": answer.approve}));
    }
    asker.missing("no such code waits, or this user can't confirm it")
}
