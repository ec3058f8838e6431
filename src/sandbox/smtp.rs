//! A mail server that takes every mail and delivers none.
//!
//! As much of SMTP as sending clients use, without sign-in and TLS. Lines, recipients, sizes, connections and silence all
//! have limits; who breaks one is told so and, where the dialogue can't go on, cut off.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::catcher;
use super::handle::Handle;

const MAX_CONNECTIONS: usize = 64;
const MAX_LINE: u64 = 8 * 1024;
const MAX_MESSAGE: usize = 10 * 1024 * 1024;
const MAX_RECIPIENTS: usize = 100;
const SILENCE: Duration = Duration::from_mins(1);
const AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(100);
const GREETING: &str = "220 sandbox ESMTP, catches everything\r\n";
const ABILITIES: &str = "250-sandbox\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 10485760\r\n";

/// Answers mail clients until it is told to stop.
pub(super) async fn serve(listener: TcpListener, handle: Handle, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut dialogues = JoinSet::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        while dialogues.try_join_next().is_some() {}
        let Ok((stream, _)) = accepted else {
            // Out of file descriptors, most likely: asking again at once would only burn time.
            tokio::time::sleep(AFTER_FAILED_ACCEPT).await;
            continue;
        };
        let Ok(place) = places.clone().try_acquire_owned() else { continue };
        let handle = handle.clone();
        dialogues.spawn(async move {
            // A client that breaks off has ended the dialogue; there is no one to tell.
            let _ = dialogue(stream, &handle).await;
            drop(place);
        });
    }
}

#[derive(Default)]
struct Envelope {
    from: Option<String>,
    to: Vec<String>,
}

enum Reply {
    Say(&'static str),
    TakeData,
    Bye,
}

async fn dialogue(stream: TcpStream, handle: &Handle) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    stream.write_all(GREETING.as_bytes()).await?;
    let mut envelope = Envelope::default();
    while let Some(line) = read_line(&mut stream).await? {
        match reply(&String::from_utf8_lossy(&line), &mut envelope) {
            Reply::Say(text) => stream.write_all(text.as_bytes()).await?,
            Reply::Bye => return stream.write_all(b"221 2.0.0 bye\r\n").await,
            Reply::TakeData => {
                stream.write_all(b"354 end with a dot on a line of its own\r\n").await?;
                let Some(message) = read_data(&mut stream).await? else {
                    return stream.write_all(b"552 5.3.4 message too big\r\n").await;
                };
                let Envelope { from, to } = std::mem::take(&mut envelope);
                catcher::catch_mail(handle, from.unwrap_or_default(), to, &message);
                stream.write_all(b"250 2.0.0 caught\r\n").await?;
            }
        }
    }
    stream.write_all(b"500 5.5.2 line too long\r\n").await
}

fn reply(line: &str, envelope: &mut Envelope) -> Reply {
    let (verb, rest) = line.split_at(line.find(' ').unwrap_or(line.len()));
    match verb.to_ascii_uppercase().as_str() {
        "EHLO" => {
            *envelope = Envelope::default();
            Reply::Say(ABILITIES)
        }
        "HELO" | "RSET" => {
            *envelope = Envelope::default();
            Reply::Say("250 2.0.0 ok\r\n")
        }
        "MAIL" => match address(rest, "FROM:") {
            Some(_) if envelope.from.is_some() => Reply::Say("503 5.5.1 one sender is enough\r\n"),
            Some(from) => {
                envelope.from = Some(from);
                Reply::Say("250 2.1.0 ok\r\n")
            }
            None => Reply::Say("501 5.5.4 expected MAIL FROM:<address>\r\n"),
        },
        "RCPT" => match address(rest, "TO:") {
            _ if envelope.from.is_none() => Reply::Say("503 5.5.1 MAIL first\r\n"),
            _ if envelope.to.len() >= MAX_RECIPIENTS => Reply::Say("452 4.5.3 too many recipients\r\n"),
            Some(to) if !to.is_empty() => {
                envelope.to.push(to);
                Reply::Say("250 2.1.5 ok\r\n")
            }
            _ => Reply::Say("501 5.5.4 expected RCPT TO:<address>\r\n"),
        },
        "DATA" if envelope.to.is_empty() => Reply::Say("503 5.5.1 RCPT first\r\n"),
        "DATA" => Reply::TakeData,
        "NOOP" => Reply::Say("250 2.0.0 ok\r\n"),
        "QUIT" => Reply::Bye,
        _ => Reply::Say("502 5.5.1 not understood\r\n"),
    }
}

/// The address between the angle brackets; an empty one is the sender of a bounce.
fn address(text: &str, prefix: &str) -> Option<String> {
    let text = text.trim_start();
    let after =
        text.get(..prefix.len()).filter(|start| start.eq_ignore_ascii_case(prefix)).map(|_| &text[prefix.len()..])?;
    let (address, _) = after.trim_start().strip_prefix('<')?.split_once('>')?;
    Some(address.to_owned())
}

/// A line without its end; none when it is too long. A closed or silent connection is an error.
async fn read_line(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let mut limited = stream.take(MAX_LINE);
    let read = tokio::time::timeout(SILENCE, limited.read_until(b'\n', &mut line));
    if read.await.map_err(|_| std::io::ErrorKind::TimedOut)?? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    if line.pop() != Some(b'\n') {
        return Ok(None);
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(Some(line))
}

/// The message with its doubled dots undone; none when it or one of its lines is too long.
async fn read_data(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Vec<u8>>> {
    let mut message = Vec::new();
    while let Some(line) = read_line(stream).await? {
        if line == b"." {
            return Ok(Some(message));
        }
        message.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        message.extend_from_slice(b"\r\n");
        if message.len() > MAX_MESSAGE {
            return Ok(None);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(line: &str, envelope: &mut Envelope) -> &'static str {
        match reply(line, envelope) {
            Reply::Say(text) => text,
            Reply::TakeData => "354",
            Reply::Bye => "221",
        }
    }

    #[test]
    fn a_dialogue_must_follow_its_order() {
        let mut envelope = Envelope::default();

        assert!(say("DATA", &mut envelope).starts_with("503"));
        assert!(say("RCPT TO:<a@b.example>", &mut envelope).starts_with("503"));
        assert!(say("mail from:<x@y.example> SIZE=12", &mut envelope).starts_with("250"));
        assert!(say("MAIL FROM:<x@y.example>", &mut envelope).starts_with("503"));
        assert!(say("RCPT TO:a@b.example", &mut envelope).starts_with("501"));
        assert!(say("RCPT TO: <a@b.example>", &mut envelope).starts_with("250"));
        assert_eq!(envelope.to, ["a@b.example"]);
        assert_eq!(say("DATA", &mut envelope), "354");
        assert!(say("RSET", &mut envelope).starts_with("250"));
        assert!(say("DATA", &mut envelope).starts_with("503"));
    }
}
