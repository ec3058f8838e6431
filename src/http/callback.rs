//! The callback door: checks the address, records, and answers after the commit. It calls nobody.
//!
//! The API calls `POST {address}/{reportId}` or `GET {address}?reportId={reportId}`, unsigned. Any path behind the token
//! and any body is taken. What is not genuine is answered 404 without touching the database. The token is neither logged nor
//! recorded, not even where a caller repeats it.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use crate::app::App;
use crate::callback::{Call, MOST_BODY, escaped};

const PREFIX: &str = "/callbacks/";
/// Stands where the token stood in what a caller sent.
const HIDDEN: &str = "[token]";
/// A caller that sends its body more slowly than this is taken at its word so far.
const BODY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// Takes whatever comes below `/callbacks/`.
pub(super) async fn take(State(app): State<App>, request: Request) -> Response {
    let path = request.uri().path();
    let behind = path.strip_prefix(PREFIX).unwrap_or_default();
    let (token, rest) = behind.split_once('/').map_or((behind, ""), |(token, rest)| (token, rest));
    let Some(report_id) = app.door.report_of(token) else {
        metrics::counter!("tidings_callbacks_total", "verdict" => "forged").increment(1);
        return StatusCode::NOT_FOUND.into_response();
    };
    match *request.method() {
        Method::GET | Method::POST => {}
        Method::HEAD => return StatusCode::OK.into_response(),
        Method::OPTIONS => return (StatusCode::NO_CONTENT, [("allow", "GET, POST, HEAD, OPTIONS")]).into_response(),
        _ => return (StatusCode::METHOD_NOT_ALLOWED, [("allow", "GET, POST, HEAD, OPTIONS")]).into_response(),
    }
    let call = Call {
        report_id,
        method: request.method().to_string(),
        path: if rest.is_empty() { String::new() } else { hidden(&format!("/{rest}"), token) },
        query: request.uri().query().map(|query| hidden(query, token)),
        headers: headers(request.headers(), token),
        remote_address: request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_string()),
        body: Bytes::new(),
        body_cut: false,
    };
    let began = tokio::time::Instant::now();
    let token = token.to_owned();
    // Reading and recording go on in a task of their own: a caller that hangs up has still called.
    let recorded = tokio::spawn(async move {
        let (body, body_cut) = read(request.into_body()).await;
        let body = without(body, &token);
        app.door.record(Call { body, body_cut, ..call }).await
    });
    let answer = match recorded.await {
        Ok(Ok(_)) => StatusCode::OK.into_response(),
        Ok(Err(_)) | Err(_) => (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "1")]).into_response(),
    };
    let verdict = if answer.status().is_success() { "recorded" } else { "not_recorded" };
    metrics::counter!("tidings_callbacks_total", "verdict" => verdict).increment(1);
    metrics::histogram!("tidings_callback_seconds").record(began.elapsed().as_secs_f64());
    answer
}

/// At most 64 KiB; the second value tells whether there was more, or the rest never came.
async fn read(body: Body) -> (Bytes, bool) {
    let mut stream = body.into_data_stream();
    let mut taken = BytesMut::new();
    let whole = async {
        while let Some(chunk) = stream.next().await {
            let Ok(chunk) = chunk else { return false };
            let room = MOST_BODY - taken.len();
            if chunk.len() > room {
                taken.extend_from_slice(&chunk[..room]);
                return false;
            }
            taken.extend_from_slice(&chunk);
        }
        true
    };
    let whole = tokio::time::timeout(BODY_TIMEOUT, whole).await.unwrap_or(false);
    (taken.freeze(), !whole)
}

fn headers(headers: &HeaderMap, token: &str) -> Vec<(String, String)> {
    let shown = |value: &[u8]| hidden(&escaped(value).0, token);
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), shown(value.as_bytes()))).collect()
}

/// Proxies add headers with the address that was called, and a body may repeat it.
fn hidden(text: &str, token: &str) -> String {
    text.replace(token, HIDDEN)
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
