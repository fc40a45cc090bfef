//! The HTTP face in front of a real fleet, whose sessions are fakes: a guest that is a small HTTP
//! server on a unix socket, and a Chromium that is a WebSocket server on TCP.

mod cdp;
mod chromium;
mod client;
mod fixture;
mod guest;
mod projects;
mod relay;
mod sessions;
mod wire;
