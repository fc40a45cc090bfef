//! A connection of a program that does not know of the gateway: it meant to go somewhere else and was
//! redirected here. Nothing can be told to it in words, so a refusal is a reset.

use std::net::{IpAddr, SocketAddrV4};
use std::sync::Arc;

use bytes::Bytes;
use rustix::net::sockopt;
use tokio::net::TcpStream;
use tracing::debug;

use crate::connect::Opened;
use crate::connection::Client;
use crate::destination::{Destination, Host};
use crate::gateway::Shared;
use crate::proxy::Purpose;
use crate::refusal::Refusal;

/// Serves a connection to its end.
pub(crate) async fn serve(shared: Arc<Shared>, stream: TcpStream) {
    let meant = match sockopt::ip_original_dst(&stream) {
        Ok(meant) => meant,
        Err(error) => {
            // It came here on purpose.
            debug!(%error, "a connection that was not redirected is closed");
            reset(stream);
            return;
        }
    };
    stream.set_nodelay(true).ok();
    let client = Client::new(shared);
    client.while_allowed(pass_on(&client, meant, stream)).await;
}

/// Closes a connection that is one too many.
pub(crate) async fn turn_away(shared: Arc<Shared>, stream: TcpStream) {
    shared.log.note(&Refusal::Busy);
    reset(stream);
}

async fn pass_on(client: &Client, meant: SocketAddrV4, stream: TcpStream) {
    match client.connect(&destination(client.shared(), meant), Purpose::Tunnel).await {
        Ok(Opened { stream: upstream, early, .. }) => {
            client.pass_on(stream, Bytes::new(), upstream, early).await;
        }
        Err(refusal) => {
            client.shared().log.note(&refusal);
            reset(stream);
        }
    }
}

/// What an address stands for: a name, or itself. One that stands for no name, or no longer, is not public.
fn destination(shared: &Shared, meant: SocketAddrV4) -> Destination {
    let host = match shared.names.of(*meant.ip()) {
        Some(name) => Host::Name(name.as_ref().to_owned()),
        None => Host::Address(IpAddr::V4(*meant.ip())),
    };
    Destination { host, port: meant.port() }
}

fn reset(stream: TcpStream) {
    stream.set_zero_linger().ok();
    drop(stream);
}
