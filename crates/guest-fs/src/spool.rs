//! Where what a client sends waits until all of it is there.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;

use browserd_rest::{Error, Result};
use rustix::fs::OFlags;

use super::atomic_write::AtomicWrite;
use super::form::Part;
use super::path::Given;
use super::refuse::refuse_io;
use super::sink::Sink;
use super::{Files, blocking, place};

/// A part of a form, on the session's disk, in a folder only the guest may read.
pub(super) struct Spooled {
    pub(super) write: AtomicWrite,
    pub(super) file: Arc<File>,
    pub(super) bytes: u64,
}

impl Files {
    /// Writes a part to the session's disk; `name` is for refusals.
    pub(super) async fn spool(&self, name: &str, mut part: Part) -> Result<Spooled> {
        let folder = self.0.session.places.state.join("uploads");
        let owner = self.owner();
        let refused = |error: &io::Error| refuse_io(name, "what was sent", error);
        let disk = self.disk().clone();
        disk.admit(0, 1).await.map_err(|full| full.refuse("what was sent"))?;
        let made = blocking(move || {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
            let path = folder.to_string_lossy().into_owned();
            made.map_err(|error| refuse_io("body", &path, &error))?;
            let given = Given::new("body", path)?;
            let dir =
                place::open(rustix::fs::CWD, folder.as_os_str(), OFlags::PATH | OFlags::DIRECTORY)
                    .map_err(|errno| given.refuse(errno))?;
            AtomicWrite::new(&dir, owner).map_err(|errno| given.refuse(errno))
        });
        let (write, file) = made.await?;
        let file = Arc::new(file);
        let mut sink = Sink::new(Arc::clone(&file), disk);
        let mut total = 0;
        while let Some(bytes) = part.chunk().await? {
            total += bytes.len() as u64;
            sink.push(bytes).await.map_err(|error| refused(&error))?;
        }
        sink.finish().await.map_err(|error| refused(&error))?;
        Ok(Spooled { write, file, bytes: total })
    }
}

/// A field that is there twice.
pub(super) fn twice(name: &str) -> Error {
    Error::field(name, "is there twice; send it once")
}
