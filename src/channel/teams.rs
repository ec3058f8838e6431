//! Microsoft Teams: an Adaptive Card, wrapped as Workflows expects it.
//!
//! A flow answers 202 before it has rendered anything: a card that Teams can't show is lost without a word. So a card uses
//! version 1.4 only and stays well below the 28 KB that a message may have, if need be by showing less.

use serde_json::{Value, json};

use super::call::{self, Answer};
use super::message::{Layout, Limits};
use super::text::{cut, inert, one_line, paragraphs, readable_or_same};
use super::{Class, Link, Message, Refusal, Sent, Table, Tone};
use crate::outbound::Outbound;
use crate::secret::Secret;

/// Of UTF-8, the whole body.
const LONGEST_BODY: usize = 24 * 1024;
const MARKUP: [char; 5] = ['*', '_', '[', '`', '~'];

/// From all that one likes to see to what surely fits.
const LADDER: [Limits; 4] = [
    Limits { title: 200, summary: 1500, facts: 20, value: 300, columns: 5, rows: 5, cell: 40, links: 5 },
    Limits { title: 200, summary: 1000, facts: 20, value: 300, columns: 0, rows: 0, cell: 0, links: 5 },
    Limits { title: 150, summary: 500, facts: 10, value: 100, columns: 0, rows: 0, cell: 0, links: 3 },
    Limits { title: 100, summary: 300, facts: 0, value: 0, columns: 0, rows: 0, cell: 0, links: 1 },
];

/// Sends the message; as a few lines of text when the card is refused.
pub(super) async fn send(outbound: &Outbound, url: &Secret, message: &Message) -> Result<Sent, Refusal> {
    match post(outbound, url, rich(message)).await {
        Err(refusal) if refusal.class == Class::Payload => post(outbound, url, plain(message)).await,
        result => result,
    }
}

async fn post(outbound: &Outbound, url: &Secret, body: Vec<u8>) -> Result<Sent, Refusal> {
    let legacy = is_connector(url);
    judge(&call::post(outbound, url, call::json(), body).await?, legacy)
}

/// Office 365 connectors, the predecessors of Workflows, answer 200 whatever happens.
fn is_connector(url: &Secret) -> bool {
    let url = url::Url::parse(url.expose()).ok();
    let host = url.as_ref().and_then(url::Url::host_str).unwrap_or_default();
    host.ends_with(".webhook.office.com") || matches!(host, "outlook.office.com" | "outlook.office365.com")
}

fn judge(answer: &Answer, legacy: bool) -> Result<Sent, Refusal> {
    let status = match answer.status {
        200 if legacy && answer.body.trim() != "1" => status_in(&answer.body).unwrap_or(500),
        status => status,
    };
    let class = match status {
        200..=299 => return Ok(answer.sent()),
        400 | 413 => Class::Payload,
        401 | 403 if !legacy => Class::Gone,
        404 | 410 => Class::Gone,
        _ => Class::Retry,
    };
    Err(answer.refused(class))
}

/// The status that a connector's answer names: "… returned HTTP error 413 with ContextId …".
fn status_in(body: &str) -> Option<u16> {
    let (_, rest) = body.split_once("HTTP error ")?;
    rest.get(..3)?.parse().ok()
}

fn rich(message: &Message) -> Vec<u8> {
    (LADDER.iter().map(|limits| envelope(message, &card(message, &message.within(limits)))))
        .find(|body| body.len() <= LONGEST_BODY)
        .unwrap_or_else(|| plain(message))
}

/// What is left when the card is not taken: heading, sentence and the first link.
fn plain(message: &Message) -> Vec<u8> {
    let layout = message.within(&LADDER[LADDER.len() - 1]);
    let card = json!({
        "type": "AdaptiveCard",
        "version": "1.2",
        "fallbackText": fallback(message),
        "body": [text(&layout.title), text(&layout.summary)],
        "actions": actions(&layout),
    });
    envelope(message, &card)
}

fn envelope(message: &Message, card: &Value) -> Vec<u8> {
    json!({
        "type": "message",
        "summary": cut(&one_line(&message.subject), 200),
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": card,
        }],
    })
    .to_string()
    .into_bytes()
}

fn card(message: &Message, layout: &Layout) -> Value {
    let mut body = vec![heading(layout)];
    if !layout.summary.is_empty() {
        body.push(text(&layout.summary));
    }
    if !layout.facts.is_empty() {
        body.push(json!({"type": "FactSet", "spacing": "Medium", "facts": facts(layout)}));
    }
    body.extend(layout.table.iter().flat_map(rows));
    if !layout.reason.is_empty() {
        let mut reason = text(&layout.reason);
        reason["size"] = "Small".into();
        reason["isSubtle"] = true.into();
        reason["separator"] = true.into();
        reason["spacing"] = "Medium".into();
        body.push(reason);
    }
    json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "fallbackText": fallback(message),
        "msteams": {"width": "Full"},
        "body": body,
        "actions": actions(layout),
    })
}

fn actions(layout: &Layout) -> Vec<Value> {
    let open = |link: &Link| json!({"type": "Action.OpenUrl", "title": link.label, "url": link.url});
    layout.links.iter().map(open).collect()
}

fn fallback(message: &Message) -> String {
    cut(&format!("{} {}", one_line(&message.subject), one_line(&message.summary)), 500)
}

fn heading(layout: &Layout) -> Value {
    let (style, color) = match layout.tone {
        Tone::Good => ("good", "Good"),
        Tone::Neutral => ("emphasis", "Default"),
        Tone::Warning => ("warning", "Warning"),
        Tone::Bad => ("attention", "Attention"),
    };
    let mut title = text(&layout.title);
    title["size"] = "Large".into();
    title["weight"] = "Bolder".into();
    title["color"] = color.into();
    json!({"type": "Container", "style": style, "bleed": true, "items": [title]})
}

fn facts(layout: &Layout) -> Vec<Value> {
    (layout.facts.iter())
        .map(|(name, value)| json!({"title": literal(name), "value": literal(&readable_or_same(value))}))
        .collect()
}

/// A heading and one set of columns per row: the `Table` of version 1.5 is not known to every client.
fn rows(table: &Table) -> Vec<Value> {
    let line = |cells: &[String], weight: &str| {
        let columns: Vec<Value> = (cells.iter())
            .map(|cell| {
                let mut cell = text(if cell.is_empty() { " " } else { cell });
                cell["size"] = "Small".into();
                cell["weight"] = weight.into();
                json!({"type": "Column", "width": "stretch", "items": [cell]})
            })
            .collect();
        json!({"type": "ColumnSet", "spacing": "Small", "columns": columns})
    };
    let mut title = text(&table.title);
    title["weight"] = "Bolder".into();
    title["spacing"] = "Medium".into();
    let mut lines = vec![title, line(&table.columns, "Bolder")];
    lines[1]["separator"] = true.into();
    lines.extend(table.rows.iter().map(|row| line(row, "Default")));
    lines
}

fn text(text: &str) -> Value {
    json!({"type": "TextBlock", "text": literal(text), "wrap": true})
}

/// A text that Teams does not read as Markdown. Only an empty line starts a new paragraph there.
fn literal(text: &str) -> String {
    let lines: Vec<String> = paragraphs(text).lines().map(|line| unlisted(&inert(line, &MARKUP))).collect();
    lines.join("\n\n")
}

/// Keeps `- x` and `1. x` from becoming a list.
fn unlisted(line: &str) -> String {
    let after_digits = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let numbered = after_digits.len() < line.len() && after_digits.starts_with(['.', ')']);
    let listed = numbered || line.starts_with(['-', '+', '#', '>']);
    if listed { format!("\u{34f}{line}") } else { line.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(status: u16, body: &str, legacy: bool) -> Option<Class> {
        let answer = Answer { status, retry_after: None, body: body.into() };
        judge(&answer, legacy).err().map(|refusal| refusal.class)
    }

    #[test]
    fn a_connector_says_in_its_body_what_it_hides_in_its_status() {
        let failed = |code: u16| {
            format!(
                "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error {code} with ContextId x"
            )
        };
        for (status, body, expected) in [
            (200, "1".to_owned(), None),
            (200, failed(429), Some(Class::Retry)),
            (200, failed(413), Some(Class::Payload)),
            (200, failed(400), Some(Class::Payload)),
            (200, "something else".into(), Some(Class::Retry)),
            (404, String::new(), Some(Class::Gone)),
            (410, String::new(), Some(Class::Gone)),
        ] {
            assert_eq!(class(status, &body, true), expected, "{status} {body}");
        }
        assert!(is_connector(&Secret::new("https://contoso.webhook.office.com/webhookb2/x")));
        assert!(!is_connector(&Secret::new("https://x.00.environment.api.powerplatform.com/y")));
    }

    #[test]
    fn markdown_in_values_stays_text() {
        assert_eq!(literal("- [x](https://y) *b*"), "\u{34f}- \u{34f}[x](https://y) \u{34f}*b\u{34f}*");
        assert_eq!(literal("1. one\n2026 was 7.5"), "\u{34f}1. one\n\n2026 was 7.5");
    }
}
