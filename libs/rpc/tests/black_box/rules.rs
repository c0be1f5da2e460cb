//! Access rules other than the contracts' own, so that a test need not wait for a real limit.
use copydesk_rpc::AccessTable;
use prost_reflect::prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage, Value};
use std::time::Duration;

const OPTION: &str = "copydesk.options.v1.access";

/// The contracts with one duration of one method's rule replaced: `default_deadline`, `max_deadline` or `idle_timeout`.
pub fn with_duration(service: &str, method: &str, field: &str, value: Duration) -> Vec<u8> {
    edit(service, method, |access| {
        let descriptor = access.descriptor().get_field_by_name(field).expect("a field of Access");
        let kind = descriptor.kind();
        let mut duration = DynamicMessage::new(kind.as_message().expect("a Duration").clone());
        duration.set_field_by_name("seconds", Value::I64(value.as_secs() as i64));
        duration.set_field_by_name("nanos", Value::I32(value.subsec_nanos() as i32));
        access.set_field(&descriptor, Value::Message(duration));
    })
}

fn edit(service: &str, method: &str, change: impl Fn(&mut DynamicMessage)) -> Vec<u8> {
    let pool = DescriptorPool::decode(copydesk_proto::FILE_DESCRIPTOR_SET).expect("our descriptors");
    let extension = pool.get_extension_by_name(OPTION).expect("the option");
    let schema = pool.get_message_by_name("google.protobuf.FileDescriptorSet").expect("imports are included");
    let mut set = DynamicMessage::decode(schema, copydesk_proto::FILE_DESCRIPTOR_SET).expect("a set");
    let mut edited = 0;
    for file in list(&mut set, "file") {
        for rpcs in list(file.as_message_mut().expect("a file"), "service") {
            let rpcs = rpcs.as_message_mut().expect("a service");
            if !is_named(rpcs, service) {
                continue;
            }
            for rpc in list(rpcs, "method") {
                let rpc = rpc.as_message_mut().expect("a method");
                if is_named(rpc, method) {
                    let options = rpc.get_field_by_name_mut("options").and_then(Value::as_message_mut);
                    let access = options.expect("options").get_extension_mut(&extension);
                    change(access.as_message_mut().expect("an Access"));
                    edited += 1;
                }
            }
        }
    }
    assert_eq!(edited, 1, "{service}/{method}");
    set.encode_to_vec()
}

fn list<'a>(message: &'a mut DynamicMessage, field: &str) -> &'a mut Vec<Value> {
    message.get_field_by_name_mut(field).and_then(Value::as_list_mut).expect("a list")
}

fn is_named(message: &DynamicMessage, name: &str) -> bool {
    message.get_field_by_name("name").is_some_and(|v| v.as_str() == Some(name))
}

#[test]
fn a_rule_keeps_fractions_of_a_second() {
    let half = Duration::from_millis(500);
    let access =
        AccessTable::from_descriptors(&with_duration("SearchService", "Search", "max_deadline", half));
    let access = access.expect("complete rules");
    let rule = access.get("/copydesk.retrieval.v1.SearchService/Search").expect("a rule");
    assert_eq!(rule.max_deadline, Some(half));
    assert_eq!(rule.default_deadline, Some(Duration::from_secs(10)), "the others stay");
}
