//! What `tidings apply` must not do: remove what the file names, forget a refusal, plan the same change for ever.

use super::Desk;

#[tokio::test]
async fn prune_removes_nothing_that_the_same_file_names() {
    let desk = Desk::new().await;
    desk.apply(&desk.example(), &[]).await;
    let before = desk.everything().await;
    let file = "\
accounts: []
queries: []
reports:
  - {name: Also, account: Contoso, interval_hours: 24, query: Office usage}
subscriptions:
  - {name: Ann, endpoint: {channel: email, to: ann@example.com}, reports: [\"Office usage, daily\"]}
";

    let ended = desk.apply(file, &["--prune"]).await;
    let kept = desk.apply(file, &["--dry-run"]).await;

    assert_eq!(ended.code, Some(1));
    for told in [
        "error: 3 things are wrong with tidings.yaml; nothing was changed",
        ":4: reports[0] \"Also\": account Contoso is named here and not in `accounts`; --prune would remove it",
        ":4: reports[0] \"Also\": query Contoso/Office usage is named here and not in `queries`; --prune would remove it",
        ":6: subscriptions[0] \"Ann\": report Contoso/Office usage, daily is named here and not in `reports`;",
    ] {
        assert!(ended.err.contains(told), "{told} is missing in {}", ended.err);
    }
    assert_eq!(desk.everything().await, before);
    assert!(!kept.out.contains("?  report       Contoso/Office usage, daily"), "{}", kept.out);
    assert!(
        kept.out.contains("?  report       Contoso/Azure usage, weekly  (not in the file: --prune"),
        "{}",
        kept.out
    );
}

#[tokio::test]
async fn prune_leaves_alone_what_belongs_to_accounts_that_the_file_does_not_name() {
    let desk = Desk::new().await;
    desk.apply(&desk.example(), &[]).await;
    let other = desk.app.marketplace_account().await;
    let query = serde_json::json!({ "name": "Theirs", "query": "SELECT OrderId FROM ISVOrder" });
    desk.app.post(&format!("/accounts/{other}/queries"), query).await;
    let file = "\
queries: []
reports:
  - {name: Only, account: Contoso, interval_hours: 24, select: SELECT Month FROM OfficeUsage}
";

    let ended = desk.apply(file, &["--prune"]).await;

    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_eq!(desk.names("reports").await, ["Only", "Orders"]);
    assert_eq!(desk.app.list(&format!("/accounts/{other}/queries")).await.len(), 1);
}

#[tokio::test]
async fn space_around_names_and_at_the_end_of_a_block_of_text_is_no_change() {
    let desk = Desk::new().await;
    desk.app.account().await;
    let file = "\
queries:
  - {name: \"Usage \", account: \" Contoso \", query: SELECT Month FROM OfficeUsage}
reports:
  - name: \" Blocky \"
    account: \"Contoso \"
    interval_hours: 24
    query: \" Usage\"
    description: |
      What it is for.
subscriptions:
  - {name: \"Ann \", endpoint: {channel: email, to: ann@example.com}, reports: [\" Blocky \"]}
";

    let first = desk.apply(file, &[]).await;
    let second = desk.apply(file, &[]).await;

    assert_eq!(first.code, Some(0), "{}", first.err);
    assert_eq!(second.out, "Nothing to do: 3 as they shall be.\n", "{}", second.err);
    assert_eq!(desk.app.list("/reports").await[0]["description"], "What it is for.");
}

#[tokio::test]
async fn a_description_is_kept_without_the_space_around_it() {
    let desk = Desk::new().await;
    let account = desk.app.account().await;
    let report = serde_json::json!({ "account_id": account, "name": "Daily", "interval_hours": 24,
        "query": "SELECT Month FROM OfficeUsage", "description": " What it is for.\n" });

    let made = desk.app.post("/reports", report).await;

    assert_eq!(made["description"], "What it is for.");
}
