//! What reflection serves: both versions, every listed name, and the access rules with it.
use copydesk_rpc::server::{self, Limits, ServerStack, TokenAuthenticator};
use copydesk_rpc::{AccessTable, HttpService, Trust, Verifier, reflection, testing};
use prost_reflect::DescriptorPool;
use std::sync::Arc;
use tonic_reflection::pb::{v1, v1alpha};

use crate::script::{GRPC_SERVICES, NAME, Script};
use crate::topology::{Peer, both_stacks};

const OPTION: &str = "copydesk.options.v1.access";

macro_rules! reflection_client {
    ($list:ident, $file:ident, $version:ident) => {
        async fn ask(
            peer: &Peer,
            question: $version::server_reflection_request::MessageRequest,
        ) -> Result<$version::server_reflection_response::MessageResponse, tonic::Status> {
            let request =
                $version::ServerReflectionRequest { host: String::new(), message_request: Some(question) };
            let mut client =
                $version::server_reflection_client::ServerReflectionClient::new(peer.channel.clone());
            let requests = tokio_stream::once(request);
            let mut answers = client.server_reflection_info(requests).await?.into_inner();
            let answer = answers.message().await?.expect("an answer");
            Ok(answer.message_response.expect("a response"))
        }

        /// Every listed service.
        pub async fn $list(peer: &Peer) -> Vec<String> {
            use $version::server_reflection_request::MessageRequest;
            use $version::server_reflection_response::MessageResponse;
            match ask(peer, MessageRequest::ListServices(String::new())).await.expect("an answer") {
                MessageResponse::ListServicesResponse(list) => {
                    list.service.into_iter().map(|service| service.name).collect()
                }
                other => panic!("{other:?}"),
            }
        }

        /// The file with a symbol in it.
        pub async fn $file(peer: &Peer, symbol: &str) -> Result<Vec<u8>, tonic::Status> {
            use $version::server_reflection_request::MessageRequest;
            use $version::server_reflection_response::MessageResponse;
            match ask(peer, MessageRequest::FileContainingSymbol(symbol.to_owned())).await? {
                MessageResponse::FileDescriptorResponse(files) => {
                    Ok(files.file_descriptor_proto.into_iter().next().expect("a file"))
                }
                other => panic!("{other:?}"),
            }
        }
    };
}

mod current {
    use super::*;
    reflection_client!(list, file, v1);
}
mod alpha {
    use super::*;
    reflection_client!(list, file, v1alpha);
}
pub use current::list as list_v1;

fn reflecting(services: &[&str], descriptors: &[u8]) -> HttpService {
    let routes = reflection::add(Script::new().routes(), services, descriptors).expect("reflection");
    let verifier = Verifier::new(NAME, Trust::new());
    let config = ServerStack {
        access: AccessTable::from_descriptors(copydesk_proto::FILE_DESCRIPTOR_SET).expect("rules"),
        authenticator: Arc::new(TokenAuthenticator::new(verifier, testing::minter())),
        metrics: testing::metrics(),
        limits: Limits::default(),
        trust_trace: true,
    };
    server::stack(routes, config)
}

/// The scope in the access option of a method, read from one served file and the rest of the set.
fn served_scope(file: &[u8], service: &str, method: &str) -> String {
    // The options' own files first, then the bytes as they came from the server.
    let ours = DescriptorPool::decode(copydesk_proto::FILE_DESCRIPTOR_SET).expect("our descriptors");
    let mut pool = DescriptorPool::new();
    let served = prost_types::FileDescriptorProto::name(&decode(file)).to_owned();
    for part in ours.files().filter(|f| f.name() != served) {
        pool.decode_file_descriptor_proto(part.encode_to_vec().as_slice()).ok();
    }
    pool.decode_file_descriptor_proto(file).expect("the served file stands on the others");
    let extension = pool.get_extension_by_name(OPTION).expect("the option");
    let service = pool.get_service_by_name(service).expect("the service");
    let options = service.methods().find(|m| m.name() == method).expect("the method").options();
    assert!(options.has_extension(&extension), "{method} lost its rule");
    let access = options.get_extension(&extension);
    let access = access.as_message().expect("a message");
    access.get_field_by_name("scope").and_then(|v| v.as_str().map(str::to_owned)).expect("a scope")
}

fn decode(file: &[u8]) -> prost_types::FileDescriptorProto {
    prost_reflect::prost::Message::decode(file).expect("a file descriptor")
}

fn methods_of(file: &[u8], service: &str) -> Vec<String> {
    let short = service.rsplit('.').next().unwrap_or_default();
    let file = decode(file);
    let service = file.service.iter().find(|s| s.name() == short).expect("the service");
    service.method.iter().map(|m| m.name().to_owned()).collect()
}

#[tokio::test]
async fn both_versions_describe_every_service_that_they_list() {
    let stack = || reflecting(&GRPC_SERVICES, copydesk_proto::FILE_DESCRIPTOR_SET);
    both_stacks(stack, async |peer: Peer| {
        let (listed, listed_alpha) = (current::list(&peer).await, alpha::list(&peer).await);
        for name in GRPC_SERVICES.iter().chain(&["grpc.health.v1.Health"]) {
            assert!(listed.iter().any(|l| l == name), "{name} in {listed:?}");
            assert!(listed_alpha.iter().any(|l| l == name), "{name} in {listed_alpha:?}");
        }
        assert!(!listed.iter().any(|l| l.contains("RunService")), "not served here: {listed:?}");
        for name in &listed {
            current::file(&peer, name).await.unwrap_or_else(|status| panic!("{name}: {status}"));
        }
        for name in &listed_alpha {
            alpha::file(&peer, name).await.unwrap_or_else(|status| panic!("alpha {name}: {status}"));
        }
        assert_eq!(
            current::file(&peer, "no.such.Service").await.map_err(|s| s.code()),
            Err(tonic::Code::NotFound)
        );
    })
    .await;
}

#[tokio::test]
async fn served_files_carry_the_access_rules() {
    let stack = || reflecting(&GRPC_SERVICES, copydesk_proto::FILE_DESCRIPTOR_SET);
    both_stacks(stack, async |peer: Peer| {
        let cases = [
            ("copydesk.retrieval.v1.SearchService", "Search", "knowledge:read"),
            ("copydesk.learning.v1.OutcomeService", "RecordOutcome", "outcomes:write"),
        ];
        for (service, method, scope) in cases {
            let file = current::file(&peer, service).await.expect("a file");
            assert_eq!(served_scope(&file, service, method), scope);
            let file = alpha::file(&peer, service).await.expect("a file");
            assert_eq!(served_scope(&file, service, method), scope);
        }
    })
    .await;
}

#[tokio::test]
async fn the_public_face_has_no_mesh_method_and_keeps_the_rules_of_the_others() {
    const OUTCOMES: &str = "copydesk.learning.v1.OutcomeService";
    let access = AccessTable::from_descriptors(copydesk_proto::FILE_DESCRIPTOR_SET).expect("rules");
    let (public, names) =
        reflection::public_only(copydesk_proto::FILE_DESCRIPTOR_SET, &access).expect("public descriptors");
    assert!(
        names.iter().any(|n| n == OUTCOMES) && names.iter().all(|n| n.starts_with("copydesk.")),
        "{names:?}"
    );
    let table = AccessTable::from_descriptors(&public).expect("every method kept its rule");
    let public_methods = access.iter().filter(|r| r.visibility == copydesk_rpc::Visibility::Public).count();
    assert_eq!(table.iter().count(), public_methods);
    assert!(public_methods < access.iter().count(), "something was taken out");

    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    both_stacks(
        || reflecting(&names, &public),
        async |peer: Peer| {
            let file = current::file(&peer, OUTCOMES).await.expect("a file");
            assert_eq!(methods_of(&file, OUTCOMES), ["GetOutcome"]);
            assert_eq!(served_scope(&file, OUTCOMES, "GetOutcome"), "feedback:read");
            let gone = current::file(&peer, &format!("{OUTCOMES}.RecordOutcome")).await;
            assert_eq!(gone.map_err(|s| s.code()), Err(tonic::Code::NotFound));
            for name in &names {
                current::file(&peer, name).await.unwrap_or_else(|status| panic!("{name}: {status}"));
            }
        },
    )
    .await;
}
