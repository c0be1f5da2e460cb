//! Nothing goes unannotated: a descriptor set with a method that lacks a complete rule is not served.
use copydesk_rpc::{AccessError, AccessTable, RateClass, Visibility};
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver};

struct Source(String);

impl FileResolver for Source {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match name {
            "copydesk/test/v1/test.proto" => File::from_source(name, &self.0),
            _ => Err(protox::Error::file_not_found(name)),
        }
    }
}

/// A descriptor set with one service of two methods, the second of which has these options.
fn compile(options: &str, stream: &str) -> Vec<u8> {
    let source = format!(
        r#"syntax = "proto3";
        package copydesk.test.v1;
        import "copydesk/options/v1/access.proto";
        message Nothing {{}}
        service TestService {{
          rpc Ruled(Nothing) returns (Nothing) {{
            option (copydesk.options.v1.access) = {{
              visibility: VISIBILITY_PUBLIC scope: "test:read" rate_class: RATE_CLASS_READ
              max_deadline: {{seconds: 5}}
            }};
          }}
          rpc Second(Nothing) returns ({stream} Nothing) {{ {options} }}
        }}"#
    );
    let mut resolver = ChainFileResolver::new();
    resolver.add(Source(source));
    resolver.add(IncludeFileResolver::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../proto").into()));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = protox::Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).open_file("copydesk/test/v1/test.proto").expect("a good source");
    compiler.encode_file_descriptor_set()
}

fn rule(fields: &str) -> String {
    format!("option (copydesk.options.v1.access) = {{ {fields} }};")
}

const WHO: &str = r#"visibility: VISIBILITY_MESH scope: "test:write" rate_class: RATE_CLASS_ADMIN"#;

#[test]
fn complete_rules_are_read_as_written() {
    let set = compile(&rule(&format!("{WHO} cost: 3 idle_timeout: {{seconds: 60}}")), "stream");
    let access = AccessTable::from_descriptors(&set).expect("complete");
    assert_eq!(access.iter().count(), 2);
    let second = access.get("/copydesk.test.v1.TestService/Second").expect("a rule");
    assert_eq!((second.visibility, second.rate_class, second.cost), (Visibility::Mesh, RateClass::Admin, 3));
    assert!(second.is_watch() && second.server_streaming && !second.client_streaming);
    let ruled = access.get("/copydesk.test.v1.TestService/Ruled").expect("a rule");
    assert_eq!((ruled.cost, ruled.is_watch()), (1, false));
    assert!(access.get("/copydesk.test.v1.TestService/Third").is_none());
}

#[test]
fn incomplete_rules_are_refused_by_name() {
    let cases = [
        ("no option at all", String::new()),
        ("a standard option only", "option deprecated = true;".to_owned()),
        ("an empty rule", rule("")),
        ("no visibility", rule(r#"scope: "t:r" rate_class: RATE_CLASS_READ max_deadline: {seconds: 1}"#)),
        (
            "no scope",
            rule("visibility: VISIBILITY_PUBLIC rate_class: RATE_CLASS_READ max_deadline: {seconds: 1}"),
        ),
        ("no class", rule(r#"visibility: VISIBILITY_PUBLIC scope: "t:r" max_deadline: {seconds: 1}"#)),
        ("no time limit", rule(WHO)),
        ("a watch that is no stream", rule(&format!("{WHO} idle_timeout: {{seconds: 1}}"))),
        ("a limit of no time", rule(&format!("{WHO} max_deadline: {{}}"))),
        ("a negative limit", rule(&format!("{WHO} max_deadline: {{seconds: -1}}"))),
    ];
    for (what, options) in cases {
        match AccessTable::from_descriptors(&compile(&options, "")) {
            Err(AccessError::Incomplete(names)) => {
                assert_eq!(names, "copydesk.test.v1.TestService.Second", "{what}");
            }
            other => panic!("{what}: {other:?}"),
        }
    }
}

#[test]
fn every_contract_of_ours_is_complete_and_noise_is_not() {
    let access = AccessTable::from_descriptors(copydesk_proto::FILE_DESCRIPTOR_SET).expect("complete");
    assert!(access.iter().count() > 30);
    for rule in access.iter() {
        let (default, max) = (rule.default_deadline, rule.max_deadline);
        assert!(default.is_none() || default <= max, "{}: the default is within the longest", rule.path);
    }
    assert!(matches!(AccessTable::from_descriptors(b"noise"), Err(AccessError::Descriptors(_))));
}
