//! An event in words, for one subscriber.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::links::{Links, SHARE_LIFE};
use super::{FirstRows, Subscription};
use crate::channel::{Channel, Link, Message, Table, Tone};
use crate::download::File;
use crate::event::{Event, Kind};
use crate::id::DeliveryId;

/// Says an event. `file` is the one it is about, where there is one.
pub fn compose(
    links: &Links,
    delivery: DeliveryId,
    subscription: &Subscription,
    event: &Event,
    file: Option<&File>,
    now: DateTime<Utc>,
) -> Message {
    let words = words(event);
    let share = file.map(|file| links.share(file.id, now + SHARE_LIFE));
    let mut addresses = Vec::new();
    if let Some(url) = &share {
        addresses.push(Link { label: "Download the report".into(), url: url.clone() });
    }
    let page = match (event.about.report_id, event.about.account_id) {
        (Some(id), _) => links.page(&format!("reports/{id}")).map(|url| ("See the whole story", url)),
        (None, Some(id)) => links.page(&format!("accounts/{id}")).map(|url| ("See the account", url)),
        (None, None) => None,
    };
    addresses.extend(page.map(|(label, url)| Link { label: label.into(), url }));
    let is_mail = subscription.channel == Channel::Email;
    Message {
        id: delivery.to_string(),
        kind: event.kind.as_str().into(),
        subject: format!("[{}] {}", words.status, words.subject),
        title: words.title,
        tone: words.tone,
        summary: words.summary,
        facts: facts(event),
        table: file.and_then(|file| first_rows(subscription, file)),
        links: addresses,
        reason: format!("You get this because of the subscription \"{}\".", subscription.name),
        thread: event.about.report_id.map(|id| format!("report-{id}")),
        unsubscribe: is_mail.then(|| links.unsubscribe(subscription.id)),
        payload: payload(event, share.as_ref()),
    }
}

struct Words {
    status: &'static str,
    subject: String,
    title: String,
    tone: Tone,
    summary: String,
}

fn words(event: &Event) -> Words {
    let text = |pointer: &str| event.data.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let name = ["/report/name", "/account/name", "/subscription/name"]
        .into_iter()
        .map(text)
        .find(|name| !name.is_empty())
        .unwrap_or("Tidings");
    let reason = text("/reason");
    let words = |status, tone, title: String, summary: String| {
        let subject = name.to_owned();
        Words { status, subject, title, tone, summary }
    };
    match event.kind {
        Kind::ReportReady => {
            let summary = format!("It arrived with {} and is in the archive.", measured(event));
            words("Arrived", Tone::Good, format!("{name} is ready"), summary)
        }
        Kind::ReportEmpty => {
            let summary = "The file came and holds no rows. That may be right, or a filter that matches nothing.";
            words("Empty", Tone::Warning, format!("{name} came without rows"), summary.into())
        }
        Kind::ReportFailed => {
            let summary = format!("There is no file of this run: {reason}.");
            words("Failed", Tone::Bad, format!("{name} failed"), summary)
        }
        Kind::ReportLate => {
            let summary = format!("It was expected at {} and has not come.", text("/expected_at"));
            words("Late", Tone::Warning, format!("{name} is late"), summary)
        }
        Kind::ReportRecovered => {
            words("Recovered", Tone::Good, format!("{name} has come after all"), "It had been late.".into())
        }
        Kind::AccountSignInRequired => {
            // Events of before the grant was told are of any account.
            let by_person = matches!(text("/account/grant"), "" | "refresh_token");
            let until = if by_person { " until a person signs in again" } else { "" };
            let summary = format!("Its reports wait{until}: {reason}");
            words("Sign in", Tone::Bad, format!("{name} cannot sign in"), summary)
        }
        Kind::AccountSignInExpiring => expiring(name, event),
        Kind::SubscriptionSuspended => {
            let summary = format!("Nothing is sent there any more: {reason}. What failed can be resent.");
            words("Suspended", Tone::Bad, format!("The subscription {name} is suspended"), summary)
        }
        Kind::SubscriptionTest => {
            let summary = "Somebody wanted to see whether messages arrive here. They do.";
            words("Test", Tone::Neutral, format!("A test for {name}"), summary.into())
        }
        Kind::ReportSchemaChanged => {
            words("Columns", Tone::Warning, format!("{name} has other columns than before"), changed_columns(event))
        }
        Kind::ReportDrifted => {
            let summary = format!(
                "It is no longer as it was made there: the {}. It can be mended.",
                differing_fields(differences(event))
            );
            words("Changed", Tone::Warning, format!("{name} was changed at Microsoft"), summary)
        }
        Kind::ReportEnded => {
            let runs = event.data.pointer("/runs").and_then(Value::as_u64).unwrap_or(0);
            let times = if runs == 1 { "once".into() } else { format!("{} times", grouped(runs)) };
            let summary = format!("It has run {times} and will not run again, unless it is resumed.");
            words("Ended", Tone::Neutral, format!("{name} has ended"), summary)
        }
        Kind::ReportUnusual => {
            words("Notice", Tone::Warning, format!("{name}: {}", event.kind.as_str()), reason.to_owned())
        }
    }
}

fn changed_columns(event: &Event) -> String {
    let names = |what: &str| {
        let names =
            event.data.pointer(&format!("/changes/{what}")).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
    };
    let said = [("Added", names("added")), ("Removed", names("removed"))];
    let said = said.into_iter().filter(|(_, names)| !names.is_empty()).map(|(what, names)| format!("{what}: {names}."));
    let moved = event.data.pointer("/changes/reordered").and_then(Value::as_bool) == Some(true);
    said.chain(moved.then(|| "The others stand in another order.".to_owned())).collect::<Vec<_>>().join(" ")
}

fn expiring(name: &str, event: &Event) -> Words {
    let text = |field: &str| event.data.get(field).and_then(Value::as_str).unwrap_or_default();
    let days = event.data.get("days").and_then(Value::as_u64).unwrap_or(0);
    let left = if days == 1 { "1 day".to_owned() } else { format!("{days} days") };
    let (what, remedy) = match text("what") {
        "client_secret" => ("client secret", "Make a new one in Microsoft Entra and give it to the account"),
        _ => ("sign-in", "It has not been renewed for long: sign in again, or find out why it can't be renewed"),
    };
    Words {
        status: "Expiring",
        tone: Tone::Warning,
        subject: name.to_owned(),
        title: format!("The {what} of {name} ends in {left}"),
        summary: format!("{remedy} before {}; after that its reports wait.", text("expires_at")),
    }
}

/// In which ways a report there is not what was made; none for other kinds.
fn differences(event: &Event) -> impl Iterator<Item = &Value> {
    event.data.pointer("/differences").and_then(Value::as_array).into_iter().flatten()
}

/// Their names, in a sentence.
fn differing_fields<'a>(differences: impl Iterator<Item = &'a Value>) -> String {
    let fields: Vec<String> = differences.filter_map(|one| Some(one["field"].as_str()?.replace('_', " "))).collect();
    match fields.split_last() {
        Some((last, [])) => format!("{last} differs"),
        Some((last, others)) => format!("{} and {last} differ", others.join(", ")),
        None => "terms differ".to_owned(),
    }
}

/// One of them as a fact.
fn differing(one: &Value) -> Option<(String, String)> {
    let shown = |value: &Value| match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let field = one["field"].as_str()?.replace('_', " ");
    Some((format!("There, {field}"), format!("{} instead of {}", shown(&one["theirs"]), shown(&one["ours"]))))
}

fn measured(event: &Event) -> String {
    let count = |pointer: &str| event.data.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let columns = event.data.pointer("/file/columns").and_then(Value::as_array).map_or(0, Vec::len);
    let plural = |count: u64, word: &str| format!("{} {word}{}", grouped(count), if count == 1 { "" } else { "s" });
    format!(
        "{} in {} ({})",
        plural(count("/file/rows"), "row"),
        plural(columns as u64, "column"),
        bytes(count("/file/size_bytes"))
    )
}

fn facts(event: &Event) -> Vec<(String, String)> {
    let number = |pointer: &str| event.data.pointer(pointer).and_then(Value::as_u64);
    let text = |pointer: &str| event.data.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let columns = event.data.pointer("/file/columns").and_then(Value::as_array);
    [
        ("Report", text("/report/name")),
        ("Generated", text("/execution/generated_at")),
        ("Expected", text("/expected_at")),
        ("Ends", text("/expires_at")),
        ("Rows", number("/file/rows").map(grouped)),
        ("Columns", columns.map(|columns| columns.len().to_string())),
        ("Size", number("/file/size_bytes").map(bytes)),
        ("SHA-256", text("/file/sha256")),
        ("Account", text("/account/name")),
        ("Runs", number("/runs").map(grouped)),
        ("Last run", text("/last_run_at")),
        ("Since", text("/since")),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
    .chain(differences(event).filter_map(differing))
    .collect()
}

fn first_rows(subscription: &Subscription, file: &File) -> Option<Table> {
    if subscription.first_rows == FirstRows::Off || file.first_rows.is_empty() {
        return None;
    }
    let rows = file.first_rows.iter().map(|row| row.iter().map(|cell| masked(cell)).collect()).collect();
    Some(Table { title: "First rows, masked".into(), columns: file.columns.clone(), rows })
}

/// The body of a signed webhook.
fn payload(event: &Event, share: Option<&url::Url>) -> Value {
    let mut data = event.data.clone();
    if let (Some(url), Some(file)) = (share, data.get_mut("file").and_then(Value::as_object_mut)) {
        file.insert("url".into(), url.as_str().into());
    }
    json!({ "type": event.kind.as_str(), "timestamp": event.occurred_at, "data": data })
}

/// Letters and digits hidden but for the first of each word: enough to see what kind of thing it is.
fn masked(cell: &str) -> String {
    let mut inside = false;
    cell.chars()
        .map(|c| {
            let hidden = inside && c.is_alphanumeric();
            inside = c.is_alphanumeric();
            if hidden { '•' } else { c }
        })
        .collect()
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes as a person reads them.
#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (count as f64, 0);
    while value >= 1024.0 && unit < UNITS.len() - 1 {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} bytes") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_masked_but_keep_their_shape() {
        assert_eq!(masked("Contoso Ltd, APR-2026"), "C•••••• L••, A••-2•••");
        assert_eq!(masked("a.b@c.example"), "a.b@c.e••••••");
        assert_eq!(masked(""), "");
    }

    #[test]
    fn what_differs_is_told_in_a_sentence() {
        let differing = |fields: &[&str]| {
            let differences: Vec<Value> = fields.iter().map(|field| json!({ "field": field })).collect();
            differing_fields(differences.iter())
        };

        assert_eq!(differing(&["state"]), "state differs");
        assert_eq!(differing(&["name", "state"]), "name and state differ");
        assert_eq!(differing(&["name", "start_at", "state"]), "name, start at and state differ");
    }

    #[test]
    fn numbers_and_sizes_are_written_for_people() {
        assert_eq!((grouped(0), grouped(999), grouped(1_234_567)), ("0".into(), "999".into(), "1,234,567".into()));
        assert_eq!((bytes(17), bytes(1536), bytes(5 << 30)), ("17 bytes".into(), "1.5 KiB".into(), "5.0 GiB".into()));
    }
}
