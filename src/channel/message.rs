//! What is to be told, in parts that any channel can lay out, and how much of it a channel shows.
//!
//! A [`Message`] may be of any size and hold any text. A channel never lays it out directly but asks for
//! [`Message::within`] its [`Limits`]: the same parts, cleaned of control characters and cut.

use serde::Serialize;
use url::Url;

use super::text::{cut, one_line, paragraphs};

/// A link whose address is longer is left out: it can't be cut, and no channel takes it.
const LONGEST_URL: usize = 2000;

/// How good the news is; a channel shows it as a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// As wished.
    Good,
    /// Neither.
    Neutral,
    /// Somebody should look.
    Warning,
    /// Somebody must act.
    Bad,
}

/// A few rows to look at.
#[derive(Debug, Clone, Serialize)]
pub struct Table {
    /// What the rows are.
    pub title: String,
    /// The names of the columns.
    pub columns: Vec<String>,
    /// Rows with one cell per column.
    pub rows: Vec<Vec<String>>,
}

/// Somewhere to go. The address may be signed, so `Debug` shows its host only.
#[derive(Clone, Serialize)]
pub struct Link {
    /// What one gets there; makes sense alone.
    pub label: String,
    /// Absolute.
    pub url: Url,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Link({:?}, {})", self.label, crate::outbound::redacted(&self.url))
    }
}

/// An event as it is told to one subscriber.
#[derive(Clone)]
pub struct Message {
    /// The delivery's id, the same on every attempt: `webhook-id` and `Message-ID`. Contains no `.`.
    pub id: String,
    /// The kind of event, e.g. `report.ready`.
    pub kind: String,
    /// One line, the status first, nothing that changes from one day to the next but the date.
    pub subject: String,
    /// The heading.
    pub title: String,
    /// How good the news is.
    pub tone: Tone,
    /// One or two sentences.
    pub summary: String,
    /// Names and values. A value that is a moment in RFC 3339 is shown as each channel shows moments best.
    pub facts: Vec<(String, String)>,
    /// A few rows to look at.
    pub table: Option<Table>,
    /// Where to go; the first is the one that most will want.
    pub links: Vec<Link>,
    /// Why the reader gets this, as a sentence.
    pub reason: String,
    /// Names the thread that all mails of one subject belong to.
    pub thread: Option<String>,
    /// Where one click ends the subscription.
    pub unsubscribe: Option<Url>,
    /// The whole body of a signed webhook.
    pub payload: serde_json::Value,
}

impl std::fmt::Debug for Message {
    /// Without links, facts and payload: they may hold signed addresses.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message").field("id", &self.id).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// How much of a message a channel shows: characters of texts, numbers of things.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) title: usize,
    pub(super) summary: usize,
    pub(super) facts: usize,
    pub(super) value: usize,
    pub(super) columns: usize,
    pub(super) rows: usize,
    pub(super) cell: usize,
    pub(super) links: usize,
}

/// The part of a message that a channel shows: clean, cut, on one line except for the summary.
#[derive(Debug, Serialize)]
pub(super) struct Layout {
    pub(super) title: String,
    pub(super) tone: Tone,
    pub(super) summary: String,
    pub(super) facts: Vec<(String, String)>,
    pub(super) table: Option<Table>,
    pub(super) links: Vec<Link>,
    pub(super) reason: String,
}

impl Message {
    /// The parts that fit.
    pub(super) fn within(&self, limits: &Limits) -> Layout {
        Layout {
            title: cut(&one_line(&self.title), limits.title),
            tone: self.tone,
            summary: cut(&paragraphs(&self.summary), limits.summary),
            facts: (self.facts.iter().take(limits.facts))
                .map(|(name, value)| (cut(&one_line(name), 60), cut(&one_line(value), limits.value)))
                .collect(),
            table: self.table.as_ref().and_then(|table| table.within(limits)),
            links: (self.links.iter())
                .filter(|link| link.url.as_str().len() <= LONGEST_URL)
                .take(limits.links)
                .map(|link| Link { label: cut(&one_line(&link.label), 60), url: link.url.clone() })
                .collect(),
            reason: cut(&one_line(&self.reason), 300),
        }
    }
}

impl Table {
    fn within(&self, limits: &Limits) -> Option<Self> {
        let columns = self.columns.len().min(limits.columns);
        if columns == 0 || limits.rows == 0 || self.rows.is_empty() {
            return None;
        }
        let line = |cells: &[String]| -> Vec<String> {
            (0..columns)
                .map(|at| cells.get(at).map(|cell| cut(&one_line(cell), limits.cell)).unwrap_or_default())
                .collect()
        };
        let title = cut(&one_line(&self.title), 100);
        let title = if columns < self.columns.len() {
            format!("{title} ({columns} of {} columns)", self.columns.len())
        } else {
            title
        };
        let rows = self.rows.iter().take(limits.rows).map(|row| line(row)).collect();
        Some(Self { title, columns: line(&self.columns), rows })
    }
}
