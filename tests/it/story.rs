//! The story of the README as one test: read this first.

use crate::support::app::TestApp;

/// A report's first run is due 4 h 5 min after it was made, on the minute.
const UNTIL_FIRST_RUN: u64 = 4 * 3600 + 6 * 60 + 5;

#[tokio::test]
async fn a_registered_report_arrives_once_and_everyone_who_asked_is_told_once() {
    let it = TestApp::start().await;
    let account = it.account().await;
    for channel in ["email", "slack", "teams", "webhook"] {
        it.subscribe(channel).await;
    }

    let report = it.report(&account).await;
    it.drain().await;
    assert_eq!(it.get(&format!("/reports/{report}")).await["state"], "registered");

    it.after(UNTIL_FIRST_RUN).await;
    it.after(5).await;
    it.drain().await;

    let callbacks = it.list(&format!("/callbacks?report_id={report}")).await;
    assert_eq!(callbacks.len(), 1, "{callbacks:?}");
    assert_eq!(callbacks[0]["verdict"], "accepted");
    let executions = it.list(&format!("/executions?report_id={report}")).await;
    assert_eq!(executions.len(), 1, "{executions:?}");
    assert_eq!((&executions[0]["state"], &executions[0]["found_by"]), (&"stored".into(), &"callback".into()));
    let events = it.list(&format!("/events?report_id={report}")).await;
    assert_eq!(events.len(), 1, "{events:?}");
    let deliveries = it.list("/deliveries").await;
    assert_eq!(deliveries.len(), 4);
    assert!(deliveries.iter().all(|delivery| delivery["state"] == "delivered"), "{deliveries:?}");
    assert_eq!(it.sandbox.world.caught().len(), 4);
}
