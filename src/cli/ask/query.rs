//! `tidings query`.

use std::collections::BTreeMap;

use anyhow::bail;
use serde::Serialize;
use serde_json::Value;

use super::kind::{ACCOUNT, QUERY};
use super::name::{Found, found};
use super::session::{Most, Named, Session, body, some};

#[derive(clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// List the queries of an account
    List {
        #[command(flatten)]
        owner: Owner,
        #[command(flatten)]
        most: Most,
    },
    /// Keep a query
    Add {
        /// Unique within the account
        name: String,
        /// Such as "SELECT Month FROM OfficeUsage TIMESPAN LAST_MONTH"
        query: String,
        #[command(flatten)]
        owner: Owner,
    },
    /// Change a query
    Change {
        #[command(flatten)]
        named: Named,
        /// Its new name
        #[arg(long = "name", value_name = "NAME")]
        new_name: Option<String>,
        /// Its new text
        #[arg(long)]
        query: Option<String>,
        #[command(flatten)]
        owner: Owner,
    },
    /// Remove a query that no report uses
    Remove {
        #[command(flatten)]
        named: Named,
        #[command(flatten)]
        owner: Owner,
    },
    /// Run a query and show its first rows; takes up to two minutes
    Test {
        /// Its text
        query: String,
        #[command(flatten)]
        owner: Owner,
    },
}

#[derive(clap::Args)]
pub(in crate::cli) struct Owner {
    /// Whose: name or id of an account; may be left out while there is only one
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,
}

#[derive(Serialize)]
struct Fields {
    name: Option<String>,
    query: Option<String>,
}

pub(super) async fn run(session: &Session, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { owner, most } => {
            let queries = owner.queries(session).await?;
            session.list_in(&QUERY, &queries, &[], &most).await
        }
        Command::Add { name, query, owner } => {
            let fields = Fields { name: Some(name), query: Some(query) };
            session.add(&owner.queries(session).await?, &body(&fields)?).await
        }
        Command::Change { named, new_name, query, owner } => {
            let body = some(body(&Fields { name: new_name, query })?)?;
            session.change(&owner.path(session, &named).await?, &body).await
        }
        Command::Remove { named, owner } => {
            session.client.delete(&owner.path(session, &named).await?).await?;
            session.done(&format!("The query \"{}\" is removed.", named.name()));
            Ok(())
        }
        Command::Test { query, owner } => {
            let fields = Fields { name: None, query: Some(query) };
            session.add(&format!("{}/test", owner.queries(session).await?), &body(&fields)?).await
        }
    }
}

impl Owner {
    /// The id of the account.
    pub(super) async fn id(&self, session: &Session) -> anyhow::Result<String> {
        if let Some(account) = &self.account {
            return session.id(&ACCOUNT, account).await;
        }
        let accounts: Vec<Value> = session.client.newest(ACCOUNT.path, 2).await?;
        match accounts.as_slice() {
            [one] => Ok(one["id"].as_str().unwrap_or_default().to_owned()),
            [] => bail!("there is no account; make one with `tidings account add`"),
            _ => bail!("there are several accounts; say whose it is with --account"),
        }
    }

    /// Where the admin API has the queries.
    async fn queries(&self, session: &Session) -> anyhow::Result<String> {
        Ok(format!("{}/{}/{}", ACCOUNT.path, self.id(session).await?, QUERY.path))
    }

    /// Where the admin API has a query.
    async fn path(&self, session: &Session, named: &Named) -> anyhow::Result<String> {
        let (account, query) = self.query(session, named.name()).await?;
        Ok(format!("{}/{account}/{}/{query}", ACCOUNT.path, QUERY.path))
    }

    /// The ids of a query and of its account, which need not be given where only one has such a query.
    pub(super) async fn query(&self, session: &Session, text: &str) -> anyhow::Result<(String, String)> {
        let mut accounts = session.accounts().await?;
        if self.account.is_some() {
            let id = self.id(session).await?;
            accounts.retain(|(known, _)| *known == id);
        }
        let (mut all, mut of) = (Vec::new(), BTreeMap::new());
        for (account, name) in &accounts {
            let queries = session.of_account(&format!("{}/{account}/{}", ACCOUNT.path, QUERY.path), name).await?;
            of.extend(queries.iter().map(|query| (query.id().to_owned(), account.clone())));
            all.extend(queries);
        }
        match found(all, text) {
            Found::One(query) => {
                let id = query["id"].as_str().unwrap_or_default();
                Ok((of.remove(id).unwrap_or_default(), id.to_owned()))
            }
            Found::Several(which) => {
                bail!("several are called \"{text}\"; give one as Account/Query or by its id: {which}")
            }
            Found::None => {
                let lists: Vec<String> =
                    accounts.iter().map(|(_, name)| format!("`tidings query list --account \"{name}\"`")).collect();
                bail!("there is no query \"{text}\"; see {}", lists.join(" or "))
            }
        }
    }
}
