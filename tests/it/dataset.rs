//! Datasets: asked for once a day, given with their age, and read to the end of their list.

use std::sync::{Arc, OnceLock};

use axum::http::StatusCode;
use serde_json::{Value, json};
use tidings::sandbox::Fault;
use url::Url;

use crate::support::app::TestApp;
use crate::support::scene::{DAY, HOUR};
use crate::support::server::Server;

/// A server before the sandbox that answers questions for datasets; `page` is 1 for the first.
async fn showing(it: &TestApp, answer: impl Fn(u64) -> Value + Clone + Send + Sync + 'static) -> Server {
    Server::before(it.sandbox.url(), move |taken, handed_on| {
        if !taken.uri.path().ends_with("/ScheduledDataset") {
            return handed_on;
        }
        let page = taken.uri.query().and_then(|query| query.strip_prefix("page=")?.parse().ok()).unwrap_or(1);
        (StatusCode::OK, answer(page).to_string().into())
    })
    .await
}

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn datasets_are_asked_for_once_a_day_or_when_that_is_wanted() {
    let it = TestApp::start().await;
    let path = format!("/accounts/{}/datasets", it.account().await);
    let asked = || it.sandbox.world.counts().api_requests;

    let first = it.get(&path).await;
    it.after(DAY).await;
    let kept = it.get(&path).await;
    assert_eq!(asked(), 1);
    assert_eq!((&first, &first["fetched_at"]), (&kept, &json!("2026-01-05T08:15:15Z")));
    let office = first["items"].as_array().unwrap().iter().find(|one| one["name"] == "OfficeUsage").unwrap();
    assert_eq!(office["minimum_interval_hours"], 24);
    assert!(office["date_ranges"].as_array().unwrap().contains(&json!("LAST_MONTH")));
    assert!(office["columns"].as_array().unwrap().contains(&json!("CustomerName")));
    assert!(office["metrics"].as_array().unwrap().contains(&json!("CustomerCount")));

    it.get(&format!("{path}?refresh=true")).await;
    assert_eq!(asked(), 2);
    it.after(DAY + 1).await;
    let newer = it.get(&path).await;
    assert_eq!((asked(), &newer["fetched_at"]), (3, &json!("2026-01-07T08:15:16Z")));
}

#[tokio::test]
async fn old_datasets_are_given_with_the_reason_when_the_api_cannot_be_asked() {
    let it = TestApp::start().await;
    let path = format!("/accounts/{}/datasets?refresh=true", it.account().await);
    it.sandbox.world.fault(Fault::ServerError);
    assert_eq!(it.call("GET", &path, None).await.0, 502);
    // A service that is away is left alone for a moment.
    it.after(5).await;
    let first = it.get(&path).await;
    assert_eq!(first["problem"], Value::Null);

    it.after(HOUR).await;
    it.sandbox.world.fault(Fault::ServerError);
    let old = it.get(&path).await;

    assert_eq!((&old["items"], &old["fetched_at"]), (&first["items"], &first["fetched_at"]));
    assert!(old["problem"].as_str().unwrap().contains("500"), "{old}");
}

#[tokio::test]
async fn an_account_that_was_changed_is_asked_anew() {
    let it = TestApp::start().await;
    let account = it.account().await;
    it.get(&format!("/accounts/{account}/datasets")).await;
    let other = showing(&it, |_| json!({ "value": [{ "datasetName": "Other" }] })).await;
    it.after(1).await;
    let url = other.url.join("/insights/v1/mpn").unwrap();
    it.call("PATCH", &format!("/accounts/{account}"), Some(json!({ "api_url": url.as_str() }))).await;

    assert_eq!(names(&it.get(&format!("/accounts/{account}/datasets")).await), ["Other"]);
}

#[tokio::test]
async fn a_list_goes_on_where_its_next_link_says() {
    let it = TestApp::start().await;
    let own = Arc::<OnceLock<Url>>::default();
    let url = own.clone();
    let pages = showing(&it, move |page| {
        let next = match page {
            1 => json!("?page=2"),
            2 => json!("/insights/v1/mpn/ScheduledDataset?page=3"),
            3 => json!(url.get().unwrap().join("/insights/v1/mpn/ScheduledDataset?page=4").unwrap().as_str()),
            _ => Value::Null,
        };
        json!({ "value": [{ "datasetName": format!("Page{page}") }], "NextLink": next })
    })
    .await;
    own.set(pages.url.clone()).unwrap();
    let account = it.account_through(&pages).await;

    assert_eq!(names(&it.get(&format!("/accounts/{account}/datasets")).await), ["Page1", "Page2", "Page3", "Page4"]);
}

#[tokio::test]
async fn a_list_that_goes_round_in_circles_is_no_list() {
    let it = TestApp::start().await;
    let circle = showing(&it, |page| json!({ "value": [], "nextLink": format!("?page={}", page % 3 + 2) })).await;
    let account = it.account_through(&circle).await;

    let (status, answer) = it.call("GET", &format!("/accounts/{account}/datasets"), None).await;

    assert_eq!(status, 502);
    assert!(answer["detail"].as_str().unwrap().contains("was read already"), "{answer}");
    assert!(circle.taken().len() < 8);
}
