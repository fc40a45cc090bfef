//! The keyboard: what its keys mean now, and spare keys lent to characters it lacks.
//!
//! A program reads what a key means when it is told that meanings changed, not when the key was
//! pressed. So spare keys are bound for many characters at once, the program is pinged before they
//! are struck and again before they are bound to anything else (see [`super::ping`]).

use std::collections::{BTreeSet, HashMap};

use x11rb::connection::Connection;
use x11rb::protocol::xproto::{
    ConnectionExt as _, KEY_PRESS_EVENT, KEY_RELEASE_EVENT, KeyButMask, Keycode,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::wrapper::ConnectionExt as _;
use xkeysym::Keysym;

use super::server::Server;
use super::{Display, Failure, Result};

/// What the keys mean.
#[derive(Debug)]
pub(super) struct Keyboard {
    /// Keysyms a key can have.
    width: u8,
    /// How each keysym is had: key, and whether Shift is needed.
    keys: HashMap<u32, (Keycode, bool)>,
    /// Keys that mean nothing.
    spare: Vec<Keycode>,
    /// Spare keys lent out, and what for.
    lent: HashMap<u32, Keycode>,
    /// Spare keys that have, or had, another meaning for that.
    bound: BTreeSet<Keycode>,
    /// Caps Lock was on and has been switched off.
    caps: bool,
    /// Others changed the meanings.
    stale: bool,
}

impl Keyboard {
    fn read(server: &Server) -> Result<Self> {
        let setup = server.connection.setup();
        let (first, last) = (setup.min_keycode, setup.max_keycode);
        let count = last.saturating_sub(first).saturating_add(1);
        let map = server.connection.get_keyboard_mapping(first, count)?.reply()?;
        let width = map.keysyms_per_keycode.max(1);
        let pointer = server.connection.query_pointer(server.root)?.reply()?;
        // The group in force is in bits 13 and 14; of the map, each group has two columns.
        let group = usize::from((u16::from(pointer.mask) >> 13) & 1);
        let (mut keys, mut spare) = (HashMap::new(), Vec::new());
        for (index, meanings) in map.keysyms.chunks_exact(width.into()).enumerate() {
            let Ok(code) = Keycode::try_from(usize::from(first) + index) else { break };
            if meanings.iter().all(|meaning| *meaning == 0) {
                spare.push(code);
                continue;
            }
            let of_group = |group: usize| {
                let column = |level: usize| meanings.get(group * 2 + level).copied().unwrap_or(0);
                (column(0), column(1))
            };
            let (plain, shifted) = match of_group(group) {
                (0, 0) => of_group(0),
                some => some,
            };
            for (meaning, shift) in [(plain, false), (shifted, true)] {
                if meaning != 0 {
                    let known = keys.entry(meaning).or_insert((code, shift));
                    // Without Shift is better.
                    if known.1 && !shift {
                        *known = (code, shift);
                    }
                }
            }
        }
        Ok(Self {
            width,
            keys,
            spare,
            lent: HashMap::new(),
            bound: BTreeSet::new(),
            caps: false,
            stale: false,
        })
    }

    fn find(&self, key: Keysym) -> Option<(Keycode, bool)> {
        let raw = u32::from(key);
        let lent = self.lent.get(&raw).map(|code| (*code, false));
        lent.or_else(|| self.keys.get(&raw).copied())
    }

    /// How many of `keys` can be had at once, and the spare keys to lend for that.
    fn room_for(&self, keys: &[Keysym]) -> (usize, Vec<(Keycode, Keysym)>) {
        let lent: Vec<Keycode> = self.lent.values().copied().collect();
        let mut free = self.spare.iter().copied().filter(|code| !lent.contains(code));
        let mut pairs: Vec<(Keycode, Keysym)> = Vec::new();
        for (index, key) in keys.iter().enumerate() {
            if self.find(*key).is_none() && !pairs.iter().any(|(_, known)| known == key) {
                match free.next() {
                    Some(code) => pairs.push((code, *key)),
                    None => return (index, pairs),
                }
            }
        }
        (keys.len(), pairs)
    }
}

impl Server {
    pub(super) fn keyboard_changed(&mut self) {
        if let Some(keyboard) = &mut self.keyboard {
            keyboard.stale = true;
        }
    }

    /// The keyboard as it is. Changes of our own make it stale too, and a key that is bound would not
    /// look spare: it is read again when none is.
    fn keyboard(&mut self) -> Result<&mut Keyboard> {
        let keyboard = match self.keyboard.take() {
            Some(keyboard) if !keyboard.stale || !keyboard.bound.is_empty() => keyboard,
            _ => Keyboard::read(self)?,
        };
        Ok(self.keyboard.insert(keyboard))
    }

    /// Makes as many of `keys` as there are spare ones for, from the first on, strikable; answers
    /// how many that is. What was lent before may be taken back for it.
    fn lend(&mut self, keys: &[Keysym]) -> Result<usize> {
        self.heed_events()?;
        let (mut fits, mut pairs) = self.keyboard()?.room_for(keys);
        if fits < keys.len() && !self.keyboard()?.lent.is_empty() {
            // They are struck already; once they are read, they can mean something else.
            self.settled()?;
            let keyboard = self.keyboard()?;
            keyboard.lent.clear();
            (fits, pairs) = keyboard.room_for(keys);
        }
        if pairs.is_empty() {
            return Ok(fits);
        }
        let keyboard = self.keyboard()?;
        keyboard.bound.extend(pairs.iter().map(|(code, _)| *code));
        keyboard.lent.extend(pairs.iter().map(|(code, key)| (u32::from(*key), *code)));
        let width = keyboard.width;
        let meanings = pairs.into_iter().map(|(code, key)| (code, u32::from(key))).collect();
        self.bind(meanings, width)?;
        // The first answer tells that the change was read; programs that hear of it on a second
        // connection as well (GTK does) come to that before they answer again.
        if self.settled()? {
            self.settled()?;
        }
        Ok(fits)
    }

    /// Gives keys other meanings, in as few changes as can be: each makes every program read the
    /// whole keyboard again.
    fn bind(&self, mut meanings: Vec<(Keycode, u32)>, width: u8) -> Result<()> {
        meanings.sort_unstable();
        for run in meanings.chunk_by(|a, b| a.0.checked_add(1) == Some(b.0)) {
            let Ok(count) = u8::try_from(run.len()) else { continue };
            let all: Vec<u32> = run
                .iter()
                .flat_map(|(_, meaning)| std::iter::repeat_n(*meaning, width.into()))
                .collect();
            self.connection.change_keyboard_mapping(count, run[0].0, width, &all)?;
        }
        self.connection.sync()?;
        Ok(())
    }

    /// Takes lent keys back, once whoever has the keyboard has read what was struck. From a program
    /// that cannot tell they are not taken back: it would read late, and wrong.
    fn take_back(&mut self) -> Result<()> {
        let Some(keyboard) = &mut self.keyboard else { return Ok(()) };
        let caps = std::mem::take(&mut keyboard.caps);
        if !keyboard.bound.is_empty() && self.settled()? {
            let Some(keyboard) = &mut self.keyboard else { return Ok(()) };
            keyboard.lent.clear();
            keyboard.stale = true;
            let width = keyboard.width;
            let bound = std::mem::take(&mut keyboard.bound);
            self.bind(bound.into_iter().map(|code| (code, 0)).collect(), width)?;
        }
        if caps {
            self.tap(Keysym::Caps_Lock)?;
        }
        self.connection.sync()?;
        Ok(())
    }

    /// Switches Caps Lock off while text is typed.
    fn uncapped(&mut self) -> Result<()> {
        let pointer = self.connection.query_pointer(self.root)?.reply()?;
        if pointer.mask.contains(KeyButMask::LOCK) {
            self.tap(Keysym::Caps_Lock)?;
            self.keyboard()?.caps = true;
        }
        Ok(())
    }

    pub(super) fn key_event(&self, code: Keycode, down: bool) -> Result<()> {
        let kind = if down { KEY_PRESS_EVENT } else { KEY_RELEASE_EVENT };
        self.connection.xtest_fake_input(kind, code, 0, self.root, 0, 0, 0)?;
        Ok(())
    }

    /// The keys to hold for `key`: itself, and Shift where it needs that.
    fn chord(&mut self, key: Keysym) -> Result<Vec<Keycode>> {
        let keyboard = self.keyboard()?;
        let missing = || Failure::Refused(format!("the keyboard has no key for {key:?}"));
        let (code, shift) = keyboard.find(key).ok_or_else(missing)?;
        let shift = if shift { keyboard.find(Keysym::Shift_L).map(|(code, _)| code) } else { None };
        Ok(shift.into_iter().chain([code]).collect())
    }

    fn tap(&mut self, key: Keysym) -> Result<()> {
        let chord = self.chord(key)?;
        for code in &chord {
            self.key_event(*code, true)?;
        }
        for code in chord.iter().rev() {
            self.key_event(*code, false)?;
        }
        Ok(())
    }
}

impl Display {
    /// As many of `keys` as can be had at once, from the first on. [`Display::take_back`] ends it.
    pub(crate) async fn lend(&mut self, keys: Vec<Keysym>) -> Result<usize> {
        self.call(move |server| {
            server.uncapped()?;
            server.lend(&keys)
        })
        .await
    }

    pub(crate) async fn take_back(&mut self) -> Result<()> {
        if self.lets_go_later() {
            return Ok(());
        }
        self.call(Server::take_back).await
    }

    /// Strikes keys that were lent, or that the keyboard has.
    pub(crate) async fn strike(&mut self, keys: Vec<Keysym>) -> Result<()> {
        self.call(move |server| {
            for key in keys {
                server.tap(key)?;
            }
            server.connection.sync()?;
            Ok(())
        })
        .await
    }

    /// Presses a key until [`Display::release`]. The thread keeps what is down, so that nothing stays
    /// down when whoever asked is gone before the answer.
    pub(crate) async fn key_down(&mut self, key: Keysym) -> Result<()> {
        self.call(move |server| {
            if server.lend(&[key])? == 0 {
                return Err(Failure::Refused("every spare key is in use".into()));
            }
            let chord = server.chord(key)?;
            for code in &chord {
                server.key_event(*code, true)?;
            }
            server.held.push(chord);
            server.connection.sync()?;
            Ok(())
        })
        .await
    }

    /// Releases the last `count` keys that were pressed, the last first.
    pub(crate) async fn release(&mut self, count: usize) -> Result<()> {
        if self.lets_go_later() {
            return Ok(());
        }
        self.call(move |server| {
            let kept = server.held.len().saturating_sub(count);
            for code in server.held.split_off(kept).concat().iter().rev() {
                server.key_event(*code, false)?;
            }
            server.connection.sync()?;
            Ok(())
        })
        .await
    }
}
