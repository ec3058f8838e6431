//! The callback door: checks the address, records, and answers after the commit. It calls nobody.
//!
//! The API calls `POST {address}/{reportId}` or `GET {address}?reportId={reportId}`, unsigned. Any path behind the token
//! and any body is taken. What is not genuine is answered 404 without touching the database. The token is neither logged nor
//! recorded, not even where a caller repeats it.

use std::borrow::Cow;
use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt, StreamExt};
use serde_json::value::{RawValue, to_raw_value};

use super::source;
use crate::app::App;
use crate::callback::{Call, MOST_BODY, escaped};
use crate::db::batch::NotWritten;
use crate::id::CallbackId;

const PREFIX: &str = "/callbacks/";
/// Stands where the token stood in what a caller sent.
const HIDDEN: &str = "[token]";
/// So much of a body is read at most, be it kept or not.
const MOST_READ: usize = 16 * MOST_BODY;
/// A caller that sends its body more slowly than this is taken at its word so far.
const BODY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// Takes whatever comes below `/callbacks/`.
pub(super) async fn take(State(app): State<App>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let behind = head.uri.path().strip_prefix(PREFIX).unwrap_or_default();
    let (token, rest) = behind.split_once('/').map_or((behind, ""), |(token, rest)| (token, rest));
    let Some(report_id) = app.door.report_of(token) else {
        metrics::counter!("tidings_callbacks_total", "verdict" => "forged").increment(1);
        return StatusCode::NOT_FOUND.into_response();
    };
    match head.method {
        Method::GET | Method::POST => {}
        Method::HEAD => return StatusCode::OK.into_response(),
        Method::OPTIONS => return (StatusCode::NO_CONTENT, [("allow", "GET, POST, HEAD, OPTIONS")]).into_response(),
        _ => return (StatusCode::METHOD_NOT_ALLOWED, [("allow", "GET, POST, HEAD, OPTIONS")]).into_response(),
    }
    let began = tokio::time::Instant::now();
    let (verdict, answer) = if app.door.takes(report_id) {
        let call = Call {
            report_id,
            method: head.method.to_string(),
            path: if rest.is_empty() { String::new() } else { hidden(&format!("/{rest}"), token).into_owned() },
            query: head.uri.query().map(|query| hidden(query, token).into_owned()),
            headers: headers(&head.headers, token),
            remote_address: source(&app, &head),
            body: Bytes::new(),
            body_cut: false,
        };
        recorded(app, call, body, token.to_owned()).await
    } else {
        ("over_the_limit", StatusCode::TOO_MANY_REQUESTS)
    };
    metrics::counter!("tidings_callbacks_total", "verdict" => verdict).increment(1);
    metrics::histogram!("tidings_callback_seconds").record(began.elapsed().as_secs_f64());
    if answer.is_success() { answer.into_response() } else { (answer, [("retry-after", "1")]).into_response() }
}

/// A caller that hangs up has still called: what was handed to the door is written, and a body that is still on its way is
/// read in a task of its own.
async fn recorded(app: App, call: Call, body: Body, token: String) -> (&'static str, StatusCode) {
    let mut reading = Box::pin(read(body));
    let outcome = match (&mut reading).now_or_never() {
        Some(came) => record(&app, call, came, &token).await,
        None => {
            let recording = tokio::spawn(async move { record(&app, call, reading.await, &token).await });
            recording.await.unwrap_or(Err(NotWritten::Failed))
        }
    };
    match outcome {
        Ok(_) => ("recorded", StatusCode::OK),
        Err(NotWritten::Full) => ("shed", StatusCode::SERVICE_UNAVAILABLE),
        Err(NotWritten::Failed) => ("not_recorded", StatusCode::SERVICE_UNAVAILABLE),
    }
}

/// Hands a call to the door before it waits for the first time.
async fn record(app: &App, call: Call, (body, body_cut): (Bytes, bool), token: &str) -> Result<CallbackId, NotWritten> {
    let body = without(body, token);
    app.door.record(Call { body, body_cut, ..call }).await
}

fn source(app: &App, head: &Parts) -> Option<String> {
    let peer = head.extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip();
    Some(source::of(peer, &head.headers, &app.trusted_proxies).to_string())
}

/// At most 64 KiB; the second value tells whether there was more, or the rest never came. A little more is read and dropped,
/// so that the connection can be used again; one with a huge body is closed behind the answer.
async fn read(body: Body) -> (Bytes, bool) {
    let mut stream = body.into_data_stream();
    let (mut taken, mut came) = (Bytes::new(), 0);
    let whole = async {
        while let Some(chunk) = stream.next().await {
            let Ok(mut chunk) = chunk else { return false };
            came += chunk.len();
            chunk.truncate(MOST_BODY - taken.len());
            taken = joined(std::mem::take(&mut taken), chunk);
            if came > MOST_READ {
                return false;
            }
        }
        came <= MOST_BODY
    };
    let whole = tokio::time::timeout(BODY_TIMEOUT, whole).await.unwrap_or(false);
    (taken, !whole)
}

/// Nearly every body comes in one chunk and is not copied.
fn joined(before: Bytes, chunk: Bytes) -> Bytes {
    if before.is_empty() {
        return chunk;
    }
    let mut all = BytesMut::from(before);
    all.extend_from_slice(&chunk);
    all.freeze()
}

fn headers(headers: &HeaderMap, token: &str) -> Box<RawValue> {
    let all: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), shown(value, token))).collect();
    to_raw_value(&all).expect("texts can be written as JSON")
}

fn shown<'a>(value: &'a HeaderValue, token: &str) -> Cow<'a, str> {
    match escaped(value.as_bytes()).0 {
        Cow::Borrowed(text) => hidden(text, token),
        Cow::Owned(text) => hidden(&text, token).into_owned().into(),
    }
}

/// Proxies add headers with the address that was called, and a body may repeat it.
fn hidden<'a>(text: &'a str, token: &str) -> Cow<'a, str> {
    if text.len() < token.len() || !text.contains(token) {
        return text.into();
    }
    text.replace(token, HIDDEN).into()
}

fn without(body: Bytes, token: &str) -> Bytes {
    let mut rest = &body[..];
    let mut shown = BytesMut::new();
    while let Some(at) = rest.windows(token.len()).position(|window| window == token.as_bytes()) {
        shown.extend_from_slice(&rest[..at]);
        shown.extend_from_slice(HIDDEN.as_bytes());
        rest = &rest[at + token.len()..];
    }
    if shown.is_empty() {
        return body;
    }
    shown.extend_from_slice(rest);
    shown.freeze()
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_trickles_is_taken_as_far_as_it_came_in_time() {
        let trickle = stream::repeat(()).then(|()| async {
            tokio::time::sleep(std::time::Duration::from_millis(900)).await;
            Ok::<_, std::io::Error>("x")
        });

        let (taken, is_cut) = read(Body::from_stream(trickle)).await;

        assert_eq!((&taken[..], is_cut), (&b"xxxxxxxxxxx"[..], true));
    }

    #[tokio::test]
    async fn an_endless_body_is_not_read_for_ever() {
        let endless = stream::repeat(()).map(|()| Ok::<_, std::io::Error>(vec![0; 1024]));

        let (taken, is_cut) = read(Body::from_stream(endless)).await;

        assert_eq!((taken.len(), is_cut), (MOST_BODY, true));
    }
}
