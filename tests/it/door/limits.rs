//! Too much, too slow, too large: what is turned away is told so at once, and nobody else is harmed.

use std::time::{Duration, Instant};

use tidings::callback::Settings;
use tokio::io::AsyncWriteExt;

use super::{Door, read_head, send_zeros};
use crate::support::scene::{client, until};

#[tokio::test]
async fn a_report_called_too_often_is_turned_away_with_its_check_due_and_no_other_is() {
    let door = Door::open(Settings { calls_per_second: 2, ..Settings::default() }).await;

    let mut turned_away = 0;
    for _ in 0..20 {
        let answer = door.post(&door.address, "{}").await;
        if answer.status() == 429 {
            assert_eq!(answer.headers()["retry-after"], "1");
            turned_away += 1;
        } else {
            assert_eq!(answer.status(), 200);
        }
    }

    assert!(turned_away > 0);
    assert_eq!(door.recorded().await, 20 - turned_away);
    assert_eq!(door.post(&door.other(), "{}").await.status(), 200);
    let due = "select count(*) from checks where calls > done_calls and due_at is not null";
    assert_eq!(door.it.number(due).await, 1);
}

#[tokio::test]
async fn what_does_not_fit_into_the_queue_is_told_so_at_once_and_the_rest_is_recorded() {
    let door = Door::open(Settings::default()).await;
    let mut blocking = door.it.database.pool.begin().await.unwrap();
    sqlx::query("lock table callbacks in exclusive mode").execute(&mut *blocking).await.unwrap();
    let (client, body) = (client(), vec![b'x'; 64 * 1024]);
    let call = || async {
        let answer = client.post(door.address.clone()).body(body.clone()).send().await.unwrap();
        (answer.status().as_u16(), answer.headers().contains_key("retry-after"))
    };

    let calls = futures_util::future::join_all((0..300).map(|_| call()));
    let release = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        blocking.rollback().await.unwrap();
    };
    let (answers, ()) = tokio::join!(calls, release);

    let taken = answers.iter().filter(|(status, _)| *status == 200).count();
    let shed = answers.iter().filter(|answer| **answer == (503, true)).count();
    assert_eq!(taken + shed, 300, "{answers:?}");
    assert!((100..=260).contains(&taken), "{taken} taken: the queue holds 16 MiB");
    assert_eq!(door.recorded().await, i64::try_from(taken).unwrap());
}

#[tokio::test]
async fn heads_that_never_end_harm_nobody() {
    let door = Door::open(Settings::default()).await;
    let mut slow = Vec::new();
    for nth in 0..300 {
        let mut stream = door.connect().await;
        // Some stop within what tells the protocols apart.
        let head: &[u8] = if nth % 2 == 0 { b"P" } else { b"POST /callbacks/x HTTP/1.1\r\nX-Slow: " };
        stream.write_all(head).await.unwrap();
        slow.push(stream);
    }

    let began = Instant::now();
    assert_eq!(door.post(&door.address, "{}").await.status(), 200);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_megabyte_of_headers_is_refused_after_a_small_part_of_it() {
    let door = Door::open(Settings::default()).await;
    let mut stream = door.connect().await;
    let begin = format!("POST {} HTTP/1.1\r\nHost: x\r\nX-Large: ", door.address.path());
    stream.write_all(begin.as_bytes()).await.unwrap();

    stream.write_all(&vec![b'0'; 20 * 1024]).await.unwrap();
    let head = read_head(&mut stream).await;

    assert!(head.starts_with("HTTP/1.1 431"), "{head}");
    assert!(send_zeros(&mut stream, 64 << 20).await < 64 << 20, "it went on reading");
    assert_eq!(door.recorded().await, 0);
    assert_eq!(door.post(&door.address, "{}").await.status(), 200);
}

#[tokio::test]
async fn a_gigabyte_of_body_is_recorded_cut_and_not_read() {
    let door = Door::open(Settings::default()).await;
    let mut stream = door.connect().await;
    let head = format!("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n", door.address.path());
    stream.write_all(head.as_bytes()).await.unwrap();

    let (mut reading, mut writing) = stream.into_split();
    let sending = tokio::spawn(async move { send_zeros(&mut writing, 1 << 30).await });
    let mut answer = [0; 12];
    let answered = tokio::io::AsyncReadExt::read_exact(&mut reading, &mut answer).await;

    let sent = tokio::time::timeout(Duration::from_secs(10), sending).await.expect("the connection is closed").unwrap();
    assert!(sent < 64 << 20, "{sent} bytes were taken");
    // What was sent in vain may have cost the answer, not the record.
    assert!(answered.is_err() || &answer == b"HTTP/1.1 200");
    until("the call is recorded", || async { door.recorded().await == 1 }).await;
    let row = door.newest().await;
    assert_eq!((row["body"].as_str().unwrap().len(), &row["body_cut"]), (64 * 1024, &true.into()));
    assert_eq!(door.post(&door.address, "{}").await.status(), 200);
}

#[tokio::test]
async fn a_thousand_calls_of_one_report_in_a_second_are_within_the_usual_pace() {
    let door = Door::open(Settings::default()).await;
    let client = client();
    let asked = door.it.questions();

    let calls = (0..1000).map(|_| client.post(door.address.clone()).send());
    let answers = futures_util::future::join_all(calls).await;
    door.it.drain().await;

    assert!(answers.iter().all(|answer| answer.as_ref().unwrap().status() == 200));
    assert_eq!(door.recorded().await, 1000);
    let questions = door.it.questions() - asked;
    assert!((1..=12).contains(&questions), "{questions} questions");
}
