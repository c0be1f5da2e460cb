//! The stack from outside: scripted handlers of real contracts behind [`copydesk_rpc::testing`], called in process and
//! over loopback. What holds here holds for every service, because no service adds a layer of its own.
#![cfg(test)]

mod cancellation;
mod deadline;
mod descriptors;
mod hostile;
mod identity;
mod limits;
mod panics;
mod reflection;
mod rules;
mod script;
mod sizes;
mod topology;
mod trace;
mod transport;
