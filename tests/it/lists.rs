//! Lists: every filter gives what it says, page by page, as the list without a filter has it.

use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::scene::{DAY, client};
use crate::support::server::Server;

/// All pages of a list, one item each.
async fn paged(it: &TestApp, path: &str) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let sign = if path.contains('?') { '&' } else { '?' };
        let page = it.get(&format!("{path}{sign}limit=1{cursor}")).await;
        items.extend(page["items"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
        assert!(items.len() < 100, "{path} has no end");
    }
}

/// Every combination of these fields that occurs, as a filter, gives the items that have those values.
async fn check(it: &TestApp, list: &str, fields: &[&str]) {
    let all = it.list(&format!("{list}?limit=200")).await;
    assert!(all.len() > 1, "{list} has {} items", all.len());
    assert_eq!(paged(it, list).await, all, "{list}");
    for chosen in 1..1_u32 << fields.len() {
        let fields: Vec<&str> =
            fields.iter().enumerate().filter(|(at, _)| chosen >> at & 1 == 1).map(|(_, name)| *name).collect();
        for item in &all {
            let filters: Vec<String> =
                fields.iter().map(|name| format!("{name}={}", item[name].as_str().unwrap_or_default())).collect();
            if fields.iter().any(|name| item[name].is_null()) {
                continue;
            }
            let path = format!("{list}?{}", filters.join("&"));
            let matching: Vec<&Value> =
                all.iter().filter(|other| fields.iter().all(|name| other[name] == item[name])).collect();
            assert_eq!(paged(it, &path).await.iter().collect::<Vec<_>>(), matching, "{path}");
        }
    }
}

#[tokio::test]
async fn every_filter_gives_what_it_says_page_by_page() {
    let it = TestApp::start().await;
    let (taking, refusing) = (Server::answering(204).await, Server::answering(410).await);
    for (name, server) in [("one", &taking), ("other", &refusing)] {
        let endpoint = json!({ "channel": "webhook", "url": server.url.as_str() });
        it.post("/subscriptions", json!({ "name": name, "endpoint": endpoint })).await;
    }
    let report = it.told().await;
    let account = it.get(&format!("/reports/{report}")).await["account_id"].clone();
    let other =
        json!({ "account_id": account, "name": "Other", "query": crate::support::app::QUERY, "interval_hours": 24 });
    it.post("/reports", other).await;
    it.drain().await;
    for _ in 0..2 {
        it.after(DAY).await;
        it.drain().await;
    }
    client().post(it.callback_address()).send().await.unwrap();
    it.sql("update executions set state = 'failed', failure = 'it was lost' where id = (select id from executions limit 1)")
        .await;

    check(&it, "/callbacks", &["report_id"]).await;
    check(&it, "/executions", &["report_id", "state"]).await;
    check(&it, "/files", &["report_id"]).await;
    check(&it, "/events", &["report_id", "kind"]).await;
    check(&it, "/deliveries", &["subscription_id", "state"]).await;
}
