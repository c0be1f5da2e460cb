//! The door: wire in, wire out. Converts, calls the desk, converts back; decides nothing.

mod brand;
mod feedback;
mod fields;
mod lesson;
mod outcome;

use std::sync::Arc;

use copydesk_proto::learning::v1::brand_service_server::BrandServiceServer;
use copydesk_proto::learning::v1::feedback_service_server::FeedbackServiceServer;
use copydesk_proto::learning::v1::lesson_service_server::LessonServiceServer;
use copydesk_proto::learning::v1::outcome_service_server::OutcomeServiceServer;
use copydesk_rpc::{ServiceError, Violations, paging};
use copydesk_types::TenantId;
use prost_types::Timestamp;
use tonic::service::Routes;

use crate::app::{App, Listed, PageRequest};
use crate::error::Error;
use crate::ports::Cursor;

/// The gRPC services of this crate.
pub(crate) const SERVICES: [&str; 4] = [
    "copydesk.learning.v1.BrandService",
    "copydesk.learning.v1.FeedbackService",
    "copydesk.learning.v1.LessonService",
    "copydesk.learning.v1.OutcomeService",
];

/// Implements every service of the contract.
#[derive(Clone)]
struct Door {
    app: Arc<App>,
}

/// The handlers of every service over one desk.
pub(crate) fn routes(app: Arc<App>) -> Routes {
    let door = Door { app };
    Routes::new(BrandServiceServer::new(door.clone()))
        .add_service(FeedbackServiceServer::new(door.clone()))
        .add_service(LessonServiceServer::new(door.clone()))
        .add_service(OutcomeServiceServer::new(door))
}

/// Any failure of the desk as the error that callers see.
fn refused(error: Error) -> ServiceError {
    error.into()
}

/// Reads size and token of a page; `filter` names the list and the values of its filters.
fn page(tenant: TenantId, filter: &str, size: u32, token: &str, violations: &mut Violations) -> PageRequest {
    let size = paging::size(size, violations);
    let after = paging::decode(tenant, filter, token, violations).and_then(|cursor| {
        let parsed = cursor.split_once('|').and_then(|(ms, id)| Some((ms.parse().ok()?, id.to_owned())));
        violations.check(parsed.is_some(), "page_token", "is not a token of this list");
        parsed.map(|(created_ms, id)| Cursor { created_ms, id })
    });
    PageRequest { size, after }
}

/// The token of the next page; empty on the last one.
fn next_token<T>(tenant: TenantId, filter: &str, listed: &Listed<T>) -> String {
    let cursor = listed.next.as_ref();
    cursor.map_or_else(String::new, |c| paging::encode(tenant, filter, &format!("{}|{}", c.created_ms, c.id)))
}

fn timestamp(ms: i64) -> Timestamp {
    let nanos = i32::try_from(ms.rem_euclid(1_000) * 1_000_000).unwrap_or_default();
    Timestamp { seconds: ms.div_euclid(1_000), nanos }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::feedback::FeedbackKind;
    use crate::domain::lesson::{Origin, Rule};
    use crate::domain::outcome::{ContentType, OutcomeState};
    use copydesk_proto::learning::v1 as pb;
    use copydesk_proto::types::v1 as types;

    #[test]
    fn numbers_of_the_domain_are_those_of_the_contract() {
        let name = |text: String| text.to_lowercase().replace('_', "");
        for kind in FeedbackKind::ALL {
            let wire = pb::FeedbackKind::try_from(kind.code()).expect("known to the contract");
            assert_eq!(name(format!("{kind:?}")), name(format!("{wire:?}")));
        }
        for state in OutcomeState::ALL {
            let wire = pb::OutcomeState::try_from(state.code()).expect("known to the contract");
            assert_eq!(name(format!("{state:?}")), name(format!("{wire:?}")));
        }
        for origin in Origin::ALL {
            let wire = pb::LessonOrigin::try_from(origin.code()).expect("known to the contract");
            assert_eq!(name(format!("{origin:?}")), name(format!("{wire:?}")));
        }
        for kind in ContentType::ALL {
            let wire = types::ContentType::try_from(kind.code()).expect("known to the contract");
            assert_eq!(name(format!("{kind:?}")), name(format!("{wire:?}")));
        }
        for code in 1..=7 {
            let rule = Rule::from_parts(code, 1, "x".into()).expect("known to the domain");
            let wire = pb::LessonRule::try_from(code).expect("known to the contract");
            assert!(
                name(format!("{rule:?}")).starts_with(&name(format!("{wire:?}"))),
                "{rule:?} is {wire:?}"
            );
        }
        assert!(pb::LessonRule::try_from(8).is_err(), "a new rule needs the domain's attention");
    }

    #[test]
    fn times_before_1970_are_no_trouble() {
        assert_eq!(timestamp(1_500), Timestamp { seconds: 1, nanos: 500_000_000 });
        assert_eq!(timestamp(-1), Timestamp { seconds: -1, nanos: 999_000_000 });
    }
}
