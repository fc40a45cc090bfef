//! The clipboard: owning the CLIPBOARD selection, and asking its owner.

use std::time::Duration;

use x11rb::CURRENT_TIME;
use x11rb::connection::{Connection, RequestConnection};
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    Atom, AtomEnum, ConnectionExt as _, EventMask, PropMode, Property, SELECTION_NOTIFY_EVENT,
    SelectionNotifyEvent, SelectionRequestEvent,
};
use x11rb::wrapper::ConnectionExt as _;

use super::server::Server;
use super::{Display, Failure, Result};
use crate::clipboard::TEXT_LIMIT;

/// How long the owner may take for an answer, or for the next part of one.
const OWNER_WITHIN: Duration = Duration::from_secs(2);
/// What is asked for at once, in units of four bytes.
const PART: u32 = 1 << 16;

/// The text we own the selection with.
pub(super) struct Owned(String);

impl Server {
    /// Answers another program that wants the text.
    pub(super) fn give_selection(&mut self, request: &SelectionRequestEvent) -> Result<()> {
        let asked = if request.property == x11rb::NONE { request.target } else { request.property };
        let given = self.put(request, asked)?;
        let notify = SelectionNotifyEvent {
            response_type: SELECTION_NOTIFY_EVENT,
            sequence: 0,
            time: request.time,
            requestor: request.requestor,
            selection: request.selection,
            target: request.target,
            property: if given { asked } else { x11rb::NONE },
        };
        self.connection.send_event(false, request.requestor, EventMask::NO_EVENT, notify)?;
        self.connection.flush()?;
        Ok(())
    }

    fn put(&self, request: &SelectionRequestEvent, property: Atom) -> Result<bool> {
        let (atoms, window) = (&self.atoms, request.requestor);
        let Some(Owned(text)) = &self.clipboard else { return Ok(false) };
        if request.selection != atoms.CLIPBOARD {
            return Ok(false);
        }
        let string: Atom = AtomEnum::STRING.into();
        let put = if request.target == atoms.TARGETS {
            let targets = [atoms.TARGETS, atoms.UTF8_STRING, atoms.TEXT, string];
            self.connection.change_property32(
                PropMode::REPLACE,
                window,
                property,
                AtomEnum::ATOM,
                &targets,
            )?
        } else if [atoms.UTF8_STRING, atoms.TEXT].contains(&request.target) {
            let text = text.as_bytes();
            let kind = atoms.UTF8_STRING;
            self.connection.change_property8(PropMode::REPLACE, window, property, kind, text)?
        } else if request.target == string {
            // By definition Latin-1.
            let latin: Vec<u8> =
                text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect();
            self.connection.change_property8(PropMode::REPLACE, window, property, string, &latin)?
        } else {
            return Ok(false);
        };
        // A window that is gone needs no text.
        Ok(put.check().is_ok())
    }

    fn own_clipboard(&mut self, text: String) -> Result<()> {
        // Room for the request around it.
        let largest = self.connection.maximum_request_bytes().saturating_sub(256);
        if text.len() > largest {
            return Err(Failure::Refused(format!("it takes {largest} bytes at most")));
        }
        let time = self.now()?;
        self.connection.set_selection_owner(self.own, self.atoms.CLIPBOARD, time)?.check()?;
        let owner = self.connection.get_selection_owner(self.atoms.CLIPBOARD)?.reply()?.owner;
        if owner != self.own {
            return Err(Failure::Refused("another program keeps the clipboard".into()));
        }
        self.clipboard = Some(Owned(text));
        Ok(())
    }

    fn clipboard_text(&mut self) -> Result<String> {
        if let Some(Owned(text)) = &self.clipboard {
            return Ok(text.clone());
        }
        let text = match self.convert(self.atoms.UTF8_STRING)? {
            Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            None => match self.convert(AtomEnum::STRING.into())? {
                Some(latin) => latin.into_iter().map(char::from).collect(),
                None => String::new(),
            },
        };
        Ok(text)
    }

    /// Asks the owner for the selection as `target`; none when there is none, or none as that.
    fn convert(&mut self, target: Atom) -> Result<Option<Vec<u8>>> {
        let (own, selection) = (self.own, self.atoms.CLIPBOARD);
        if self.connection.get_selection_owner(selection)?.reply()?.owner == x11rb::NONE {
            return Ok(None);
        }
        let property = self.atoms.BROWSERD_CLIPBOARD;
        self.connection.delete_property(own, property)?;
        self.connection.convert_selection(own, selection, target, property, CURRENT_TIME)?;
        let told = self.wait_for(OWNER_WITHIN, |event| match event {
            Event::SelectionNotify(notify)
                if notify.requestor == own
                    && notify.selection == selection
                    && notify.target == target =>
            {
                Some(notify.property)
            }
            _ => None,
        })?;
        match told {
            Some(told) if told == property => {}
            _ => return Ok(None),
        }
        let (kind, bytes) = self.take_property(property)?;
        if kind == self.atoms.INCR { self.in_parts(property).map(Some) } else { Ok(Some(bytes)) }
    }

    /// A large selection comes in parts, each after the one before was deleted; an empty one is the
    /// end.
    fn in_parts(&mut self, property: Atom) -> Result<Vec<u8>> {
        let own = self.own;
        let mut all = Vec::new();
        loop {
            let part = self.wait_for(OWNER_WITHIN, |event| match event {
                Event::PropertyNotify(notify)
                    if notify.window == own
                        && notify.atom == property
                        && notify.state == Property::NEW_VALUE =>
                {
                    Some(())
                }
                _ => None,
            })?;
            let Some(()) = part else {
                return Err(Failure::Refused("the clipboard's owner stopped half way".into()));
            };
            let (_, bytes) = self.take_property(property)?;
            if bytes.is_empty() {
                return Ok(all);
            }
            all.extend_from_slice(&bytes);
            if all.len() > TEXT_LIMIT {
                return Err(too_large());
            }
        }
    }

    /// Reads a property of ours and deletes it; answers its type too.
    fn take_property(&mut self, property: Atom) -> Result<(Atom, Vec<u8>)> {
        let mut all = Vec::new();
        loop {
            let offset = u32::try_from(all.len() / 4).map_err(|_| too_large())?;
            let reply = self
                .connection
                .get_property(false, self.own, property, AtomEnum::ANY, offset, PART)?
                .reply()?;
            all.extend_from_slice(&reply.value);
            if all.len() > TEXT_LIMIT {
                self.connection.delete_property(self.own, property)?;
                return Err(too_large());
            }
            if reply.bytes_after == 0 || reply.value.is_empty() {
                self.connection.delete_property(self.own, property)?;
                self.connection.flush()?;
                return Ok((reply.type_, all));
            }
        }
    }
}

fn too_large() -> Failure {
    Failure::Refused(format!("the clipboard holds more than {TEXT_LIMIT} bytes"))
}

impl Display {
    pub(crate) async fn read_clipboard(&mut self) -> Result<String> {
        self.call(Server::clipboard_text).await
    }

    pub(crate) async fn write_clipboard(&mut self, text: String) -> Result<()> {
        self.call(move |server| {
            server.own_clipboard(text)?;
            server.connection.sync()?;
            Ok(())
        })
        .await
    }
}
