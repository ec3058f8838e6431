//! Addresses as clients write them: with doubled slashes, one at the end, names in any case.
//!
//! Real fronts take all of these. They are put straight before the routes are looked at; whatever may be an id keeps its case.

use axum::extract::Request;
use axum::http::Uri;
use axum::http::uri::PathAndQuery;

const API_NAMES: &[&str] = &[
    "insights",
    "v1",
    "v1.1",
    "mpn",
    "cmp",
    "ScheduledDataset",
    "ScheduledQueries",
    "testQueryResult",
    "ScheduledReport",
    "pause",
    "resume",
    "execution",
];
const SIGN_IN_NAMES: &[&str] = &["oauth2", "v2.0", "token", "devicecode"];

/// The request at the address that is meant; one that is neither the API's nor the sign-in's stays as it is.
pub(super) fn straightened(mut request: Request) -> Request {
    if let Some(uri) = straight(request.uri().path()).and_then(|path| with_path(request.uri(), &path)) {
        *request.uri_mut() = uri;
    }
    request
}

fn straight(path: &str) -> Option<String> {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let is = |segment: &str, name: &str| segment.eq_ignore_ascii_case(name);
    let (begin, rest, names) = match segments.as_slice() {
        [first, ..] if is(first, "insights") => ("", &segments[..], API_NAMES),
        // As clients of early 2021 ask.
        [first, second, ..] if is(first, "analytics") && is(second, "cmp") => {
            ("/insights/v1", &segments[1..], API_NAMES)
        }
        [_, second, ..] if is(second, "oauth2") => ("", &segments[..], SIGN_IN_NAMES),
        _ => return None,
    };
    let mut path = begin.to_owned();
    for segment in rest {
        path.push('/');
        path.push_str(names.iter().find(|name| is(segment, name)).unwrap_or(segment));
    }
    Some(path)
}

fn with_path(uri: &Uri, path: &str) -> Option<Uri> {
    let path_and_query = uri.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(path_and_query).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_and_the_case_of_names_do_not_matter_and_ids_are_left_alone() {
        for (asked, meant) in [
            ("/insights/v1/mpn/ScheduledDataset/", Some("/insights/v1/mpn/ScheduledDataset")),
            ("/Insights/V1.1/CMP//scheduledreport/PAUSE/AbC", Some("/insights/v1.1/cmp/ScheduledReport/pause/AbC")),
            ("/analytics/cmp/ScheduledReport", Some("/insights/v1/cmp/ScheduledReport")),
            ("/Contoso/OAuth2/V2.0/Token/", Some("/Contoso/oauth2/v2.0/token")),
            ("/catch/slack//a/", None),
            ("/", None),
        ] {
            assert_eq!(straight(asked).as_deref(), meant, "{asked}");
        }
    }
}
