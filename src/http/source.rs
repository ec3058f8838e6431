//! Who called: the peer, or the address that a trusted proxy in front of us wrote down.
//!
//! Anybody can send `X-Forwarded-For`. So it counts only where the peer is a trusted proxy, and is read from its end, which the
//! nearest proxy wrote, to the first address that is no trusted proxy's. Where there is none of it, `Forwarded` (RFC 7239)
//! counts alike. What can't be read ends the search: the address before it is the last one that is known.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::IpNet;

const X_FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED: &str = "forwarded";

/// The address of whoever made this request.
pub(super) fn of(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut source = peer.to_canonical();
    if !is_trusted(&source) {
        return source;
    }
    for told in told(headers).into_iter().rev() {
        let Some(address) = told else { break };
        source = address;
        if !is_trusted(&source) {
            break;
        }
    }
    source
}

/// The addresses that proxies wrote, the nearest last; what is none is `None`.
fn told(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let parts = |name: &str| -> Vec<String> {
        let values = headers.get_all(name).into_iter().map(|value| value.to_str().unwrap_or_default());
        values.flat_map(|value| value.split(',').map(|part| part.trim().to_owned())).collect()
    };
    if headers.contains_key(X_FORWARDED_FOR) {
        return parts(X_FORWARDED_FOR).iter().map(|part| address(part)).collect();
    }
    parts(FORWARDED).iter().map(|part| forwarded_for(part)).collect()
}

/// `for="[2001:db8::1]:4711";proto=https`
fn forwarded_for(part: &str) -> Option<IpAddr> {
    let mut pairs = part.split(';').filter_map(|pair| pair.trim().split_once('='));
    let (_, node) = pairs.find(|(name, _)| name.eq_ignore_ascii_case("for"))?;
    address(node.trim_matches('"'))
}

/// An address with or without its port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    bare.parse().ok().or_else(with_port).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, headers: &[(&'static str, &str)]) -> String {
        let trusted: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8"].iter().map(|network| network.parse().unwrap()).collect();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        of(peer.parse().unwrap(), &map, &trusted).to_string()
    }

    #[test]
    fn only_a_trusted_peer_is_believed() {
        assert_eq!(seen("203.0.113.7", &[(X_FORWARDED_FOR, "198.51.100.1")]), "203.0.113.7");
        assert_eq!(seen("10.0.0.1", &[(X_FORWARDED_FOR, "198.51.100.1")]), "198.51.100.1");
        assert_eq!(seen("::ffff:10.0.0.1", &[(X_FORWARDED_FOR, "198.51.100.1")]), "198.51.100.1");
        assert_eq!(seen("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn the_first_address_from_the_end_that_is_no_proxy_s_counts() {
        let list = "192.0.2.66, 198.51.100.1, 10.1.1.1";
        assert_eq!(seen("10.0.0.1", &[(X_FORWARDED_FOR, list)]), "198.51.100.1");
        assert_eq!(seen("10.0.0.1", &[(X_FORWARDED_FOR, "192.0.2.66"), (X_FORWARDED_FOR, "fd00::1")]), "192.0.2.66");
        assert_eq!(seen("10.0.0.1", &[(X_FORWARDED_FOR, "10.2.2.2, 10.1.1.1")]), "10.2.2.2");
        assert_eq!(seen("10.0.0.1", &[(X_FORWARDED_FOR, "192.0.2.66, nonsense, 10.1.1.1")]), "10.1.1.1");
    }

    #[test]
    fn forwarded_counts_where_the_other_header_is_missing() {
        let list = r#"for=192.0.2.66, For="[2001:db8::1]:4711";proto=https;by=10.0.0.1"#;
        assert_eq!(seen("fd00::1", &[(FORWARDED, list)]), "2001:db8::1");
        assert_eq!(
            seen("10.0.0.1", &[(FORWARDED, "for=198.51.100.1:80"), (X_FORWARDED_FOR, "192.0.2.1")]),
            "192.0.2.1"
        );
        assert_eq!(seen("10.0.0.1", &[(FORWARDED, "for=_hidden")]), "10.0.0.1");
    }
}
