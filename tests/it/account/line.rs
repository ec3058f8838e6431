//! What many callers, replicas and changes of an account do to each other.

use futures_util::future::join_all;
use serde_json::json;
use tidings::account::session::Sessions;
use tidings::id::AccountId;
use tidings::outbound::{Guard, Outbound};
use tidings::sandbox::Fault;
use tidings::wake::Wake;

use crate::support::app::TestApp;

fn replica(it: &TestApp) -> Sessions {
    let guard = Guard::new(&["127.0.0.0/8".parse().unwrap()]);
    let outbound = Outbound::new(guard, None).unwrap();
    Sessions::new(it.app.pool.clone(), it.clock.clone(), it.app.keyring.clone(), outbound, Wake::default(), 1000)
}

async fn ask(sessions: &Sessions, id: AccountId) -> Result<(), String> {
    let asked = sessions.call(id, |api| async move { api.datasets().await }).await;
    asked.map(drop).map_err(|error| error.to_string())
}

#[tokio::test]
async fn whoever_stood_in_line_does_not_ask_for_what_was_refused_to_the_one_before() {
    let it = TestApp::start().await;
    let id: AccountId = it.account().await.parse().unwrap();
    let replicas = [replica(&it), replica(&it)];
    it.sandbox.world.fault_times(Fault::GrantExpired, 100);

    let answers = join_all((0..10).map(|nth| ask(&replicas[nth % 2], id))).await;

    assert!(answers.iter().all(Result::is_err), "{answers:?}");
    assert_eq!(it.sandbox.world.counts().token_requests, 1);
    assert_eq!(it.kinds().await, ["account.sign_in_required"]);
}

#[tokio::test]
async fn a_sign_in_that_is_busy_is_left_alone_by_all_who_stand_in_line() {
    let it = TestApp::start().await;
    let id: AccountId = it.account().await.parse().unwrap();
    let sessions = replica(&it);
    it.sandbox.world.fault_times(Fault::SignInBusy, 100);

    let answers = join_all((0..10).map(|_| ask(&sessions, id))).await;

    assert!(answers.iter().all(Result::is_err), "{answers:?}");
    assert_eq!(it.sandbox.world.counts().token_requests, 1);
}

#[tokio::test]
async fn a_mended_tenant_makes_the_account_go_on() {
    let it = TestApp::start().await;
    let account = it.account().await;
    let tenant = it.get(&format!("/accounts/{account}")).await["tenant_id"].clone();
    it.call(
        "PATCH",
        &format!("/accounts/{account}"),
        Some(json!({ "tenant_id": "00000000-0000-4000-8000-000000000000" })),
    )
    .await;
    it.call("GET", &format!("/accounts/{account}/datasets"), None).await;
    assert_eq!(it.get(&format!("/accounts/{account}")).await["state"], "sign_in_required");

    it.call("PATCH", &format!("/accounts/{account}"), Some(json!({ "tenant_id": tenant }))).await;

    assert_eq!(it.get(&format!("/accounts/{account}")).await["state"], "active");
    assert!(it.get(&format!("/accounts/{account}/datasets")).await["items"].is_array());
}

#[tokio::test]
async fn another_replica_gives_up_the_token_of_who_the_account_was_before() {
    let it = TestApp::start().await;
    let account = it.account().await;
    let id: AccountId = account.parse().unwrap();
    let other = replica(&it);
    ask(&other, id).await.unwrap();
    let nobody = json!({ "client_id": "00000000-0000-4000-8000-000000000000" });

    it.call("PATCH", &format!("/accounts/{account}"), Some(nobody)).await;

    assert!(ask(&other, id).await.unwrap_err().contains("AADSTS700016"));
}

#[tokio::test]
async fn a_token_is_renewed_five_minutes_before_it_ends() {
    let it = TestApp::start().await;
    let id: AccountId = it.account().await.parse().unwrap();
    let sessions = replica(&it);
    ask(&sessions, id).await.unwrap();

    it.after(54 * 60).await;
    ask(&sessions, id).await.unwrap();
    assert_eq!(it.sandbox.world.counts().token_requests, 1);
    it.after(2 * 60).await;
    ask(&sessions, id).await.unwrap();

    assert_eq!(it.sandbox.world.counts().token_requests, 2);
}
