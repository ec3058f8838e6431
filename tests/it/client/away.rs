//! The commands where answers are lost on their way and where the service is away for a while.

use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use super::{command, unauthorized};
use crate::support::app::TestApp;
use crate::support::command::ended;
use crate::support::scene::until;
use crate::support::server::{Server, hand_on};

const DEADLINE: Duration = Duration::from_secs(60);

/// An answer that ends before it has begun.
fn cut() -> Response<Body> {
    Response::new(Body::from_stream(futures_util::stream::once(async { Err::<String, _>("cut") })))
}

/// Somebody before the service who loses the answers to the first `lost` requests of this method.
async fn losing(app: &TestApp, method: Method, lost: usize) -> Server {
    let (other, count) = (app.url.clone(), Arc::new(AtomicUsize::new(0)));
    Server::start(move |taken| {
        let (other, count, method) = (other.clone(), count.clone(), method.clone());
        async move {
            let (status, body) = hand_on(&other, &taken).await;
            if taken.method == method && count.fetch_add(1, Ordering::SeqCst) < lost {
                return cut();
            }
            Response::builder().status(status).body(body.into()).unwrap()
        }
    })
    .await
}

#[tokio::test]
async fn what_is_asked_again_after_a_lost_answer_is_done_once() {
    let app = TestApp::start().await;
    let between = losing(&app, Method::POST, 1).await;

    let mut add =
        command(between.url.as_str(), &["subscription", "add", "Ann", "--channel", "email", "--to", "a@example.com"]);
    let ended = ended(&mut add).await;

    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_eq!(app.list("/subscriptions").await.len(), 1);
}

#[tokio::test]
async fn what_a_request_removed_whose_answer_was_lost_is_removed() {
    for (lost, requests) in [(1, 2), (0, 1)] {
        let app = TestApp::start().await;
        let id = app.subscribe("slack").await["id"].as_str().unwrap().to_owned();
        let between = losing(&app, Method::DELETE, lost).await;

        let ended = ended(&mut command(between.url.as_str(), &["subscription", "remove", &id])).await;

        assert_eq!(ended.code, Some(0), "{}", ended.err);
        assert!(app.list("/subscriptions").await.is_empty());
        let sent = between.taken().iter().filter(|taken| taken.method == Method::DELETE).count();
        assert_eq!(sent, requests);
    }
}

#[tokio::test]
async fn what_was_never_there_is_not_removed() {
    let service = Server::start(|taken| async move {
        match (taken.header("authorization"), taken.method.clone()) {
            ("", _) => unauthorized(),
            (_, Method::GET) => Response::new(Body::from(json!({ "id": "s1", "name": "Ann" }).to_string())),
            _ => Response::builder()
                .status(404)
                .body(Body::from(r#"{"title": "Not found", "detail": "no such subscription"}"#))
                .unwrap(),
        }
    })
    .await;
    let id = "019b0000-0000-7000-8000-000000000000";

    let ended = ended(&mut command(service.url.as_str(), &["subscription", "remove", id])).await;

    assert_eq!(ended.code, Some(1), "{}", ended.out);
    assert!(ended.err.contains("Not found: no such subscription"), "{}", ended.err);
}

/// Somebody before the service: lets everything through but for the events, which it cuts off or refuses while told to.
struct Between {
    server: Server,
    cuts: Arc<AtomicBool>,
    refuses: Arc<AtomicBool>,
}

impl Between {
    async fn start(app: &TestApp, refusal: u16) -> Self {
        let (cuts, refuses) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let (other, is_cut, is_refused) = (app.url.clone(), cuts.clone(), refuses.clone());
        let server = Server::start(move |taken| {
            let (other, is_cut, is_refused) = (other.clone(), is_cut.clone(), is_refused.clone());
            async move {
                if is_cut.load(Ordering::SeqCst) {
                    return cut();
                }
                if is_refused.load(Ordering::SeqCst) && !taken.header("authorization").is_empty() {
                    let problem = json!({ "title": "No", "detail": "events up to number 9 were removed" });
                    return Response::builder().status(refusal).body(Body::from(problem.to_string())).unwrap();
                }
                let (status, body) = hand_on(&other, &taken).await;
                Response::builder().status(status).body(body.into()).unwrap()
            }
        })
        .await;
        Self { server, cuts, refuses }
    }

    /// Waits until it was asked this many times more.
    async fn asked(&self, times: usize) {
        let before = self.server.taken().len();
        until("it is asked again", || async { self.server.taken().len() >= before + times }).await;
    }
}

/// A run of `tidings event follow`.
struct Following {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Following {
    fn start(between: &Between) -> Self {
        let arguments = ["event", "follow", "--after", "0", "--json"];
        let mut child = command(between.server.url.as_str(), &arguments).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The numbers of what it prints next.
    async fn numbers(&mut self, count: usize) -> Vec<i64> {
        let mut numbers = Vec::new();
        for _ in 0..count {
            let line = tokio::time::timeout(DEADLINE, self.lines.next_line()).await.unwrap().unwrap();
            let event: Value = serde_json::from_str(&line.expect("it goes on")).unwrap();
            numbers.push(event["seq"].as_i64().unwrap());
        }
        numbers
    }

    /// How it ended by itself, with what it printed since and what it said.
    async fn ended(mut self) -> (ExitStatus, Option<String>, String) {
        let status = tokio::time::timeout(DEADLINE, self.child.wait()).await.unwrap().unwrap();
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).await.unwrap();
        (status, self.lines.next_line().await.unwrap(), said)
    }
}

/// Has one more event happen.
async fn happen(app: &TestApp, subscription: &Value) {
    app.post(&format!("/subscriptions/{}/test", subscription["id"].as_str().unwrap()), json!({})).await;
    app.drain().await;
}

#[tokio::test]
async fn events_are_followed_through_a_time_when_the_service_is_away_and_end_where_it_refuses() {
    for (refusal, told) in [(410, "No: events up to number 9 were removed"), (401, "does not know this API key")] {
        let app = TestApp::start().await;
        let subscription = app.subscribe("slack").await;
        happen(&app, &subscription).await;
        let between = Between::start(&app, refusal).await;
        let mut following = Following::start(&between);
        let first = following.numbers(1).await;

        between.cuts.store(true, Ordering::SeqCst);
        between.asked(3).await;
        happen(&app, &subscription).await;
        happen(&app, &subscription).await;
        between.cuts.store(false, Ordering::SeqCst);
        let missed = following.numbers(2).await;
        happen(&app, &subscription).await;
        let next = following.numbers(1).await;
        between.refuses.store(true, Ordering::SeqCst);
        let (status, more, said) = following.ended().await;

        assert_eq!([first, missed, next].concat(), [1, 2, 3, 4]);
        assert_eq!((status.code(), more), (Some(1), None), "{said}");
        assert_eq!(said.matches("reconnecting, to go on behind event 1: no service answers at").count(), 1, "{said}");
        assert_eq!(said.matches("connected again, going on behind event 1\n").count(), 1, "{said}");
        assert!(said.contains(told), "{said}");
    }
}

#[tokio::test]
async fn events_are_not_waited_for_where_no_service_ever_was() {
    let ended = ended(&mut command("http://127.0.0.1:1", &["event", "follow", "--after", "0"])).await;

    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("no service answers at http://127.0.0.1:1/"), "{}", ended.err);
}
