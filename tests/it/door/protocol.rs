//! How it is spoken to: HTTP/2, `Expect`, connections that are kept, and by way of a proxy.

use tidings::callback::Settings;
use tokio::io::AsyncWriteExt;

use super::{Door, read_head};
use crate::support::scene::client;

#[tokio::test]
async fn http_2_without_tls_is_spoken_and_all_its_calls_are_recorded() {
    let door = Door::open(Settings::default()).await;
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();

    let calls = (0..250).map(|_| client.post(door.address.clone()).body("{}").send());
    for answer in futures_util::future::join_all(calls).await {
        let answer = answer.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_2));
    }

    assert_eq!(door.recorded().await, 250);
    let forged = door.address.join("/callbacks/junk").unwrap();
    assert_eq!(client.post(forged).send().await.unwrap().status(), 404);
    let large = client.post(door.address.clone()).header("x-large", "0".repeat(20 * 1024)).send().await.unwrap();
    assert_eq!(large.status(), 431);
    assert_eq!(door.recorded().await, 250);
}

#[tokio::test]
async fn the_other_protocol_serves_the_rest_too() {
    let door = Door::open(Settings::default()).await;
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();

    let answer = client.get(door.it.url.join("/healthz").unwrap()).send().await.unwrap();

    assert_eq!(answer.version(), reqwest::Version::HTTP_2);
    assert_eq!(answer.text().await.unwrap(), "ok\n");
}

#[tokio::test]
async fn one_who_expects_to_be_told_is_told_to_go_on_and_a_forger_is_not() {
    let door = Door::open(Settings::default()).await;
    let head =
        |path: &str| format!("POST {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    let (mut genuine, mut forger) = (door.connect().await, door.connect().await);

    genuine.write_all(head(door.address.path()).as_bytes()).await.unwrap();
    assert!(read_head(&mut genuine).await.starts_with("HTTP/1.1 100"));
    genuine.write_all(b"{}").await.unwrap();
    assert!(read_head(&mut genuine).await.starts_with("HTTP/1.1 200"));
    forger.write_all(head("/callbacks/junk").as_bytes()).await.unwrap();
    assert!(read_head(&mut forger).await.starts_with("HTTP/1.1 404"));

    assert_eq!(door.newest().await["body"], "{}");
}

#[tokio::test]
async fn a_connection_is_kept_for_more_calls_and_after_a_body_that_was_cut() {
    let door = Door::open(Settings::default()).await;
    let mut stream = door.connect().await;

    for size in [0, 2, 600 * 1024, 2] {
        let head = format!("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n", door.address.path());
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b'0'; size]).await.unwrap();
        assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 200"), "{size}");
    }

    assert_eq!(door.recorded().await, 4);
    assert_eq!(door.it.number("select count(*) from callbacks where body_cut").await, 1);
}

#[tokio::test]
async fn who_called_is_what_a_trusted_proxy_says_and_only_that() {
    for (trusted, seen) in [("127.0.0.0/8", "203.0.113.7"), ("10.0.0.0/8", "127.0.0.1")] {
        let networks = vec![trusted.parse().unwrap()];
        let door = Door::open(Settings { trusted_proxies: networks.into(), ..Settings::default() }).await;

        let call = client().post(door.address.clone()).header("x-forwarded-for", "192.0.2.66, 203.0.113.7");
        assert_eq!(call.send().await.unwrap().status(), 200);

        assert_eq!(door.newest().await["remote_address"], seen);
    }
}
