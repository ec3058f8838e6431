//! The dashboard's pages of accounts: what is wrong is seen, and a person can sign in from there.

use futures_util::StreamExt;
use reqwest::{Method, Response};
use serde_json::json;
use tidings::secret::Secret;

use crate::support::app::{ADMIN_KEY, TestApp};
use crate::support::scene::client;

/// A browser with a session.
struct Browser<'a> {
    it: &'a TestApp,
    cookie: String,
}

impl<'a> Browser<'a> {
    async fn new(it: &'a TestApp) -> Self {
        let session = it.app.access.sign_in(&Secret::new(ADMIN_KEY)).await.unwrap().unwrap();
        Self { it, cookie: format!("tidings_session={}", session.expose()) }
    }

    async fn ask(&self, method: Method, path: &str, site: &str) -> Response {
        let request = client().request(method, self.it.url.join(path).unwrap());
        request.header("cookie", &self.cookie).header("sec-fetch-site", site).send().await.unwrap()
    }

    async fn page(&self, path: &str) -> String {
        let answer = self.ask(Method::GET, path, "none").await;
        assert_eq!(answer.status(), 200, "{path}");
        answer.text().await.unwrap()
    }
}

async fn nobody_signed_in(it: &TestApp) -> String {
    let user = it.sandbox.world.account(0).clone();
    let account = json!({
        "name": "Contoso <& Co>", "program": "mpn", "tenant_id": user.tenant, "client_id": user.client_id,
        "client_secret": user.client_secret.expose(), "grant": "refresh_token",
        "login_url": it.sandbox.url().as_str(),
        "api_url": it.sandbox.url().join("/insights/v1/mpn").unwrap().as_str(),
    });
    it.post("/accounts", account).await["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_person_signs_in_from_the_page_of_an_account_and_the_page_follows() {
    let it = TestApp::start().await;
    let account = nobody_signed_in(&it).await;
    let browser = Browser::new(&it).await;
    let path = format!("/accounts/{account}");
    let list = browser.page("/accounts").await;
    assert!(list.contains("Contoso &lt;&amp; Co&gt;") && list.contains("sign-in required"), "{list}");
    assert!(list.contains("nobody has signed in yet"), "{list}");
    assert!(browser.page("/").await.contains(&format!("href=\"{path}\"")));
    assert!(browser.page(&path).await.contains(&format!("action=\"{path}/sign-in\"")));

    let stranger = browser.ask(Method::POST, &format!("{path}/sign-in"), "cross-site").await;
    assert_eq!(stranger.status(), 403);
    assert_eq!(it.call("GET", &format!("{path}/sign-in"), None).await.0, 404);

    let page = browser.ask(Method::POST, &format!("{path}/sign-in"), "same-origin").await;
    assert_eq!(page.url().path(), path);
    let page = page.text().await.unwrap().replace("&#x2f;", "/");
    let code = it.get(&format!("{path}/sign-in")).await["user_code"].as_str().unwrap().to_owned();
    assert!(page.contains(&code) && page.contains("/sandbox/device\""), "{page}");
    assert!(page.contains("http-equiv=\"refresh\"") && !page.contains(&format!("action=\"{path}/sign-in\"")), "{page}");

    let live = page.split("data-live=\"").nth(1).unwrap().split('"').next().unwrap();
    let mut changes = browser.ask(Method::GET, live, "same-origin").await.bytes_stream();
    assert!(it.sandbox.world.approve_device(&code));
    it.after(5).await;
    it.drain().await;
    let change = changes.next().await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&change).contains("changed"));
    let part = browser.page(&format!("{path}/part")).await;
    assert!(part.contains("Somebody has signed in") && !part.contains(&code), "{part}");
    assert!(part.contains("Sign in again"), "{part}");
}

#[tokio::test]
async fn what_microsoft_refuses_and_what_makes_no_sense_is_said_on_a_page() {
    let it = TestApp::start().await;
    let browser = Browser::new(&it).await;
    let application = it.marketplace_account().await;
    assert!(!browser.page(&format!("/accounts/{application}")).await.contains("/sign-in\"><button"));
    let refused = browser.ask(Method::POST, &format!("/accounts/{application}/sign-in"), "same-origin").await;
    assert_eq!(refused.status(), 409);

    let account = nobody_signed_in(&it).await;
    it.call("PATCH", &format!("/accounts/{account}"), Some(json!({ "tenant_id": "elsewhere" }))).await;
    let refused = browser.ask(Method::POST, &format!("/accounts/{account}/sign-in"), "same-origin").await;
    assert_eq!(refused.status(), 502);
    assert!(refused.text().await.unwrap().contains("AADSTS90002"));
    let nobody = browser.ask(Method::GET, "/accounts/00000000-0000-0000-0000-000000000000", "none").await;
    assert_eq!(nobody.status(), 404);
}
