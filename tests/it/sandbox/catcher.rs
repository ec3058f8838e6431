//! Mails and messages that end here, and the page that shows them.

use reqwest::StatusCode;
use serde_json::{Value, json};
use tidings::sandbox::world::CaughtKind;

use super::Setup;

#[tokio::test]
async fn a_mail_is_caught_with_both_its_bodies() {
    use lettre::message::MultiPart;
    use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
    let setup = Setup::new().await;
    let address = setup.sandbox.smtp_address().unwrap();
    let mail = Message::builder()
        .from("Tidings <tidings@contoso.example>".parse().unwrap())
        .to("Zoë <zoe@contoso.example>".parse().unwrap())
        .subject("Ready: Ümsätze")
        .multipart(MultiPart::alternative_plain_html(".hidden dot\nplain".to_owned(), "<p>html</p>".to_owned()))
        .unwrap();
    let transport =
        AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(address.ip().to_string()).port(address.port()).build();

    transport.send(mail.clone()).await.unwrap();
    transport.send(mail).await.unwrap();

    let caught = setup.sandbox.world.caught();
    let CaughtKind::Mail(mail) = &caught[1].what else { panic!("{caught:?}") };
    assert_eq!((caught.len(), &*mail.subject), (2, "Ready: Ümsätze"));
    assert_eq!(mail.from, "Tidings <tidings@contoso.example>");
    assert_eq!((&*mail.to[0], &*mail.envelope_to[0]), ("Zoë <zoe@contoso.example>", "zoe@contoso.example"));
    assert!(mail.text.as_deref().unwrap().starts_with(".hidden dot"));
    assert_eq!(mail.html.as_deref().map(str::trim), Some("<p>html</p>"));
}

#[tokio::test]
async fn each_chat_and_webhook_answers_like_its_original_and_is_shown_on_the_page() {
    let setup = Setup::new().await;
    let post = |path: &str, body: Value| setup.client.post(setup.url(path)).json(&body).send();
    let slack = json!({"text": "t", "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "*bold* &lt;script&gt;"}}]});
    let card = json!({"type": "AdaptiveCard", "body": [{"type": "Container", "items": [{"type": "TextBlock", "text": "**inner**"}]}]});

    let slack = post("catch/slack/T/B/x", slack).await.unwrap();
    let teams = post("catch/teams/flow", json!({"type": "message", "attachments": [{"content": card}]})).await.unwrap();
    let webhook = post("catch/webhook/a/b", json!({"type": "report.ready"})).await.unwrap();
    let odd = setup.client.post(setup.url("catch/slack/T")).body("no json").send().await.unwrap();

    assert_eq!((slack.status(), slack.text().await.unwrap()), (StatusCode::OK, "ok".to_owned()));
    assert_eq!((teams.status(), teams.text().await.unwrap()), (StatusCode::ACCEPTED, String::new()));
    assert_eq!(webhook.status(), 200);
    assert_eq!((odd.status(), odd.text().await.unwrap()), (StatusCode::BAD_REQUEST, "invalid_payload".to_owned()));
    let page = setup.client.get(setup.url("")).send().await.unwrap();
    assert!(page.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    let page = page.text().await.unwrap();
    for part in ["<strong>bold</strong> &lt;script&gt;", "<strong>inner</strong>", "&quot;report.ready&quot;"] {
        assert!(page.contains(part), "{part} is missing in {page}");
    }
}

#[tokio::test]
async fn a_hostile_card_spoils_neither_the_page_nor_the_sandbox() {
    let setup = Setup::new().await;
    let deep = "[{\"type\":\"Container\",\"items\":".repeat(40) + "1" + &"}]".repeat(40);
    let body = format!("{{\"attachments\":[{{\"content\":{{\"body\":{deep}}}}}]}}");
    let shapes = [body.as_str(), "[1]", "{\"attachments\":7}", "{\"attachments\":[{\"content\":{\"body\":[1,null]}}]}"];

    for body in shapes {
        for path in ["catch/teams/x", "catch/slack/x"] {
            setup.client.post(setup.url(path)).body(body.to_owned()).send().await.unwrap();
        }
    }

    let page = setup.client.get(setup.url("sandbox?still")).send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert_eq!(page.text().await.unwrap().matches("<article").count(), 2 * shapes.len());
}

#[tokio::test]
async fn the_sandbox_can_be_looked_into_and_changed_by_programs() {
    let setup = Setup::new().await;
    let report = setup.report_id(json!({})).await;

    let fault = json!({"fault": "throttled", "times": 2});
    let (_, faults) = setup.post("sandbox/api/faults", &fault).await;
    let (ran, run) = setup.post(&format!("sandbox/api/reports/{report}/run"), &json!({})).await;
    let (unknown, _) = setup.post("sandbox/api/reports/none/run", &json!({})).await;
    let (_, state) = setup.get("sandbox/api/state").await;

    assert_eq!(faults, json!({"faults": {"throttled": 2}, "rates": {}}));
    assert_eq!((ran, unknown), (StatusCode::OK, StatusCode::NOT_FOUND));
    assert_eq!(state["reports"][0]["executions"][0]["id"], run["execution_id"]);
    assert_eq!(state["faults"]["throttled"], 2);
    let text = state.to_string();
    assert!(!text.contains(setup.sandbox.world.account(0).client_secret.expose()), "{text}");
}
