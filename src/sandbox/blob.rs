//! The blob store: files behind links that are signed and run out.
//!
//! A link is refused with 403 and XML when it is past its end or was changed. The bytes are gzip with `Content-Encoding`
//! whatever the client accepts. A file of usual size is made whole and knows its length, an entity tag and ranges; a very
//! large one is made while it is sent, with constant memory, and knows none of these.

use std::io::{self, Write};
use std::ops::Range;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{OriginalUri, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, NaiveDateTime, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use tokio::sync::mpsc;

use super::fault::Fault;
use super::handle::Handle;
use super::rows::Table;
use super::settings::Encoding;
use super::world::{Execution, Format, stamp};
use crate::secret::{Secret, digest};

/// Beyond this a file is not made whole.
const MOST_ROWS_AT_ONCE: u64 = 100_000;
/// Those that are met by a link that is good.
const FAULTS: &[Fault] = &[Fault::DownloadCut, Fault::DownloadRefused, Fault::BlobMissing, Fault::BlobBusy];
const PIECE: usize = 64 * 1024;
const PIECES_AHEAD: usize = 8;
const SIGNATURE: &str = "sandbox secure link";

#[derive(serde::Deserialize)]
struct Signed {
    #[serde(default)]
    se: String,
    #[serde(default)]
    sig: String,
}

/// The files.
pub(super) fn router(handle: Handle) -> Router {
    Router::new().route("/blob/{container}/{name}", get(file)).with_state(handle)
}

/// A link to the file of an execution, good until this time.
pub(super) fn secure_link(handle: &Handle, execution: &Execution, until: DateTime<Utc>) -> String {
    let mut url = handle.url().clone();
    url.set_path(&format!("/blob/insights-reports/{}.{}", execution.id, execution.file.format.name()));
    let se = stamp(until);
    let sig = signature(handle, url.path(), &se);
    url.query_pairs_mut()
        .append_pair("sv", "2023-11-03")
        .append_pair("se", &se)
        .append_pair("sr", "b")
        .append_pair("sp", "r")
        .append_pair("sig", &sig);
    url.into()
}

async fn file(
    State(handle): State<Handle>,
    OriginalUri(uri): OriginalUri,
    Path((_, name)): Path<(String, String)>,
    Query(signed): Query<Signed>,
    headers: HeaderMap,
) -> Response {
    if !is_good(&handle, uri.path(), &signed) {
        return forbidden(&handle);
    }
    let id = name.split('.').next().unwrap_or_default();
    let (file, fault) = handle.with(|world| {
        world.counts.downloads += 1;
        let file = world.execution(id).map(|execution| execution.file.clone());
        (file, world.faults.first_of(FAULTS))
    });
    let file = match (fault, file) {
        (Some(Fault::DownloadRefused), _) => return forbidden(&handle),
        (Some(Fault::BlobBusy), _) => {
            return refusal(&handle, StatusCode::SERVICE_UNAVAILABLE, "ServerBusy", "The server is busy.");
        }
        (Some(Fault::BlobMissing), _) | (_, None) => {
            return refusal(&handle, StatusCode::NOT_FOUND, "BlobNotFound", "The specified blob does not exist.");
        }
        (_, Some(file)) => file,
    };
    let cut = fault == Some(Fault::DownloadCut);
    let settings = handle.settings();
    let table = Table::new(&file, settings.seed).with_marks(settings.byte_order_mark, settings.unix_lines);
    let plain = settings.encoding == Encoding::Plain;
    let mut response = if file.rows > MOST_ROWS_AT_ONCE {
        flowing(table, cut, plain)
    } else {
        whole(table, id, &headers, cut, plain).await
    };
    let content_type = if file.format == Format::Csv { "text/csv" } else { "text/tab-separated-values" };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    if settings.encoding == Encoding::Gzip {
        headers.insert(header::CONTENT_ENCODING, header::HeaderValue::from_static("gzip"));
    }
    response
}

/// Standard base64 as Azure's own signatures, whose plus and slash need care in an address.
fn signature(handle: &Handle, path: &str, se: &str) -> String {
    let generation = handle.link_generation();
    let signed = handle.keys().sign(SIGNATURE, format!("{path}\n{se}\n{generation}").as_bytes());
    STANDARD.encode(digest(&Secret::new(signed)))
}

fn is_good(handle: &Handle, path: &str, signed: &Signed) -> bool {
    let expected = Secret::new(signature(handle, path, &signed.se));
    let until = NaiveDateTime::parse_from_str(&signed.se, "%Y-%m-%dT%H:%M:%SZ");
    expected.matches(&Secret::new(&*signed.sig)) && until.is_ok_and(|until| handle.now() < until.and_utc())
}

fn forbidden(handle: &Handle) -> Response {
    let message = "Server failed to authenticate the request. Make sure the value of Authorization header is formed \
                   correctly including the signature.";
    refusal(handle, StatusCode::FORBIDDEN, "AuthenticationFailed", message)
}

fn refusal(handle: &Handle, status: StatusCode, code: &str, message: &str) -> Response {
    let (request, now) = (handle.with(|world| world.ids.next()), stamp(handle.now()));
    let body = format!(
        "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>{message}\nRequestId:{request}\n\
         Time:{now}</Message></Error>"
    );
    let headers = [(header::CONTENT_TYPE.as_str(), "application/xml"), ("x-ms-error-code", code)];
    (status, headers, body).into_response()
}

/// All the bytes at once, or the range that was asked for; or, cut, half of them.
async fn whole(table: Table, id: &str, headers: &HeaderMap, cut: bool, plain: bool) -> Response {
    let made = tokio::task::spawn_blocking(move || {
        if plain {
            let mut bytes = Vec::new();
            return table.write(&mut bytes).map(|()| bytes);
        }
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        table.write(&mut gzip).and_then(|()| gzip.finish())
    });
    let Ok(Ok(bytes)) = made.await else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let bytes = Bytes::from(bytes);
    let length = bytes.len();
    let asked = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let range = asked.and_then(|text| range(text, length));
    if asked.is_some() && range.is_none() {
        let unsatisfied = [(header::CONTENT_RANGE, format!("bytes */{length}"))];
        return (StatusCode::RANGE_NOT_SATISFIABLE, unsatisfied).into_response();
    }
    let sent = bytes.slice(range.clone().unwrap_or(0..length));
    let mut response = Response::builder()
        .header(header::CONTENT_LENGTH, sent.len())
        .header(header::ETAG, format!("\"0x{}\"", id.replace('-', "").to_ascii_uppercase()))
        .header(header::ACCEPT_RANGES, "bytes");
    if let Some(range) = range {
        let text = format!("bytes {}-{}/{length}", range.start, range.end - 1);
        response = response.status(StatusCode::PARTIAL_CONTENT).header(header::CONTENT_RANGE, text);
    }
    let body = if cut { half(&sent) } else { Body::from(sent) };
    response.body(body).unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// The range of one `bytes=from-` or `bytes=from-to`; other forms are not understood.
fn range(text: &str, length: usize) -> Option<Range<usize>> {
    let (from, to) = text.trim().strip_prefix("bytes=")?.split_once('-')?;
    let from: usize = from.parse().ok()?;
    let to = if to.is_empty() { length } else { to.parse::<usize>().ok()?.saturating_add(1).min(length) };
    (from < to).then_some(from..to)
}

/// Half of the bytes, and then the connection breaks.
fn half(bytes: &Bytes) -> Body {
    let half = bytes.slice(..bytes.len() / 2);
    let pieces = stream::unfold(Some(half), |half| async move {
        if let Some(half) = half {
            return Some((Ok(half), None));
        }
        // Without a pause the break would overtake the bytes.
        tokio::task::yield_now().await;
        Some((Err(io::Error::from(io::ErrorKind::ConnectionReset)), None))
    });
    Body::from_stream(pieces)
}

/// The bytes as they are made.
fn flowing(table: Table, cut: bool, plain: bool) -> Response {
    let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
    tokio::task::spawn_blocking(move || {
        let mut pieces = Pieces { sender, piece: Vec::with_capacity(PIECE), left: cut.then_some(1) };
        // An error means that nobody listens any more, or that the break was sent already.
        if plain {
            let _ = table.write(&mut pieces).and_then(|()| pieces.flush());
            return;
        }
        let mut gzip = GzEncoder::new(pieces, Compression::fast());
        let _ = table.write(&mut gzip).and_then(|()| gzip.finish()).and_then(|mut pieces| pieces.flush());
    });
    let pieces = stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) });
    Body::from_stream(pieces).into_response()
}

/// Collects bytes into pieces and hands them over, waiting while too many are ahead.
struct Pieces {
    sender: mpsc::Sender<io::Result<Bytes>>,
    piece: Vec<u8>,
    /// After so many pieces the connection breaks.
    left: Option<usize>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let broken = || io::Error::from(io::ErrorKind::ConnectionReset);
        if self.left == Some(0) {
            // Whoever has left needs no break.
            let _ = self.sender.blocking_send(Err(broken()));
            return Err(broken());
        }
        self.left = self.left.map(|left| left - 1);
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        self.sender.blocking_send(Ok(piece.into())).map_err(|_| broken())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_ends_where_the_bytes_end_and_an_empty_or_odd_one_is_none() {
        assert_eq!(range("bytes=2-", 10), Some(2..10));
        assert_eq!(range("bytes=2-4", 10), Some(2..5));
        assert_eq!(range("bytes=2-99", 10), Some(2..10));
        assert_eq!(range("bytes=10-", 10), None);
        assert_eq!(range("bytes=-5", 10), None);
        assert_eq!(range("lines=1-2", 10), None);
    }
}
