//! What the world saw of the service: which calls it acknowledged, which runs there were, and who was told of what.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;

/// What subscribers were told of one run: the ids of the messages, and how often each came.
type Told = BTreeMap<String, usize>;

#[derive(Default)]
pub(super) struct Toll {
    /// The marks of the calls that were answered 200.
    pub(super) acknowledged: Mutex<BTreeSet<String>>,
    /// Calls that were answered otherwise, or not at all.
    pub(super) refused: Mutex<usize>,
    /// Runs of reports: the execution there, and its report.
    pub(super) runs: Mutex<BTreeMap<String, String>>,
    told: Mutex<BTreeMap<(String, String), Told>>,
}

impl Toll {
    /// Opens an endpoint for webhooks; gives its address.
    pub(super) async fn endpoint(self: &Arc<Self>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new().route("/hook", post(take)).with_state(self.clone());
        tokio::spawn(async { axum::serve(listener, router).await });
        url
    }

    /// The runs that nobody was told of.
    pub(super) fn untold(&self) -> Vec<String> {
        let told = self.told.lock().unwrap();
        let is_told = |id: &String| told.keys().any(|(execution, kind)| execution == id && is_arrival(kind));
        self.runs.lock().unwrap().keys().filter(|id| !is_told(id)).cloned().collect()
    }

    /// The reports whose last run is not told yet.
    pub(super) fn busy(&self) -> BTreeSet<String> {
        let untold = self.untold();
        let runs = self.runs.lock().unwrap();
        untold.iter().map(|id| runs[id].clone()).collect()
    }

    /// How many facts were told, how many of them under two ids, and how many messages came again under the same id.
    pub(super) fn told(&self) -> (usize, usize, usize) {
        let told = self.told.lock().unwrap();
        let doubled = told.values().filter(|ids| ids.len() > 1).count();
        let repeats = told.values().flat_map(BTreeMap::values).map(|times| times - 1).sum();
        (told.len(), doubled, repeats)
    }

    /// How far it is.
    pub(super) fn shown(&self) -> String {
        let acknowledged = self.acknowledged.lock().unwrap().len();
        let runs = self.runs.lock().unwrap().len();
        format!("acknowledged {acknowledged}, runs {runs}, not yet told {}", self.untold().len())
    }

    /// Facts about one run that exclude each other or that nobody caused.
    pub(super) fn wrong(&self) -> Vec<(String, String)> {
        let (told, runs) = (self.told.lock().unwrap(), self.runs.lock().unwrap());
        told.keys().filter(|(id, kind)| !runs.contains_key(id) || kind != "report.ready").cloned().collect()
    }
}

fn is_arrival(kind: &str) -> bool {
    kind == "report.ready"
}

async fn take(State(toll): State<Arc<Toll>>, headers: HeaderMap, body: String) -> &'static str {
    let body: Value = serde_json::from_str(&body).unwrap();
    let id = headers["webhook-id"].to_str().unwrap().to_owned();
    let kind = body["type"].as_str().unwrap().to_owned();
    let execution = body["data"]["execution"]["remote_id"].as_str().unwrap_or_default().to_owned();
    *toll.told.lock().unwrap().entry((execution, kind)).or_default().entry(id).or_default() += 1;
    // Room for a kill between the telling and the record of it.
    tokio::time::sleep(Duration::from_millis(3)).await;
    "ok"
}
