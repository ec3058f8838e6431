//! Somebody between the service and its Postgres: hands everything on, and does to it what a network can do.
//!
//! It can cut connections, swallow what goes over them so that both sides wait, turn new ones away, lead to another server,
//! and kill the service right before a commit is handed on, or when it was answered and the answer not yet handed back.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{oneshot, watch};

use super::wire::{Commit, Frame, Session, next_frame, tells_of_rows};

/// What is to be killed, and at which commit.
pub(super) struct Aim {
    pub(super) pid: u32,
    /// At commits of this stage; any, where there is none.
    pub(super) stage: Option<&'static str>,
    /// How many of them are let through.
    pub(super) after: usize,
    /// Before the commit is handed on, or else after it was answered.
    pub(super) before: bool,
    pub(super) hit: oneshot::Sender<Hit>,
}

/// Where it was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hit {
    pub(super) stage: &'static str,
    pub(super) before: bool,
}

/// A proxy before one Postgres.
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    to: Mutex<PgConnectOptions>,
    aim: Mutex<Option<Aim>>,
    /// Turns new connections away.
    closed: AtomicBool,
    /// Connections made before the last cut are closed, before the last silence hear nothing.
    made: AtomicU64,
    cut: watch::Sender<u64>,
    silent: AtomicU64,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Proxy {
    /// Listens, and leads to this database.
    pub(super) async fn before(to: PgConnectOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            to: Mutex::new(to),
            aim: Mutex::default(),
            closed: AtomicBool::default(),
            made: AtomicU64::default(),
            cut: watch::Sender::default(),
            silent: AtomicU64::default(),
        });
        let accepting = shared.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if !accepting.closed.load(Ordering::SeqCst) {
                    tokio::spawn(carry(accepting.clone(), stream));
                }
            }
        });
        Self { address, shared }
    }

    /// The way to the database through here.
    pub(super) fn options(&self) -> PgConnectOptions {
        let to = self.shared.to.lock().unwrap().clone();
        PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.address.port())
            .username(to.get_username())
            .database(to.get_database().unwrap())
            .ssl_mode(PgSslMode::Disable)
    }

    /// From now on, new connections lead there.
    pub(super) fn lead_to(&self, to: PgConnectOptions) {
        *self.shared.to.lock().unwrap() = to;
    }

    /// Takes aim; whatever it was aimed at before is let go.
    pub(super) fn aim(&self, aim: Aim) {
        *self.shared.aim.lock().unwrap() = Some(aim);
    }

    /// Aims at nothing.
    pub(super) fn rest(&self) {
        self.shared.aim.lock().unwrap().take();
    }

    /// Resets all connections.
    pub(super) fn cut(&self) {
        self.shared.cut.send_replace(self.shared.made.load(Ordering::SeqCst));
    }

    /// Swallows what goes over the connections there are; both sides wait for ever.
    pub(super) fn silence(&self) {
        self.shared.silent.store(self.shared.made.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// Turns new connections away, or no longer.
    pub(super) fn turn_away(&self, so: bool) {
        self.shared.closed.store(so, Ordering::SeqCst);
    }
}

impl Shared {
    async fn connect(&self) -> Option<Box<dyn Stream>> {
        let to = self.to.lock().unwrap().clone();
        Some(match to.get_socket() {
            Some(folder) => {
                let path: PathBuf = folder.join(format!(".s.PGSQL.{}", to.get_port()));
                Box::new(UnixStream::connect(path).await.ok()?)
            }
            None => Box::new(TcpStream::connect((to.get_host(), to.get_port())).await.ok()?),
        })
    }

    /// Whether this commit is the one; what is to be done then is the caller's from now on.
    fn meets(&self, commit: &Commit, before: bool) -> Option<Aim> {
        let mut place = self.aim.lock().unwrap();
        let aim = place.as_mut()?;
        if aim.before != before || aim.stage.is_some_and(|stage| stage != commit.stage) {
            return None;
        }
        if aim.after > 0 {
            aim.after -= 1;
            return None;
        }
        place.take()
    }
}

fn strike(aim: Aim, commit: &Commit) {
    kill(Pid::from_raw(aim.pid.try_into().unwrap()), Signal::SIGKILL).unwrap();
    let _ = aim.hit.send(Hit { stage: commit.stage, before: aim.before });
}

/// Carries one connection until one side ends it, it is cut, or its client is killed.
async fn carry(shared: Arc<Shared>, client: TcpStream) {
    let Some(server) = shared.connect().await else { return };
    let me = shared.made.fetch_add(1, Ordering::SeqCst) + 1;
    let _ = client.set_nodelay(true);
    // A cut is told by a reset.
    let _ = client.set_zero_linger();
    let mut cut = shared.cut.subscribe();
    let one = Connection { shared: &shared, me, asked: Mutex::default() };
    let (mut client_out, mut client_in) = tokio::io::split(client);
    let (mut server_out, mut server_in) = tokio::io::split(server);
    let both = async {
        let (ask, answer) = (one.ask(&mut client_out, &mut server_in), one.answer(&mut server_out, &mut client_in));
        tokio::pin!(ask, answer);
        let asker_ended = tokio::select! {
            () = &mut ask => true,
            () = &mut answer => false,
        };
        // In silence, neither side hears of the other's end.
        match (one.is_silent(), asker_ended) {
            (false, _) => {}
            (true, true) => answer.await,
            (true, false) => ask.await,
        }
    };
    tokio::select! {
        _ = cut.wait_for(|cut| *cut >= me) => {}
        () = both => {}
    }
}

struct Connection<'a> {
    shared: &'a Shared,
    me: u64,
    /// The commit that is to be answered next.
    asked: Mutex<Option<Commit>>,
}

impl Connection<'_> {
    fn is_silent(&self) -> bool {
        self.shared.silent.load(Ordering::SeqCst) >= self.me
    }

    async fn ask(&self, client: &mut (impl AsyncRead + Unpin), server: &mut (impl AsyncWrite + Unpin)) {
        let (mut buffer, mut bare, mut session) = (Vec::new(), true, Session::default());
        while client.read_buf(&mut buffer).await.is_ok_and(|count| count > 0) {
            while let Some(frame) = next_frame(&mut buffer, bare) {
                bare = false;
                if let Some(commit) = session.sent(&frame) {
                    if !commit.is_claim
                        && let Some(aim) = self.shared.meets(&commit, true)
                    {
                        return strike(aim, &commit);
                    }
                    *self.asked.lock().unwrap() = Some(commit);
                }
                if !self.is_silent() && server.write_all(&frame.bytes).await.is_err() {
                    return;
                }
            }
        }
    }

    async fn answer(&self, server: &mut (impl AsyncRead + Unpin), client: &mut (impl AsyncWrite + Unpin)) {
        let (mut buffer, mut rows) = (Vec::new(), false);
        while server.read_buf(&mut buffer).await.is_ok_and(|count| count > 0) {
            let mut whole = Vec::new();
            while let Some(frame) = next_frame(&mut buffer, false) {
                if self.is_killed_at(&frame, &mut rows) {
                    return;
                }
                whole.extend(frame.bytes);
            }
            if !self.is_silent() && client.write_all(&whole).await.is_err() {
                return;
            }
        }
        // What the server ended is ended here in order, not by a reset.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    fn is_killed_at(&self, frame: &Frame, rows: &mut bool) -> bool {
        *rows |= tells_of_rows(frame);
        if frame.kind != b'Z' {
            return false;
        }
        let rows = std::mem::take(rows);
        let Some(commit) = self.asked.lock().unwrap().take() else { return false };
        if commit.is_claim && !rows {
            return false;
        }
        let Some(aim) = self.shared.meets(&commit, false) else { return false };
        strike(aim, &commit);
        true
    }
}
