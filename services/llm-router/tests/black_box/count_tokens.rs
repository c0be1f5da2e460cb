//! Counting tokens, as callers see it, in process and over a loopback port.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step must stop the test")]

use crate::support::mesh::{Mesh, fields, only, openai, tenant, user};
use copydesk_llm_router::{Config, ModelConfig, ProviderConfig};
use copydesk_proto::llm_router::v1 as pb;
use tonic::{Code, Status};

fn config() -> Config {
    let model = |name: &str, context_tokens| ModelConfig {
        name: name.into(),
        context_tokens,
        ..ModelConfig::default()
    };
    let models = vec![model("gpt-4o", 128_000), model("gpt-4", 20), model("own", 0)];
    only(vec![ProviderConfig { models, ..openai("openai", "http://127.0.0.1:9") }])
}

async fn count(mesh: &Mesh, model: &str, texts: &[&str]) -> Result<pb::CountTokensResponse, Status> {
    let message =
        |text: &&str| pb::Message { role: pb::Role::User.into(), text: (*text).into(), parts: Vec::new() };
    let request =
        pb::CountTokensRequest { model: model.into(), messages: texts.iter().map(message).collect() };
    let mut llm = mesh.llm.clone();
    user(tenant(1), async { llm.count_tokens(request).await }).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn counts_with_the_vocabulary_of_the_model() {
    for mesh in Mesh::both(config()).await {
        let first = count(&mesh, "", &["hello world"]).await.unwrap();
        let expected = pb::CountTokensResponse {
            tokens: 9,
            encoding: "o200k_base".into(),
            estimated: false,
            left: Some(127_991),
        };
        assert_eq!(first, expected);
        assert_eq!(count(&mesh, "openai/gpt-4o", &["hello world"]).await.unwrap(), expected);

        let older =
            count(&mesh, "openai/gpt-4", &["hello world", "hello world", "hello world"]).await.unwrap();
        let expected = pb::CountTokensResponse {
            tokens: 21,
            encoding: "cl100k_base".into(),
            estimated: false,
            left: Some(0),
        };
        assert_eq!(older, expected, "more than fits leaves nothing");

        let unknown = count(&mesh, "openai/own", &["hello world"]).await.unwrap();
        let expected =
            pb::CountTokensResponse { tokens: 9, encoding: "o200k_base".into(), estimated: true, left: None };
        assert_eq!(unknown, expected);
        assert!(mesh.ledger(tenant(1)).await.records.is_empty(), "no model was called");
    }
}

#[tokio::test]
async fn a_mebibyte_is_counted_while_others_are_served() {
    for mesh in Mesh::both(config()).await {
        let text = "Graded alerts cut alarms. ".repeat((1 << 20) / 26);
        let texts = [text.as_str()];
        let (long, short) = tokio::join!(count(&mesh, "", &texts), count(&mesh, "", &["hello world"]));
        assert!(long.unwrap().tokens > 100_000);
        assert_eq!(short.unwrap().tokens, 9);
    }
}

#[tokio::test]
async fn faults_are_named_at_once() {
    for mesh in Mesh::both(config()).await {
        let status = count(&mesh, "nobody/nothing", &["", "a\0b"]).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(fields(&status), ["model", "messages[0].text", "messages[1].text"]);
        let status = count(&mesh, "", &[]).await.unwrap_err();
        assert_eq!(fields(&status), ["messages"]);
    }
}
