//! Bytes from a client into a file, the next ones read while the last ones are written.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::sync::Arc;

use axum::body::Body;
use browserd_api::ErrorCode;
use browserd_guest_session::disk::Disk;
use browserd_rest::{Error, Result};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::task::JoinHandle;

use super::refuse::refuse_io;

/// Bytes gathered before they are written; as many again may be in the middle of it.
pub(super) const BATCH: usize = 256 << 10;

/// A file being written. Nothing holds a thread while the client is slow.
pub(super) struct Sink {
    file: Arc<File>,
    waiting: Vec<Bytes>,
    bytes: usize,
    writing: Option<JoinHandle<io::Result<()>>>,
    disk: Disk,
}

impl Sink {
    pub(super) fn new(file: Arc<File>, disk: Disk) -> Self {
        Self { file, waiting: Vec::new(), bytes: 0, writing: None, disk }
    }

    /// Takes `bytes`, if the session's disk has room for them; waits when as many as may are waiting
    /// already.
    pub(super) async fn push(&mut self, bytes: Bytes) -> io::Result<()> {
        self.disk.admit(bytes.len() as u64, 0).await?;
        self.bytes += bytes.len();
        self.waiting.push(bytes);
        if self.bytes >= BATCH { self.flush().await } else { Ok(()) }
    }

    /// Writes what is left and waits until all of it is written.
    pub(super) async fn finish(mut self) -> io::Result<()> {
        self.flush().await?;
        self.written().await
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.written().await?;
        let (file, bytes) = (Arc::clone(&self.file), std::mem::take(&mut self.waiting));
        self.bytes = 0;
        self.writing = Some(tokio::task::spawn_blocking(move || write(&file, &bytes)));
        Ok(())
    }

    async fn written(&mut self) -> io::Result<()> {
        match self.writing.take() {
            Some(writing) => writing.await.unwrap_or_else(|gone| Err(io::Error::other(gone))),
            None => Ok(()),
        }
    }
}

/// Appends all of `bytes`.
pub(super) fn write(mut file: &File, bytes: &[Bytes]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = bytes.iter().map(|bytes| IoSlice::new(bytes)).collect();
    let mut slices = &mut slices[..];
    // Takes away what is empty, too.
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match file.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut slices, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes a body of any size to a file, if the session's disk has room for it, and answers its size;
/// `what` is what it is called in refusals.
///
/// # Errors
///
/// 507 when there is no room, 400 when the body ends too early.
pub async fn pour(body: Body, file: Arc<File>, what: &str, disk: Disk) -> Result<u64> {
    disk.admit(0, 1).await.map_err(|full| full.refuse(what))?;
    let refused = |error: io::Error| refuse_io("body", what, &error);
    let (mut body, mut sink) = (body.into_data_stream(), Sink::new(file, disk));
    let mut total = 0;
    while let Some(bytes) = next(&mut body).await? {
        total += bytes.len() as u64;
        sink.push(bytes).await.map_err(refused)?;
    }
    sink.finish().await.map_err(refused)?;
    Ok(total)
}

/// Reads a body until it ends or a batch is full; whether it has ended.
pub(super) async fn gather<E>(
    body: &mut (impl Stream<Item = std::result::Result<Bytes, E>> + Unpin),
) -> Result<(Vec<Bytes>, bool)> {
    let (mut gathered, mut bytes) = (Vec::new(), 0);
    while bytes < BATCH {
        match next(body).await? {
            Some(chunk) => {
                bytes += chunk.len();
                gathered.push(chunk);
            }
            None => return Ok((gathered, true)),
        }
    }
    Ok((gathered, false))
}

/// The next piece of a body.
pub(super) async fn next<E>(
    body: &mut (impl Stream<Item = std::result::Result<Bytes, E>> + Unpin),
) -> Result<Option<Bytes>> {
    body.next().await.transpose().map_err(|_| {
        Error::new(ErrorCode::BadRequest, "the request body ended before it was complete")
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use browserd_guest_session::ShimLine;
    use browserd_protocol::{DiskLimit, GuestReport};
    use browserd_sandbox::usage::Usage;
    use tokio::io::{AsyncBufReadExt, BufReader};

    use super::*;

    /// Room for 1000 bytes, of which the shim finds all taken when it is asked.
    fn disk() -> Disk {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (line, _) = ShimLine::new(ours).unwrap();
        let disk = Disk::new(Some(DiskLimit { bytes: 1000, files: 10 }), None, line);
        let answering = disk.clone();
        theirs.set_nonblocking(true).unwrap();
        let theirs = tokio::net::UnixStream::from_std(theirs).unwrap();
        tokio::spawn(async move {
            let question = BufReader::new(theirs).lines().next_line().await.unwrap().unwrap();
            let GuestReport::MeasureDisk { question } = serde_json::from_str(&question).unwrap()
            else {
                panic!("{question}")
            };
            answering.counted(Usage { bytes: 1000, files: 3 }, Usage::default(), question);
        });
        disk
    }

    #[tokio::test]
    async fn a_body_is_written_or_does_not_fit() {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let room = disk();
        let poured = |bytes: usize| {
            pour(Body::from(vec![7; bytes]), Arc::clone(&file), "the test", room.clone())
        };
        assert_eq!(poured(300).await.unwrap(), 300);
        assert_eq!(file.metadata().unwrap().len(), 300);
        let full = poured(701).await.unwrap_err().0;
        assert_eq!(full.code(), ErrorCode::InsufficientStorage);
        assert!(full.to_string().contains("no room for the test"), "{full}");
        let ends = futures_util::stream::iter([Ok(vec![7]), Err(io::Error::other("gone"))]);
        let broken = pour(Body::from_stream(ends), file, "the test", Disk::unlimited()).await;
        assert_eq!(broken.unwrap_err().0.code(), ErrorCode::BadRequest);
    }
}
