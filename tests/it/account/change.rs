//! Changes of an account: none is lost, and none leaves it without what its grant needs.

use serde_json::json;

use crate::support::app::TestApp;
use crate::support::scene::until;

#[tokio::test]
async fn of_two_changes_at_once_of_different_fields_none_is_lost() {
    let it = TestApp::start().await;
    let path = format!("/accounts/{}", it.account().await);
    let mut held = it.database.pool.begin().await.unwrap();
    sqlx::query("select id from accounts for update").execute(&mut *held).await.unwrap();
    let waiting =
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    let let_go = async {
        until("both wait", || async { it.number(waiting).await == 2 }).await;
        held.commit().await.unwrap();
    };

    let (one, other, ()) = tokio::join!(
        it.call("PATCH", &path, Some(json!({ "name": "Renamed" }))),
        it.call("PATCH", &path, Some(json!({ "username": "ann@contoso.example" }))),
        let_go
    );

    assert_eq!((one.0, other.0), (200, 200), "{} {}", one.1, other.1);
    let account = it.get(&path).await;
    assert_eq!((&account["name"], &account["username"]), (&json!("Renamed"), &json!("ann@contoso.example")));
}
