//! The bytes of a file: as they rest when the client takes gzip, decoded otherwise, with `Range` on the decoded bytes.
//!
//! Each answer holds a thread while it is read, so their number is bounded, and a client that takes nothing for a minute is
//! cut off: the length that was promised tells it so.

use std::fs::File as FsFile;
use std::io::{self, Read, Seek, SeekFrom};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};

use super::error::ApiError;
use crate::app::App;
use crate::download::{Encoding, File};

const CHUNK: usize = 64 * 1024;
const CHUNKS_AHEAD: usize = 4;
const LONGEST_WAIT: Duration = Duration::from_secs(60);
const MOST_STREAMS: usize = 64;

static PLACES: Semaphore = Semaphore::const_new(MOST_STREAMS);

/// Answers with the content of a file.
pub(super) async fn answer(app: &App, file: &File, name: &str, headers: &HeaderMap) -> Result<Response, ApiError> {
    let path = app.archive.path(&file.location);
    let opened = tokio::task::spawn_blocking(move || FsFile::open(path)).await.map_err(|_| ApiError::Internal)?;
    let opened = opened.map_err(|error| {
        tracing::error!(file = %file.id, %error, "a file is missing in the archive");
        ApiError::Gone("the file is no longer in the archive")
    })?;
    let size = u64::try_from(file.size_bytes).unwrap_or(0);
    let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok()).and_then(|text| parse(text, size));
    let as_it_rests = file.encoding == Encoding::Gzip && range.is_none() && takes_gzip(headers);
    let kind =
        if file.format == "tsv" { "text/tab-separated-values; charset=utf-8" } else { "text/csv; charset=utf-8" };
    let mut answer: Vec<(HeaderName, String)> = vec![
        (header::CONTENT_TYPE, kind.into()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.{}\"", file.format)),
        (header::ETAG, format!("\"{}{}\"", file.sha256, if as_it_rests { "-gzip" } else { "" })),
        (header::ACCEPT_RANGES, "bytes".into()),
        (header::VARY, "accept-encoding".into()),
        (header::CACHE_CONTROL, "private, no-store".into()),
    ];
    let (status, encoding, start, length) = match range {
        Some(Err(())) => {
            let whole = [(header::CONTENT_RANGE, format!("bytes */{size}"))];
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, whole).into_response());
        }
        Some(Ok((start, end))) => {
            answer.push((header::CONTENT_RANGE, format!("bytes {start}-{end}/{size}")));
            (StatusCode::PARTIAL_CONTENT, file.encoding, start, end - start + 1)
        }
        None if as_it_rests => {
            answer.push((header::CONTENT_ENCODING, "gzip".into()));
            (StatusCode::OK, Encoding::Identity, 0, u64::try_from(file.stored_bytes).unwrap_or(0))
        }
        None => (StatusCode::OK, file.encoding, 0, size),
    };
    answer.push((header::CONTENT_LENGTH, length.to_string()));
    let place = PLACES.try_acquire().map_err(|_| ApiError::Busy)?;
    let body = Body::from_stream(stream(opened, encoding, (start, length), place));
    let headers: HeaderMap = answer.into_iter().filter_map(|(name, value)| Some((name, value.parse().ok()?))).collect();
    Ok((status, headers, body).into_response())
}

/// What a person's folder of downloads shows.
pub(super) fn file_name(slug: &str, file: &File) -> String {
    format!("{slug}-{}", file.stored_at.format("%Y-%m-%d"))
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let text = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(',').map(str::trim).any(|one| one == "gzip" || (one.starts_with("gzip;") && !one.ends_with("q=0")))
}

/// One range of bytes, first and last; `Err` when it lies outside, `None` when it is none that we know.
fn parse(text: &str, size: u64) -> Option<Result<(u64, u64), ()>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last) = match (first.trim(), last.trim()) {
        ("", last) => {
            let count: u64 = last.parse().ok()?;
            (size.saturating_sub(count), size.checked_sub(1))
        }
        (first, "") => (first.parse().ok()?, size.checked_sub(1)),
        (first, last) => (first.parse().ok()?, Some(last.parse::<u64>().ok()?.min(size.saturating_sub(1)))),
    };
    Some(last.filter(|last| first <= *last && first < size).map(|last| (first, last)).ok_or(()))
}

fn stream(
    file: FsFile,
    encoding: Encoding,
    range: (u64, u64),
    place: SemaphorePermit<'static>,
) -> impl futures_util::Stream<Item = io::Result<Bytes>> {
    let (send, mut receive) = mpsc::channel(CHUNKS_AHEAD);
    tokio::task::spawn_blocking(move || {
        let _place = place;
        if let Err(error) = read(file, encoding, range, &send, LONGEST_WAIT) {
            let _ = send.try_send(Err(error));
        }
    });
    futures_util::stream::poll_fn(move |context| receive.poll_recv(context))
}

fn read(
    mut file: FsFile,
    encoding: Encoding,
    (start, length): (u64, u64),
    send: &mpsc::Sender<io::Result<Bytes>>,
    longest_wait: Duration,
) -> io::Result<()> {
    let mut reader: Box<dyn Read> = match encoding {
        Encoding::Identity => {
            file.seek(SeekFrom::Start(start))?;
            Box::new(file)
        }
        Encoding::Gzip => {
            let mut decoder = MultiGzDecoder::new(io::BufReader::new(file));
            io::copy(&mut decoder.by_ref().take(start), &mut io::sink())?;
            Box::new(decoder)
        }
    };
    let mut left = length;
    while left > 0 {
        let mut chunk = vec![0; CHUNK.min(usize::try_from(left).unwrap_or(CHUNK))];
        let count = reader.read(&mut chunk)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        chunk.truncate(count);
        left -= count as u64;
        // The client has gone, or takes nothing.
        if Handle::current().block_on(send.send_timeout(Ok(chunk.into()), longest_wait)).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_that_takes_nothing_holds_no_thread() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(10 * CHUNK as u64).unwrap();
        let (send, mut taken) = mpsc::channel(1);

        let reading = tokio::task::spawn_blocking(move || {
            read(file, Encoding::Identity, (0, 10 * CHUNK as u64), &send, Duration::from_millis(20))
        });
        let ended = tokio::time::timeout(Duration::from_secs(5), reading).await;

        assert!(ended.expect("still reading").unwrap().is_ok());
        assert!(taken.recv().await.is_some() && taken.recv().await.is_none());
    }

    #[test]
    fn a_range_is_read_as_rfc_9110_says() {
        assert_eq!(parse("bytes=0-9", 100), Some(Ok((0, 9))));
        assert_eq!(parse("bytes=90-", 100), Some(Ok((90, 99))));
        assert_eq!(parse("bytes=-10", 100), Some(Ok((90, 99))));
        assert_eq!(parse("bytes=90-900", 100), Some(Ok((90, 99))));
        assert_eq!(parse("bytes=100-", 100), Some(Err(())));
        assert_eq!(parse("bytes=-1", 0), Some(Err(())));
        assert_eq!(parse("lines=1-2", 100), None);
        assert_eq!(parse("bytes=0-1,3-4", 100), None);
    }
}
