//! What `tidings apply` tells before it does anything: all that is wrong, what a change costs, what is not well.

use super::{Desk, apply};
use crate::support::scene::HOUR;

#[tokio::test]
async fn a_name_that_is_not_clear_is_told_with_what_it_may_be() {
    let desk = Desk::new().await;
    let first = desk.app.subscribe("slack").await;
    let second = desk.app.subscribe("slack").await;
    desk.app.account().await;
    desk.app.marketplace_account().await;
    let file = "\
reports:
  - {name: Same, account: Contoso, interval_hours: 24, select: SELECT Month FROM OfficeUsage}
  - {name: Same, account: Marketplace, interval_hours: 24, select: SELECT OrderId FROM ISVOrder}
subscriptions:
  - {name: Ops, endpoint: {channel: email, to: a@example.com}, reports: [Same, Contoso/Same, Nowhere]}
";
    let double = "subscriptions:\n  - {name: slack, endpoint: {channel: email, to: a@example.com}}\n";

    let unclear = desk.apply(file, &[]).await;
    let twice = desk.apply(double, &[]).await;

    assert_eq!((unclear.code, twice.code), (Some(1), Some(1)));
    let expected = ["\"Same\" may be \"Contoso/Same\" or \"Marketplace/Same\"", "there is no report \"Nowhere\""];
    assert!(expected.iter().all(|part| unclear.err.contains(part)), "{}", unclear.err);
    assert!(unclear.err.starts_with("error: 2 things are wrong"), "{}", unclear.err);
    for id in [&first["id"], &second["id"]] {
        assert!(twice.err.contains(id.as_str().unwrap()), "{}", twice.err);
    }
    assert!(desk.names("reports").await.is_empty());
}

#[tokio::test]
async fn everything_wrong_is_told_at_once_with_its_line_also_where_no_service_answers() {
    let folder = tempfile::tempdir().unwrap();
    let file = "\
accounts:
  - {name: A, program: mpn, tenant_id: t, client_id: c, grant: refresh_token, colour: red}
  - {name: B, program: mpx, tenant_id: t, client_id: c, grant: refresh_token}
  - {name: C, program: mpn, tenant_id: t, client_id: c, grant: client_credentials, client_secret: plain-s3cret}
  - {name: C, program: mpn, tenant_id: t, client_id: c, grant: refresh_token, refresh_token: env:NOT_SET_ANYWHERE}
  - {name: D, program: mpn, tenant_id: t, client_id: c, grant: client_credentials, client_secret: 8675309}
reports:
  - {name: R, account: A, interval_hours: 24}
  - {name: S, account: A, interval_hours: daily, select: SELECT Month FROM OfficeUsage}
";

    let ended = apply(folder.path(), "http://127.0.0.1:1", file, &[], &[]).await;

    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""));
    let expected = [
        "error: 8 things are wrong with tidings.yaml; nothing was changed",
        "tidings.yaml:2: accounts[0] \"A\": unknown field `colour`",
        "tidings.yaml:3: accounts[1] \"B\".program: unknown variant `mpx`",
        "tidings.yaml:4: accounts[2] \"C\".client_secret: must say where the secret is: env:NAME or file:PATH",
        "tidings.yaml:5: accounts[3] \"C\".refresh_token: NOT_SET_ANYWHERE is not set",
        "tidings.yaml:5: accounts[3] \"C\": account C is in line 4 already",
        "tidings.yaml:6: accounts[4] \"D\".client_secret: must say where the secret is",
        "tidings.yaml:8: reports[0] \"R\": give either query",
        "tidings.yaml:9: reports[1] \"S\".interval_hours: invalid type",
    ];
    for line in expected {
        assert!(ended.err.contains(line), "{line} is missing in\n{}", ended.err);
    }
    assert!(!ended.err.contains("plain-s3cret") && !ended.err.contains("8675309"), "{}", ended.err);
}

#[tokio::test]
async fn what_the_service_knows_to_be_wrong_is_told_with_its_place_before_anything_is_done() {
    let desk = Desk::new().await;
    desk.app.account().await;
    let file = "\
accounts:
  - {name: New, program: mpn, tenant_id: a b, client_id: c, grant: refresh_token}
queries:
  - {name: Wrong, account: Contoso, query: SELECT Mont FROM OfficeUsage}
reports:
  - {name: Often, account: Contoso, interval_hours: 2, select: SELECT Month FROM OfficeUsage}
  - {name: Column, account: Contoso, interval_hours: 24, select: SELECT Colour FROM OfficeUsage}
  - {name: Named, account: Contoso, interval_hours: 24, query: Wrong}
  - {name: Past, account: New, execute_now: true, start_at: 2020-01-01T00:00:00Z, select: SELECT Month FROM OfficeUsage}
subscriptions:
  - {name: Ann, endpoint: {channel: email, to: nobody}, reports: [Named]}
";

    for flags in [&["--dry-run"][..], &[]] {
        let ended = desk.apply(file, flags).await;

        assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{}", ended.err);
        let expected = [
            "error: 7 things are wrong with tidings.yaml; nothing was changed",
            "tidings.yaml:2: accounts[0] \"New\".tenant_id: must",
            "tidings.yaml:4: queries[0] \"Wrong\".query: ",
            "tidings.yaml:6: reports[0] \"Often\".interval_hours: must be",
            "tidings.yaml:6: reports[0] \"Often\".interval_hours: must be at least 24",
            "tidings.yaml:7: reports[1] \"Column\".select: ",
            "tidings.yaml:9: reports[3] \"Past\".start_at: ",
            "tidings.yaml:11: subscriptions[0] \"Ann\".endpoint.to: ",
        ];
        for line in expected {
            assert!(ended.err.contains(line), "{line} is missing in\n{}", ended.err);
        }
    }
    assert_eq!(desk.app.number("select count(*) from accounts").await, 1);
    assert_eq!(desk.app.number("select count(*) from queries").await, 0);
}

#[tokio::test]
async fn what_cannot_be_read_hides_nothing_that_is_wrong_beside_it() {
    let desk = Desk::new().await;
    desk.app.account().await;
    let file = "\
accounts:
  - {name: New, program: mpx, tenant_id: t, client_id: c, grant: nobody, token_version: many}
queries:
  - {name: Wrong, account: New, query: SELEC Month FROM OfficeUsage}
  - {name: Unread, account: Contoso, query: [SELECT]}
reports:
  - {name: Good, account: Contoso, interval_hours: 24, query: Unread}
  - {name: Often, account: Contoso, interval_hours: 2, select: SELECT Month FROM OfficeUsage}
subscriptions:
  - {name: Ann, endpoint: {channel: pigeon, to: ann@example.com}, first_rows: all}
  - {name: Bob, endpoint: {channel: email, to: nobody}, reports: [Good, Nowhere]}
";

    let ended = desk.apply(file, &[]).await;

    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{}", ended.err);
    let expected = [
        "tidings.yaml:2: accounts[0] \"New\".grant: unknown variant `nobody`",
        "tidings.yaml:2: accounts[0] \"New\".program: unknown variant `mpx`",
        "tidings.yaml:2: accounts[0] \"New\".token_version: ",
        "tidings.yaml:4: queries[0] \"Wrong\".query: ",
        "tidings.yaml:5: queries[1] \"Unread\".query: ",
        "tidings.yaml:8: reports[1] \"Often\".interval_hours: must be",
        "tidings.yaml:10: subscriptions[0] \"Ann\".endpoint.channel: unknown variant `pigeon`",
        "tidings.yaml:10: subscriptions[0] \"Ann\".first_rows: unknown variant `all`",
        "tidings.yaml:11: subscriptions[1] \"Bob\": there is no report \"Nowhere\"",
    ];
    for line in expected {
        assert!(ended.err.contains(line), "{line} is missing in\n{}", ended.err);
    }
    assert!(!ended.err.contains("\"Good\".") && !ended.err.contains("missing field"), "{}", ended.err);
}

#[tokio::test]
async fn a_change_that_the_service_knows_to_be_wrong_is_told_before_anything_is_done() {
    let desk = Desk::new().await;
    desk.apply(&desk.example(), &[]).await;
    let before = desk.everything().await;
    let wrong = desk
        .example()
        .replace("interval_hours: 168", "interval_hours: 3")
        .replace("to: ann@example.com", "to: ann")
        .replace("program: cmp", "program: mpn")
        .replace("SELECT OrderId,", "SELECT OrderIt,");

    let ended = desk.apply(&wrong, &[]).await;

    for part in [
        "4 things are wrong",
        "weekly\".interval_hours: ",
        "\"Ann\".endpoint.to: ",
        ".program: can't be changed",
        "queries[1] \"Orders\".query: ",
    ] {
        assert!(ended.err.contains(part), "{part} is missing in\n{}", ended.err);
    }
    assert_eq!(desk.everything().await, before);
}

#[tokio::test]
async fn every_run_that_a_change_costs_is_told_before_and_after() {
    let desk = Desk::new().await;
    desk.apply(&desk.example(), &[]).await;
    desk.app.after(HOUR).await;
    let changed = desk
        .example()
        .replace("SELECT CustomerName, Month, MonthlyActiveUsers", "SELECT Month, MonthlyActiveUsers")
        .replace("SELECT CustomerName, Month, ServiceName", "SELECT Month, ServiceName");

    let dry = desk.apply(&changed, &["--dry-run"]).await;
    let done = desk.apply(&changed, &[]).await;

    let lost = "the run of 2026-01-05T12:21:00Z will not happen";
    assert!(dry.out.contains(&format!("      ! Office usage, daily: {lost}")), "{}\n{}", dry.out, dry.err);
    assert!(dry.out.contains(&format!("      ! {lost}")), "{}", dry.out);
    assert_eq!((dry.out.matches(lost).count(), done.out.matches(lost).count()), (2, 4), "{}", done.out);
}

#[tokio::test]
async fn what_is_not_well_is_told_where_there_is_nothing_to_do() {
    let desk = Desk::new().await;
    desk.apply(&desk.example(), &[]).await;
    for change in [
        "update accounts set state = 'sign_in_required', sign_in_since = created_at where name = 'Contoso'",
        "update reports set drift = '[]', drift_since = created_at where name = 'Azure usage, weekly'",
    ] {
        sqlx::query(change).execute(&desk.app.database.pool).await.unwrap();
    }

    let ended = desk.apply(&desk.example(), &[]).await;

    let expected = "Nothing to do: 11 as they shall be.\n\
        \x20 !  Contoso must sign in: tidings account sign-in \"Contoso\"\n\
        \x20 !  Azure usage, weekly was changed there by somebody: tidings report drift \"Contoso/Azure usage, weekly\" shows how\n";
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), expected), "{}", ended.err);
}

#[tokio::test]
async fn a_file_that_is_written_wrong_is_told_in_the_words_of_who_wrote_it() {
    let folder = tempfile::tempdir().unwrap();
    for (file, told) in [
        ("reports: []\nreports: []\n", "tidings.yaml:2: the file: duplicate mapping key: reports"),
        ("reports: {name: R}\n", "the file: expected a list"),
        ("# nothing yet\n", "the file: declares nothing"),
        ("{}\n", "the file: declares nothing"),
        ("reports: [Daily]\n", "reports[0]: invalid type: string \"Daily\", expected fields with their values"),
        (
            "reports:\n  - {name: R, account: A, start_at: soon, select: x}\n",
            "reports[0] \"R\".start_at: must be a time such as 2026-01-31T06:00:00Z (RFC 3339)",
        ),
    ] {
        let ended = apply(folder.path(), "http://127.0.0.1:1", file, &[], &[]).await;

        assert!(ended.err.contains(told), "{told} is missing in {}", ended.err);
        assert!(!ended.err.contains("Policy"), "{}", ended.err);
    }
}
