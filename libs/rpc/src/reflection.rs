//! Server reflection (v1 and v1alpha) over descriptors whose custom options are kept: grpcurl shows every access rule.
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage, Value};
use tonic::service::Routes;

use crate::{AccessTable, Visibility};

/// A descriptor set that cannot be served by reflection.
#[derive(Debug, thiserror::Error)]
#[error("the descriptors cannot be served: {0}")]
pub struct ReflectionError(String);

/// Adds both reflection services, listing these gRPC services, health and reflection itself.
pub fn add(routes: Routes, grpc_services: &[&str], descriptors: &[u8]) -> Result<Routes, ReflectionError> {
    let builder = || {
        let builder = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(descriptors)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // Each version lists both, so each must be able to describe both.
            .register_encoded_file_descriptor_set(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET)
            .include_reflection_service(false)
            .with_service_name("grpc.health.v1.Health")
            .with_service_name("grpc.reflection.v1.ServerReflection")
            .with_service_name("grpc.reflection.v1alpha.ServerReflection");
        grpc_services.iter().fold(builder, |builder, name| builder.with_service_name(*name))
    };
    let v1 = builder().build_v1().map_err(|e| ReflectionError(e.to_string()))?;
    let v1alpha = builder().build_v1alpha().map_err(|e| ReflectionError(e.to_string()))?;
    Ok(routes.add_service(v1).add_service(v1alpha))
}

/// The same descriptors without methods that are for the mesh only, and without services that have none left: what the
/// gateway shows. Options are kept byte for byte where nothing was taken out.
pub fn public_only(encoded: &[u8], access: &AccessTable) -> Result<(Vec<u8>, Vec<String>), ReflectionError> {
    let failed = |words: &str| ReflectionError(words.to_owned());
    let pool = DescriptorPool::decode(encoded).map_err(|e| ReflectionError(e.to_string()))?;
    // Generic messages keep unknown fields, and with them the custom options that a generated struct would drop.
    let schema = DescriptorPool::global();
    let set = schema
        .get_message_by_name("google.protobuf.FileDescriptorSet")
        .ok_or_else(|| failed("no descriptor schema"))?;
    let mut set = DynamicMessage::decode(set, encoded).map_err(|e| ReflectionError(e.to_string()))?;
    let is_public = |service: &str, method: &str| {
        access.get(&format!("/{service}/{method}")).is_none_or(|rule| rule.visibility == Visibility::Public)
    };
    let files =
        set.get_field_by_name_mut("file").and_then(Value::as_list_mut).ok_or_else(|| failed("no files"))?;
    for file in files.iter_mut().filter_map(Value::as_message_mut) {
        let package = text(file, "package");
        let Some(services) = file.get_field_by_name_mut("service").and_then(Value::as_list_mut) else {
            continue;
        };
        services.retain_mut(|service| keep_service(service, &package, &is_public));
    }
    let names = pool
        .services()
        .filter(|s| s.methods().any(|m| is_public(s.full_name(), m.name())))
        .map(|s| s.full_name().to_owned())
        .filter(|name| name.starts_with("copydesk."));
    Ok((set.encode_to_vec(), names.collect()))
}

fn keep_service(service: &mut Value, package: &str, is_public: &dyn Fn(&str, &str) -> bool) -> bool {
    let Some(service) = service.as_message_mut() else { return true };
    let name = format!("{package}.{}", text(service, "name"));
    match service.get_field_by_name_mut("method").and_then(Value::as_list_mut) {
        Some(methods) => {
            methods.retain(|method| method.as_message().is_none_or(|m| is_public(&name, &text(m, "name"))));
            !methods.is_empty()
        }
        None => false,
    }
}

fn text(message: &DynamicMessage, field: &str) -> String {
    debug_assert!(message.descriptor().get_field_by_name(field).is_some());
    message.get_field_by_name(field).and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}
