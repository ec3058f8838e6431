//! `tidings account`.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};

use super::kind::{ACCOUNT, DATASET};
use super::session::{Most, Named, Session, body, some};
use super::show::Form;
use super::sign_in;
use crate::cli::given;
use crate::cli::reference::Reference;

#[derive(clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// List accounts
    List(Most),
    /// Show an account
    Show(Named),
    /// Make an account
    Add {
        /// Unique, at most 100 characters
        name: String,
        #[command(flatten)]
        fields: Box<Fields>,
    },
    /// Change an account; what is not given stays
    Change {
        #[command(flatten)]
        account: Named,
        /// Its new name
        #[arg(long = "name", value_name = "NAME")]
        new_name: Option<String>,
        #[command(flatten)]
        fields: Box<Fields>,
    },
    /// Tell which fields a change would change, secrets among them
    Compare {
        #[command(flatten)]
        account: Named,
        #[command(flatten)]
        fields: Box<Fields>,
    },
    /// Remove an account that never had reports
    Remove(Named),
    /// Sign in and look what the API shows
    Verify(Named),
    /// Let a person sign in, with a code at Microsoft's page
    SignIn(Named),
    /// What can be asked for
    Datasets(Named),
}

/// Fields of an account. Secrets are named: env:NAME or file:PATH.
#[derive(clap::Args, Serialize)]
pub(in crate::cli) struct Fields {
    /// mpn (Partner Insights) or cmp (commercial marketplace analytics)
    #[arg(long)]
    program: Option<String>,
    /// The directory: a GUID or a domain
    #[arg(long, value_name = "ID")]
    tenant_id: Option<String>,
    /// The application
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// refresh_token, client_credentials or password (legacy)
    #[arg(long)]
    grant: Option<String>,
    /// Where the application's secret is: env:NAME or file:PATH
    #[arg(long, value_name = "WHERE")]
    client_secret: Option<Reference>,
    /// When that secret ends
    #[arg(long, value_name = "TIME", value_parser = given::time)]
    client_secret_expires_at: Option<DateTime<Utc>>,
    /// Where a certificate with its key is, as PEM: env:NAME or file:PATH
    #[arg(long, value_name = "WHERE")]
    client_certificate: Option<Reference>,
    /// Where the refresh token is: env:NAME or file:PATH; sign-in gives one, too
    #[arg(long, value_name = "WHERE")]
    refresh_token: Option<Reference>,
    /// The user of the password grant
    #[arg(long)]
    username: Option<String>,
    /// Where that user's password is: env:NAME or file:PATH
    #[arg(long, value_name = "WHERE")]
    password: Option<Reference>,
    /// Which token endpoint: 1 when not given, or 2
    #[arg(long, value_name = "VERSION")]
    token_version: Option<u8>,
    /// Where it signs in; Microsoft's own when not given
    #[arg(long, value_name = "URL")]
    login_url: Option<String>,
    /// The whole base of the API; Microsoft's own when not given
    #[arg(long, value_name = "URL")]
    api_url: Option<String>,
}

pub(super) async fn run(session: &Session, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List(most) => session.list(&ACCOUNT, &[], &most).await,
        Command::Show(account) => session.show_named(&ACCOUNT, &account).await,
        Command::Add { name, fields } => {
            let mut body = body(&fields)?;
            body.insert("name".into(), name.into());
            session.add(ACCOUNT.path, &body).await
        }
        Command::Change { account, new_name, fields } => {
            let mut body = body(&fields)?;
            body.extend(new_name.map(|name| ("name".to_owned(), name.into())));
            let body = some(body)?;
            session.change(&session.path(&ACCOUNT, &account).await?, &body).await
        }
        Command::Compare { account, fields } => {
            let path = session.path(&ACCOUNT, &account).await?;
            let compared: Value = session.client.post(&format!("{path}/compare"), &json!(body(&fields)?)).await?;
            if session.form == Form::Json || compared["differs"] != json!([]) {
                return session.show(&compared);
            }
            session.done(&format!("The account \"{}\" has all that was given.", account.name()));
            Ok(())
        }
        Command::Remove(account) => session.remove(&ACCOUNT, &account).await,
        Command::Verify(account) => verify(session, &account).await,
        Command::SignIn(account) => sign_in::run(session, &account).await,
        Command::Datasets(account) => {
            let path = session.path(&ACCOUNT, &account).await?;
            session.items(&DATASET, &session.client.list::<Value>(&format!("{path}/datasets")).await?)
        }
    }
}

/// What does not work is a failure of the command, too.
async fn verify(session: &Session, account: &Named) -> anyhow::Result<()> {
    let path = session.path(&ACCOUNT, account).await?;
    let verified: Value = session.client.post(&format!("{path}/verify"), &json!({})).await?;
    session.show(&verified)?;
    anyhow::ensure!(verified["ok"] == true, "the account \"{}\" does not work", account.name());
    Ok(())
}
