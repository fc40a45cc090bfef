//! Pictures of the screen, through memory shared with the server.
//!
//! The shared memory is read like a file, never mapped: the copy is needed anyway, and a mapping
//! that another process writes to would be no safe slice.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::MemfdFlags;
use x11rb::connection::Connection;
use x11rb::protocol::shm::{self, ConnectionExt as _};
use x11rb::protocol::xfixes::ConnectionExt as _;
use x11rb::protocol::xproto::ImageFormat;

use super::server::Server;
use super::{Display, Failure, Result};
use crate::point::Region;

/// Most bytes of a picture: a screen of 8192 by 8192 pixels.
const BYTES_LIMIT: usize = 1 << 28;
/// Most pixels of a pointer.
const POINTER_LIMIT: usize = 1 << 16;

/// A picture: rows from the top, four bytes a pixel (blue, green, red, unused), no padding.
pub(crate) struct Picture {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) pixels: Vec<u8>,
}

/// Memory the server writes to.
pub(super) struct Shared {
    segment: shm::Seg,
    memory: OwnedFd,
    size: usize,
}

impl Server {
    fn picture(&mut self, region: Region) -> Result<Picture> {
        let (width, height) = (region.width as usize, region.height as usize);
        let size = width * height * 4;
        self.share(size)?;
        let shared = self.shared.as_ref().ok_or(Failure::Silent)?;
        self.connection
            .shm_get_image(
                self.root,
                region.x.try_into().unwrap_or(i16::MAX),
                region.y.try_into().unwrap_or(i16::MAX),
                width.try_into().unwrap_or(u16::MAX),
                height.try_into().unwrap_or(u16::MAX),
                !0,
                ImageFormat::Z_PIXMAP.into(),
                shared.segment,
                0,
            )?
            .reply()?;
        let mut pixels = vec![0; size];
        let mut read = 0;
        while read < size {
            match rustix::io::pread(&shared.memory, &mut pixels[read..], read as u64) {
                Ok(0) => return Err(Failure::Lost("the shared memory was cut".into())),
                Ok(n) => read += n,
                Err(error) => return Err(Failure::Lost(error.to_string())),
            }
        }
        let mut picture = Picture { width, height, pixels };
        if !self.hidden {
            self.draw_pointer(&mut picture, region)?;
        }
        Ok(picture)
    }

    /// Sees to it that enough memory is shared.
    fn share(&mut self, size: usize) -> Result<()> {
        if self.shared.as_ref().is_some_and(|shared| shared.size >= size) {
            return Ok(());
        }
        if size > BYTES_LIMIT {
            return Err(Failure::Refused("so large a screen cannot be captured".into()));
        }
        if let Some(old) = self.shared.take() {
            self.connection.shm_detach(old.segment)?;
        }
        let lost = |error: std::io::Error| Failure::Lost(error.to_string());
        let memory = rustix::fs::memfd_create("screenshot", MemfdFlags::CLOEXEC)
            .and_then(|memory| rustix::fs::ftruncate(&memory, size as u64).map(|()| memory))
            .map_err(|error| lost(error.into()))?;
        let theirs = memory.as_fd().try_clone_to_owned().map_err(lost)?;
        let segment = self.connection.generate_id()?;
        self.connection.shm_attach_fd(segment, theirs, false)?.check()?;
        self.shared = Some(Shared { segment, memory, size });
        Ok(())
    }

    fn draw_pointer(&self, picture: &mut Picture, region: Region) -> Result<()> {
        // Refused where there is no pointer yet.
        let Ok(image) = self.connection.xfixes_get_cursor_image()?.reply() else { return Ok(()) };
        let (width, height) = (usize::from(image.width), usize::from(image.height));
        if image.cursor_image.len() > POINTER_LIMIT || image.cursor_image.len() != width * height {
            return Ok(());
        }
        let left = i32::from(image.x) - i32::from(image.xhot) - region.x;
        let top = i32::from(image.y) - i32::from(image.yhot) - region.y;
        for (index, pixel) in image.cursor_image.iter().enumerate() {
            let (x, y) = (left + (index % width) as i32, top + (index / width) as i32);
            if !(0..region.width).contains(&x) || !(0..region.height).contains(&y) {
                continue;
            }
            let at = (y as usize * picture.width + x as usize) * 4;
            // Colours are multiplied by their opacity already.
            let [blue, green, red, opacity] = pixel.to_le_bytes();
            for (under, over) in picture.pixels[at..at + 3].iter_mut().zip([blue, green, red]) {
                let through = u32::from(*under) * u32::from(255 - opacity) / 255;
                *under = (through + u32::from(over)).min(255) as u8;
            }
        }
        Ok(())
    }
}

impl Display {
    /// What a part of the screen shows, with the pointer unless it is hidden.
    pub(crate) async fn picture(&mut self, region: Region) -> Result<Picture> {
        self.call(move |server| server.picture(region)).await
    }
}
