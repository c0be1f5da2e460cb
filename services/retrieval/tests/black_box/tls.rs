//! Every way out to the web, over TLS: pages, repositories, the issues of a forge, a provider that searches.
//!
//! Whom a program trusts is settled when it starts, so the cases run in a child: this very program, started again with
//! an authority of this test in the place of the machine's.

#![allow(clippy::unwrap_used, reason = "the lint's exception for tests does not see the cases as tests")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use crate::common::Tenant;
use crate::common::site::{Site, answer, html, json, redirect};
use crate::common::sources::{failures, succeeded, wish};
use crate::common::web::{Names, bench, loopback, reason};
use crate::git;
use copydesk_proto::retrieval::v1::ingest_source_start::Source;
use copydesk_proto::retrieval::v1::{GitContent, GithubIssuesSource, SearchWebRequest};
use copydesk_retrieval::{Config, Github, Sources, Web, WebSearch};
use copydesk_types::Secret;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

const FOLDER: &str = "COPYDESK_TEST_TLS_FOLDER";
/// The name that all certificates but one are made for.
const HOST: &str = "vans.test";

/// Writes a certificate and its key under a name.
fn certify(folder: &Path, name: &str, host: &str, year: i32, issuer: &Issuer<'_, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
    params.not_after = date_time_ymd(year, 1, 1);
    let certificate = params.signed_by(&key, issuer).unwrap();
    std::fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
    std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
}

fn authority() -> (String, Issuer<'static, KeyPair>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    (certificate.pem(), Issuer::new(params, key))
}

/// Speaks TLS with this certificate and passes on what is said in it.
struct Front {
    address: SocketAddr,
    _task: AbortOnDropHandle<()>,
}

impl Front {
    async fn before(site: SocketAddr, folder: &Path, name: &str) -> Self {
        let chain = CertificateDer::from_pem_file(folder.join(format!("{name}.pem"))).unwrap();
        let key = PrivateKeyDer::from_pem_file(folder.join(format!("{name}.key"))).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![chain], key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            while let Ok((outer, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut outer) = acceptor.accept(outer).await else { return };
                    let mut inner = TcpStream::connect(site).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
                });
            }
        });
        Self { address, _task: AbortOnDropHandle::new(task) }
    }

    fn url(&self, path: &str) -> String {
        format!("https://{HOST}:{}{path}", self.address.port())
    }
}

/// A tenant of a service whose providers stand at this address.
async fn tenant(base_url: &str) -> Tenant {
    let search = WebSearch {
        base_url: Some(base_url.into()),
        api_key: Some(Secret::new("tvly-test-key")),
        ..WebSearch::default()
    };
    let github = Github { base_url: base_url.into(), ..Github::default() };
    let sources = Sources { github, pause_ms: 0, max_wait_seconds: 5, ..Sources::default() };
    let web = Web { search: Some(search), ..loopback() };
    let names = Names::of(&[(HOST, &[&["127.0.0.1"]])]);
    bench(Config { web, sources, ..Config::default() }, names).await.tenant(1)
}

async fn cases(folder: &Path) {
    let root = folder.join("served");
    git::repository(&root.join("vans"));
    let site = Site::start(move |heard| match heard.path.as_str() {
        "/page" => html("<title>Vans</title><main><p>An altimeter in every van.</main>"),
        "/search" => json(&json!({"results": [
            {"title": "Vans", "url": "https://example.org/vans", "content": "Vans are cold.", "score": 0.9}]})),
        path if path.starts_with("/repos/acme/vans/issues") => json(&json!([])),
        path if path.starts_with("/vans") => git::backend(&root, heard),
        _ => answer(404, &[], ""),
    })
    .await;
    let front = Front::before(site.address, folder, "good").await;
    let tenant = tenant(&front.url("")).await;
    everything_is_reached(&tenant, &front).await;
    let reached = site.heard().len();
    nobody_else_is_trusted(&tenant, &site, folder).await;
    assert_eq!(site.heard().len(), reached, "nothing was said to those who are not trusted");

    // From a page in the clear to one over TLS, the name is checked again.
    let stranger = Front::before(site.address, folder, "stranger").await;
    for (front, fine) in [(&front, true), (&stranger, false)] {
        let to = front.url("/page");
        let clear = Site::start(move |_| redirect(302, &to)).await;
        assert_eq!(tenant.fetch(&clear.url("/")).await.is_ok(), fine);
    }
}

async fn everything_is_reached(tenant: &Tenant, front: &Front) {
    let page = tenant.fetch(&front.url("/page")).await.unwrap();
    assert!(page.text.contains("An altimeter in every van."), "{page:?}");
    let question = SearchWebRequest { query: "vans".into(), ..SearchWebRequest::default() };
    let found = tenant.run(tenant.web().search_web(question)).await.unwrap().into_inner();
    assert_eq!(found.results[0].title, "Vans");
    let base = tenant.new_base("x").await.knowledge_base_id;
    let done =
        tenant.fetched(wish("git", &base, git::source(&front.url("/vans"), &[GitContent::Readme]))).await;
    succeeded(&done);
    assert_eq!(done.documents_done, 1);
    let issues = GithubIssuesSource { repository: "acme/vans".into(), ..GithubIssuesSource::default() };
    succeeded(&tenant.fetched(wish("issues", &base, Source::GithubIssues(issues))).await);
}

async fn nobody_else_is_trusted(tenant: &Tenant, site: &Site, folder: &Path) {
    let base = tenant.new_base("y").await.knowledge_base_id;
    for name in ["stranger", "expired", "other"] {
        let front = Front::before(site.address, folder, name).await;
        let status = tenant.fetch(&front.url("/page")).await.unwrap_err();
        assert_eq!(reason(&status), "WEB_UNREACHABLE", "{name}: {status:?}");
        assert!(status.message().contains("TLS"), "{name}: {status:?}");
        let asked = git::source(&front.url("/vans"), &[GitContent::Readme]);
        let done = tenant.fetched(wish(name, &base, asked)).await;
        assert_eq!(failures(&done), [("/vans", "SOURCE_UNAVAILABLE")], "{name}");
    }
    // Whoever speaks in the clear where TLS is expected.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain = format!("https://{HOST}:{}/page", listener.local_addr().unwrap().port());
    let clear = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    };
    let (fetched, ()) = tokio::join!(tenant.fetch(&plain), clear);
    assert_eq!(reason(&fetched.unwrap_err()), "WEB_UNREACHABLE");
}

#[test]
#[ignore = "is the child of the other test"]
fn child() {
    let folder = PathBuf::from(std::env::var(FOLDER).unwrap());
    tokio::runtime::Runtime::new().unwrap().block_on(cases(&folder));
}

#[test]
fn the_web_is_asked_over_tls_and_only_those_who_can_be_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let ((trusted, issuer), (_, stranger)) = (authority(), authority());
    std::fs::write(folder.path().join("trusted.pem"), trusted).unwrap();
    certify(folder.path(), "good", HOST, 2100, &issuer);
    certify(folder.path(), "expired", HOST, 2020, &issuer);
    certify(folder.path(), "other", "others.test", 2100, &issuer);
    certify(folder.path(), "stranger", HOST, 2100, &stranger);
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["tls::child", "--exact", "--ignored", "--nocapture"])
        .env(FOLDER, folder.path())
        .env("SSL_CERT_FILE", folder.path().join("trusted.pem"))
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
