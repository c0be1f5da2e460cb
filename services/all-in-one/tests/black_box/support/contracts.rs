//! Every method of every contract, from the descriptors that the program itself is built from.
use std::sync::LazyLock;

use bytes::Bytes;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor};
use serde_json::Value;

/// One method.
pub struct Method {
    /// `package.Service/Method`.
    pub name: String,
    /// Whether the gateway forwards it.
    pub public: bool,
    /// The scope that it asks for.
    pub scope: String,
    input: MessageDescriptor,
    output: MessageDescriptor,
}

/// All of them, in the order of the contracts.
pub fn methods() -> &'static [Method] {
    static METHODS: LazyLock<Vec<Method>> = LazyLock::new(|| {
        let pool = DescriptorPool::decode(copydesk_proto::FILE_DESCRIPTOR_SET).expect("descriptors");
        let services: Vec<_> = pool.services().collect();
        let methods = services.iter().flat_map(|service| service.methods());
        methods.map(|method| Method::of(&pool, &method)).collect()
    });
    assert!(METHODS.len() > 30, "{} methods", METHODS.len());
    &METHODS
}

impl Method {
    fn of(pool: &DescriptorPool, method: &MethodDescriptor) -> Self {
        let extension = pool.get_extension_by_name("copydesk.options.v1.access").expect("the access option");
        let options = method.options();
        let access = options.get_extension(&extension);
        let access = access.as_message().expect("a rule");
        let visibility = access.get_field_by_name("visibility").and_then(|v| v.as_enum_number());
        let scope = access.get_field_by_name("scope").and_then(|s| s.as_str().map(str::to_owned));
        Self {
            name: format!("{}/{}", method.parent_service().full_name(), method.name()),
            public: visibility == Some(1),
            scope: scope.filter(|scope| !scope.is_empty()).expect("a scope"),
            input: method.input(),
            output: method.output(),
        }
    }

    /// Whether it only reads.
    pub fn is_read(&self) -> bool {
        let method = self.name.rsplit('/').next().unwrap_or_default();
        self.public && ["Get", "List", "Find", "Search"].iter().any(|verb| method.starts_with(verb))
    }

    /// Whether its request has this field.
    pub fn has_field(&self, name: &str) -> bool {
        self.input.get_field_by_name(name).is_some()
    }

    /// A request from its JSON form.
    pub fn request(&self, json: &Value) -> Bytes {
        let message = DynamicMessage::deserialize(self.input.clone(), json);
        let message = message.unwrap_or_else(|error| panic!("{}: {error} in {json}", self.name));
        message.encode_to_vec().into()
    }

    /// An answer in its JSON form; fields at their default are left out.
    pub fn response(&self, bytes: Bytes) -> Value {
        let message = DynamicMessage::decode(self.output.clone(), bytes).expect("an answer of the contract");
        serde_json::to_value(message).expect("JSON")
    }
}
