//! Mail: one recipient, a plain part that is complete and an HTML part that survives mail programs.
//!
//! Tables and inline styles are the only layout that all of them show; Gmail cuts what is longer than about 100 KB. The
//! headers keep holiday replies away, put the mails of one thread together and let a click in the mail program end the
//! subscription. No value can add a header: each is kept on one line, and lettre encodes it.

use std::time::SystemTime;

use chrono::{DateTime, Utc};
use lettre::Address;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use minijinja::{Environment, syntax::SyntaxConfig, value::Serde};
use serde_json::json;

use super::message::{Layout, Limits};
use super::smtp::{MailSettings, Server};
use super::text::{cut, one_line, plain_table, readable_or_same};
use super::{Class, Message, Refusal, Sent, SetupError, Tone, endpoint};

const LONGEST_HTML: usize = 80 * 1024;
const TEXT_WIDTH: usize = 100;

/// From all that one likes to see to what surely fits.
const LADDER: [Limits; 3] = [
    Limits { title: 200, summary: 2000, facts: 30, value: 300, columns: 8, rows: 10, cell: 32, links: 5 },
    Limits { title: 200, summary: 1000, facts: 20, value: 200, columns: 0, rows: 0, cell: 0, links: 5 },
    Limits { title: 100, summary: 500, facts: 10, value: 100, columns: 0, rows: 0, cell: 0, links: 2 },
];

/// Writes mails and hands them to the mail server.
#[derive(Debug)]
pub(super) struct Mailer {
    server: Server,
    templates: Environment<'static>,
}

impl Mailer {
    pub(super) fn new(settings: MailSettings) -> Result<Self, SetupError> {
        Ok(Self { server: Server::new(settings)?, templates: templates()? })
    }

    pub(super) async fn check(&self) -> Result<(), Refusal> {
        self.server.check().await
    }

    pub(super) async fn send(&self, to: &str, message: &Message, now: DateTime<Utc>) -> Result<Sent, Refusal> {
        let to = endpoint::mail_address(to).map_err(|text| Refusal::new(Class::Gone, format!("the address {text}")))?;
        let ours = |error: String| Refusal::new(Class::Ours, format!("could not write the mail: {error}"));
        let body = body(&self.templates, message).map_err(|error| ours(error.to_string()))?;
        let mail = compose(self.server.from(), to, message, now, body).map_err(|error| ours(error.to_string()))?;
        self.server.send(mail.envelope(), &mail.formatted()).await
    }
}

fn templates() -> Result<Environment<'static>, minijinja::Error> {
    let mut templates = Environment::new();
    templates.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    templates.add_template("mail.html.j2", include_str!("templates/mail.html.j2"))?;
    templates.add_template("mail.txt.j2", include_str!("templates/mail.txt.j2"))?;
    Ok(templates)
}

fn body(templates: &Environment<'_>, message: &Message) -> Result<MultiPart, minijinja::Error> {
    let (last, ladder) = LADDER.split_last().expect("the ladder has steps");
    for limits in ladder {
        let layout = message.within(limits);
        let html = render(templates, "mail.html.j2", message, &layout)?;
        if html.len() <= LONGEST_HTML {
            return Ok(MultiPart::alternative_plain_html(render(templates, "mail.txt.j2", message, &layout)?, html));
        }
    }
    let layout = message.within(last);
    let text = render(templates, "mail.txt.j2", message, &layout)?;
    Ok(MultiPart::alternative_plain_html(text, render(templates, "mail.html.j2", message, &layout)?))
}

fn render(
    templates: &Environment<'_>,
    name: &str,
    message: &Message,
    layout: &Layout,
) -> Result<String, minijinja::Error> {
    let (accent, tint) = colours(layout.tone);
    let facts: Vec<(&String, String)> =
        layout.facts.iter().map(|(name, value)| (name, readable_or_same(value))).collect();
    let page = json!({
        "layout": layout,
        "facts": facts,
        "accent": accent,
        "tint": tint,
        "status": cut(&one_line(&message.kind.rsplit('.').next().unwrap_or_default().replace('_', " ")), 40),
        "subject": subject(message),
        "preheader": cut(&one_line(&layout.summary), 110),
        "paragraphs": layout.summary.lines().filter(|line| !line.is_empty()).collect::<Vec<_>>(),
        "plain_table": layout.table.as_ref().map(|table| plain_table(table, TEXT_WIDTH)),
        "unsubscribe": message.unsubscribe,
    });
    templates.get_template(name)?.render(Serde(page))
}

/// The accent, readable on white and near black alike, and a pale tint of it.
fn colours(tone: Tone) -> (&'static str, &'static str) {
    match tone {
        Tone::Good => ("#15803d", "#dcfce7"),
        Tone::Neutral => ("#2563eb", "#dbeafe"),
        Tone::Warning => ("#b45309", "#fef3c7"),
        Tone::Bad => ("#b91c1c", "#fee2e2"),
    }
}

fn subject(message: &Message) -> String {
    cut(&one_line(&message.subject), 200)
}

fn compose(
    from: &Mailbox,
    to: Address,
    message: &Message,
    now: DateTime<Utc>,
    body: MultiPart,
) -> Result<lettre::Message, lettre::error::Error> {
    let domain = from.email.domain();
    let mut mail = lettre::Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to))
        .subject(subject(message))
        .date(SystemTime::from(now))
        .message_id(Some(format!("<{}@{domain}>", token(&message.id))));
    if let Some(thread) = message.thread.as_deref().map(token) {
        // No mail has this id. Every mail of the thread names it, the first one too, so that programs group them all.
        let root = format!("<{thread}@{domain}>");
        mail = mail.in_reply_to(root.clone()).references(root);
        mail = mail.raw_header(header("List-Id", format!("<{thread}.{domain}>")));
    }
    if let Some(url) = &message.unsubscribe {
        mail = mail.raw_header(header("List-Unsubscribe", format!("<{url}>")));
        mail = mail.raw_header(header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".into()));
    }
    for (name, value) in [
        ("Auto-Submitted", "auto-generated".to_owned()),
        ("X-Auto-Response-Suppress", "All".to_owned()),
        ("X-Tidings-Event", one_line(&message.kind)),
        ("X-Tidings-Reason", cut(&one_line(&message.reason), 300)),
    ] {
        mail = mail.raw_header(header(name, value));
    }
    mail.multipart(body)
}

fn header(name: &'static str, value: String) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value)
}

/// What may stand in a message id.
fn token(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).take(100).collect()
}
