//! The way out to the web. `client.rs` looks names up, checks every address and speaks HTTP with exactly the one that
//! was checked; `pages.rs` asks for pages as a crawler does. Nothing else in this service opens a connection outwards.

mod body;
mod client;
mod pages;
mod resolver;

pub use client::{Answer, Ask, Client};
pub use pages::WebPages;
pub use resolver::SystemResolver;
