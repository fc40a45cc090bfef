//! Content of files, read as a client takes it.

use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, stream};
use tokio::task::JoinHandle;

/// Bytes read at once.
pub const CHUNK: u64 = 256 << 10;

/// The bytes `from..to` of the file that `open` answers with, which is asked before every chunk.
///
/// The next chunk is read while the last one is sent. What `open` or reading fails with is the
/// stream's last item; a file that has become shorter is such a failure.
pub fn chunks<F>(
    open: F,
    from: u64,
    to: u64,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static
where
    F: Fn() -> io::Result<Arc<File>> + Send + 'static,
{
    stream::unfold(Reader { open, at: from, end: to, ahead: None }, next)
}

struct Reader<F> {
    open: F,
    at: u64,
    end: u64,
    ahead: Option<JoinHandle<io::Result<Bytes>>>,
}

impl<F: Fn() -> io::Result<Arc<File>>> Reader<F> {
    fn start(&mut self) -> Option<JoinHandle<io::Result<Bytes>>> {
        if self.at >= self.end {
            return None;
        }
        let (file, from) = ((self.open)(), self.at);
        let to = self.end.min(from + CHUNK);
        self.at = to;
        Some(tokio::task::spawn_blocking(move || read(&*file?, from, to)))
    }
}

async fn next<F: Fn() -> io::Result<Arc<File>>>(
    mut reader: Reader<F>,
) -> Option<(io::Result<Bytes>, Reader<F>)> {
    let current = match reader.ahead.take() {
        Some(ahead) => ahead,
        None => reader.start()?,
    };
    let bytes = current.await.unwrap_or_else(|gone| Err(io::Error::other(gone)));
    if bytes.is_ok() {
        reader.ahead = reader.start();
    } else {
        reader.at = reader.end;
    }
    Some((bytes, reader))
}

/// The bytes `from..to`, all of them.
///
/// # Errors
///
/// What reading fails with, and a file that ends before.
pub fn read(file: &File, from: u64, to: u64) -> io::Result<Bytes> {
    let wanted = usize::try_from(to - from).map_err(io::Error::other)?;
    let mut bytes = Vec::with_capacity(wanted);
    while bytes.len() < wanted {
        let at = from + bytes.len() as u64;
        let room = rustix::buffer::spare_capacity(&mut bytes);
        match rustix::io::pread(file, room, at) {
            Ok(0) => return Err(io::Error::other("the file became shorter while it was read")),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    bytes.truncate(wanted);
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use futures_util::StreamExt;

    use super::*;

    fn numbered(length: u64) -> (Arc<File>, Vec<u8>) {
        let content: Vec<u8> = (0..length).map(|at| (at / 7 % 251) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content).unwrap();
        (Arc::new(file), content)
    }

    async fn all(stream: impl Stream<Item = io::Result<Bytes>>) -> (Vec<u8>, Option<io::Error>) {
        let mut stream = std::pin::pin!(stream);
        let (mut bytes, mut error) = (Vec::new(), None);
        while let Some(next) = stream.next().await {
            assert!(error.is_none(), "something follows a failure");
            match next {
                Ok(some) => bytes.extend_from_slice(&some),
                Err(failed) => error = Some(failed),
            }
        }
        (bytes, error)
    }

    #[tokio::test]
    async fn every_part_comes_as_it_is() {
        let (file, content) = numbered(3 * CHUNK + 5);
        for (from, to) in
            [(0, 0), (0, 1), (CHUNK - 1, CHUNK + 1), (7, 3 * CHUNK + 5), (CHUNK, 2 * CHUNK)]
        {
            let file = Arc::clone(&file);
            let (bytes, error) = all(chunks(move || Ok(Arc::clone(&file)), from, to)).await;
            assert!(error.is_none());
            assert_eq!(bytes, content[from as usize..to as usize]);
        }
    }

    #[tokio::test]
    async fn a_file_that_ends_early_is_an_error() {
        let (file, content) = numbered(CHUNK + 3);
        let (bytes, error) = all(chunks(move || Ok(Arc::clone(&file)), 0, 2 * CHUNK)).await;
        assert_eq!(bytes, content[..CHUNK as usize]);
        assert!(error.unwrap().to_string().contains("shorter"));
    }

    #[tokio::test]
    async fn a_file_that_is_taken_away_is_an_error() {
        let (file, _) = numbered(8 * CHUNK);
        let weak = Arc::downgrade(&file);
        let gone = || io::Error::other("gone");
        let mut stream =
            std::pin::pin!(chunks(move || weak.upgrade().ok_or_else(gone), 0, 8 * CHUNK));
        stream.next().await.unwrap().unwrap();
        drop(file);
        let (_, error) = all(stream).await;
        assert_eq!(error.unwrap().to_string(), "gone");
    }
}
