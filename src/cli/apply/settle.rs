//! Waiting, for a while, until Microsoft has what was asked for: a report that it refuses is told where it was asked for.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::bail;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::show::Show;
use crate::cli::client::Client;

const PAUSE: Duration = Duration::from_millis(500);
/// Whatever is not there by then is told as being on its way.
const LONGEST: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
struct Report {
    account_id: String,
    name: String,
    state: String,
    settling: bool,
    last_failure: Option<String>,
}

/// What a look at a report shows.
enum Seen {
    /// It is as far as it gets for now.
    Settled(String),
    /// Microsoft does not take it.
    Refused(String),
    NotYet,
}

/// Waits for reports, and fails if one was refused: those that were `touched`, and all others of the file that are not
/// settled, as a change of a query makes its reports anew.
pub(super) async fn wait(client: &Client, of_file: &[&String], touched: &[String], show: &Show) -> anyhow::Result<()> {
    if of_file.is_empty() {
        return Ok(());
    }
    let unsettled = unsettled(client).await?;
    let ids = of_file.iter().filter(|id| touched.contains(id) || unsettled.contains(**id));
    let signed_out = signed_out(client).await?;
    let began = Instant::now();
    let mut refused = Vec::new();
    for id in ids {
        loop {
            let report: Report = client.get(&format!("reports/{id}")).await?;
            match seen(&report, &signed_out) {
                Seen::NotYet if began.elapsed() < LONGEST => tokio::time::sleep(PAUSE).await,
                Seen::NotYet => break show.report(&report.name, "is on its way; see `tidings report list`"),
                Seen::Settled(how) => break show.report(&report.name, &how),
                Seen::Refused(why) => break refused.push(format!("\n  {}: {why}", report.name)),
            }
        }
    }
    if !refused.is_empty() {
        bail!("not all reports were taken: change them in the file and run the same command again{}", refused.concat());
    }
    Ok(())
}

async fn unsettled(client: &Client) -> anyhow::Result<BTreeSet<String>> {
    let reports: Vec<Value> = client.all("reports").await?;
    let is_unsettled = |report: &&Value| report["settling"] == true || report["state"] == "rejected";
    Ok(reports.iter().filter(is_unsettled).filter_map(|report| report["id"].as_str().map(str::to_owned)).collect())
}

fn seen(report: &Report, signed_out: &[String]) -> Seen {
    match (report.state.as_str(), &report.last_failure) {
        ("rejected", why) => Seen::Refused(why.clone().unwrap_or_else(|| "no reason was given".into())),
        _ if signed_out.contains(&report.account_id) => {
            Seen::Settled("waits until its account can sign in; see `tidings account list`".into())
        }
        (_, Some(why)) => Seen::Settled(format!("is tried again: {why}")),
        (state, None) if report.settling || state == "draft" => Seen::NotYet,
        (state, None) => Seen::Settled(format!("is {state}")),
    }
}

/// The accounts whose work waits for a person.
async fn signed_out(client: &Client) -> anyhow::Result<Vec<String>> {
    let accounts: Vec<Value> = client.all("accounts").await?;
    let waiting = accounts.iter().filter(|account| account["state"] == "sign_in_required");
    Ok(waiting.filter_map(|account| account["id"].as_str().map(str::to_owned)).collect())
}
