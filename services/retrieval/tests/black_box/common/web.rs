//! A service that may ask this machine, and names that lead where a test says.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use copydesk_proto::retrieval::v1::web_service_client::WebServiceClient;
use copydesk_proto::retrieval::v1::{FetchPageRequest, FetchPageResponse};
use copydesk_retrieval::adapters::MIGRATOR;
use copydesk_retrieval::embedders::Embedders;
use copydesk_retrieval::ports::Resolver;
use copydesk_retrieval::{Config, Outside, Web, assemble_from};
use copydesk_rpc::{Channel, testing};
use tonic::Status;
use tonic_types::StatusExt;

use super::{Bench, Tenant};

/// Answers in turn, the last one again and again.
#[derive(Default)]
pub struct Names(Mutex<HashMap<String, Vec<Vec<IpAddr>>>>);

impl Names {
    pub fn of(names: &[(&str, &[&[&str]])]) -> Arc<Self> {
        let ip = |text: &&str| text.parse::<IpAddr>().unwrap();
        let turns = |turns: &[&[&str]]| turns.iter().map(|turn| turn.iter().map(ip).collect()).collect();
        let names = names.iter().map(|(name, all)| ((*name).to_owned(), turns(all)));
        Arc::new(Self(Mutex::new(names.collect())))
    }
}

#[async_trait::async_trait]
impl Resolver for Names {
    async fn resolve(&self, host: &str) -> std::io::Result<Vec<IpAddr>> {
        let mut names = self.0.lock().unwrap();
        let turns = names.get_mut(host).ok_or_else(|| std::io::Error::other("no such name"))?;
        Ok(if turns.len() > 1 { turns.remove(0) } else { turns[0].clone() })
    }
}

/// Settings that let this machine be asked.
pub fn loopback() -> Web {
    Web { allow: vec!["127.0.0.0/8".into()], timeout_seconds: 5, calls_per_minute: 0, ..Web::default() }
}

/// One service on SQLite, in process.
pub async fn bench(config: Config, names: Arc<Names>) -> Bench {
    let database = copydesk_store::testing::sqlite(&MIGRATOR).await;
    bench_on("sqlite", &database, config, names)
}

/// One service in process, on PostgreSQL where the tests have one: sources of the other kinds are tested on SQLite.
pub async fn bench_far(config: Config, names: Arc<Names>) -> Bench {
    let (name, database) = copydesk_store::testing::both(&MIGRATOR).await.pop().unwrap();
    bench_on(name, &database, config, names)
}

pub fn bench_on(
    name: &'static str,
    database: &copydesk_store::Database,
    config: Config,
    names: Arc<Names>,
) -> Bench {
    let outside = Outside {
        embedders: Embedders::only(None),
        reranker: None,
        ocr: None,
        resolver: names,
        places: None,
    };
    let context = testing::context(&std::env::temp_dir());
    let service = assemble_from(config, database.clone(), context, outside);
    Bench { name, channel: testing::local(service), database: database.clone() }
}

impl Tenant {
    pub fn web(&self) -> WebServiceClient<Channel> {
        WebServiceClient::new(self.bench.channel.clone())
    }

    pub async fn fetch(&self, url: &str) -> Result<FetchPageResponse, Status> {
        let request = FetchPageRequest { url: url.to_owned() };
        let mut client = self.web();
        let fetched = self.run(client.fetch_page(request));
        let fetched = tokio::time::timeout(std::time::Duration::from_secs(60), fetched).await.unwrap();
        Ok(fetched?.into_inner())
    }
}

/// The reason of a refusal.
pub fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}
