//! How many uploads may be under way.

#![allow(clippy::unwrap_used, reason = "the lint's exception for tests does not see the cases as tests")]

use std::time::Duration;

use crate::common::{Tenant, benches_with, doc, parts};
use copydesk_proto::retrieval::v1::IngestRequest;
use copydesk_proto::types::v1::SourceKind;
use copydesk_retrieval::{Config, Limits};
use tokio::task::JoinSet;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Begins uploads that send nothing and never end; the first that is answered.
async fn begin(tenant: &Tenant, number: usize, calls: &mut JoinSet<Status>) -> Status {
    for _ in 0..number {
        let tenant = tenant.clone();
        calls.spawn(async move {
            let mut client = tenant.ingestions();
            tenant.run(client.ingest(tokio_stream::pending::<IngestRequest>())).await.map(|_| ()).unwrap_err()
        });
    }
    tokio::time::timeout(Duration::from_secs(30), calls.join_next()).await.unwrap().unwrap().unwrap()
}

fn too_many(status: &Status) {
    let details = status.get_error_details();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert_eq!(details.error_info().unwrap().reason, "TOO_MANY_UPLOADS");
    assert!(details.retry_info().unwrap().retry_delay.unwrap() > Duration::ZERO);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_of_a_tenant_and_of_all_are_bounded_before_they_are_read() {
    let limits = Limits { max_uploads_per_tenant: 2, max_uploads: 3, ..Limits::default() };
    for bench in benches_with(Config { limits, ..Config::default() }, None).await {
        let (one, other) = (bench.tenant(1), bench.tenant(2));
        let base = other.new_base("x").await.knowledge_base_id;
        let (mut ones, mut others) = (JoinSet::new(), JoinSet::new());
        too_many(&begin(&one, 3, &mut ones).await);
        too_many(&begin(&other, 2, &mut others).await);
        assert_eq!((ones.len(), others.len()), (2, 1), "on {}", bench.name);
        let small = || parts("r", &base, &[doc("small", SourceKind::Post, "small")]);
        too_many(&other.send(small()).await.unwrap_err());

        ones.shutdown().await;
        let sent = async {
            // The service hears of the end of a call a little later.
            loop {
                match other.send(small()).await {
                    Err(status) => too_many(&status),
                    Ok(ingestion) => break ingestion,
                }
            }
        };
        let sent = tokio::time::timeout(Duration::from_secs(30), sent).await.unwrap();
        assert_eq!(sent.documents_total, 1);
        // Its permit is free again, too.
        other.send(parts("r2", &base, &[doc("next", SourceKind::Post, "next")])).await.unwrap();
        others.shutdown().await;
        bench.database.close().await;
    }
}
