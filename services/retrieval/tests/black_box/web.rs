//! Pages from the web: what is followed, what is refused and why. The sites are sockets on this machine, which an
//! operator has allowed; whatever is not allowed is refused before a connection is tried.

#![allow(clippy::unwrap_used, reason = "the lint's exception for tests does not see the cases as tests")]

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use crate::common::site::{Heard, Say, Site, answer, html, redirect};
use crate::common::web::{Names, bench, loopback, reason};
use crate::common::{Tenant, refusal};
use copydesk_proto::retrieval::v1::FetchPageResponse;
use copydesk_retrieval::{Config, Web};
use tonic::{Code, Status};
use tonic_types::StatusExt;

async fn tenant(web: Web, names: Arc<Names>) -> Tenant {
    bench(Config { web, ..Config::default() }, names).await.tenant(1)
}

/// A site without a robots.txt.
async fn site(script: impl Fn(&Heard) -> Say + Send + Sync + 'static) -> Site {
    Site::start(move |heard| match heard.path.as_str() {
        "/robots.txt" => answer(404, &[], ""),
        _ => script(heard),
    })
    .await
}

fn refused(fetched: Result<FetchPageResponse, Status>) -> (Code, String) {
    let status = fetched.unwrap_err();
    (status.code(), reason(&status))
}

fn told(code: Code, reason: &str) -> (Code, String) {
    (code, reason.to_owned())
}

#[tokio::test]
async fn a_page_comes_with_its_text_and_the_way_to_it() {
    let site = site(|heard| match heard.path.as_str() {
        "/a" => redirect(301, "/b?x=1#part"),
        "/b?x=1" => redirect(308, "c"),
        "/c" => html("<title>Vans</title><nav>Menu</nav><main><h1>Vans</h1><p>They are <b>cold</b>.</main>"),
        _ => answer(404, &[], ""),
    })
    .await;
    let tenant = tenant(loopback(), Names::of(&[("vans.test", &[&["127.0.0.1"]])])).await;
    let page = tenant.fetch(&site.url_as("vans.test", "/a#top")).await.unwrap();
    assert_eq!(page.final_url, site.url_as("vans.test", "/c"));
    assert_eq!(page.redirects, [site.url_as("vans.test", "/a"), site.url_as("vans.test", "/b?x=1")]);
    assert_eq!((page.title.as_str(), page.content_type.as_str()), ("Vans", "text/html"));
    assert!(
        page.text.contains("# Vans") && page.text.contains("cold") && !page.text.contains("Menu"),
        "{}",
        page.text
    );
    assert!(page.markdown && !page.truncated && page.fetch_time.is_some());
    assert_eq!((page.content_hash.len(), page.size_bytes), (64, 84));
    let heard = site.heard().pop().unwrap();
    assert!(heard.header("user-agent").starts_with("copydesk/"), "{heard:?}");
    assert_eq!(heard.header("host"), format!("vans.test:{}", site.address.port()));
}

#[tokio::test]
async fn texts_come_in_any_encoding_and_packed() {
    let site = site(|heard| match heard.path.as_str() {
        "/latin" => answer(200, &["content-type: text/plain; charset=ISO-8859-1"], b"caf\xe9"),
        "/page" => answer(200, &["content-type: text/html; charset=iso-8859-1"], b"<meta charset=utf-8><p>caf\xe9"),
        "/packed" => answer(200, &["content-type: text/markdown", "content-encoding: gzip"], packed(b"# Packed")),
        "/pdf" => answer(200, &["content-type: application/pdf"], b"%PDF-1.4 nothing of a PDF"),
        "/chunked" => Say::Bytes(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n".to_vec(),
        ),
        _ => answer(200, &["content-type: text/plain"], " \n"),
    })
    .await;
    let tenant = tenant(loopback(), Names::of(&[])).await;
    assert_eq!(tenant.fetch(&site.url("/latin")).await.unwrap().text, "caf\u{e9}");
    assert_eq!(tenant.fetch(&site.url("/page")).await.unwrap().text, "caf\u{e9}");
    let packed = tenant.fetch(&site.url("/packed")).await.unwrap();
    assert_eq!((packed.text.as_str(), packed.size_bytes, packed.markdown), ("# Packed", 8, true));
    assert_eq!(tenant.fetch(&site.url("/chunked")).await.unwrap().text, "abcde");
    let unreadable = told(Code::FailedPrecondition, "WEB_UNREADABLE");
    assert_eq!(refused(tenant.fetch(&site.url("/pdf")).await), unreadable);
    assert_eq!(refused(tenant.fetch(&site.url("/blank")).await), unreadable);
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn addresses_that_are_not_public_are_never_asked() {
    let inside = site(|_| html("<p>secret")).await;
    let port = inside.address.port();
    // Nothing is allowed here but the one host of the test of redirects.
    let names = Names::of(&[
        ("open.test", &[&["127.0.0.2"]]),
        ("inner.test", &[&["127.0.0.1"]]),
        ("mixed.test", &[&["127.0.0.2", "10.0.0.1"]]),
        ("metadata.test", &[&["169.254.169.254"]]),
        ("six.test", &[&["::ffff:127.0.0.1"]]),
        ("nat.test", &[&["64:ff9b::7f00:1"]]),
        ("localhost", &[&["127.0.0.1", "::1"]]),
    ]);
    let web = Web { allow: vec!["127.0.0.2".into()], ..loopback() };
    let tenant = tenant(web, names).await;
    let forbidden = told(Code::PermissionDenied, "WEB_ADDRESS_FORBIDDEN");
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "[fd00::1]",
        "10.0.0.1",
        "192.168.0.1",
        "172.16.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "198.18.0.1",
        "203.0.113.1",
        "inner.test",
        "INNER.test.",
        "mixed.test",
        "metadata.test",
        "six.test",
        "nat.test",
        "localhost",
    ] {
        let url = format!("http://{host}:{port}/");
        assert_eq!(refused(tenant.fetch(&url).await), forbidden, "{host}");
        let plain = refused(tenant.fetch(&format!("https://{host}/")).await);
        assert_eq!(plain, forbidden, "{host}");
    }
    assert!(inside.heard().is_empty(), "{:?}", inside.heard());
    let message = tenant.fetch("http://metadata.test/").await.unwrap_err();
    assert!(
        !message.message().contains("169.254"),
        "what a name leads to is not told: {}",
        message.message()
    );
}

#[tokio::test]
async fn public_addresses_are_asked_on_known_ports_only() {
    let tenant =
        tenant(Web { timeout_seconds: 2, ..loopback() }, Names::of(&[("open.test", &[&["8.8.8.8"]])])).await;
    for url in ["http://8.8.8.8:22/", "http://8.8.8.8:6379/", "http://open.test:25/"] {
        assert_eq!(
            refused(tenant.fetch(url).await),
            told(Code::PermissionDenied, "WEB_ADDRESS_FORBIDDEN"),
            "{url}"
        );
    }
}

#[tokio::test]
async fn every_redirect_is_checked_anew() {
    let inside = Site::start(|_| html("<p>secret")).await;
    let (secret, named) = (inside.url("/secret"), inside.url_as("inner.test", "/secret"));
    let port = inside.address.port();
    let open = site(move |heard| match heard.path.as_str() {
        "/literal" => redirect(302, &secret),
        "/named" => redirect(307, &named),
        "/chain" => redirect(302, "/chain2"),
        "/chain2" => redirect(302, "/literal"),
        "/file" => redirect(302, "file:///etc/passwd"),
        "/user" => redirect(302, "http://user:word@open.test/"),
        "/odd" => redirect(302, &format!("http://[::ffff:127.0.0.1]:{port}/")),
        "/nowhere" => answer(302, &[], ""),
        path => redirect(302, &format!("{path}x")),
    })
    .await;
    // The open site is let through by name and port; the inner one is on the same machine and is not.
    let allow = vec![format!("open.test:{}", open.address.port())];
    let names = Names::of(&[("open.test", &[&["127.0.0.1"]]), ("inner.test", &[&["127.0.0.1"]])]);
    let tenant = tenant(Web { allow, ..loopback() }, names).await;
    for path in ["/literal", "/named", "/chain", "/odd"] {
        let fetched = refused(tenant.fetch(&open.url_as("open.test", path)).await);
        assert_eq!(fetched, told(Code::PermissionDenied, "WEB_ADDRESS_FORBIDDEN"), "{path}");
    }
    for path in ["/file", "/user", "/nowhere", "/loop"] {
        let fetched = refused(tenant.fetch(&open.url_as("open.test", path)).await);
        assert_eq!(fetched, told(Code::FailedPrecondition, "WEB_REDIRECTS"), "{path}");
    }
    assert!(inside.heard().is_empty(), "{:?}", inside.heard());
    assert_eq!(open.paths().iter().filter(|path| path.starts_with("/loop")).count(), 6);
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_a_moment_later_leads_nowhere() {
    let inside = site(|_| html("<p>secret")).await;
    // First public, then this machine: what was checked is what is connected to, and the next look is checked again.
    let names = Names::of(&[("flip.test", &[&["127.0.0.3"], &["127.0.0.1"]])]);
    let web = Web { allow: vec!["127.0.0.3".into()], timeout_seconds: 3, ..loopback() };
    let tenant = tenant(web, names).await;
    let url = inside.url_as("flip.test", "/");
    assert_eq!(refused(tenant.fetch(&url).await), told(Code::Unavailable, "WEB_UNREACHABLE"));
    assert_eq!(refused(tenant.fetch(&url).await), told(Code::PermissionDenied, "WEB_ADDRESS_FORBIDDEN"));
    assert!(inside.heard().is_empty());
}

#[tokio::test]
async fn urls_that_cannot_be_asked_are_told_as_fields() {
    let tenant = tenant(loopback(), Names::of(&[])).await;
    for url in ["", "vans", "ftp://127.0.0.1/", "file:///etc/passwd", "http://u:p@127.0.0.1/", "http://"] {
        let status = tenant.fetch(url).await.unwrap_err();
        assert_eq!(refusal(&status), (Code::InvalidArgument, vec!["url".to_owned()]), "{url}");
    }
    assert_eq!(
        refused(tenant.fetch("http://nobody.test/").await),
        told(Code::Unavailable, "WEB_UNREACHABLE")
    );
}

#[tokio::test]
async fn what_does_not_end_is_ended() {
    let bomb = packed(&vec![0u8; 64 << 20]);
    assert!(bomb.len() < 100_000);
    let empty = packed(b"");
    let site = site(move |heard| {
        let text = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n".to_vec();
        let zipped =
            b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-encoding: gzip\r\n\r\n".to_vec();
        match heard.path.as_str() {
            "/drip" => Say::Drip(text, Duration::from_millis(100)),
            "/drip-head" => Say::Drip(b"HTTP/1.1 200 OK\r\nx: ".to_vec(), Duration::from_millis(100)),
            "/endless" => Say::Endless(text, vec![b'x'; 1 << 16]),
            "/endless-head" => Say::Endless(b"HTTP/1.1 200 OK\r\n".to_vec(), b"x-more: yes\r\n".repeat(100)),
            "/long-line" => Say::Endless(b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'x'; 1 << 12]),
            "/empty-members" => Say::Endless(zipped, empty.clone()),
            "/said" => answer(200, &["content-type: text/plain"], vec![b'x'; (1 << 20) + 1]),
            "/bomb" => answer(200, &["content-type: text/plain", "content-encoding: gzip"], &bomb),
            "/silence" => Say::Silence,
            _ => answer(200, &["content-type: text/plain"], vec![b'x'; 1 << 20]),
        }
    })
    .await;
    let web = Web { max_bytes: 1 << 20, timeout_seconds: 2, ..loopback() };
    let tenant = tenant(web, Names::of(&[])).await;
    for path in ["/endless", "/empty-members", "/said", "/bomb"] {
        let fetched = refused(tenant.fetch(&site.url(path)).await);
        assert_eq!(fetched, told(Code::FailedPrecondition, "WEB_TOO_LARGE"), "{path}");
    }
    for path in ["/drip", "/drip-head", "/silence"] {
        assert_eq!(
            refused(tenant.fetch(&site.url(path)).await),
            told(Code::Unavailable, "WEB_TIMEOUT"),
            "{path}"
        );
    }
    for path in ["/endless-head", "/long-line"] {
        let fetched = refused(tenant.fetch(&site.url(path)).await);
        assert_eq!(fetched, told(Code::FailedPrecondition, "WEB_BAD_ANSWER"), "{path}");
    }
    assert_eq!(tenant.fetch(&site.url("/just")).await.unwrap().size_bytes, 1 << 20);
}

#[tokio::test]
async fn answers_that_are_no_pages_have_their_reasons() {
    let site = site(|heard| match heard.path.as_str() {
        "/video" => answer(200, &["content-type: video/mp4"], "x"),
        "/binary" => answer(200, &["content-type: application/octet-stream"], "x"),
        "/none" => answer(200, &[], "words of no type"),
        "/gone" => answer(410, &[], ""),
        "/broken" => answer(503, &[], ""),
        "/busy" => answer(429, &[], ""),
        "/no-http" => Say::Bytes(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec()),
        "/cut" => {
            Say::Bytes(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 9\r\n\r\nx".to_vec())
        }
        "/brotli" => answer(200, &["content-type: text/plain", "content-encoding: br"], "x"),
        "/not-gzip" => answer(200, &["content-type: text/plain", "content-encoding: gzip"], "no gzip at all"),
        "/cut-gzip" => {
            let bytes = packed(&[7; 1000]);
            answer(200, &["content-type: text/plain", "content-encoding: gzip"], &bytes[..bytes.len() - 6])
        }
        _ => Say::Bytes(Vec::new()),
    })
    .await;
    let tenant = tenant(loopback(), Names::of(&[])).await;
    for (path, code, reason) in [
        ("/video", Code::FailedPrecondition, "WEB_CONTENT_TYPE"),
        ("/binary", Code::FailedPrecondition, "WEB_CONTENT_TYPE"),
        ("/gone", Code::FailedPrecondition, "WEB_STATUS"),
        ("/broken", Code::Unavailable, "WEB_BUSY"),
        ("/busy", Code::Unavailable, "WEB_BUSY"),
        ("/no-http", Code::FailedPrecondition, "WEB_BAD_ANSWER"),
        ("/cut", Code::Unavailable, "WEB_UNREACHABLE"),
        ("/brotli", Code::FailedPrecondition, "WEB_BAD_ANSWER"),
        ("/not-gzip", Code::FailedPrecondition, "WEB_BAD_ANSWER"),
        ("/cut-gzip", Code::FailedPrecondition, "WEB_BAD_ANSWER"),
        ("/nothing", Code::Unavailable, "WEB_UNREACHABLE"),
    ] {
        assert_eq!(refused(tenant.fetch(&site.url(path)).await), told(code, reason), "{path}");
    }
    assert_eq!(tenant.fetch(&site.url("/none")).await.unwrap().text, "words of no type");
    let gone = tenant.fetch(&site.url("/gone")).await.unwrap_err();
    assert_eq!(gone.get_error_details().error_info().unwrap().metadata["status"], "410");
}

#[tokio::test]
async fn robots_txt_is_heeded_and_remembered() {
    let rules =
        "user-agent: *\ndisallow: /\n\nuser-agent: copydesk\ndisallow: /private\nallow: /private/open\n";
    let good = Site::start(move |heard| match heard.path.as_str() {
        "/robots.txt" => redirect(301, "/other.txt"),
        "/other.txt" => answer(200, &["content-type: text/plain"], rules),
        "/away" => redirect(302, "/private/x"),
        _ => html("<p>page"),
    })
    .await;
    let broken = Site::start(|heard| match heard.path.as_str() {
        "/robots.txt" => answer(503, &[], ""),
        _ => html("<p>page"),
    })
    .await;
    let absent = Site::start(|heard| match heard.path.as_str() {
        "/robots.txt" => answer(403, &[], ""),
        _ => html("<p>page"),
    })
    .await;
    let long = Site::start(|heard| match heard.path.as_str() {
        "/robots.txt" => {
            let file = ["user-agent: *\ndisallow: /a\n", &"# x\n".repeat(200_000), "disallow: /b\n"].concat();
            answer(200, &[], file)
        }
        _ => html("<p>page"),
    })
    .await;
    let disallowed = told(Code::PermissionDenied, "WEB_ROBOTS");
    let tenant = tenant(loopback(), Names::of(&[])).await;
    assert!(tenant.fetch(&good.url("/public")).await.is_ok());
    assert!(tenant.fetch(&good.url("/private/open")).await.is_ok());
    for path in ["/private/x", "/%70rivate/x", "/away"] {
        assert_eq!(refused(tenant.fetch(&good.url(path)).await), disallowed, "{path}");
    }
    let asked = good.heard().iter().filter(|heard| heard.path == "/robots.txt").count();
    assert_eq!(asked, 1, "it is remembered");
    assert_eq!(good.paths(), ["/other.txt", "/public", "/private/open", "/away"]);
    assert_eq!(refused(tenant.fetch(&broken.url("/")).await), disallowed);
    assert!(broken.paths().is_empty());
    assert!(tenant.fetch(&absent.url("/")).await.is_ok(), "4xx: there are no rules");
    assert_eq!(refused(tenant.fetch(&long.url("/a")).await), disallowed);
    assert!(tenant.fetch(&long.url("/b")).await.is_ok(), "what lies behind the first 500 KiB is not read");

    let own = self::tenant(Web { respect_robots: false, ..loopback() }, Names::of(&[])).await;
    assert!(own.fetch(&good.url("/private/x")).await.is_ok());
}

#[tokio::test]
async fn the_web_is_limited_for_each_tenant_and_can_be_closed() {
    let site = site(|_| html("<p>page")).await;
    let web = Web { calls_per_minute: 2, ..loopback() };
    let one = tenant(web, Names::of(&[])).await;
    let other = one.bench.tenant(2);
    for _ in 0..2 {
        one.fetch(&site.url("/")).await.unwrap();
    }
    let late = one.fetch(&site.url("/")).await.unwrap_err();
    assert_eq!((late.code(), reason(&late).as_str()), (Code::ResourceExhausted, "WEB_RATE_LIMITED"));
    assert!(late.get_error_details().retry_info().unwrap().retry_delay.unwrap() > Duration::ZERO);
    other.fetch(&site.url("/")).await.unwrap();

    let closed = tenant(Web { enabled: false, ..loopback() }, Names::of(&[])).await;
    assert_eq!(refused(closed.fetch(&site.url("/")).await), told(Code::FailedPrecondition, "WEB_DISABLED"));
}
