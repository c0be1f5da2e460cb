//! The access rule of every method, read from the descriptors' `copydesk.options.v1.access` option.
//!
//! The option is read by reflection, so this crate needs no generated code and the rule enforced is the rule served.
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, ReflectMessage, Value};

const OPTION: &str = "copydesk.options.v1.access";
const OUR_PACKAGE: &str = "copydesk.";

/// A descriptor set that cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The bytes are no descriptor set.
    #[error("the descriptor set cannot be read")]
    Descriptors(#[from] prost_reflect::DescriptorError),
    /// Methods without a rule, or with an incomplete one.
    #[error("methods without a complete access option: {0}")]
    Incomplete(String),
}

/// Who may call a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Anybody with the scope, through the gateway too.
    Public,
    /// Acting services of the mesh only.
    Mesh,
}

/// The bucket of the gateway's rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RateClass {
    /// Cheap reads and watches.
    Read,
    /// Writes of small resources.
    Write,
    /// Calls that start model work.
    Generate,
    /// Uploads.
    Ingest,
    /// Tenants and keys.
    Admin,
}

/// The rule of one method.
#[derive(Debug, Clone)]
pub struct MethodAccess {
    /// `/package.Service/Method`.
    pub path: String,
    /// Who may call.
    pub visibility: Visibility,
    /// The scope needed.
    pub scope: String,
    /// The rate-limit bucket.
    pub rate_class: RateClass,
    /// Tokens taken from the bucket, from 1.
    pub cost: u32,
    /// True when repeating the call changes nothing more.
    pub retry_safe: bool,
    /// The deadline of a call that brings none. `None`: a watch.
    pub default_deadline: Option<Duration>,
    /// The longest deadline. `None`: a watch has no total.
    pub max_deadline: Option<Duration>,
    /// Streams: the longest silence.
    pub idle_timeout: Option<Duration>,
    /// The client sends a stream.
    pub client_streaming: bool,
    /// The server sends a stream.
    pub server_streaming: bool,
}

impl MethodAccess {
    /// True for a stream without a total deadline.
    pub fn is_watch(&self) -> bool {
        self.max_deadline.is_none()
    }
}

/// The rules of all methods, by path.
#[derive(Debug, Clone)]
pub struct AccessTable(Arc<HashMap<String, Arc<MethodAccess>>>);

impl AccessTable {
    /// Reads every method of our packages from an encoded `FileDescriptorSet`. Refuses the set when a method has no
    /// complete rule: nothing goes unannotated.
    pub fn from_descriptors(encoded: &[u8]) -> Result<Self, AccessError> {
        let pool = DescriptorPool::decode(encoded)?;
        let ours = pool.services().filter(|s| s.full_name().starts_with(OUR_PACKAGE));
        let (mut table, mut missing) = (HashMap::new(), Vec::new());
        for method in ours.flat_map(|s| s.methods().collect::<Vec<_>>()) {
            match rule(&pool, &method) {
                Some(access) => drop(table.insert(access.path.clone(), Arc::new(access))),
                None => missing.push(method.full_name().to_owned()),
            }
        }
        if missing.is_empty() {
            Ok(Self(Arc::new(table)))
        } else {
            Err(AccessError::Incomplete(missing.join(", ")))
        }
    }

    /// The rule of a path such as `/copydesk.retrieval.v1.SearchService/Search`.
    pub fn get(&self, path: &str) -> Option<&Arc<MethodAccess>> {
        self.0.get(path)
    }

    /// Every rule, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<MethodAccess>> {
        self.0.values()
    }
}

fn rule(pool: &DescriptorPool, method: &MethodDescriptor) -> Option<MethodAccess> {
    let extension = pool.get_extension_by_name(OPTION)?;
    let options = method.options();
    if !options.has_extension(&extension) {
        return None;
    }
    let value = options.get_extension(&extension);
    let access = value.as_message()?;
    Some(MethodAccess {
        path: format!("/{}/{}", method.parent_service().full_name(), method.name()),
        visibility: match number(access, "visibility")? {
            1 => Visibility::Public,
            2 => Visibility::Mesh,
            _ => return None,
        },
        scope: text(access, "scope").filter(|s| !s.is_empty())?,
        rate_class: match number(access, "rate_class")? {
            1 => RateClass::Read,
            2 => RateClass::Write,
            3 => RateClass::Generate,
            4 => RateClass::Ingest,
            5 => RateClass::Admin,
            _ => return None,
        },
        cost: access.get_field_by_name("cost")?.as_u32()?.max(1),
        retry_safe: access.get_field_by_name("retry_safe")?.as_bool()?,
        default_deadline: duration(access, "default_deadline"),
        max_deadline: duration(access, "max_deadline"),
        idle_timeout: duration(access, "idle_timeout"),
        client_streaming: method.is_client_streaming(),
        server_streaming: method.is_server_streaming(),
    })
    .filter(|a| a.max_deadline.is_some() || (a.server_streaming && a.idle_timeout.is_some()))
}

fn number(message: &DynamicMessage, field: &str) -> Option<i32> {
    message.get_field_by_name(field)?.as_enum_number()
}

fn text(message: &DynamicMessage, field: &str) -> Option<String> {
    message.get_field_by_name(field)?.as_str().map(str::to_owned)
}

fn duration(message: &DynamicMessage, field: &str) -> Option<Duration> {
    let descriptor = message.descriptor().get_field_by_name(field)?;
    if !message.has_field(&descriptor) {
        return None;
    }
    let value = message.get_field(&descriptor);
    let part = |name: &str| match value.as_message()?.get_field_by_name(name)?.as_ref() {
        Value::I64(seconds) => u64::try_from(*seconds).ok(),
        Value::I32(nanos) => u64::try_from(*nanos).ok(),
        _ => None,
    };
    let time = Duration::from_secs(part("seconds")?).checked_add(Duration::from_nanos(part("nanos")?))?;
    // No time is no limit that a call could keep: it reads as absent, and where a limit is needed the rule is refused.
    Some(time).filter(|time| !time.is_zero())
}
