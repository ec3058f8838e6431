//! Where a message goes: the kind of channel and the concrete address on it.
//!
//! Addresses come from outside. [`Endpoint::check`] finds what an address shows by itself, before anything is stored;
//! where a name leads is found at each call. Chat hosts are not restricted: compatible servers and relays exist.

use lettre::Address;
use url::Url;

use super::signature;
use crate::outbound::{Guard, redacted};
use crate::secret::Secret;

const LONGEST_URL: usize = 4096;
const LONGEST_MAIL_ADDRESS: usize = 254;

/// A kind of channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Mail to one address.
    Email,
    /// An incoming webhook of Slack.
    Slack,
    /// A workflow of Microsoft Teams that starts by webhook.
    Teams,
    /// A signed webhook.
    Webhook,
}

impl Channel {
    /// The word for it in the API and the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Slack => "slack",
            Self::Teams => "teams",
            Self::Webhook => "webhook",
        }
    }
}

impl std::fmt::Display for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be email, slack, teams or webhook")]
pub struct UnknownChannel;

impl std::str::FromStr for Channel {
    type Err = UnknownChannel;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Email, Self::Slack, Self::Teams, Self::Webhook]
            .into_iter()
            .find(|channel| channel.as_str() == text)
            .ok_or(UnknownChannel)
    }
}

/// A concrete address on a channel. `Debug` shows it as [`Endpoint::shown`] does.
#[derive(Clone)]
pub enum Endpoint {
    /// One mail address.
    Email {
        /// `name@domain`.
        to: String,
    },
    /// An incoming webhook of Slack.
    Slack {
        /// Its address, which alone allows to post.
        url: Secret,
    },
    /// A workflow of Teams.
    Teams {
        /// Its address, which alone allows to post.
        url: Secret,
    },
    /// A signed webhook.
    Webhook {
        /// Where to.
        url: Secret,
        /// `whsec_…`, what the calls are signed with.
        secret: Secret,
    },
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.channel(), self.shown())
    }
}

/// The endpoint can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct EndpointRefused {
    /// Which part: `to`, `url` or `secret`.
    pub field: &'static str,
    /// What is wrong with it.
    pub message: String,
}

impl Endpoint {
    /// Its kind.
    pub fn channel(&self) -> Channel {
        match self {
            Self::Email { .. } => Channel::Email,
            Self::Slack { .. } => Channel::Slack,
            Self::Teams { .. } => Channel::Teams,
            Self::Webhook { .. } => Channel::Webhook,
        }
    }

    /// As much of the address as anybody may see.
    pub fn shown(&self) -> String {
        match self {
            Self::Email { to } => match to.rsplit_once('@') {
                Some((name, domain)) => format!("{}…@{domain}", name.chars().take(1).collect::<String>()),
                None => "…".into(),
            },
            Self::Slack { url } | Self::Teams { url } | Self::Webhook { url, .. } => {
                Url::parse(url.expose()).map_or_else(|_| "…".into(), |url| redacted(&url))
            }
        }
    }

    /// Whether the endpoint can be used, as far as its address shows.
    pub fn check(&self, guard: &Guard) -> Result<(), EndpointRefused> {
        match self {
            Self::Email { to } => {
                mail_address(to).map(|_| ()).map_err(|message| EndpointRefused { field: "to", message })
            }
            Self::Slack { url } => not_a_slack_workflow(&checked(url, guard)?),
            Self::Teams { url } => open_to_anyone(&checked(url, guard)?),
            Self::Webhook { url, secret } => {
                checked(url, guard)?;
                signature::check(secret)
                    .map_err(|error| EndpointRefused { field: "secret", message: error.to_string() })
            }
        }
    }
}

/// Reads one bare mail address.
pub(super) fn mail_address(text: &str) -> Result<Address, String> {
    let expected = "must be one mail address such as name@example.com";
    if text.len() > LONGEST_MAIL_ADDRESS || text.chars().any(char::is_control) {
        return Err(expected.into());
    }
    text.parse().map_err(|_| expected.into())
}

fn url_refused(message: impl Into<String>) -> EndpointRefused {
    EndpointRefused { field: "url", message: message.into() }
}

fn checked(url: &Secret, guard: &Guard) -> Result<Url, EndpointRefused> {
    if url.expose().len() > LONGEST_URL {
        return Err(url_refused(format!("must not be longer than {LONGEST_URL} characters")));
    }
    let url: Url = url.expose().parse().map_err(|_| url_refused("must be an https address"))?;
    guard.check(&url).map_err(|refused| url_refused(refused.to_string()))?;
    Ok(url)
}

/// Addresses of Slack's workflow builder take other bodies than an incoming webhook.
fn not_a_slack_workflow(url: &Url) -> Result<(), EndpointRefused> {
    let of_slack = matches!(url.host_str(), Some("hooks.slack.com" | "hooks.slack-gov.com"));
    if of_slack && !url.path().starts_with("/services/") {
        return Err(url_refused("must be an incoming webhook of Slack; its address goes on with /services/"));
    }
    Ok(())
}

/// Microsoft signs the address of a flow that anyone may call; without that it answers 401 to every message.
fn open_to_anyone(url: &Url) -> Result<(), EndpointRefused> {
    let host = url.host_str().unwrap_or_default();
    let of_microsoft = host.ends_with(".api.powerplatform.com") || host.ends_with(".logic.azure.com");
    if of_microsoft && !url.query_pairs().any(|(name, value)| name == "sig" && !value.is_empty()) {
        return Err(url_refused(
            "has no sig parameter: let \"Anyone\" trigger the flow in Teams, save it and copy its address again",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(endpoint: &Endpoint) -> Option<&'static str> {
        endpoint.check(&Guard::default()).err().map(|refused| refused.field)
    }

    #[test]
    fn each_channel_refuses_what_can_never_work_and_names_the_field() {
        let url = |text: &str| Secret::new(text);
        let flow = "https://x.00.environment.api.powerplatform.com/powerautomate/invoke?api-version=1";
        for (endpoint, field) in [
            (Endpoint::Email { to: "ann@example.com".into() }, None),
            (Endpoint::Email { to: "Ann <ann@example.com>".into() }, Some("to")),
            (Endpoint::Email { to: "ann@example.com\r\nBcc: b@example.com".into() }, Some("to")),
            (Endpoint::Email { to: "ann@example.com, bob@example.com".into() }, Some("to")),
            (Endpoint::Slack { url: url("https://hooks.slack.com/services/T0/B0/x") }, None),
            (Endpoint::Slack { url: url("https://chat.example/hooks/x") }, None),
            (Endpoint::Slack { url: url("https://hooks.slack.com/triggers/T0/1/x") }, Some("url")),
            (Endpoint::Slack { url: url("http://hooks.slack.com/services/T0/B0/x") }, Some("url")),
            (Endpoint::Teams { url: url(&format!("{flow}&sig=abc")) }, None),
            (Endpoint::Teams { url: url(flow) }, Some("url")),
            (Endpoint::Teams { url: url("https://169.254.169.254/") }, Some("url")),
            (Endpoint::Webhook { url: url("https://hooks.example/"), secret: signature::generate() }, None),
            (Endpoint::Webhook { url: url("https://hooks.example/"), secret: Secret::new("whsec_") }, Some("secret")),
            (Endpoint::Webhook { url: url("no address"), secret: signature::generate() }, Some("url")),
        ] {
            assert_eq!(refusal(&endpoint), field, "{endpoint:?}");
        }
    }

    #[test]
    fn an_endpoint_shows_its_host_and_the_first_letter_of_a_name() {
        let mail = Endpoint::Email { to: "ann.lee@example.com".into() };
        let slack = Endpoint::Slack { url: Secret::new("https://hooks.slack.com/services/T0/B0/token") };

        assert_eq!(mail.shown(), "a…@example.com");
        assert_eq!(format!("{slack:?}"), "slack https://hooks.slack.com/…");
    }

    #[test]
    fn channels_are_named_as_in_json() {
        for channel in [Channel::Email, Channel::Slack, Channel::Teams, Channel::Webhook] {
            assert_eq!(serde_json::to_value(channel).unwrap(), channel.as_str());
            assert_eq!(channel.as_str().parse(), Ok(channel));
        }
        assert_eq!("pager".parse::<Channel>(), Err(UnknownChannel));
    }
}
