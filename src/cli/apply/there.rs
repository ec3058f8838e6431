//! What the service has, by name.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::wanted::{Ids, Kind, Name};
use crate::cli::client::Client;

/// Everything that a file can speak of. Retired reports are not in it.
#[derive(Default)]
pub(super) struct There {
    things: BTreeMap<Name, Vec<Thing>>,
    /// Queries and accounts of reports, retired ones too: they can't be removed.
    used: BTreeSet<String>,
}

/// One thing as the admin API shows it.
pub(super) struct Thing {
    pub(super) id: String,
    pub(super) fields: Value,
}

impl There {
    /// Looks at all of it.
    pub(super) async fn look(client: &Client) -> anyhow::Result<Self> {
        let mut there = Self::default();
        let accounts: Vec<Value> = client.all("accounts").await?;
        let mut names = BTreeMap::new();
        for account in accounts {
            let (id, name) = (text(&account, "id"), text(&account, "name"));
            for query in client.all(&format!("accounts/{id}/queries")).await? {
                there.add(Kind::Query, Some(&name), query);
            }
            names.insert(id, name);
            there.add(Kind::Account, None, account);
        }
        for report in client.all::<Value>("reports").await? {
            there.used.extend([text(&report, "query_id"), text(&report, "account_id")]);
            if report["state"] != "retired" {
                there.add(Kind::Report, names.get(&text(&report, "account_id")).map(String::as_str), report);
            }
        }
        for subscription in client.all("subscriptions").await? {
            there.add(Kind::Subscription, None, subscription);
        }
        Ok(there)
    }

    fn add(&mut self, kind: Kind, account: Option<&str>, fields: Value) {
        let name = Name::of(kind, account, &text(&fields, "name"));
        self.things.entry(name).or_default().push(Thing { id: text(&fields, "id"), fields });
    }

    /// What has this name; several only of a kind whose names need not be unique.
    pub(super) fn named(&self, name: &Name) -> &[Thing] {
        self.things.get(name).map_or(&[], Vec::as_slice)
    }

    /// All of one kind.
    pub(super) fn of(&self, kind: Kind) -> impl Iterator<Item = (&Name, &Thing)> {
        let things = self.things.iter().filter(move |(name, _)| name.kind == kind);
        things.flat_map(|(name, things)| things.iter().map(move |thing| (name, thing)))
    }

    /// Whether a report needs the query or the account with this id.
    pub(super) fn is_used(&self, id: &str) -> bool {
        self.used.contains(id)
    }

    /// The id of each name.
    pub(super) fn ids(&self) -> Ids {
        let first = |things: &Vec<Thing>| things.first().map(|thing| thing.id.clone());
        self.things.iter().filter_map(|(name, things)| Some((name.clone(), first(things)?))).collect()
    }
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}
