//! `tidings file`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::Response;
use serde_json::{Value, json};
use uuid::Uuid;

use super::kind::{FILE, REPORT};
use super::session::{Most, Numbered, Session};
use crate::cli::given;

/// A file takes as long as it takes, but not without a byte for this long.
const STALLED: Duration = Duration::from_mins(1);

#[derive(clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// List files
    List {
        /// Of this report only: name or id
        #[arg(long)]
        report: Option<String>,
        #[command(flatten)]
        most: Most,
    },
    /// Show what is known of a file
    Show(Numbered),
    /// Print a file, or write it to another
    #[command(group = clap::ArgGroup::new("which").required(true).args(["id", "report"]))]
    Get {
        /// Its id, or else give --report
        #[arg(value_parser = given::id)]
        id: Option<Uuid>,
        /// The newest file of this report: name or id
        #[arg(long)]
        report: Option<String>,
        /// Write it here; what was there is replaced once all of it came
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Make an address that anyone may fetch the file from, for seven days
    Share(Numbered),
}

pub(super) async fn run(session: &Session, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { report, most } => {
            let report = session.id_if(&REPORT, report.as_deref()).await?;
            session.list(&FILE, &[("report_id", report)], &most).await
        }
        Command::Show(file) => session.show_numbered(&FILE, &file).await,
        Command::Get { id, report, output } => {
            let id = match (id, report) {
                (Some(id), _) => id.to_string(),
                (None, report) => newest(session, &report.unwrap_or_default()).await?,
            };
            get(session, &id, output.as_deref()).await
        }
        Command::Share(file) => {
            let path = format!("{}/share", file.path(&FILE));
            session.show(&session.client.post(&path, &json!({})).await?)
        }
    }
}

async fn newest(session: &Session, report: &str) -> anyhow::Result<String> {
    let id = session.id(&REPORT, report).await?;
    let newest: Vec<Value> = session.client.newest(&format!("{}?report_id={id}", FILE.path), 1).await?;
    match newest.first().and_then(|file| file["id"].as_str()) {
        Some(id) => Ok(id.to_owned()),
        None => bail!("the report \"{report}\" has no file yet"),
    }
}

async fn get(session: &Session, id: &str, output: Option<&Path>) -> anyhow::Result<()> {
    let file: Value = session.client.get(&format!("{}/{id}", FILE.path)).await?;
    let response = session.client.open(&format!("{}/{id}/content", FILE.path)).await?;
    let whole = file["size_bytes"].as_u64();
    let Some(path) = output else {
        return match copy(response, whole, &mut io::stdout().lock()).await {
            // A reader who has gone wants no more.
            Err(error) if is_broken_pipe(&error) => Ok(()),
            copied => copied,
        };
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let aside = folder.join(format!(".{id}.part"));
    let written = async {
        let mut out = std::fs::File::create(&aside)?;
        copy(response, whole, &mut out).await?;
        Ok(std::fs::rename(&aside, path)?)
    };
    let written: anyhow::Result<()> = written.await;
    if written.is_err() {
        let _ = std::fs::remove_file(&aside);
    }
    written.with_context(|| format!("failed to write {}", path.display()))
}

async fn copy(mut response: Response, whole: Option<u64>, out: &mut impl Write) -> anyhow::Result<()> {
    let mut size = 0;
    while let Some(chunk) = tokio::time::timeout(STALLED, response.chunk()).await.context("the file stalled")?? {
        size += chunk.len() as u64;
        out.write_all(&chunk)?;
    }
    out.flush()?;
    anyhow::ensure!(whole.is_none_or(|whole| whole == size), "only {size} bytes of the file came; try again");
    Ok(())
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
