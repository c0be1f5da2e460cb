//! The gateway from outside: scripted peers behind it, called with API keys. What is forwarded is tried in three
//! wirings, because a hop over the wire and a hop inside the process break in different ways.
#![cfg(test)]

mod bootstrap;
mod clients_gone;
mod deadlines;
mod door;
mod errors;
mod identity;
mod keys;
mod limits;
mod opaque;
mod script;
mod spy;
mod tenants;
