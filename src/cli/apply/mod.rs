//! `tidings apply`: accounts, queries, reports and subscriptions from one file of intent.
//!
//! The file is read and found right as a whole, then compared with what the service has; the plan is shown and, unless it was
//! a dry run, performed. Nothing is removed without `--prune`.

mod file;
mod perform;
mod plan;
mod problem;
mod prune;
mod schema;
mod settle;
mod show;
mod there;
mod validate;
mod wanted;

use std::path::{Path, PathBuf};

use anyhow::Context;
use chrono::{DateTime, Utc};
use serde::Deserialize;

use self::file::Lists;
use self::perform::Run;
use self::plan::{Planner, Step};
use self::problem::Problems;
use self::show::Show;
use self::there::There;
use self::wanted::{Ids, Kind, Name, Wanted};
use super::client::Client;
use super::say;
use crate::config::GivenReach;

/// What the command takes.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The file of intent, in YAML
    #[arg(required_unless_present = "schema")]
    file: Option<PathBuf>,
    /// Show what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Remove what the file no longer names, of each list that it has; queries and reports of accounts that it names only
    #[arg(long)]
    prune: bool,
    /// Print the JSON Schema of the file, for editors
    // Not `exclusive`: settings in the environment are in nobody's way.
    #[arg(long, conflicts_with_all = ["file", "dry_run", "prune", "json"])]
    schema: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: GivenReach,
}

#[derive(Deserialize)]
struct Status {
    now: DateTime<Utc>,
}

/// Brings the service into line with the file.
pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Some(path) = arguments.file.as_deref().filter(|_| !arguments.schema) else {
        say::line(&schema::schema()?);
        return Ok(());
    };
    let mut problems = Problems::of(path);
    let text = file::text(path).with_context(|| format!("failed to read {}", path.display()))?;
    let Some(mut lists) = file::read(&text, &mut problems) else { return Ok(problems.none()?) };
    let (listed, unread) = (listed(&lists), std::mem::take(&mut lists.unread));
    let mut wanted = wanted::wanted(lists, folder(path), &mut problems);
    let looked = look(arguments.reach).await;
    if looked.is_err() {
        problems.none()?;
    }
    let (client, now, there) = looked?;
    let ids = there.ids();
    bind(&mut wanted, &unread, &ids, &mut problems);
    if arguments.prune {
        prune::check(&wanted, &unread, &listed, &mut problems);
    }
    let planner = Planner { client: &client, there: &there, ids: &ids, wanted: &wanted, unread: &unread, now };
    let steps = planner.steps(&mut problems).await;
    problems.none()?;
    let mut steps: Vec<Step> = steps?;
    steps.extend(planner.others(&listed, arguments.prune));
    let mut show = Show::new(arguments.json);
    show.plan(&steps);
    let done = if arguments.dry_run {
        Ok(())
    } else {
        Run { client: &client, wanted: &wanted, ids: ids.clone(), now }.all(&steps, &mut show).await
    };
    show.document(&steps, arguments.dry_run)?;
    done
}

/// The service, its time, and all that it has.
async fn look(reach: GivenReach) -> anyhow::Result<(Client, DateTime<Utc>, There)> {
    let client = Client::reach(reach.check()?)?;
    let now = client.get::<Status>("status").await?.now;
    let there = There::look(&client).await?;
    Ok((client, now, there))
}

fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

fn listed(lists: &Lists) -> Vec<Kind> {
    let Lists { accounts, queries, reports, subscriptions, .. } = lists;
    let has = [accounts.is_some(), queries.is_some(), reports.is_some(), subscriptions.is_some()];
    Kind::ALL.into_iter().zip(has).filter_map(|(kind, has)| has.then_some(kind)).collect()
}

/// Finds all that items name, in the file or there.
fn bind(wanted: &mut [Wanted], unread: &[Name], ids: &Ids, problems: &mut Problems) {
    let in_file = wanted.iter().map(|wanted| &wanted.name).chain(unread);
    let mut known: Vec<Name> = in_file.chain(ids.keys()).cloned().collect();
    known.sort();
    known.dedup();
    let reports: Vec<Name> = known.iter().filter(|name| name.kind == Kind::Report).cloned().collect();
    for wanted in wanted {
        let account = wanted.name.account.as_deref().map(Name::account);
        for needed in account.iter().chain(&wanted.query) {
            if known.binary_search(needed).is_err() {
                problems.add(wanted.line, &wanted.place, &format!("there is no {needed}"));
            }
        }
        wanted.bind(&reports, problems);
    }
}
