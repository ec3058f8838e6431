//! Every HTTP call that leaves this house.
//!
//! What is called is often named by someone else (an endpoint, a secure link), so each call is guarded: `https` only, no
//! private address, no redirect, one deadline for connecting, headers and body together, and a bounded read of the answer.
//! [`Guard`] opens chosen networks, there by plain `http` too, and always straight. Only such addresses of a name are dialled
//! as are allowed when it is resolved, so that a name which changes its address later gains nothing.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chrono::DateTime;
use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};
use reqwest::{Client, ClientBuilder, Response};
use url::{Host, Url};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Why an address may not be called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Neither https, nor http into an allowed network.
    #[error("must be an https address")]
    Scheme,
    /// A private, local or reserved address.
    #[error("names a private or reserved address; TIDINGS_ALLOW_NETWORKS can allow it")]
    Private,
    /// User and password stand in the address.
    #[error("must not carry a user name or password")]
    UserInfo,
    /// No host at all.
    #[error("must name a host")]
    Host,
}

/// Which addresses may be called.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    allowed: Arc<[IpNet]>,
}

impl Guard {
    /// Allows these networks beside the public ones.
    pub fn new(allowed: &[IpNet]) -> Self {
        Self { allowed: allowed.into() }
    }

    fn allows_private(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.allowed.iter().any(|network| network.contains(&address))
    }

    fn allows(&self, address: IpAddr) -> bool {
        is_public(address) || self.allows_private(address)
    }

    /// Checks what an address shows by itself: scheme, user info, a literal address. Names are checked when resolved.
    pub fn check(&self, url: &Url) -> Result<(), Refused> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::UserInfo);
        }
        let literal: Option<IpAddr> = match url.host().ok_or(Refused::Host)? {
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
            Host::Domain("localhost") => Some(Ipv4Addr::LOCALHOST.into()),
            Host::Domain(_) => None,
        };
        match (url.scheme(), literal) {
            ("https", Some(address)) if !self.allows(address) => Err(Refused::Private),
            ("https", _) => Ok(()),
            ("http", Some(address)) if self.allows_private(address) => Ok(()),
            ("http", Some(address)) if !is_public(address) => Err(Refused::Private),
            // Whether a name leads into an allowed network shows when it is resolved.
            ("http", None) if !self.allowed.is_empty() => Ok(()),
            _ => Err(Refused::Scheme),
        }
    }

    /// Whether an address shows by itself that it lies in an allowed network: who is there need not reach us through the
    /// internet.
    pub fn is_inside(&self, url: &Url) -> bool {
        match url.host() {
            Some(Host::Ipv4(address)) => self.allows_private(address.into()),
            Some(Host::Ipv6(address)) => self.allows_private(address.into()),
            Some(Host::Domain("localhost")) => self.allows_private(Ipv4Addr::LOCALHOST.into()),
            Some(Host::Domain(name)) => name.rsplit_once('.').is_none() && !self.allowed.is_empty(),
            None => false,
        }
    }
}

/// Whether an address belongs to the public internet.
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_broadcast()
                || v4.is_multicast()
                || v4.is_documentation()
                || a == 0
                || a >= 240
                || (a == 100 && (64..128).contains(&b))
                || (a, b, c) == (192, 0, 0)
                || (a, b, c) == (192, 88, 99)
                || (a == 198 && (b == 18 || b == 19)))
        }
        IpAddr::V6(v6) => {
            let segments = v6.segments();
            !(v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || (segments[0] & 0xffc0) == 0xfe80
                || (segments[0] & 0xffc0) == 0xfec0
                || (segments[0] & 0xfe00) == 0xfc00
                || (segments[0], segments[1]) == (0x2001, 0x0db8)
                || (segments[0], segments[1]) == (0x2001, 0)
                || (segments[0] == 0x3fff && segments[1] < 0x1000)
                || segments[..4] == [0x0100, 0, 0, 0]
                || segments[0] == 0x2002
                || (segments[0], segments[1]) == (0x0064, 0xff9b)
                || segments[0] == 0x5f00
                || segments[..6] == [0; 6])
        }
    }
}

struct GuardedNames {
    guard: Guard,
    private_only: bool,
}

impl GuardedNames {
    fn allows(&self, address: IpAddr) -> bool {
        if self.private_only { self.guard.allows_private(address) } else { self.guard.allows(address) }
    }
}

impl Resolve for GuardedNames {
    fn resolve(&self, name: Name) -> Resolving {
        let names = Self { guard: self.guard.clone(), private_only: self.private_only };
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            // Only what is returned is dialled: a forbidden address among others is left out.
            let allowed: Vec<SocketAddr> = found.filter(|address| names.allows(address.ip())).collect();
            if allowed.is_empty() {
                return Err("the name leads to no address that may be called".into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// The clients of the house.
#[derive(Debug, Clone)]
pub struct Outbound {
    /// What may be called.
    pub guard: Guard,
    https: Client,
    http: Client,
}

/// A client could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("failed to set up the HTTP client")]
pub struct SetupError(#[from] reqwest::Error);

impl Outbound {
    /// Clients that go straight; `https` goes through `proxy` where the operator set one. Plain `http` never does: only the
    /// resolution of a name tells whether it leads into an allowed network, and a proxy would do that unguarded.
    pub fn new(guard: Guard, proxy: Option<&Url>) -> Result<Self, SetupError> {
        let straight = |private_only| {
            let names = GuardedNames { guard: guard.clone(), private_only };
            builder().no_proxy().dns_resolver(names)
        };
        let https = match proxy {
            Some(proxy) => builder().proxy(reqwest::Proxy::all(proxy.clone())?),
            None => straight(false),
        };
        Ok(Self { https: https.build()?, http: straight(true).build()?, guard })
    }

    /// The client for an address, once the address is found callable.
    pub fn client(&self, url: &Url) -> Result<&Client, Refused> {
        self.guard.check(url)?;
        Ok(if url.scheme() == "http" { &self.http } else { &self.https })
    }
}

fn builder() -> ClientBuilder {
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .user_agent(concat!("tidings/", env!("CARGO_PKG_VERSION")))
}

/// Reads at most `limit` bytes of an answer; the second value tells whether there was more.
pub async fn read_bounded(mut response: Response, limit: usize) -> Result<(Bytes, bool), reqwest::Error> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await? {
        let room = limit - body.len();
        if chunk.len() > room {
            body.extend_from_slice(&chunk[..room]);
            return Ok((body.freeze(), true));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((body.freeze(), false))
}

/// What went wrong with a call, without the address: it may hold a secret.
pub fn describe(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".into();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let what = if error.is_connect() { "could not connect" } else { "the connection failed" };
    if std::ptr::addr_eq(cause, error) { what.into() } else { format!("{what}: {cause}") }
}

/// Scheme and host of an address: all of it that may be shown.
pub fn redacted(url: &Url) -> String {
    format!("{}://{}/…", url.scheme(), url.host_str().unwrap_or("?"))
}

/// `Retry-After`, at most an hour, where an answer has one: in seconds, or as a time, which counts from the answer's own.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok().map(str::trim);
    let time = |name| DateTime::parse_from_rfc2822(text(name)?).ok();
    let wait = match text(RETRY_AFTER)?.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => (time(RETRY_AFTER)? - time(DATE)?).to_std().unwrap_or_default(),
    };
    Some(wait.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    fn check(guard: &Guard, url: &str) -> Result<(), Refused> {
        guard.check(&url.parse().unwrap())
    }

    #[test]
    fn private_addresses_are_refused_in_every_spelling() {
        let guard = Guard::default();
        for url in [
            "https://127.0.0.1/",
            "https://localhost/",
            "https://10.1.2.3/",
            "https://169.254.169.254/latest",
            "https://0x7f.1/",
            "https://2130706433/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://[fd00::1]/",
            "https://[64:ff9b::7f00:1]/",
            "https://[fec0::1]/",
            "https://[2001::1]/",
            "https://100.64.0.1/",
        ] {
            assert_eq!(check(&guard, url), Err(Refused::Private), "{url}");
        }
        assert_eq!(check(&guard, "https://hooks.example/x"), Ok(()));
        assert_eq!(check(&guard, "http://hooks.example/x"), Err(Refused::Scheme));
        assert_eq!(check(&guard, "https://user:pass@hooks.example/x"), Err(Refused::UserInfo));
        assert_eq!(check(&guard, "ftp://hooks.example/x"), Err(Refused::Scheme));
    }

    #[test]
    fn an_allowed_network_may_be_called_by_plain_http_and_no_other() {
        let guard = Guard::new(&["127.0.0.0/8".parse().unwrap()]);

        assert_eq!(check(&guard, "http://127.0.0.1:8080/x"), Ok(()));
        assert_eq!(check(&guard, "http://10.0.0.1/x"), Err(Refused::Private));
        assert_eq!(check(&guard, "http://93.184.215.14/x"), Err(Refused::Scheme));
    }

    #[tokio::test]
    async fn a_name_that_leads_home_is_refused_when_it_is_resolved() {
        let outbound = Outbound::new(Guard::default(), None).unwrap();

        // Past the check of the address, which knows this name: it stands for any that leads home.
        let error = outbound.https.get("https://localhost:1/").send().await.unwrap_err();

        assert!(describe(&error).contains("no address that may be called"), "{error:?}");
    }

    #[tokio::test]
    async fn a_name_is_called_at_those_of_its_addresses_that_are_allowed() {
        let both = [IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::LOCALHOST)];
        let guard = Guard::new(&["127.0.0.0/8".parse().unwrap()]);
        let names = GuardedNames { guard, private_only: true };

        assert_eq!(both.map(|address| names.allows(address)), [false, true]);
        let found: Vec<SocketAddr> = names.resolve("localhost".parse().unwrap()).await.unwrap().collect();
        assert!(!found.is_empty() && found.iter().all(SocketAddr::is_ipv4), "{found:?}");
    }

    #[tokio::test]
    async fn plain_http_is_not_handed_to_a_proxy() {
        let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at: Url = format!("http://{}", proxy.local_addr().unwrap()).parse().unwrap();
        let outbound = Outbound::new(Guard::new(&["10.0.0.0/8".parse().unwrap()]), Some(&at)).unwrap();

        // It leads elsewhere than into the allowed network.
        let request = outbound.http.get("http://localhost:1/").timeout(Duration::from_secs(5));
        let error = request.send().await.unwrap_err();

        assert!(describe(&error).contains("no address that may be called"), "{error:?}");
    }

    #[test]
    fn a_wait_is_read_as_seconds_or_as_a_time_and_is_never_long() {
        let now = "Sun, 06 Nov 1994 08:49:37 GMT";
        let cases = [
            ("120", Some(120)),
            ("18446744073709551615", Some(3600)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sat, 06 Nov 2094 08:50:37 GMT", Some(3600)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("soon", None),
        ];
        for (text, seconds) in cases {
            let headers = HeaderMap::from_iter(
                [(DATE, now), (RETRY_AFTER, text)]
                    .map(|(name, value)| (name, reqwest::header::HeaderValue::from_static(value))),
            );
            assert_eq!(retry_after(&headers), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
