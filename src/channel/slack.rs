//! Slack: an incoming webhook that is given Block Kit.
//!
//! Slack counts characters after `&`, `<` and `>` are escaped, and refuses the whole message when one part is too long.
//! Values come from outside: none of them may mention a channel, fake a link or change the formatting.

use serde_json::{Value, json};

use super::call::{self, Answer};
use super::message::{Layout, Limits};
use super::text::{ELLIPSIS, cut, inert, moment, one_line, plain_table, readable};
use super::{Class, Link, Message, Refusal, Sent, Table, Tone};
use crate::outbound::Outbound;
use crate::secret::Secret;

const LONGEST_HEADER: usize = 150;
/// Slack allows 3000; the fence of a code block and the like stay free.
const LONGEST_TEXT: usize = 2900;
const LONGEST_FIELD: usize = 1900;
const FIELDS_PER_SECTION: usize = 10;
/// A code block breaks lines that are wider than a chat column.
const TABLE_WIDTH: usize = 90;
const MARKUP: [char; 4] = ['*', '_', '~', '`'];

const LIMITS: Limits = Limits {
    title: LONGEST_HEADER,
    summary: LONGEST_TEXT,
    facts: 2 * FIELDS_PER_SECTION,
    value: 500,
    columns: 6,
    rows: 5,
    cell: 24,
    links: 5,
};

/// Sends the message; as plain text when its blocks are refused.
pub(super) async fn send(outbound: &Outbound, url: &Secret, message: &Message) -> Result<Sent, Refusal> {
    match post(outbound, url, &rich(message)).await {
        Err(refusal) if refusal.class == Class::Payload => post(outbound, url, &plain(message)).await,
        result => result,
    }
}

async fn post(outbound: &Outbound, url: &Secret, body: &Value) -> Result<Sent, Refusal> {
    judge(&call::post(outbound, url, call::json(), body.to_string().into_bytes()).await?, is_slack(url))
}

/// Slack itself, and not a server or relay that takes the same messages.
fn is_slack(url: &Secret) -> bool {
    let url = url::Url::parse(url.expose()).ok();
    matches!(url.as_ref().and_then(url::Url::host_str), Some("hooks.slack.com" | "hooks.slack-gov.com"))
}

/// Slack says `ok`; a 200 with other words comes from something in between. Others say what they like.
fn judge(answer: &Answer, is_slack: bool) -> Result<Sent, Refusal> {
    let word = answer.body.trim();
    let class = match (answer.status, word) {
        (200, "ok") => return Ok(answer.sent()),
        (200..=299, _) if !is_slack => return Ok(answer.sent()),
        (404 | 410, _)
        | (400 | 403, "invalid_token")
        | (403, "action_prohibited" | "posting_to_general_channel_denied" | "team_disabled") => Class::Gone,
        (400 | 413, _) => Class::Payload,
        _ => Class::Retry,
    };
    Err(answer.refused(class))
}

fn rich(message: &Message) -> Value {
    let layout = message.within(&LIMITS);
    let mut blocks = vec![
        json!({"type": "header", "text": plain_text(&format!("{} {}", sign(layout.tone), layout.title), LONGEST_HEADER)}),
    ];
    if !layout.summary.is_empty() {
        blocks.push(json!({"type": "section", "text": plain_text(&layout.summary, LONGEST_TEXT)}));
    }
    for facts in layout.facts.chunks(FIELDS_PER_SECTION) {
        let fields: Vec<Value> = facts.iter().map(|(name, value)| mrkdwn(&field(name, value))).collect();
        blocks.push(json!({"type": "section", "fields": fields}));
    }
    blocks.extend(layout.table.as_ref().map(|table| json!({"type": "section", "text": mrkdwn(&rows(table))})));
    blocks.extend(links(&layout).map(|text| json!({"type": "section", "text": mrkdwn(&text)})));
    if !layout.reason.is_empty() {
        blocks.push(json!({"type": "context", "elements": [plain_text(&layout.reason, LONGEST_TEXT)]}));
    }
    json!({"text": notice(message), "blocks": blocks, "unfurl_links": false, "unfurl_media": false})
}

/// What is left when Slack does not take the blocks: the text that it would have shown in a notification, and the links.
fn plain(message: &Message) -> Value {
    let layout = message.within(&LIMITS);
    let text = [Some(notice(message)), links(&layout)].into_iter().flatten().collect::<Vec<_>>().join("\n");
    json!({"text": text, "unfurl_links": false, "unfurl_media": false})
}

fn notice(message: &Message) -> String {
    let text = format!("{}\n{}", one_line(&message.subject), one_line(&message.summary));
    escaped(&inert(&cut(&text, LONGEST_TEXT), &MARKUP), LONGEST_TEXT)
}

fn sign(tone: Tone) -> char {
    match tone {
        Tone::Good => '✅',
        Tone::Neutral => '🔹',
        Tone::Warning => '🔶',
        Tone::Bad => '🔴',
    }
}

fn plain_text(text: &str, most: usize) -> Value {
    json!({"type": "plain_text", "text": escaped(text, most), "emoji": true})
}

/// `verbatim`, so that Slack makes nothing of its own from names of channels and people.
fn mrkdwn(text: &str) -> Value {
    json!({"type": "mrkdwn", "text": text, "verbatim": true})
}

fn field(name: &str, value: &str) -> String {
    let value = match moment(value) {
        Some(at) => format!("<!date^{}^{{date_short_pretty}} {{time}}|{}>", at.timestamp(), readable(at)),
        None => escaped(&inert(value, &MARKUP), LONGEST_FIELD - 400),
    };
    format!("*{}*\n{value}", escaped(&inert(name, &MARKUP), 300))
}

fn rows(table: &Table) -> String {
    let mut lines = plain_table(table, TABLE_WIDTH).replace('`', "'");
    let title = escaped(&inert(&table.title, &MARKUP), 500);
    while escaped_len(&lines) > LONGEST_TEXT - 600 {
        lines.truncate(lines.rfind('\n').unwrap_or(0));
    }
    format!("*{title}*\n```\n{}\n```", escaped(&lines, LONGEST_TEXT))
}

/// All links in one line, as many as fit.
fn links(layout: &Layout) -> Option<String> {
    let mut text = String::new();
    for link in layout.links.iter().map(link) {
        if text.chars().count() + link.chars().count() <= LONGEST_TEXT {
            text.push_str(if text.is_empty() { "" } else { "   ·   " });
            text.push_str(&link);
        }
    }
    (!text.is_empty()).then_some(text)
}

fn link(Link { label, url }: &Link) -> String {
    let url = url.as_str().replace('|', "%7C").replace('<', "%3C").replace('>', "%3E").replace('&', "&amp;");
    format!("<{url}|{}>", escaped(&inert(&label.replace('|', "/"), &MARKUP), 400))
}

fn escape(character: char, into: &mut String) {
    match character {
        '&' => into.push_str("&amp;"),
        '<' => into.push_str("&lt;"),
        '>' => into.push_str("&gt;"),
        other => into.push(other),
    }
}

fn escaped_len(text: &str) -> usize {
    text.chars()
        .map(|c| {
            if c == '&' {
                5
            } else if matches!(c, '<' | '>') {
                4
            } else {
                1
            }
        })
        .sum()
}

/// Escapes as much of a text as gives at most `most` characters.
fn escaped(text: &str, most: usize) -> String {
    let whole = escaped_len(text) <= most;
    let (mut escaped, mut length) = (String::with_capacity(text.len()), 0);
    for character in text.chars() {
        length += escaped_len(character.encode_utf8(&mut [0; 4]));
        if !whole && length >= most {
            escaped.push(ELLIPSIS);
            break;
        }
        escape(character, &mut escaped);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_slack_itself_must_say_ok() {
        for (url, status, body, taken) in [
            ("https://hooks.slack.com/services/T0/B0/x", 200, "ok", true),
            ("https://hooks.slack.com/services/T0/B0/x", 200, "<html>sign in to the network</html>", false),
            ("https://hooks.slack-gov.com/services/T0/B0/x", 200, "", false),
            ("https://chat.example/hooks/x", 200, "<html>sign in to the network</html>", true),
            ("https://chat.example/hooks/x", 204, "", true),
            ("https://chat.example/hooks/x", 302, "ok", false),
        ] {
            let answer = Answer { status, retry_after: None, body: body.into() };
            assert_eq!(judge(&answer, is_slack(&Secret::new(url))).is_ok(), taken, "{url} {status} {body}");
        }
    }

    #[test]
    fn length_is_counted_after_escaping_and_no_entity_is_cut() {
        assert_eq!(escaped("a&b", 7), "a&amp;b");
        assert_eq!(escaped("a&bc", 7), "a&amp;…");
        assert_eq!(escaped(&"<".repeat(100), 10).chars().count(), 9);
    }

    #[test]
    fn a_moment_is_shown_in_the_zone_of_the_reader() {
        assert_eq!(
            field("Expected", "2026-11-20T06:02:11Z"),
            "*Expected*\n<!date^1795154531^{date_short_pretty} {time}|20 Nov 2026, 06:02 UTC>"
        );
    }

    #[test]
    fn a_value_cannot_mention_a_channel_or_fake_a_link() {
        assert_eq!(field("Name", "<!channel> <https://x|y>"), "*Name*\n&lt;!channel&gt; &lt;https://x|y&gt;");
        let url = "https://a.example/x?a=1&b=|".parse().unwrap();
        assert_eq!(
            link(&Link { label: "Get > it | now".into(), url }),
            "<https://a.example/x?a=1&amp;b=%7C|Get &gt; it / now>"
        );
    }
}
