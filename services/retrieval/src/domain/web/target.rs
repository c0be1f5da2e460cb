//! A URL that may be asked, as far as that can be told from the URL alone.

use std::net::IpAddr;

use url::{Host, Url};

use super::{WebError, WebFault};

/// Longest URL, in bytes.
pub const LONGEST: usize = 2048;

/// A URL that may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    url: Url,
    host: String,
    literal: Option<IpAddr>,
    port: u16,
}

impl Target {
    /// Reads a URL. Its fragment is left out.
    ///
    /// # Errors
    /// `Url`: it is too long, no URL, not of http or https, or has a user or password in it.
    pub fn parse(text: &str) -> Result<Self, WebError> {
        if text.len() > LONGEST {
            return Err(bad(format!("must have at most {LONGEST} bytes")));
        }
        if text.chars().any(|c| c.is_control() || c == '\u{fffd}') {
            return Err(bad("must not contain control characters"));
        }
        Self::of(Url::parse(text.trim()).map_err(|_| bad("is not a URL"))?)
    }

    /// The URL that a redirect from here leads to.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn join(&self, location: &str) -> Result<Self, WebError> {
        if location.len() > LONGEST {
            return Err(bad(format!("must have at most {LONGEST} bytes")));
        }
        Self::of(self.url.join(location).map_err(|_| bad("is not a URL"))?)
    }

    fn of(mut url: Url) -> Result<Self, WebError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad("must begin with http:// or https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("must not have a user or password in it"));
        }
        url.set_fragment(None);
        let (host, literal) = match url.host() {
            Some(Host::Domain(name)) => (name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase(), None),
            Some(Host::Ipv4(address)) => (address.to_string(), Some(address.into())),
            Some(Host::Ipv6(address)) => (address.to_string(), Some(address.into())),
            None => return Err(bad("must name a host")),
        };
        let port = url.port_or_known_default().filter(|port| *port > 0);
        let port = port.ok_or_else(|| bad("must name a port that exists"))?;
        if host.is_empty() || url.as_str().len() > LONGEST {
            return Err(bad(format!(
                "must name a host, and have at most {LONGEST} bytes when it is written out"
            )));
        }
        Ok(Self { url, host, literal, port })
    }

    /// The whole URL.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// The name or address, in small letters, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The address, where the URL names one instead of a name.
    pub const fn literal(&self) -> Option<IpAddr> {
        self.literal
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is asked by way of TLS.
    pub fn is_tls(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// What a `Host` header says of it.
    pub fn authority(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        self.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// Path and query, as they are asked for and as robots.txt speaks of them.
    pub fn path_and_query(&self) -> &str {
        &self.url[url::Position::BeforePath..url::Position::AfterQuery]
    }

    /// Scheme, host and port: what one robots.txt is for.
    pub fn origin(&self) -> String {
        format!("{}://{}", self.url.scheme(), self.authority())
    }
}

fn bad(what: impl Into<String>) -> WebError {
    WebError::new(WebFault::Url, what)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn urls_are_read_as_browsers_read_them() {
        let target = Target::parse("HTTPS://Example.ORG.:443/a b?c#d").unwrap();
        assert_eq!((target.host(), target.port(), target.is_tls()), ("example.org", 443, true));
        assert_eq!(target.path_and_query(), "/a%20b?c");
        assert_eq!(target.as_str(), "https://example.org./a%20b?c");
        // All the ways to write 127.0.0.1 are one.
        for odd in [
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f.0.0.1/",
            "http://0177.0.0.1/",
            "http://127.0.0.1./",
        ] {
            let literal = Target::parse(odd).unwrap().literal();
            assert_eq!(literal, Some("127.0.0.1".parse().unwrap()), "{odd}");
        }
        let v6 = Target::parse("http://[::ffff:7f00:1]:81/").unwrap();
        assert_eq!((v6.authority().as_str(), v6.port()), ("[::ffff:7f00:1]:81", 81));
        assert_eq!(v6.origin(), "http://[::ffff:7f00:1]:81");
    }

    #[test]
    fn what_must_not_be_asked_is_refused() {
        let long = format!("http://a/{}", "x".repeat(LONGEST));
        for bad in [
            "",
            "example.org",
            "//example.org",
            "ftp://example.org/",
            "file:///etc/passwd",
            "gopher://x/",
            "data:,x",
            "http://",
            "http://user@example.org/",
            "http://user:word@example.org/",
            "http://:word@example.org/",
            "http://exa mple.org/",
            "http://a\u{0}b/",
            "http://[::1/",
            "http://a:70000/",
            "http://a:0/",
            "javascript:x",
            &long,
        ] {
            assert_eq!(Target::parse(bad).map_err(|error| error.fault), Err(WebFault::Url), "{bad}");
        }
    }

    #[test]
    fn a_redirect_is_read_from_where_it_stands() {
        let from = Target::parse("https://a.org/x/y?z").unwrap();
        assert_eq!(from.join("../q").unwrap().as_str(), "https://a.org/q");
        assert_eq!(from.join("//b.org").unwrap().as_str(), "https://b.org/");
        for bad in ["file:///etc/passwd", "http://u:p@b.org/", "ftp://b.org"] {
            assert!(from.join(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_read_wrong(text in "\\PC{0,60}", tail in "[a-z0-9.:/@%\\[\\]\\\\?#-]{0,40}") {
            for text in [text.clone(), format!("http://{tail}"), format!("http:{text}{tail}")] {
                let Ok(target) = Target::parse(&text) else { continue };
                prop_assert!(!target.host().is_empty() && target.port() > 0);
                prop_assert!(!target.as_str().contains('#'));
                prop_assert!(target.path_and_query().starts_with('/'));
                prop_assert!(!target.authority().contains('@'));
                // Read again it is the same: nobody along the way sees another host in it.
                prop_assert_eq!(Target::parse(target.as_str()).unwrap(), target);
            }
        }
    }
}
