//! Files behind secure links.

use reqwest::{Response, StatusCode};
use tidings::sandbox::{Encoding, Fault, Settings};

use super::{HOUR, Setup, lines};

#[tokio::test]
async fn a_file_comes_as_gzip_with_its_length_whatever_the_client_accepts() {
    let setup = Setup::with(Settings { rows: 500, ..Settings::default() }).await;
    let link = setup.link().await;

    let response = setup.client.get(&link).header("Accept-Encoding", "identity").send().await.unwrap();
    let ranged = setup.client.get(&link).header("Range", "bytes=10-").send().await.unwrap();

    assert_eq!(
        (response.status(), &response.headers()["content-encoding"]),
        (StatusCode::OK, &"gzip".parse().unwrap())
    );
    assert!(response.headers().contains_key("etag"));
    let length: usize = response.headers()["content-length"].to_str().unwrap().parse().unwrap();
    let bytes = response.bytes().await.unwrap();
    assert_eq!(bytes.len(), length);
    let lines = lines(&bytes);
    assert_eq!(lines.len(), 501);
    assert_eq!(lines[0], "CustomerName,CustomerTenantId,Month,MonthlyActiveUsers");
    assert_eq!(ranged.status(), 206);
    assert_eq!(ranged.headers()["content-range"], format!("bytes 10-{}/{length}", length - 1));
    assert_eq!(ranged.bytes().await.unwrap(), bytes.slice(10..));
}

#[tokio::test]
async fn links_lead_to_where_others_reach_the_sandbox() {
    let public_url = "http://sandbox.example:8090/".parse().ok();

    let setup = Setup::with(Settings { public_url, ..Settings::default() });

    assert!(setup.await.link().await.starts_with("http://sandbox.example:8090/blob/"));
}

#[tokio::test]
async fn a_very_large_file_flows() {
    let setup = Setup::with(Settings { rows: 150_000, ..Settings::default() }).await;
    setup.sandbox.world.set_columns(["Month", "Renamed"]);
    let link = setup.link().await;

    let response = setup.client.get(&link).send().await.unwrap();

    assert!(!response.headers().contains_key("content-length"));
    let lines = lines(&response.bytes().await.unwrap());
    assert_eq!((lines.len(), &*lines[0]), (150_001, "Month,Renamed"));
}

#[tokio::test]
async fn a_link_that_ran_out_or_was_changed_is_refused_as_azure_refuses_it() {
    let setup = Setup::new().await;
    let link = setup.link().await;
    let changed = link.replace("se=2026", "se=2027");

    let changed = setup.client.get(changed).send().await.unwrap();
    assert_eq!(setup.client.get(&link).send().await.unwrap().status(), 200);
    setup.clock.advance(HOUR);
    let expired = setup.client.get(&link).send().await.unwrap();

    for response in [changed, expired] {
        assert_eq!(response.status(), 403);
        assert_eq!(response.headers()["content-type"], "application/xml");
        assert_eq!(response.headers()["x-ms-error-code"], "AuthenticationFailed");
        assert!(response.text().await.unwrap().contains("<Error><Code>AuthenticationFailed</Code>"));
    }
}

#[tokio::test]
async fn a_link_can_be_stale_and_a_download_be_cut() {
    let setup = Setup::new().await;
    setup.sandbox.world.fault(Fault::LinkExpired);
    let stale = setup.link().await;
    let link = setup.link().await;

    let refused = setup.client.get(&stale).send().await.unwrap();
    setup.sandbox.world.fault(Fault::DownloadCut);
    let cut = setup.client.get(&link).send().await.unwrap();
    let promised = cut.content_length().unwrap();
    let got = read_until_broken(cut).await;
    let whole = setup.client.get(&link).send().await.unwrap().bytes().await.unwrap();

    assert_eq!(refused.status(), 403);
    assert_eq!((promised, got), (whole.len() as u64, whole.len() / 2));
}

async fn read_until_broken(mut response: Response) -> usize {
    let mut read = 0;
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => read += chunk.len(),
            Ok(None) => panic!("the download was not cut"),
            Err(_) => return read,
        }
    }
}

#[tokio::test]
async fn a_file_can_be_plain_or_gzip_that_does_not_say_so_with_a_mark_and_lines_of_either_kind() {
    let of = async |encoding, byte_order_mark, unix_lines| {
        let settings = Settings { encoding, byte_order_mark, unix_lines, rows: 2, ..Settings::default() };
        let setup = Setup::with(settings).await;
        let response = setup.client.get(setup.link().await).send().await.unwrap();
        (response.headers().contains_key("content-encoding"), response.bytes().await.unwrap())
    };

    let (unmarked, gzip) = of(Encoding::Unmarked, false, false).await;
    let (said, plain) = of(Encoding::Plain, true, true).await;
    let (_, windows) = of(Encoding::Plain, false, false).await;

    assert_eq!((unmarked, &gzip[..2]), (false, &[0x1f, 0x8b][..]));
    assert_eq!((said, &plain[..3]), (false, &[0xef, 0xbb, 0xbf][..]));
    assert!(!plain.contains(&b'\r') && windows.ends_with(b"\r\n"));
    assert_eq!(lines(&gzip).len(), 3);
}

#[tokio::test]
async fn a_link_carries_its_end_and_its_execution_tells_it_where_the_switch_says_so() {
    let settings = Settings { tell_expiry: true, link_lifetime: HOUR / 2, ..Settings::default() };
    let setup = Setup::with(settings).await;
    let report = setup.report_id(serde_json::json!({"ExecuteNow": true})).await;
    setup.pass(std::time::Duration::from_secs(2)).await;

    let (_, answer) = setup.executions(&report, "").await;

    let value = &answer["value"][0];
    let link: url::Url = value["reportAccessSecureLink"].as_str().unwrap().parse().unwrap();
    let names: Vec<String> = link.query_pairs().map(|(name, _)| name.into_owned()).collect();
    assert_eq!(names, ["sv", "se", "sr", "sp", "sig"]);
    let end = link.query_pairs().find(|(name, _)| name == "se").unwrap().1.into_owned();
    assert_eq!(
        (value["reportExpiryTime"].as_str().unwrap(), end.as_str()),
        ("2026-11-20T08:30:02Z", "2026-11-20T08:30:02Z")
    );
}

#[tokio::test]
async fn the_blob_store_has_troubles_of_its_own() {
    let setup = Setup::new().await;
    let link = setup.link().await;
    for (fault, status, code) in [
        (Fault::DownloadRefused, 403, "AuthenticationFailed"),
        (Fault::BlobMissing, 404, "BlobNotFound"),
        (Fault::BlobBusy, 503, "ServerBusy"),
    ] {
        setup.sandbox.world.fault(fault);

        let response = setup.client.get(&link).send().await.unwrap();

        assert_eq!(response.status().as_u16(), status);
        assert_eq!(response.headers()["x-ms-error-code"], code);
        assert_eq!(setup.client.get(&link).send().await.unwrap().status(), 200);
    }
}
