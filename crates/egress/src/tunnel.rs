//! Bytes both ways between two sockets.
//!
//! A quiet tunnel holds no buffer: bytes are read into one scratch buffer of the thread and written
//! on at once. Only what the other side does not take immediately is kept, and the next read waits
//! until that is gone.
//!
//! ```text
//!   both open ──one side ends──▶ half closed ──other side ends, or nothing sent for too long──▶ closed
//!       └────────────── reading fails on either side ──▶ reset both ──▶ closed
//! ```

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::sleep;

use crate::stream::Stream;

/// Most bytes one read takes.
const CHUNK: usize = 64 * 1024;

/// What one direction of a tunnel within TLS reads at most: a record (RFC 8446, section 5.1).
const TLS_CHUNK: usize = 16 * 1024;

/// Most bytes one read takes while tunnels hold too much.
const SMALL_CHUNK: usize = 2 * 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Bytes held for slow readers by all tunnels of a gateway.
#[derive(Debug)]
pub(crate) struct Held {
    bytes: AtomicUsize,
    limit: usize,
}

impl Held {
    pub(crate) fn new(limit: usize) -> Self {
        Self { bytes: AtomicUsize::new(0), limit }
    }

    fn chunk(&self) -> usize {
        if self.bytes.load(Ordering::Relaxed) < self.limit { CHUNK } else { SMALL_CHUNK }
    }
}

/// One tunnel's leftover, counted while it lives.
struct Leftover<'a> {
    bytes: Vec<u8>,
    held: &'a Held,
}

impl<'a> Leftover<'a> {
    fn new(rest: &[u8], held: &'a Held) -> Self {
        held.bytes.fetch_add(rest.len(), Ordering::Relaxed);
        Self { bytes: rest.to_vec(), held }
    }
}

impl Drop for Leftover<'_> {
    fn drop(&mut self) {
        self.held.bytes.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

/// How one direction ended.
enum End {
    /// The source ended, or the target takes no more: this direction is over.
    Over,
    /// The source broke off.
    Broken,
}

/// What one read and write did.
enum Step<'a> {
    Moved(usize),
    Left(usize, Leftover<'a>),
    Eof,
    Again,
}

/// Copies until both directions have ended, or one has broken off, or one has ended and nothing comes on
/// the other for `half_closed`. `client_early` and `upstream_early` are bytes already read.
pub(crate) async fn relay(
    mut client: TcpStream,
    client_early: Bytes,
    upstream: Stream,
    upstream_early: Bytes,
    half_closed: Duration,
    held: &Held,
) {
    let moved = AtomicU64::new(0);
    // Passed on as what it was: a reset, not an orderly end.
    let reset = |stream: &TcpStream| _ = stream.set_zero_linger();
    match upstream {
        Stream::Bare(mut upstream) => {
            let broken = {
                let (client_read, client_write) = client.split();
                let (upstream_read, upstream_write) = upstream.split();
                let up = pin!(pump(client_read, upstream_write, client_early, &moved, held));
                let down = pin!(pump(upstream_read, client_write, upstream_early, &moved, held));
                both(up, down, &moved, half_closed).await
            };
            if broken {
                reset(&client);
                reset(&upstream);
            }
        }
        Stream::Tls(upstream) => {
            let broken = {
                let (client_read, client_write) = client.split();
                let (upstream_read, upstream_write) = tokio::io::split(upstream);
                let up = pin!(copy(client_read, upstream_write, client_early, &moved));
                let down = pin!(copy(upstream_read, client_write, upstream_early, &moved));
                both(up, down, &moved, half_closed).await
            };
            if broken {
                reset(&client);
            }
        }
    }
}

/// Runs both directions; true when one broke off, or the idle timer of the last one ran out.
async fn both(
    mut up: Pin<&mut impl Future<Output = End>>,
    mut down: Pin<&mut impl Future<Output = End>>,
    moved: &AtomicU64,
    half_closed: Duration,
) -> bool {
    tokio::select! {
        end = &mut up => match end {
            End::Broken => true,
            End::Over => linger(down, moved, half_closed).await,
        },
        end = &mut down => match end {
            End::Broken => true,
            End::Over => linger(up, moved, half_closed).await,
        },
    }
}

/// Waits for the last open direction; true when it broke off or its idle timer ran out.
async fn linger(
    mut direction: Pin<&mut impl Future<Output = End>>,
    moved: &AtomicU64,
    limit: Duration,
) -> bool {
    loop {
        let before = moved.load(Ordering::Relaxed);
        tokio::select! {
            end = &mut direction => return matches!(end, End::Broken),
            () = sleep(limit) => {
                if moved.load(Ordering::Relaxed) == before {
                    return true;
                }
            }
        }
    }
}

/// One direction where a side is more than a socket, with a buffer of its own.
async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    early: Bytes,
    moved: &AtomicU64,
) -> End {
    let mut buffer = vec![0; TLS_CHUNK];
    if to.write_all(&early).await.is_err() || to.flush().await.is_err() {
        return End::Over;
    }
    drop(early);
    loop {
        let read = match from.read(&mut buffer).await {
            Ok(0) => {
                let _ = to.shutdown().await;
                return End::Over;
            }
            Ok(read) => read,
            Err(_) => return End::Broken,
        };
        // What is within TLS leaves with the flush.
        if to.write_all(&buffer[..read]).await.is_err() || to.flush().await.is_err() {
            return End::Over;
        }
        moved.fetch_add(read as u64, Ordering::Relaxed);
    }
}

async fn pump(
    from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    early: Bytes,
    moved: &AtomicU64,
    held: &Held,
) -> End {
    if to.write_all(&early).await.is_err() {
        return End::Over;
    }
    drop(early);
    loop {
        if from.readable().await.is_err() {
            return End::Broken;
        }
        match step(&from, &to, held) {
            Ok(Step::Again) => {}
            Ok(Step::Moved(n)) => {
                moved.fetch_add(n as u64, Ordering::Relaxed);
            }
            Ok(Step::Left(n, rest)) => {
                moved.fetch_add(n as u64, Ordering::Relaxed);
                if to.write_all(&rest.bytes).await.is_err() {
                    return End::Over;
                }
                moved.fetch_add(rest.bytes.len() as u64, Ordering::Relaxed);
            }
            Ok(Step::Eof) => {
                to.shutdown().await.ok();
                return End::Over;
            }
            Err(end) => return end,
        }
    }
}

/// Reads once and writes what it can, without waiting.
fn step<'a>(from: &ReadHalf<'_>, to: &WriteHalf<'_>, held: &'a Held) -> Result<Step<'a>, End> {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.resize(CHUNK, 0);
        let read = match from.try_read(&mut scratch[..held.chunk()]) {
            Ok(0) => return Ok(Step::Eof),
            Ok(n) => n,
            Err(e) if again(&e) => return Ok(Step::Again),
            Err(_) => return Err(End::Broken),
        };
        let mut sent = 0;
        while sent < read {
            match to.try_write(&scratch[sent..read]) {
                Ok(n) => sent += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    return Ok(Step::Left(sent, Leftover::new(&scratch[sent..read], held)));
                }
                Err(_) => return Err(End::Over),
            }
        }
        Ok(Step::Moved(sent))
    })
}

fn again(e: &io::Error) -> bool {
    matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
