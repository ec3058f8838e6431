//! Files behind secure links.

use reqwest::{Response, StatusCode};
use tidings::sandbox::{Fault, Settings};

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
