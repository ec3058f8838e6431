//! `tidings account sign-in`: shows a person a code and where to type it, and waits until they have.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use anyhow::bail;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::kind::ACCOUNT;
use super::session::{Named, Session};
use super::show::Form;
use crate::cli::say;

/// The service asks Microsoft as often as Microsoft wants; we ask the service.
const PAUSE: Duration = Duration::from_secs(1);
/// No code lives longer.
const LONGEST: Duration = Duration::from_hours(1);

#[derive(Deserialize)]
struct SignIn {
    state: String,
    user_code: Option<String>,
    verification_uri: Option<String>,
    expires_at: Option<DateTime<Utc>>,
    failure: Option<String>,
}

pub(super) async fn run(session: &Session, account: &Named) -> anyhow::Result<()> {
    let path = format!("{}/sign-in", session.path(&ACCOUNT, account).await?);
    let mut answer: Value = session.client.post(&path, &json!({})).await?;
    let mut sign_in: SignIn = serde_json::from_value(answer.clone())?;
    invite(&sign_in);
    let began = tokio::time::Instant::now();
    while sign_in.state == "waiting" && began.elapsed() < LONGEST {
        wait(&sign_in).await;
        answer = session.client.get(&path).await?;
        sign_in = serde_json::from_value(answer.clone())?;
    }
    if session.form == Form::Json {
        session.show(&answer)?;
    }
    match sign_in.state.as_str() {
        "done" => session.done(&format!("Signed in: the work of \"{}\" goes on.", account.name())),
        "expired" => bail!("the code was not used in time; run the same command for a new one"),
        "waiting" => bail!("nobody signed in within an hour; run the same command for a new code"),
        _ => bail!("the sign-in failed: {}", say::clean(sign_in.failure.as_deref().unwrap_or("no reason was given"))),
    }
    Ok(())
}

/// Says what to do, beside what the command prints: that may go to a program.
fn invite(sign_in: &SignIn) {
    if let (Some(code), Some(address)) = (&sign_in.user_code, &sign_in.verification_uri) {
        let (code, address) = (say::clean(code), say::clean(address));
        let (bold, plain) = if std::io::stderr().is_terminal() { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        let mut out = std::io::stderr().lock();
        let _ = writeln!(out, "\n  Open    {bold}{address}{plain}\n  Enter   {bold}{code}{plain}\n");
        let _ = writeln!(out, "and sign in as the user who may see the insights. Waiting…");
    }
}

/// Waits a moment, and shows how much time is left.
async fn wait(sign_in: &SignIn) {
    let mut out = std::io::stderr();
    if let (true, Some(expires_at)) = (out.is_terminal(), sign_in.expires_at) {
        // How long a code is good is told in the service's time; minutes are near enough.
        let left = (expires_at - crate::clock::Clock::system().now()).num_minutes().max(0);
        let _ = write!(out, "\r  the code is good for {left} more minutes  ");
        let _ = out.flush();
    }
    tokio::time::sleep(PAUSE).await;
    if out.is_terminal() {
        let _ = write!(out, "\r\x1b[K");
    }
}
