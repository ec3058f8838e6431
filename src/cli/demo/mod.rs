//! `tidings demo`: the whole story on this machine, with nothing installed beforehand.
//!
//! A private Postgres, the sandbox with its catcher for mails and chats, and the whole service run in this one process; the
//! [`story`] is then played from outside, through the admin API. Everything lies in `{data_dir}/demo`, where each demo
//! starts empty.

mod house;
mod show;
mod store;
mod story;

use std::net::SocketAddr;

use anyhow::{Context, anyhow};
use tokio_util::sync::CancellationToken;

use self::house::House;
use self::show::Show;
use self::story::Story;
use super::database::Server;
use super::{home, say, service, signals};
use crate::config::GivenHome;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// End when the story is told: 0 if all of it happened, else 1
    #[arg(long)]
    once: bool,
    /// Where the service listens; 127.0.0.1:8080, or a free port if that is taken, when not given
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// How many times sooner than scheduled the report is due; the rules and all times that are shown stay real
    #[arg(long, value_name = "FACTOR", default_value_t = 3600.0)]
    speed: f64,
    #[command(flatten)]
    home: GivenHome,
}

/// Tells the story; without `once` the house stays open afterwards, until told to stop.
pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let stop = signals::stop()?;
    let show = Show::begin();
    let mut home = arguments.home.home();
    home.data_dir = home::make(&home.data_dir.join("demo"))?;
    let listener = house::listen(arguments.listen, &show).await?;
    let Some(server) = stop.run_until_cancelled(Server::start_private(&home)).await else { return Ok(()) };
    let server = server?;
    let played = match House::open(&server, &home.data_dir, listener, arguments.speed).await {
        Ok(house) => play(house, &show, arguments.once, stop).await,
        Err(error) => Err(error),
    };
    let stopped = server.stop().await;
    played.and(stopped)
}

/// Plays the story in the open house, and closes it.
async fn play(mut house: House, show: &Show, once: bool, stop: CancellationToken) -> anyhow::Result<()> {
    let listeners = house.listeners.take().context("the house has been opened before")?;
    let service = tokio::spawn(service::run(house.app.clone(), listeners, stop.clone()));
    let told = stop.run_until_cancelled(Story::new(&house, show)?.tell()).await;
    let told = told.unwrap_or_else(|| Err(anyhow!("stopped before the story was told")));
    if let Ok(told) = &told {
        show.heading("Where to look");
        say::about("report file", &told.file.display().to_string());
    }
    let stayed = if once { Ok(()) } else { stay_open(&house, show, told.as_ref().err(), &stop).await };
    stop.cancel();
    let served = service.await.context("the service broke").flatten();
    house.close().await;
    served?;
    told?;
    stayed
}

/// Says where to look, and waits until told to stop.
async fn stay_open(
    house: &House,
    show: &Show,
    failure: Option<&anyhow::Error>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    if stop.is_cancelled() {
        return Ok(());
    }
    house.say_places().await?;
    show.stays_up(failure);
    stop.cancelled().await;
    Ok(())
}
