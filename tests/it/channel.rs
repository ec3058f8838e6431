//! The contract that each channel must keep, against receivers that answer, stall, redirect, leak and drown.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, Uri};
use chrono::{DateTime, Utc};
use serde_json::Value;
use tidings::channel::{Channels, Class, Endpoint, Message, Refusal, Sent, signature};
use tidings::outbound::{Guard, Outbound};
use tidings::secret::Secret;

use crate::support::message::{monstrous, usual};

const TOKEN: &str = "T0PSECRETTOKEN";
const WEBHOOK_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// One request that came in.
#[derive(Debug, Clone)]
struct Call {
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Call {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

type Respond = Arc<dyn Fn(&Call) -> Response<Body> + Send + Sync>;

/// A server on loopback that keeps what it gets.
struct Receiver {
    address: String,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Receiver {
    async fn start(respond: impl Fn(&Call) -> Response<Body> + Send + Sync + 'static) -> Self {
        let calls = Arc::<Mutex<Vec<Call>>>::default();
        let respond: Respond = Arc::new(respond);
        let keep = move |State((calls, respond)): State<(Arc<Mutex<Vec<Call>>>, Respond)>, uri: Uri, headers, body| async move {
            let call = Call { uri, headers, body };
            let response = respond(&call);
            calls.lock().unwrap().push(call);
            response
        };
        let app = Router::new().fallback(keep).with_state((calls.clone(), respond));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, calls }
    }

    async fn answering(status: u16, body: &'static str) -> Self {
        Self::start(move |_| answer(status, body)).await
    }

    fn url(&self) -> Secret {
        Secret::new(format!("{}/services/{TOKEN}?sp=%2Ftriggers%2Fmanual&sig={TOKEN}%2Fx", self.address))
    }

    fn slack(&self) -> Endpoint {
        Endpoint::Slack { url: self.url() }
    }

    fn teams(&self) -> Endpoint {
        Endpoint::Teams { url: self.url() }
    }

    fn webhook(&self) -> Endpoint {
        Endpoint::Webhook { url: self.url(), secret: Secret::new(WEBHOOK_SECRET) }
    }

    fn all(&self) -> [Endpoint; 3] {
        [self.slack(), self.teams(), self.webhook()]
    }

    fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }
}

fn answer(status: u16, body: impl Into<Body>) -> Response<Body> {
    Response::builder().status(status).body(body.into()).unwrap()
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_154_531, 0).unwrap()
}

fn channels() -> Channels {
    let guard = Guard::new(&["127.0.0.0/8".parse().unwrap()]);
    Channels::new(Outbound::new(guard, None).unwrap(), None).unwrap()
}

async fn send(endpoint: &Endpoint, message: &Message) -> Result<Sent, Refusal> {
    channels().send(endpoint, message, now()).await
}

async fn class(status: u16, body: &'static str, endpoint: fn(&Receiver) -> Endpoint) -> Option<Class> {
    let receiver = Receiver::answering(status, body).await;
    send(&endpoint(&receiver), &usual()).await.err().map(|refusal| refusal.class)
}

#[tokio::test]
async fn what_slack_answers_decides_what_follows() {
    for (status, body, expected) in [
        (200, "ok", None),
        (204, "", None),
        (302, "", Some(Class::Retry)),
        (429, "", Some(Class::Retry)),
        (500, "rollup_error", Some(Class::Retry)),
        (400, "invalid_payload", Some(Class::Payload)),
        (400, "invalid_blocks", Some(Class::Payload)),
        (400, "no_text", Some(Class::Payload)),
        (400, "invalid_token", Some(Class::Gone)),
        (403, "invalid_token", Some(Class::Gone)),
        (403, "action_prohibited", Some(Class::Gone)),
        (403, "posting_to_general_channel_denied", Some(Class::Gone)),
        (404, "no_service", Some(Class::Gone)),
        (404, "channel_not_found", Some(Class::Gone)),
        (410, "channel_is_archived", Some(Class::Gone)),
    ] {
        assert_eq!(class(status, body, Receiver::slack).await, expected, "{status} {body}");
    }
}

#[tokio::test]
async fn what_teams_answers_decides_what_follows() {
    for (status, expected) in [
        (200, None),
        (202, None),
        (302, Some(Class::Retry)),
        (400, Some(Class::Payload)),
        (401, Some(Class::Gone)),
        (403, Some(Class::Gone)),
        (404, Some(Class::Gone)),
        (410, Some(Class::Gone)),
        (413, Some(Class::Payload)),
        (429, Some(Class::Retry)),
        (502, Some(Class::Retry)),
    ] {
        assert_eq!(class(status, "", Receiver::teams).await, expected, "{status}");
    }
}

#[tokio::test]
async fn what_a_webhook_answers_decides_what_follows() {
    for (status, expected, permanent) in [
        (200, None, false),
        (204, None, false),
        (299, None, false),
        (301, Some(Class::Retry), false),
        (308, Some(Class::Retry), false),
        (400, Some(Class::Payload), false),
        (401, Some(Class::Retry), false),
        (404, Some(Class::Retry), false),
        (408, Some(Class::Retry), false),
        (410, Some(Class::Gone), true),
        (413, Some(Class::Payload), false),
        (415, Some(Class::Payload), false),
        (422, Some(Class::Payload), false),
        (425, Some(Class::Retry), false),
        (429, Some(Class::Retry), false),
        (503, Some(Class::Retry), false),
    ] {
        let receiver = Receiver::answering(status, "said").await;
        let refusal = send(&receiver.webhook(), &usual()).await.err();
        assert_eq!(refusal.as_ref().map(|refusal| refusal.class), expected, "{status}");
        assert_eq!(refusal.is_some_and(|refusal| refusal.failure.is_permanent()), permanent, "{status}");
        assert_eq!(receiver.calls().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn no_connection_is_worth_another_try() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = Receiver { address: format!("http://{}", listener.local_addr().unwrap()), calls: Arc::default() };
    drop(listener);

    for endpoint in closed.all() {
        let refusal = send(&endpoint, &usual()).await.unwrap_err();
        assert_eq!((refusal.class, refusal.failure.is_permanent()), (Class::Retry, false), "{refusal}");
        assert_tells_no_secret(&endpoint, &refusal);
    }
}

#[tokio::test]
async fn the_wait_that_was_asked_for_is_carried() {
    let receiver = Receiver::start(|_| {
        let mut response = answer(429, "slow down");
        response.headers_mut().insert("retry-after", "17".parse().unwrap());
        response
    })
    .await;

    for endpoint in receiver.all() {
        let refusal = send(&endpoint, &usual()).await.unwrap_err();
        assert_eq!(refusal.failure.after, Some(Duration::from_secs(17)), "{endpoint:?}");
        assert_eq!((refusal.status, refusal.reply.as_str()), (Some(429), "slow down"), "{endpoint:?}");
        assert_eq!(refusal.to_string(), "the endpoint answered 429: slow down", "{endpoint:?}");
    }
}

fn assert_tells_no_secret(endpoint: &Endpoint, refusal: &Refusal) {
    let told = format!("{refusal} {refusal:?} {endpoint:?} {} {:?} {:?}", endpoint.shown(), usual(), usual().links);
    for secret in [TOKEN, &WEBHOOK_SECRET[6..], "SIGNED-LINK-TOKEN", "UNSUBSCRIBE-TOKEN"] {
        assert!(!told.contains(secret), "{secret} in {told}");
    }
}

#[tokio::test]
async fn nothing_that_is_told_holds_a_secret_even_if_the_endpoint_repeats_it() {
    let echo = Receiver::start(|call| answer(500, format!("Cannot POST {} \r\n\u{1b}[31m\u{0}", call.uri))).await;

    for endpoint in echo.all() {
        let refusal = send(&endpoint, &usual()).await.unwrap_err();
        assert!(refusal.reply.starts_with("Cannot POST"), "{}", refusal.reply);
        assert!(!refusal.reply.contains(char::is_control));
        assert_tells_no_secret(&endpoint, &refusal);
    }
}

#[tokio::test]
async fn an_address_that_may_not_be_called_is_our_own_failure() {
    let strict = Channels::new(Outbound::new(Guard::default(), None).unwrap(), None).unwrap();
    let receiver = Receiver::answering(200, "ok").await;

    for endpoint in receiver.all() {
        let refusal = strict.send(&endpoint, &usual(), now()).await.unwrap_err();
        assert_eq!(refusal.class, Class::Ours);
        assert_tells_no_secret(&endpoint, &refusal);
    }
    assert!(receiver.calls().is_empty());
}

#[tokio::test]
async fn an_endless_answer_is_not_read_to_its_end() {
    let endless = Receiver::start(|_| {
        let chunks = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 8192])));
        answer(500, Body::from_stream(chunks))
    })
    .await;

    for endpoint in endless.all() {
        let sending = tokio::time::timeout(Duration::from_secs(10), async { send(&endpoint, &usual()).await });
        let refusal = sending.await.expect("an endless answer is cut off").unwrap_err();
        assert_eq!(refusal.reply.chars().count(), 500);
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Receiver::answering(200, "ok").await;
    let target = elsewhere.address.clone();
    let receiver = Receiver::start(move |_| {
        let mut response = answer(307, "");
        response.headers_mut().insert("location", target.parse().unwrap());
        response
    })
    .await;

    for endpoint in receiver.all() {
        assert_eq!(send(&endpoint, &usual()).await.unwrap_err().status, Some(307));
    }
    assert!(elsewhere.calls().is_empty());
}

#[tokio::test]
async fn a_rich_message_that_is_refused_is_sent_once_more_in_a_plain_form() {
    let picky = Receiver::start(|call| {
        let json = call.json();
        let rich = json.get("blocks").is_some() || json.to_string().contains("FactSet");
        if rich { answer(400, "invalid_blocks") } else { answer(200, "ok") }
    })
    .await;
    let never = Receiver::answering(400, "invalid_payload").await;

    for endpoint in [picky.slack(), picky.teams()] {
        assert_eq!(send(&endpoint, &usual()).await.unwrap().reply, "ok");
    }
    let plain = &picky.calls()[1].json()["text"];
    assert!(plain.as_str().unwrap().contains("https://tidings.example/share/abc"), "{plain}");
    for endpoint in [never.slack(), never.teams()] {
        assert!(send(&endpoint, &usual()).await.unwrap_err().failure.is_permanent());
    }
    assert_eq!(never.calls().len(), 4);
}

#[tokio::test]
async fn a_workflow_gets_its_address_byte_for_byte_and_a_card_of_version_1_4() {
    let receiver = Receiver::answering(202, "").await;

    send(&receiver.teams(), &usual()).await.unwrap();

    let call = receiver.calls().remove(0);
    assert_eq!(call.uri.query().unwrap(), format!("sp=%2Ftriggers%2Fmanual&sig={TOKEN}%2Fx"));
    assert_eq!(call.headers["content-type"], "application/json; charset=utf-8");
    let body = call.json();
    let card = &body["attachments"][0]["content"];
    assert_eq!(
        (&body["type"], &card["type"], &card["version"]),
        (&"message".into(), &"AdaptiveCard".into(), &"1.4".into())
    );
    assert!(card["fallbackText"].as_str().unwrap().starts_with("[Ready]"));
    let text = card.to_string();
    for part in ["FactSet", "20 Nov 2026, 06:02 UTC", "Contoso", "Action.OpenUrl", "daily_sales_2026-11-19.csv"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[tokio::test]
async fn slack_gets_blocks_and_always_a_text() {
    let receiver = Receiver::answering(200, "ok").await;

    send(&receiver.slack(), &usual()).await.unwrap();

    let body = receiver.calls()[0].json();
    assert!(body["text"].as_str().unwrap().starts_with("[Ready] Tägliche Umsätze"));
    assert_eq!((&body["unfurl_links"], &body["unfurl_media"]), (&false.into(), &false.into()));
    let text = body["blocks"].to_string();
    for part in
        ["✅ Tägliche", "<!date^1795154531^", "```", "Größe &amp; Söhne", "|Download the report>", "daily_sales_2026"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[tokio::test]
async fn a_monstrous_message_stays_within_the_limits_of_teams() {
    let receiver = Receiver::answering(202, "").await;

    send(&receiver.teams(), &monstrous()).await.unwrap();

    let call = receiver.calls().remove(0);
    assert!(call.body.len() <= 24 * 1024, "{}", call.body.len());
    assert_eq!(call.json()["attachments"][0]["content"]["version"], "1.4", "a card, not the last resort");
    let text = call.json()["attachments"][0]["content"]["body"].to_string();
    assert!(!text.contains(" *x") && !text.contains(" [a]("), "{text}");
}

#[tokio::test]
async fn a_monstrous_message_stays_within_the_limits_of_slack() {
    let receiver = Receiver::answering(200, "ok").await;

    send(&receiver.slack(), &monstrous()).await.unwrap();

    let body = receiver.calls()[0].json();
    let blocks = body["blocks"].as_array().unwrap();
    assert!(blocks.len() <= 50);
    assert_length(&body["text"], 3000);
    for block in blocks {
        match block["type"].as_str().unwrap() {
            "header" => assert_length(&block["text"]["text"], 150),
            "section" if block.get("fields").is_some() => {
                let fields = block["fields"].as_array().unwrap();
                assert!(fields.len() <= 10);
                for field in fields {
                    assert_length(&field["text"], 2000);
                }
            }
            "section" => assert_length(&block["text"]["text"], 3000),
            "context" => assert_length(&block["elements"][0]["text"], 3000),
            other => panic!("unknown block {other}"),
        }
    }
    assert!(!body.to_string().contains("<!channel>"));
}

fn assert_length(text: &Value, most: usize) {
    let length = text.as_str().unwrap().chars().count();
    assert!((1..=most).contains(&length), "{length} of {most}: {text}");
}

#[tokio::test]
async fn somebody_elses_library_verifies_our_webhook_and_no_changed_one() {
    let receiver = Receiver::answering(204, "").await;
    #[expect(clippy::disallowed_methods, reason = "the verifier compares with the machine's clock")]
    let now = Utc::now();
    let secret = signature::generate();
    let endpoint = Endpoint::Webhook { url: receiver.url(), secret: secret.clone() };

    channels().send(&endpoint, &usual(), now).await.unwrap();

    let call = receiver.calls().remove(0);
    let mut headers = call.headers.clone();
    let verifier = standardwebhooks::Webhook::new(secret.expose()).unwrap();
    verifier.verify(&call.body, &headers).unwrap();
    assert_eq!(call.json(), usual().payload);
    assert_eq!(call.headers["webhook-id"], usual().id.as_str());
    assert!(verifier.verify(&[&call.body[..], b" "].concat(), &headers).is_err());
    headers.insert("webhook-id", "another".parse().unwrap());
    assert!(verifier.verify(&call.body, &headers).is_err());
}

#[tokio::test]
async fn mail_without_a_mail_server_is_refused_and_says_so() {
    let refusal = send(&Endpoint::Email { to: "ann@example.com".into() }, &usual()).await.unwrap_err();

    assert_eq!((refusal.class, refusal.to_string().as_str()), (Class::Ours, "no mail server is set"));
    assert!(!channels().mail_is_set());
}
