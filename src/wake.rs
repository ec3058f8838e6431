//! Hints that there is work: inside the process at once, across replicas through `NOTIFY` on a connection of its own.
//!
//! A hint may be lost or come for nothing; the timer of each step is the guarantee. It is sent after the commit and at most
//! twenty times a second, as within a transaction a `NOTIFY` takes a lock on the whole cluster. Only the trigger of the table
//! `callbacks` sends one in its transaction, when a call makes a check due that was not; it comes to this process too by the
//! connection that listens, and by the timer where that is cut.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::secret::{hex, random_bytes};

const CHANNEL: &str = "tidings";
const LEAST_PAUSE: Duration = Duration::from_millis(50);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// When nothing was heard for so long, it is asked whether the connection is still there.
const SILENCE: Duration = Duration::from_secs(30);
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);

/// What there may be work about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// A report is to be brought into line at the API.
    Reports,
    /// A check is due.
    Checks,
    /// An execution is ready to be downloaded.
    Executions,
    /// A fact was written.
    Events,
    /// A delivery is due.
    Deliveries,
}

impl Topic {
    const ALL: [Self; 5] = [Self::Reports, Self::Checks, Self::Executions, Self::Events, Self::Deliveries];

    fn as_str(self) -> &'static str {
        match self {
            Self::Reports => "reports",
            Self::Checks => "checks",
            Self::Executions => "executions",
            Self::Events => "events",
            Self::Deliveries => "deliveries",
        }
    }
}

/// Where hints are given and heard. Clones share the same hints.
#[derive(Debug, Clone)]
pub struct Wake {
    local: broadcast::Sender<(Topic, Origin)>,
    me: Arc<str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Here,
    Elsewhere,
}

impl Default for Wake {
    fn default() -> Self {
        Self { local: broadcast::channel(256).0, me: hex(&random_bytes::<8>()).into() }
    }
}

impl Wake {
    /// Says that there may be work.
    pub fn hint(&self, topic: Topic) {
        // Nobody listening is fine: the timers find the work.
        let _ = self.local.send((topic, Origin::Here));
    }

    /// Hears hints from now on.
    pub fn ear(&self) -> Ear {
        Ear { hints: self.local.subscribe() }
    }

    /// Carries hints to and from other replicas until told to stop.
    pub async fn relay(self, pool: PgPool, stop: CancellationToken) {
        let speak = self.clone().speak(pool.clone());
        let hear = self.hear(pool);
        tokio::select! {
            () = stop.cancelled() => {}
            () = speak => {}
            () = hear => {}
        }
    }

    async fn speak(self, pool: PgPool) {
        let mut hints = self.local.subscribe();
        loop {
            let mut topics = Vec::new();
            match hints.recv().await {
                Ok((topic, Origin::Here)) => topics.push(topic),
                Ok((_, Origin::Elsewhere)) => continue,
                Err(broadcast::error::RecvError::Lagged(_)) => topics.extend(Topic::ALL),
                Err(broadcast::error::RecvError::Closed) => return,
            }
            tokio::time::sleep(LEAST_PAUSE).await;
            while let Ok((topic, origin)) = hints.try_recv() {
                if origin == Origin::Here && !topics.contains(&topic) {
                    topics.push(topic);
                }
            }
            let words: Vec<&str> = topics.iter().map(|topic| topic.as_str()).collect();
            let text = format!("{} {}", self.me, words.join(" "));
            let sent = sqlx::query("select pg_notify($1, $2)").bind(CHANNEL).bind(text).execute(&pool);
            if let Err(error) = in_time(sent).await {
                tracing::debug!(%error, "failed to wake the other replicas; their timers will");
                tokio::time::sleep(RECONNECT_PAUSE).await;
            }
        }
    }

    async fn hear(self, pool: PgPool) {
        loop {
            if let Err(error) = self.listen(&pool).await {
                tracing::debug!(%error, "failed to hear the other replicas; the timers go on");
            }
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
    }

    async fn listen(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let mut listener = PgListener::connect_with(pool).await?;
        listener.listen(CHANNEL).await?;
        loop {
            let Ok(heard) = tokio::time::timeout(SILENCE, listener.recv()).await else {
                // A quiet network and a broken one sound alike.
                in_time(sqlx::query("select 1").execute(&mut listener)).await?;
                continue;
            };
            let heard = heard?;
            if heard.payload().starts_with(&*self.me) {
                continue;
            }
            for topic in Topic::ALL.into_iter().filter(|topic| heard.payload().contains(topic.as_str())) {
                let _ = self.local.send((topic, Origin::Elsewhere));
            }
        }
    }
}

/// A connection that the network forgot says nothing; who waits for it would be deaf or dumb for good.
async fn in_time<T>(asked: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    let late = |_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
    tokio::time::timeout(ANSWER_TIMEOUT, asked).await.map_err(late)?
}

/// Hears hints given since it was made or last asked.
#[derive(Debug)]
pub struct Ear {
    hints: broadcast::Receiver<(Topic, Origin)>,
}

impl Ear {
    /// Waits for a hint about one of these topics; too many unheard ones count as a hint.
    pub async fn hear(&mut self, topics: &[Topic]) {
        loop {
            match self.hints.recv().await {
                Ok((topic, _)) if topics.contains(&topic) => return,
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => return,
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    /// Waits for a hint about anything.
    pub async fn any(&mut self) {
        self.hear(&Topic::ALL).await;
    }
}
