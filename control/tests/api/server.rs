//! The API's server as its clients meet it: over sockets, with a stand-in for what answers.

mod client;
mod site;

mod auditing;
mod limits;
mod operation;
mod permission;
mod real_clients;
mod tls;
mod unix_socket;
