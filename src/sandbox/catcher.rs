//! What is sent to people and systems ends here: mails, and posts to addresses that stand for Slack, Teams and webhooks.
//!
//! Each address answers as its original does to a message that it takes. What is no JSON is refused where the original
//! refuses it, and is not kept.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use mail_parser::{Addr, Address, Message, MessageParser, MessagePart};
use serde_json::{Value, json};

use super::handle::Handle;
use super::world::{Caught, CaughtKind, Mail, Posted, new_id};

const MAX_BODY: usize = 1024 * 1024;

/// The addresses that stand for chats and webhooks.
pub(super) fn router(handle: Handle) -> Router {
    Router::new()
        .route("/catch/slack/{*path}", post(slack))
        .route("/catch/teams/{*path}", post(teams))
        .route("/catch/webhook/{*path}", post(webhook))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(handle)
}

/// Keeps a mail as a mail program would show it; what can't be read is kept as text.
pub(super) fn catch_mail(handle: &Handle, envelope_from: String, envelope_to: Vec<String>, bytes: &[u8]) {
    let mail = match MessageParser::default().parse(bytes) {
        Some(message) => Mail { envelope_from, envelope_to, ..shown(&message) },
        None => Mail {
            envelope_from,
            envelope_to,
            text: Some(String::from_utf8_lossy(bytes).into_owned()),
            ..Mail::default()
        },
    };
    keep(handle, CaughtKind::Mail(mail));
}

fn shown(message: &Message) -> Mail {
    let headers = message.headers_raw().map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    Mail {
        from: addresses(message.from()).join(", "),
        to: addresses(message.to()),
        subject: message.subject().unwrap_or_default().to_owned(),
        headers: headers.collect(),
        text: message.text_bodies().find(|part| part.is_text() && !part.is_text_html()).and_then(text),
        html: message.html_bodies().find(|part| part.is_text_html()).and_then(text),
        ..Mail::default()
    }
}

async fn slack(state: State<Handle>, path: Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    if serde_json::from_slice::<Value>(&body).is_err() {
        return (StatusCode::BAD_REQUEST, "invalid_payload").into_response();
    }
    keep(&state, CaughtKind::Slack(posted(path, &headers, &body)));
    "ok".into_response()
}

async fn teams(state: State<Handle>, path: Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    if serde_json::from_slice::<Value>(&body).is_err() {
        let error =
            json!({"error": {"code": "InvalidRequestContent", "message": "The request content is not valid JSON."}});
        return (StatusCode::BAD_REQUEST, axum::Json(error)).into_response();
    }
    keep(&state, CaughtKind::Teams(posted(path, &headers, &body)));
    StatusCode::ACCEPTED.into_response()
}

async fn webhook(state: State<Handle>, path: Path<String>, headers: HeaderMap, body: Bytes) -> StatusCode {
    keep(&state, CaughtKind::Webhook(posted(path, &headers, &body)));
    StatusCode::OK
}

fn posted(Path(path): Path<String>, headers: &HeaderMap, body: &[u8]) -> Posted {
    let headers = headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    Posted { path, headers, body: String::from_utf8_lossy(body).into_owned() }
}

fn keep(handle: &Handle, what: CaughtKind) {
    let caught = Caught { id: new_id(), at: handle.now(), what };
    handle.with(|world| world.add_caught(caught));
}

fn addresses(of: Option<&Address>) -> Vec<String> {
    let shown = |address: &Addr| match (address.name(), address.address()) {
        (Some(name), Some(address)) => format!("{name} <{address}>"),
        (_, address) => address.unwrap_or_default().to_owned(),
    };
    of.into_iter().flat_map(Address::iter).map(shown).collect()
}

fn text(part: &MessagePart) -> Option<String> {
    part.text_contents().map(str::to_owned)
}
