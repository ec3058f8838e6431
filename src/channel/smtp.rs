//! The conversation with the mail server.
//!
//! lettre speaks the protocol. Its pool is not used: it neither limits connections nor answers within a deadline, and it
//! leaves Nagle's algorithm on, which costs 40 ms per mail. Each mail has one recipient, because a refused one would spoil
//! the mail for all; a refused mail costs its connection. What a refusal means depends on the step that was refused.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lettre::Address;
use lettre::address::Envelope;
use lettre::message::Mailbox;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use percent_encoding::percent_decode_str;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use url::{Host, Url};

use super::call::reply;
use super::{Class, Refusal, Sent};
use crate::secret::Secret;

const CONNECTIONS: usize = 8;
const CONNECT_DEADLINE: Duration = Duration::from_secs(30);
/// Servers may think for minutes about the final dot; who gives up earlier sends the mail twice.
const SEND_DEADLINE: Duration = Duration::from_secs(150);
const LONGEST_IDLE: Duration = Duration::from_secs(30);
const MECHANISMS: [Mechanism; 2] = [Mechanism::Plain, Mechanism::Login];

/// How the way to the mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tls {
    /// From the first byte on.
    Implicit,
    /// By STARTTLS, or no mail at all.
    Required,
    /// By STARTTLS where the server offers it; without it no password is sent.
    WhenOffered,
    /// Not at all.
    None,
}

/// Which server takes our mails, and whom they come from.
#[derive(Debug, Clone)]
pub struct MailSettings {
    host: String,
    port: u16,
    tls: Tls,
    sign_in: Option<(String, Secret)>,
    /// The sender of all mails.
    pub from: Mailbox,
}

impl MailSettings {
    /// Reads `smtp://[user:password@]host[:port][?tls=required|none]` or `smtps://…`, and a sender such as
    /// `Tidings <tidings@example.com>`. Without a port it is 587, or 465 for `smtps`. An error says what was expected.
    pub fn parse(url: &Secret, from: &str) -> Result<Self, String> {
        let expected = "expected smtp://user:password@host:587, smtps://…, or ?tls=required or ?tls=none behind it";
        let url: Url = url.expose().parse().map_err(|_| expected)?;
        let mode = url.query_pairs().find(|(name, _)| name == "tls").map(|(_, mode)| mode.into_owned());
        let tls = match (url.scheme(), mode.as_deref()) {
            ("smtps", None) => Tls::Implicit,
            ("smtp", None) => Tls::WhenOffered,
            ("smtp", Some("required")) => Tls::Required,
            ("smtp", Some("none")) => Tls::None,
            _ => return Err(expected.into()),
        };
        let host = match url.host().ok_or(expected)? {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let decoded = |text| percent_decode_str(text).decode_utf8().map(String::from).map_err(|_| expected);
        let sign_in = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => Some((decoded(user)?, Secret::new(decoded(password.unwrap_or_default())?))),
        };
        let port = url.port().unwrap_or(if tls == Tls::Implicit { 465 } else { 587 });
        let from = from.parse().map_err(|_| "expected a sender such as Tidings <tidings@example.com>")?;
        Ok(Self { host, port, tls, sign_in, from })
    }
}

/// A step of the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Connect,
    SignIn,
    Sender,
    Recipient,
    Content,
}

/// Keeps connections to the mail server.
pub(super) struct Server {
    settings: MailSettings,
    tls: TlsParameters,
    hello: ClientId,
    places: Semaphore,
    idle: Mutex<Vec<(AsyncSmtpConnection, Instant)>>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Server {
    pub(super) fn new(settings: MailSettings) -> Result<Self, Error> {
        Ok(Self {
            tls: TlsParameters::new(settings.host.clone())?,
            hello: ClientId::default(),
            places: Semaphore::new(CONNECTIONS),
            idle: Mutex::default(),
            settings,
        })
    }

    pub(super) fn from(&self) -> &Mailbox {
        &self.settings.from
    }

    /// Connects and signs in, as far as needed.
    pub(super) async fn check(&self) -> Result<(), Refusal> {
        let connection = self.connection().await?;
        self.put_back(connection);
        Ok(())
    }

    /// Sends one mail to one recipient.
    pub(super) async fn send(&self, envelope: &Envelope, mail: &[u8]) -> Result<Sent, Refusal> {
        let _place = self.places.acquire().await.map_err(|_| late("the mail server's queue is closed"))?;
        let mut connection = self.connection().await?;
        let sent = timeout(SEND_DEADLINE, converse(&mut connection, envelope, mail));
        let sent = sent.await.map_err(|_| late("the mail server did not answer in time"))??;
        self.put_back(connection);
        Ok(sent)
    }

    async fn connection(&self) -> Result<AsyncSmtpConnection, Refusal> {
        while let Some(mut connection) = self.take_idle() {
            if timeout(CONNECT_DEADLINE, connection.test_connected()).await.unwrap_or(false) {
                return Ok(connection);
            }
        }
        let connected = timeout(CONNECT_DEADLINE, self.connect()).await;
        connected.map_err(|_| late("the mail server could not be reached in time"))?
    }

    fn take_idle(&self) -> Option<AsyncSmtpConnection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(_, since)| since.elapsed() < LONGEST_IDLE);
        idle.pop().map(|(connection, _)| connection)
    }

    fn put_back(&self, connection: AsyncSmtpConnection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push((connection, Instant::now()));
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Refusal> {
        let MailSettings { host, port, tls, sign_in, .. } = &self.settings;
        let refused = |error: Error| judge(Step::Connect, &error);
        let mut connection = if *tls == Tls::Implicit {
            // lettre can't be handed a socket here; these mails do wait for Nagle's algorithm.
            let tls = Some(self.tls.clone());
            AsyncSmtpConnection::connect_tokio1((host.as_str(), *port), None, &self.hello, tls, None).await
        } else {
            let stream = open(host, *port).await.map_err(|error| late(&format!("the mail server: {error}")))?;
            AsyncSmtpConnection::connect_with_transport(Box::new(stream), &self.hello).await
        }
        .map_err(refused)?;
        if *tls == Tls::Required || (*tls == Tls::WhenOffered && connection.can_starttls()) {
            connection.starttls(self.tls.clone(), &self.hello).await.map_err(refused)?;
        }
        if let Some((user, password)) = sign_in {
            if !connection.is_encrypted() && *tls != Tls::None {
                let text = "the mail server offers no STARTTLS; no password is sent to it without ?tls=none";
                return Err(Refusal::new(Class::Ours, text));
            }
            let credentials = Credentials::new(user.clone(), password.expose().to_owned());
            connection.auth(&MECHANISMS, &credentials).await.map_err(|error| judge(Step::SignIn, &error))?;
        }
        Ok(connection)
    }
}

async fn open(host: &str, port: u16) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn late(text: &str) -> Refusal {
    Refusal::new(Class::Retry, text)
}

async fn converse(connection: &mut AsyncSmtpConnection, envelope: &Envelope, mail: &[u8]) -> Result<Sent, Refusal> {
    let mut parameters = Vec::new();
    let all_ascii = |addresses: &[Address]| addresses.iter().all(|address| address.to_string().is_ascii());
    if !all_ascii(envelope.to()) || !envelope.from().is_none_or(|from| all_ascii(std::slice::from_ref(from))) {
        if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            return Err(Refusal::new(Class::Gone, "our mail server takes no address with such letters"));
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    let sender = Mail::new(envelope.from().cloned(), parameters);
    connection.command(sender).await.map_err(|error| judge(Step::Sender, &error))?;
    for to in envelope.to() {
        let recipient = Rcpt::new(to.clone(), Vec::new());
        connection.command(recipient).await.map_err(|error| judge(Step::Recipient, &error))?;
    }
    let refused = |error: Error| judge(Step::Content, &error);
    connection.command(Data).await.map_err(refused)?;
    let response = connection.message(mail).await.map_err(refused)?;
    let said: Vec<&str> = response.message().collect();
    Ok(Sent { status: Some(response.code().into()), reply: reply(&said.join(" ")) })
}

/// What a failed step means. lettre keeps the enhanced status code in the text of the answer only.
fn judge(step: Step, error: &Error) -> Refusal {
    let said = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    let status: Option<u16> = error.status().map(Into::into);
    let class = match status {
        Some(code) => class(step, code, enhanced(&said)),
        // lettre itself stopped: no STARTTLS though required, no way to sign in that both know.
        None if error.is_client() => Class::Ours,
        None => Class::Retry,
    };
    let doing = match step {
        Step::Connect => "the mail server could not be reached",
        Step::SignIn => "the mail server refused our sign-in",
        Step::Sender => "the mail server refused our sender",
        Step::Recipient => "the mail server refused the recipient",
        Step::Content => "the mail server refused the mail",
    };
    let code = status.map(|code| format!(" with {code}")).unwrap_or_default();
    let mut refusal = Refusal::new(class, format!("{doing}{code}"));
    refusal.status = status;
    refusal.reply = reply(&said);
    refusal
}

fn class(step: Step, code: u16, enhanced: Option<[u16; 3]>) -> Class {
    match (code, enhanced) {
        (..500, _) | (_, Some([5, 2, 2])) => Class::Retry,
        (530 | 534 | 535 | 538, _) | (_, Some([5, 7, 8 | 9 | 11] | [5, 1, 7 | 8])) => Class::Ours,
        (_, Some([5, 1, 1 | 2 | 3 | 6 | 10] | [5, 2, 1])) => Class::Gone,
        (_, Some([5, 3, 4] | [5, 6, _])) | (552, _) => Class::Payload,
        (551 | 553, None) if step == Step::Recipient => Class::Gone,
        _ if matches!(step, Step::Connect | Step::SignIn | Step::Sender) => Class::Ours,
        // Policy, spam, or no word why: final for this mail, but no proof against the address.
        _ => Class::Payload,
    }
}

/// Reads `5.1.1` from the front of an answer.
fn enhanced(text: &str) -> Option<[u16; 3]> {
    let mut numbers = text.split_whitespace().next()?.split('.').map(str::parse);
    let code = [numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?];
    (numbers.next().is_none() && matches!(code[0], 2 | 4 | 5)).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<MailSettings, String> {
        MailSettings::parse(&Secret::new(url), "Tidings <tidings@example.com>")
    }

    #[test]
    fn the_address_of_a_mail_server_says_how_it_is_protected() {
        for (url, host, port, tls) in [
            ("smtp://mail.example", "mail.example", 587, Tls::WhenOffered),
            ("smtp://mail.example:2525?tls=required", "mail.example", 2525, Tls::Required),
            ("smtp://127.0.0.1:25?tls=none", "127.0.0.1", 25, Tls::None),
            ("smtps://[::1]/", "::1", 465, Tls::Implicit),
        ] {
            let settings = parse(url).unwrap();
            assert_eq!((settings.host.as_str(), settings.port, settings.tls), (host, port, tls), "{url}");
            assert!(settings.sign_in.is_none());
        }
        for url in
            ["mail.example", "https://mail.example", "smtp:", "smtp://mail.example?tls=maybe", "smtps://m?tls=none"]
        {
            assert!(parse(url).unwrap_err().starts_with("expected smtp://"), "{url}");
        }
        let error = MailSettings::parse(&Secret::new("smtp://mail.example"), "nobody").unwrap_err();
        assert!(error.starts_with("expected a sender"));
    }

    #[test]
    fn a_password_is_decoded_and_not_shown() {
        let settings = parse("smtp://ann%40example.com:p%3Ass+w%2Frd@mail.example").unwrap();

        assert!(!format!("{settings:?}").contains("ss+w"));
        let (user, password) = settings.sign_in.unwrap();
        assert_eq!((user.as_str(), password.expose()), ("ann@example.com", "p:ss+w/rd"));
    }

    #[test]
    fn what_a_refusal_means_depends_on_its_codes_and_its_step() {
        for (step, code, said, expected) in [
            (Step::Recipient, 550, "5.1.1 no such user", Class::Gone),
            (Step::Recipient, 550, "5.2.1 mailbox disabled", Class::Gone),
            (Step::Recipient, 553, "no", Class::Gone),
            (Step::Recipient, 550, "no", Class::Payload),
            (Step::Recipient, 550, "5.7.1 relaying denied", Class::Payload),
            (Step::Recipient, 451, "4.7.1 greylisted", Class::Retry),
            (Step::Recipient, 552, "5.2.2 mailbox full", Class::Retry),
            (Step::Recipient, 552, "too big", Class::Payload),
            (Step::Content, 554, "5.6.0 content", Class::Payload),
            (Step::Content, 421, "4.3.0 closing", Class::Retry),
            (Step::Sender, 553, "5.1.8 bad sender", Class::Ours),
            (Step::Sender, 530, "5.7.0 sign in first", Class::Ours),
            (Step::SignIn, 535, "5.7.8 bad password", Class::Ours),
            (Step::Connect, 554, "5.7.1 your address is listed", Class::Ours),
        ] {
            assert_eq!(class(step, code, enhanced(said)), expected, "{step:?} {code} {said}");
        }
    }
}
