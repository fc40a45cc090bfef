//! The gateway over real sockets. Nothing here leaves loopback: names come from a table, and a
//! dialler maps the public addresses of the tests to listeners on 127.0.0.1.

mod connect;
mod forward;
mod hostile;
mod odd;
mod policy;
mod proxy;
mod stage;
