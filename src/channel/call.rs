//! One POST to an endpoint, and what came back.
//!
//! The address is a secret: neither an error nor a kept reply shows any part of it. One deadline covers connecting,
//! sending and reading; of the answer's body at most 64 KiB are read, and a body that breaks off takes nothing from the
//! status that stood before it.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use url::Url;

use super::text::{cut, one_line};
use super::{Class, Refusal, Sent};
use crate::outbound::{self, Outbound};
use crate::secret::Secret;

const DEADLINE: Duration = Duration::from_secs(20);
const LONGEST_ANSWER: usize = 64 * 1024;
const LONGEST_REPLY: usize = 500;
/// Shorter parts of an address hold no secret and occur in any text.
const SECRET_PART: usize = 6;

/// What an endpoint answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    /// As much of the body as is read, without the endpoint's own address in it.
    pub(super) body: String,
}

/// Posts once. An error means that there was no answer.
pub(super) async fn post(
    outbound: &Outbound,
    url: &Secret,
    headers: HeaderMap,
    body: Vec<u8>,
) -> Result<Answer, Refusal> {
    let url: Url =
        url.expose().parse().map_err(|_| Refusal::new(Class::Gone, "the endpoint's address is no address"))?;
    let client = outbound.client(&url).map_err(|refused| {
        Refusal::new(Class::Ours, format!("the endpoint may not be called: its address {refused}"))
    })?;
    let request = client.post(url.clone()).headers(headers).body(body).timeout(DEADLINE);
    let response = request.send().await.map_err(|error| Refusal::new(Class::Retry, outbound::describe(&error)))?;
    let (status, retry_after) = (response.status().as_u16(), outbound::retry_after(response.headers()));
    let (body, _) = outbound::read_bounded(response, LONGEST_ANSWER).await.unwrap_or_default();
    let body = without_address(&String::from_utf8_lossy(&body), &url);
    Ok(Answer { status, retry_after, body })
}

/// The headers of a JSON body.
pub(super) fn json() -> HeaderMap {
    HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"))])
}

impl Answer {
    /// It was taken.
    pub(super) fn sent(&self) -> Sent {
        Sent { status: Some(self.status), reply: reply(&self.body) }
    }

    /// It was not, and this is what follows.
    pub(super) fn refused(&self, class: Class) -> Refusal {
        let mut refusal = Refusal::new(class, format!("the endpoint answered {}", self.status));
        refusal.failure.after = self.retry_after;
        refusal.status = Some(self.status);
        refusal.reply = reply(&self.body);
        refusal
    }
}

/// The beginning of what the other side said, fit to be stored and shown.
pub(super) fn reply(text: &str) -> String {
    cut(&one_line(text), LONGEST_REPLY)
}

/// Many servers name the path in their error page; here the path is the secret.
fn without_address(body: &str, url: &Url) -> String {
    let values: Vec<String> = url.query_pairs().map(|(_, value)| value.into_owned()).collect();
    let queries = url.query().unwrap_or_default().split(['&', '=']);
    let parts = url.path().split('/').chain(queries).chain(values.iter().map(String::as_str));
    parts.filter(|part| part.len() >= SECRET_PART).fold(body.to_owned(), |text, part| text.replace(part, "…"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_page_that_names_its_path_gives_nothing_away() {
        let url = "https://hooks.example/services/T0/TOKEN123?sig=abc%2Fdef&v=1".parse().unwrap();

        let shown = without_address("Cannot POST /services/T0/TOKEN123?sig=abc%2Fdef (abc/def), v=1", &url);

        assert_eq!(shown, "Cannot POST /…/T0/…?sig=… (…), v=1");
    }
}
