//! `tidings sandbox`: the imitation API alone, for anyone's tests.

use std::net::SocketAddr;

use anyhow::Context;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::json;
use url::Url;

use super::{say, signals};
use crate::clock::Clock;
use crate::sandbox::{self, Fault, Sandbox, Settings};
use crate::secret::Secret;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// Where to catch mails; any free port beside the other address when not given
    #[arg(long, value_name = "ADDRESS")]
    smtp_listen: Option<SocketAddr>,
    /// How others reach it, for secure links; the address that it listens on when not given
    #[arg(long, value_name = "URL")]
    public_url: Option<Url>,
    /// Something that goes wrong at its next occasion; may be given again, the same one too
    #[arg(long = "fault", value_name = "NAME", value_parser = fault())]
    faults: Vec<Fault>,
    /// The first use of a new refresh token revokes the older ones of its chain
    #[arg(long)]
    strict_refresh: bool,
    /// How many times sooner than scheduled an occurrence is due
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    speed: f64,
    /// Rows of each file
    #[arg(long, default_value_t = 1_000)]
    rows: u64,
    /// The directory that is signed in to; a sample one when not given, like all that follow
    #[arg(long)]
    tenant: Option<String>,
    /// The application's id
    #[arg(long)]
    client_id: Option<String>,
    /// The application's secret
    #[arg(long)]
    client_secret: Option<Secret>,
    /// The first refresh token
    #[arg(long)]
    refresh_token: Option<Secret>,
    /// A user for the password grant
    #[arg(long)]
    username: Option<String>,
    /// That user's password
    #[arg(long)]
    password: Option<Secret>,
}

fn fault() -> impl TypedValueParser<Value = Fault> {
    PossibleValuesParser::new(Fault::ALL.iter().map(|fault| fault.name())).try_map(|name| name.parse::<Fault>())
}

impl Arguments {
    fn settings(self) -> Settings {
        let sample = Settings::default();
        Settings {
            listen: self.listen,
            smtp_listen: Some(self.smtp_listen.unwrap_or_else(|| SocketAddr::new(self.listen.ip(), 0))),
            public_url: self.public_url,
            tenant: self.tenant.unwrap_or(sample.tenant),
            client_id: self.client_id.unwrap_or(sample.client_id),
            client_secret: self.client_secret.unwrap_or(sample.client_secret),
            refresh_token: self.refresh_token.unwrap_or(sample.refresh_token),
            username: self.username.unwrap_or(sample.username),
            password: self.password.unwrap_or(sample.password),
            strict_refresh: self.strict_refresh,
            speed: self.speed,
            rows: self.rows,
            faults: self.faults,
            ..Settings::default()
        }
    }
}

/// Runs until told to stop.
pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let stop = signals::stop()?;
    let settings = arguments.settings();
    let listen = settings.listen;
    let sandbox = sandbox::start(settings, Clock::system()).await;
    let sandbox = sandbox.with_context(|| format!("failed to start the sandbox at {listen}"))?;
    describe(&sandbox)?;
    stop.cancelled().await;
    sandbox.stop().await;
    Ok(())
}

fn describe(sandbox: &Sandbox) -> anyhow::Result<()> {
    let settings = sandbox.world.settings();
    let url = sandbox.world.url();
    say::line("The sandbox imitates the Partner Insights API. It protects nothing; its credentials are samples.");
    for (name, path) in [
        ("sign-in", format!("{}/oauth2/token", settings.tenant)),
        ("api mpn", "insights/v1/mpn".into()),
        ("api cmp", "insights/v1.1/cmp".into()),
        ("slack", "catch/slack/anything".into()),
        ("teams", "catch/teams/anything".into()),
        ("webhook", "catch/webhook/anything".into()),
        ("page", "sandbox".into()),
    ] {
        say::about(name, url.join(&path)?.as_str());
    }
    if let Some(address) = sandbox.smtp_address() {
        say::about("mail", &format!("smtp://{address}?tls=none"));
    }
    for (name, text) in [
        ("tenant", settings.tenant.as_str()),
        ("client", &settings.client_id),
        ("secret", settings.client_secret.expose()),
        ("refresh", settings.refresh_token.expose()),
        ("user", &settings.username),
        ("password", settings.password.expose()),
    ] {
        say::about(name, text);
    }
    say::line("An account for `POST /api/v1/accounts` of a tidings that has TIDINGS_ALLOW_NETWORKS=127.0.0.0/8:");
    say::line(&serde_json::to_string_pretty(&account(sandbox, "Sandbox")?)?);
    say::line("Runs until ^C.");
    Ok(())
}

/// What an account at this sandbox is made with.
pub(super) fn account(sandbox: &Sandbox, name: &str) -> anyhow::Result<serde_json::Value> {
    let (settings, url) = (sandbox.world.settings(), sandbox.world.url());
    Ok(json!({
        "name": name,
        "program": "mpn",
        "tenant_id": settings.tenant,
        "client_id": settings.client_id,
        "client_secret": settings.client_secret.expose(),
        "grant": "refresh_token",
        "refresh_token": settings.refresh_token.expose(),
        "login_url": url.as_str().trim_end_matches('/'),
        "api_url": url.join("insights/v1/mpn")?,
    }))
}
