//! The admin API, asked until some replica answers.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::service::Service;
use super::world::PATIENCE;
use crate::support::app::ADMIN_KEY;

#[derive(Clone)]
pub(super) struct Admin {
    pub(super) client: reqwest::Client,
    addresses: Vec<SocketAddr>,
}

impl Admin {
    pub(super) fn of(services: &[Service]) -> Self {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
        Self { client, addresses: services.iter().map(|service| service.address).collect() }
    }

    /// Makes one thing, however often it must be asked for.
    pub(super) async fn post(&self, path: &str, body: Value) -> Value {
        self.ask("POST", path, &body, true).await.expect("nothing is wrong with it")
    }

    /// Makes one thing; none where a kill left open whether it was made.
    pub(super) async fn try_to_post(&self, path: &str, body: Value) -> Option<Value> {
        self.ask("POST", path, &body, false).await
    }

    /// Removes what may be gone already.
    pub(super) async fn delete(&self, path: &str) {
        self.ask("DELETE", path, &json!({}), false).await;
    }

    async fn ask(&self, method: &str, path: &str, body: &Value, patient: bool) -> Option<Value> {
        let (deadline, key) = (Instant::now() + PATIENCE, uuid::Uuid::now_v7().to_string());
        for at in 0.. {
            let url = format!("http://{}/api/v1{path}", self.addresses[at % self.addresses.len()]);
            let request = self.client.request(method.parse().unwrap(), url).bearer_auth(ADMIN_KEY);
            match request.header("idempotency-key", &key).json(body).send().await {
                Ok(answer) if answer.status().is_success() => return Some(answer.json().await.unwrap_or_default()),
                // The same request, under way for somebody who did not wait: it ends, unless its process was killed.
                Ok(answer) if patient && answer.status() == 409 => {}
                Ok(answer) if answer.status().is_client_error() => return None,
                answer => assert!(Instant::now() < deadline, "{method} {path} was never answered: {answer:?}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        unreachable!()
    }
}
