//! What the library refuses before a handler is asked, in our words: a message that cannot be read, one that is too
//! large. Its own answers carry no reason, and the codes are not those that other languages give.
use http::{Request, Response};
use tonic::body::Body;
use tonic::{Code, Status};

use super::middleware::{Middleware, Next};
use crate::body::header_code;
use crate::{Kind, ServiceError};

const DETAILS: &str = "grpc-status-details-bin";

#[derive(Clone)]
pub(super) struct Refusals;

impl Middleware for Refusals {
    async fn handle(self, request: Request<Body>, next: impl Next) -> Response<Body> {
        let response = next.run(request).await;
        // Every error of ours has details; an answer without an error, or with a body to come, is a handler's.
        let headers = response.headers();
        let foreign =
            header_code(headers).is_some_and(|code| code != Code::Ok) && !headers.contains_key(DETAILS);
        let refused = foreign.then(|| Status::from_header_map(headers)).flatten();
        match refused.as_ref().and_then(reword) {
            Some(error) => Status::from(error).into_http(),
            None => response,
        }
    }
}

/// The two refusals of tonic's decoder, known by its words: it has no types for them.
fn reword(status: &Status) -> Option<ServiceError> {
    let says = |words: &str| status.message().contains(words);
    match status.code() {
        Code::OutOfRange | Code::ResourceExhausted if says("message length too large") => {
            let message = "the message is too large for the method";
            Some(ServiceError::new(Kind::ResourceExhausted, "MESSAGE_TOO_LARGE", message))
        }
        Code::Internal if says("failed to decode") || says("Unexpected EOF") => {
            let message =
                "the message cannot be read: it is no protobuf of this method, or a text in it is not UTF-8";
            Some(ServiceError::new(Kind::InvalidArgument, "MALFORMED_MESSAGE", message))
        }
        _ => None,
    }
}
