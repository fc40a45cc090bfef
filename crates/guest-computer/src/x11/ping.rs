//! Knowing that a program has dealt with everything sent to it.
//!
//! Events of one connection are dealt with in order, and programs that speak `_NET_WM_PING` answer a
//! ping only when they come to it. So a ping sent after keys tells when the keys have been read.

use std::time::Duration;

use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    AtomEnum, ClientMessageEvent, ConnectionExt as _, EventMask, Window,
};

use super::server::Server;
use super::{Display, Result};

/// How long a program may take to come to a ping; busy ones take a while.
const PONG_WITHIN: Duration = Duration::from_secs(3);
/// Windows looked at on the way up from the one with the keyboard.
const DEPTH_LIMIT: usize = 16;

impl Server {
    /// Waits until whoever has the keyboard has read everything sent so far; false when it does not
    /// speak of it, or not in time.
    pub(super) fn settled(&mut self) -> Result<bool> {
        let Some(window) = self.pingable()? else { return Ok(false) };
        self.pings = self.pings.wrapping_add(1).max(1);
        let (ping, number) = (self.atoms._NET_WM_PING, self.pings);
        let message = ClientMessageEvent::new(
            32,
            window,
            self.atoms.WM_PROTOCOLS,
            [ping, number, window, 0, 0],
        );
        self.connection.send_event(false, window, EventMask::NO_EVENT, message)?;
        let answered = self.wait_for(PONG_WITHIN, |event| match event {
            Event::ClientMessage(message) if message.format == 32 => {
                let data = message.data.as_data32();
                (data[0] == ping && data[1] == number).then_some(())
            }
            _ => None,
        })?;
        Ok(answered.is_some())
    }

    /// The window with the keyboard, or the one around it, that answers pings.
    fn pingable(&self) -> Result<Option<Window>> {
        let mut window = self.connection.get_input_focus()?.reply()?.focus;
        for _ in 0..DEPTH_LIMIT {
            if window <= 1 || window == self.root {
                return Ok(None);
            }
            let protocols = self
                .connection
                .get_property(false, window, self.atoms.WM_PROTOCOLS, AtomEnum::ATOM, 0, 32)?
                .reply();
            let Ok(protocols) = protocols else { return Ok(None) };
            if protocols.value32().is_some_and(|mut all| all.any(|a| a == self.atoms._NET_WM_PING))
            {
                return Ok(Some(window));
            }
            match self.connection.query_tree(window)?.reply() {
                Ok(tree) => window = tree.parent,
                Err(_) => return Ok(None),
            }
        }
        Ok(None)
    }
}

impl Display {
    /// Waits until whoever has the keyboard has read everything sent so far; false when it does not say so.
    pub(crate) async fn settled(&mut self) -> bool {
        match self.call(Server::settled).await {
            Ok(settled) => settled,
            Err(error) => {
                tracing::debug!(%error, "the X server was not asked who has read its events");
                false
            }
        }
    }
}
