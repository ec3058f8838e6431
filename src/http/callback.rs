//! The callback door: checks the address, records, and answers after the commit. It calls nobody.
//!
//! The API calls `POST {address}/{reportId}` or `GET {address}?reportId={reportId}`, unsigned. Any path behind the token
//! and any body is taken. What is not genuine is answered 404 without touching the database. The token is neither logged nor
//! recorded, not even where a caller repeats it.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use axum::body::{Body, BodyDataStream};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt, StreamExt};
use tokio::time::Instant;

use super::source;
use crate::app::App;
use crate::callback::{Call, MOST_BODY, escaped, numbers};
use crate::db::batch::NotWritten;
use crate::id::ReportId;

const PREFIX: &str = "/callbacks/";
/// Stands where the token stood in what a caller sent.
const HIDDEN: &str = "[token]";
/// So much of a body is read at most, be it kept or not.
const MOST_READ: usize = 16 * MOST_BODY;
/// A caller that sends its body more slowly than this is taken at its word so far.
const BODY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

type Outcome = Result<(), NotWritten>;

/// Takes whatever comes below `/callbacks/`. All that can be done at once is done before anything is awaited, so that of a
/// crowd that waits for one commit each holds little.
pub(super) fn take(State(app): State<App>, request: Request) -> impl Future<Output = Response> + Send {
    let began = Instant::now();
    let taken = taken(&app, request, began);
    async move {
        let outcome = match taken {
            Ok(recording) => recording.await,
            Err(status) => return answer(status),
        };
        app.door.numbers.took(began.elapsed());
        match outcome {
            Ok(()) => app.door.numbers.recorded(),
            Err(NotWritten::Full) => count("shed"),
            Err(NotWritten::Failed) => count("not_recorded"),
        }
        answer(outcome.map_or(StatusCode::SERVICE_UNAVAILABLE, |()| StatusCode::OK))
    }
}

/// Checks a call and has it recorded; where it is not, tells what to answer. A caller that hangs up has still called: what was
/// handed to the door is written, and a body that is still on its way is read in a task of its own.
fn taken(app: &App, request: Request, began: Instant) -> Result<impl Future<Output = Outcome> + use<>, StatusCode> {
    let (head, body) = request.into_parts();
    let Some(report_id) = app.door.report_of(behind(&head).0) else {
        count("forged");
        return Err(StatusCode::NOT_FOUND);
    };
    match head.method {
        Method::GET | Method::POST => {}
        Method::HEAD => return Err(StatusCode::OK),
        Method::OPTIONS => return Err(StatusCode::NO_CONTENT),
        _ => return Err(StatusCode::METHOD_NOT_ALLOWED),
    }
    if !app.door.takes(report_id, began) {
        count("over_the_limit");
        return Err(StatusCode::TOO_MANY_REQUESTS);
    }
    let mut body = Arriving::new(body);
    // Nearly always all of it is here with the head.
    let read = body.read().now_or_never();
    Ok(match read {
        Some(whole) => record(app, report_id, &head, body.taken, !whole).left_future(),
        None => {
            let app = app.clone();
            let recording = async move {
                let whole = body.read_in_time().await;
                record(&app, report_id, &head, body.taken, !whole).await
            };
            tokio::spawn(recording).map(|ended| ended.unwrap_or(Err(NotWritten::Failed))).right_future()
        }
    })
}

/// The token of the address that was called, and the path behind it.
fn behind(head: &Parts) -> (&str, &str) {
    let behind = head.uri.path().strip_prefix(PREFIX).unwrap_or_default();
    behind.split_at(behind.find('/').unwrap_or(behind.len()))
}

/// Hands a call to the door before it waits for the first time.
fn record(
    app: &App,
    report_id: ReportId,
    head: &Parts,
    body: Bytes,
    body_cut: bool,
) -> impl Future<Output = Outcome> + use<> {
    let (token, path) = behind(head);
    let call = Call {
        report_id,
        method: head.method.as_str(),
        path: if path == "/" { "".into() } else { hidden(path, token) },
        query: head.uri.query().map(|query| hidden(query, token)),
        headers: head.headers.iter().map(|(name, value)| (name.as_str(), shown(value, token))).collect(),
        remote_address: source(app, head),
        body: without(body, token),
        body_cut,
    };
    app.door.record(&call)
}

fn source(app: &App, head: &Parts) -> Option<IpAddr> {
    let peer = head.extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip();
    Some(source::of(peer, &head.headers, &app.trusted_proxies))
}

fn answer(status: StatusCode) -> Response {
    match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            (status, [("retry-after", "1")]).into_response()
        }
        StatusCode::NO_CONTENT | StatusCode::METHOD_NOT_ALLOWED => {
            (status, [("allow", "GET, POST, HEAD, OPTIONS")]).into_response()
        }
        _ => status.into_response(),
    }
}

fn count(verdict: &'static str) {
    numbers::of(verdict).increment(1);
}

/// A body on its way. A little more than is kept is read and dropped, so that the connection can be used again; one with a huge
/// body is closed behind the answer.
struct Arriving {
    stream: BodyDataStream,
    /// At most 64 KiB.
    taken: Bytes,
    came: usize,
}

impl Arriving {
    fn new(body: Body) -> Self {
        Self { stream: body.into_data_stream(), taken: Bytes::new(), came: 0 }
    }

    /// Reads on until the end; tells whether all of it was taken. Who stops waiting can read on later.
    async fn read(&mut self) -> bool {
        while let Some(chunk) = self.stream.next().await {
            let Ok(mut chunk) = chunk else { return false };
            self.came += chunk.len();
            chunk.truncate(MOST_BODY - self.taken.len());
            self.taken = joined(std::mem::take(&mut self.taken), chunk);
            if self.came > MOST_READ {
                return false;
            }
        }
        self.came <= MOST_BODY
    }

    /// Reads on, as far as it comes in time.
    async fn read_in_time(&mut self) -> bool {
        tokio::time::timeout(BODY_TIMEOUT, self.read()).await.unwrap_or(false)
    }
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

        let mut body = Arriving::new(Body::from_stream(trickle));
        let whole = body.read_in_time().await;

        assert_eq!((&body.taken[..], whole), (&b"xxxxxxxxxxx"[..], false));
    }

    #[tokio::test]
    async fn an_endless_body_is_not_read_for_ever() {
        let endless = stream::repeat(()).map(|()| Ok::<_, std::io::Error>(vec![0; 1024]));

        let mut body = Arriving::new(Body::from_stream(endless));
        let whole = body.read_in_time().await;

        assert_eq!((body.taken.len(), whole), (MOST_BODY, false));
    }
}
