//! Reads the protocol of Postgres from the side, and sees what is about to be committed.
//!
//! A commit is a `COMMIT` whose transaction wrote something, or a statement that writes outside of one: that commits when
//! its `Sync`, or the end of its `COPY`, is answered. A claim that found nothing writes nothing, so what claims counts by its answer only.

use std::collections::HashMap;

/// Which table a commit is named after: the first of these that it writes.
const STAGES: [(&str, &str); 12] = [
    ("attempts", "deliver"),
    ("fan_out", "fan_out"),
    ("downloads", "download"),
    ("executions", "discover"),
    ("callbacks", "callback"),
    ("deliveries", "deliver"),
    ("checks", "check"),
    ("registrations", "register"),
    ("reports", "register"),
    ("queries", "register"),
    ("accounts", "token"),
    ("events", "event"),
];

/// A message: its kind, and what follows its length.
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) bytes: Vec<u8>,
}

/// Takes the next whole message off a buffer. The first message of a client has no kind; `bare` says that it is awaited.
pub(super) fn next_frame(buffer: &mut Vec<u8>, bare: bool) -> Option<Frame> {
    let head = usize::from(!bare);
    let length = buffer.get(head..head + 4)?;
    let whole = head + usize::try_from(u32::from_be_bytes(length.try_into().unwrap())).unwrap();
    if buffer.len() < whole {
        return None;
    }
    let bytes: Vec<u8> = buffer.drain(..whole).collect();
    Some(Frame { kind: if bare { 0 } else { bytes[0] }, bytes })
}

/// The head and the end of a binary copy, in bytes.
const EMPTY_COPY: usize = 21;

/// What a client is about to have committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Commit {
    pub(super) stage: &'static str,
    /// Whether it is one only if its answer tells of rows.
    pub(super) is_claim: bool,
}

/// One session as its client sees it.
#[derive(Default)]
pub(super) struct Session {
    statements: HashMap<String, String>,
    bound: String,
    executed: Vec<String>,
    in_transaction: bool,
    has_copied: bool,
}

impl Session {
    /// Notes a message of the client; tells which commit it asks for, if it does.
    pub(super) fn sent(&mut self, frame: &Frame) -> Option<Commit> {
        let body = &frame.bytes[frame.bytes.len().min(5)..];
        match frame.kind {
            b'P' => {
                let (name, rest) = text(body);
                self.statements.insert(name, text(rest).0);
            }
            b'B' => self.bound = self.statements.get(&text(text(body).1).0).cloned().unwrap_or_default(),
            b'E' => self.executed.push(self.bound.clone()),
            b'd' => self.has_copied |= body.len() > EMPTY_COPY,
            // The door ends a copy without rows when nobody came.
            b'c' if !std::mem::take(&mut self.has_copied) => self.executed.clear(),
            b'S' | b'c' if !self.in_transaction => return self.commit(),
            b'Q' => match text(body).0.trim().to_lowercase().as_str() {
                "begin" => {
                    self.in_transaction = true;
                    self.executed.clear();
                }
                "commit" => {
                    self.in_transaction = false;
                    return self.commit();
                }
                "rollback" => {
                    self.in_transaction = false;
                    self.executed.clear();
                }
                copy if copy.starts_with("copy ") => self.executed.push(copy.to_owned()),
                _ => {}
            },
            _ => {}
        }
        None
    }

    fn commit(&mut self) -> Option<Commit> {
        let executed = std::mem::take(&mut self.executed);
        let stage = STAGES.iter().find(|(table, _)| executed.iter().any(|sql| writes(sql, table)))?.1;
        let is_claim = executed.iter().all(|sql| !writes_anything(sql) || sql.contains("skip locked"));
        Some(Commit { stage, is_claim })
    }
}

/// Whether a `CommandComplete` tells of rows.
pub(super) fn tells_of_rows(frame: &Frame) -> bool {
    frame.kind == b'C' && !frame.bytes.ends_with(b" 0\0")
}

fn writes(sql: &str, table: &str) -> bool {
    let words: Vec<&str> = sql.split_whitespace().collect();
    words.windows(3).any(|words| match words {
        ["insert", "into", name] | ["delete", "from", name] | ["update", name, "set"] | ["copy", name, _] => {
            *name == table
        }
        _ => false,
    })
}

fn writes_anything(sql: &str) -> bool {
    STAGES.iter().any(|(table, _)| writes(sql, table))
}

/// The text up to its NUL, and what follows.
fn text(bytes: &[u8]) -> (String, &[u8]) {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    (String::from_utf8_lossy(&bytes[..end]).into_owned(), &bytes[(end + 1).min(bytes.len())..])
}

#[test]
fn the_reader_of_the_protocol_sees_what_is_committed_and_what_is_only_looked_for() {
    let frame = |kind: u8, parts: &[&str]| {
        let body: Vec<u8> = parts.iter().flat_map(|part| part.bytes().chain([0])).collect();
        let mut bytes = vec![kind];
        bytes.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
        bytes.extend(body);
        next_frame(&mut bytes, false).unwrap()
    };
    let mut session = Session::default();
    let mut run = |sql: &str| {
        session.sent(&frame(b'P', &["s", sql]));
        session.sent(&frame(b'B', &["", "s"]));
        session.sent(&frame(b'E', &[""]));
        session.sent(&frame(b'S', &[]))
    };
    let claim = "with due as (select id from checks for update skip locked) update checks set lease = 1 from due";

    assert_eq!(run("select * from checks"), None);
    assert_eq!(run(claim), Some(Commit { stage: "check", is_claim: true }));
    assert_eq!(
        run("update checks\n set due_at = $1 where report_id = $2"),
        Some(Commit { stage: "check", is_claim: false })
    );
    assert_eq!(session.sent(&frame(b'Q', &["COPY callbacks (id) from stdin"])), None);
    assert_eq!(session.sent(&frame(b'd', &["the head, a row and the end"])), None);
    assert_eq!(session.sent(&frame(b'c', &[])), Some(Commit { stage: "callback", is_claim: false }));
    session.sent(&frame(b'Q', &["COPY callbacks (id) from stdin"]));
    assert_eq!(session.sent(&frame(b'd', &["the head and the end"])), None);
    assert_eq!(session.sent(&frame(b'c', &[])), None);
    session.sent(&frame(b'Q', &["BEGIN"]));
    let mut run = |sql: &str| {
        session.sent(&frame(b'P', &["s", sql]));
        session.sent(&frame(b'B', &["", "s"]));
        session.sent(&frame(b'E', &[""]));
        assert_eq!(session.sent(&frame(b'S', &[])), None);
    };
    run("update checks set calls = 1");
    run("insert into callbacks (id) values ($1)");
    assert_eq!(session.sent(&frame(b'Q', &["COMMIT"])), Some(Commit { stage: "callback", is_claim: false }));
    assert!(!tells_of_rows(&frame(b'C', &["UPDATE 0"])) && tells_of_rows(&frame(b'C', &["UPDATE 10"])));
}
