//! Blobs.

use std::fs::File;
use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::{BlobKey, BlobReader, Blobs};

/// Runs every check of [`Blobs`] against a store that is empty.
///
/// # Panics
/// Where the store does not do what [`Blobs`] says.
pub async fn check_blobs(blobs: &dyn Blobs) {
    let key = |text: &str| BlobKey::new(text).expect("a key");
    let (a, b) = (key("folder/a.mp4"), key("folder/b.mp4"));
    assert_eq!(blobs.size(&a).await.expect("it answers"), None);
    assert!(blobs.read(&a, 0, 1).await.expect("it answers").is_none());
    blobs.delete(&a).await.expect("nothing to delete is no error");

    assert_eq!(blobs.put(&a, &mut &b"0123456789"[..], 10).await.expect("it is kept"), 10);
    assert_eq!(blobs.size(&a).await.expect("it answers"), Some(10));
    for (start, length, expected) in
        [(0, 10, "0123456789"), (3, 4, "3456"), (8, 100, "89"), (10, 1, ""), (500, 1, "")]
    {
        assert_eq!(read(blobs, &a, start, length).await, expected);
    }

    let error = blobs.put(&a, &mut &b"01234567890"[..], 10).await.expect_err("it is too large");
    assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    let mut broken = tokio::io::AsyncReadExt::chain(&b"half"[..], Broken);
    blobs.put(&a, &mut broken, 100).await.expect_err("it broke off");
    assert_eq!(read(blobs, &a, 0, 100).await, "0123456789", "what was there stays");
    let opened = async || blobs.read(&a, 0, 100).await.expect("it answers").expect("it is there");
    let before = opened().await;
    blobs.put(&a, &mut &b"new"[..], 10).await.expect("it replaces");
    assert_eq!(read(blobs, &a, 0, 100).await, "new");
    let deleted = opened().await;
    blobs.delete(&a).await.expect("it goes");
    assert_eq!(all(before).await, "0123456789", "what was opened is read to its end");
    assert_eq!(all(deleted).await, "new");

    let folder = std::env::temp_dir().join(format!("browserd-blobs-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("file");
    std::fs::write(&path, "a file").expect("a file");
    let [large, named, nameless] = std::array::from_fn(|_| File::open(&path).expect("it opens"));
    let error = blobs.put_file(&b, large, 3).await.expect_err("it is too large");
    assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    assert_eq!(blobs.put_file(&a, named, 6).await.expect("it is kept"), 6);
    std::fs::remove_dir_all(&folder).expect("its other name is there and can go");
    assert_eq!(blobs.put_file(&b, nameless, 6).await.expect("it is kept"), 6);
    for key in [&a, &b] {
        assert_eq!(read(blobs, key, 0, 100).await, "a file");
    }

    let c = key("folder/deeper/c");
    blobs.put(&c, &mut &b"c"[..], 1).await.expect("it is kept");
    blobs.put(&key("folders/d"), &mut &b"d"[..], 1).await.expect("it is kept");
    let mut keys = blobs.keys("folder").await.expect("it answers");
    keys.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    assert_eq!(keys, [a.clone(), b.clone(), c], "all below it, and no others");
    assert_eq!(blobs.keys("nothing").await.expect("it answers"), []);

    blobs.delete(&a).await.expect("it goes");
    assert_eq!(blobs.size(&a).await.expect("it answers"), None);
    assert_eq!(read(blobs, &b, 0, 100).await, "a file", "its neighbour stays");
}

async fn read(blobs: &dyn Blobs, key: &BlobKey, start: u64, length: u64) -> String {
    all(blobs.read(key, start, length).await.expect("it answers").expect("it is there")).await
}

async fn all(mut reader: BlobReader) -> String {
    let mut text = String::new();
    reader.read_to_string(&mut text).await.expect("it reads");
    text
}

/// Breaks off.
struct Broken;

impl AsyncRead for Broken {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        _: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::task::Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
    }
}
