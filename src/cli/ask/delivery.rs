//! `tidings delivery`.

use serde_json::{Value, json};

use super::kind::{DELIVERY, SUBSCRIPTION};
use super::session::{Most, Numbered, Session};

#[derive(clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// List deliveries
    List {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        most: Most,
    },
    /// Show a delivery with its attempts
    Show(Numbered),
    /// Send a delivery again under the same id, or a pending one now
    Resend(Numbered),
    /// Send all deliveries of a kind again: the failed ones unless a state is given
    ResendAll(Which),
}

/// Which deliveries.
#[derive(clap::Args)]
pub(in crate::cli) struct Which {
    /// Of this subscription only: name or id
    #[arg(long)]
    subscription: Option<String>,
    /// pending, delivered, failed or cancelled
    #[arg(long)]
    state: Option<String>,
}

pub(super) async fn run(session: &Session, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { which, most } => {
            let subscription = session.id_if(&SUBSCRIPTION, which.subscription.as_deref()).await?;
            session.list(&DELIVERY, &[("subscription_id", subscription), ("state", which.state)], &most).await
        }
        Command::Show(delivery) => session.show_numbered(&DELIVERY, &delivery).await,
        Command::Resend(delivery) => {
            let path = format!("{}/resend", delivery.path(&DELIVERY));
            session.show(&session.client.post(&path, &json!({})).await?)
        }
        Command::ResendAll(which) => {
            let subscription = session.id_if(&SUBSCRIPTION, which.subscription.as_deref()).await?;
            let body = json!({ "subscription_id": subscription, "state": which.state });
            session.show(&session.client.post::<Value>("deliveries/resend", &body).await?)
        }
    }
}
