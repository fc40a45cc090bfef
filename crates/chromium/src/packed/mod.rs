//! Packed extensions: the `.crx` and the `update.xml` that says where it is.
//!
//! Both come from clients and are not trusted; what is wrong with one is said in words that go on
//! after its name.

pub mod crx;
pub mod manifest;
mod protobuf;
