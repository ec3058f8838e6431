//! Tells one message to one endpoint: by email, Slack, Microsoft Teams or signed webhook.
//!
//! A channel lays a [`Message`] out within its limits, sends it once and says what came of it. It keeps no state but
//! connections, tries nothing again and knows nothing of what the message is about. The [`Class`] of a [`Refusal`] says
//! what follows for the endpoint, its [`Failure`] whether the delivery can still succeed.

mod call;
mod email;
mod endpoint;
mod message;
pub mod signature;
mod slack;
mod smtp;
mod teams;
mod text;
mod webhook;

use chrono::{DateTime, Utc};

pub use self::endpoint::{Channel, Endpoint, EndpointRefused, UnknownChannel};
pub use self::message::{Link, Message, Table, Tone};
pub use self::smtp::MailSettings;
use crate::outbound::Outbound;
use crate::retry::Failure;

/// The other side took the message. It may still not have shown it to anyone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// HTTP or SMTP status.
    pub status: Option<u16>,
    /// The beginning of what it said.
    pub reply: String,
}

/// What a refusal means for the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Nothing: it may pass.
    Retry,
    /// Nothing either: this message is not taken, others may be.
    Payload,
    /// It will not work again until somebody mends it.
    Gone,
    /// Nothing: our own side is broken (a wrong password, a refused sender, a network that is not allowed).
    Ours,
}

/// The other side did not take the message.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{failure}{}{reply}", if reply.is_empty() { "" } else { ": " })]
pub struct Refusal {
    /// What it means for the endpoint.
    pub class: Class,
    /// Whether and when this message can be tried again, and why it failed, without the other side's words.
    pub failure: Failure,
    /// HTTP or SMTP status, where there was an answer.
    pub status: Option<u16>,
    /// The beginning of what it said.
    pub reply: String,
}

impl Refusal {
    fn new(class: Class, text: impl Into<String>) -> Self {
        let failure = match class {
            Class::Retry | Class::Ours => Failure::transient(text),
            Class::Payload | Class::Gone => Failure::permanent(text),
        };
        Self { class, failure, status: None, reply: String::new() }
    }
}

/// The channels could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// No TLS for the mail server.
    #[error("failed to set up TLS for the mail server")]
    Mail(#[from] lettre::transport::smtp::Error),
    /// A template of ours is broken.
    #[error("failed to read a mail template")]
    Template(#[from] minijinja::Error),
}

/// All channels, ready to send.
#[derive(Debug)]
pub struct Channels {
    outbound: Outbound,
    mail: Option<email::Mailer>,
}

impl Channels {
    /// Calls go through `outbound`; without `mail` every mail is refused, and said so.
    pub fn new(outbound: Outbound, mail: Option<MailSettings>) -> Result<Self, SetupError> {
        Ok(Self { outbound, mail: mail.map(email::Mailer::new).transpose()? })
    }

    /// Whether mails can be sent at all.
    pub fn mail_is_set(&self) -> bool {
        self.mail.is_some()
    }

    /// Signs in to the mail server, if one is set, and sends nothing.
    pub async fn check_mail(&self) -> Result<(), Refusal> {
        match &self.mail {
            Some(mailer) => mailer.check().await,
            None => Err(no_mail()),
        }
    }

    /// Sends once. A form that Slack or Teams refuse as malformed or too big is followed by a plain one.
    pub async fn send(&self, endpoint: &Endpoint, message: &Message, now: DateTime<Utc>) -> Result<Sent, Refusal> {
        match endpoint {
            Endpoint::Email { to } => self.mail.as_ref().ok_or_else(no_mail)?.send(to, message, now).await,
            Endpoint::Slack { url } => slack::send(&self.outbound, url, message).await,
            Endpoint::Teams { url } => teams::send(&self.outbound, url, message).await,
            Endpoint::Webhook { url, secret } => {
                webhook::send(&self.outbound, url, std::slice::from_ref(secret), message, now).await
            }
        }
    }
}

fn no_mail() -> Refusal {
    Refusal::new(Class::Ours, "no mail server is set")
}
