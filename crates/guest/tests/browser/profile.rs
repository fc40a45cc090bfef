//! A profile goes from one browser to another that runs already, with everything a site keeps: its
//! clients stay connected, and archives that are none change nothing.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::{Guest, PATIENCE, config, descendants, evaluate, go, run, spec};
use axum::body::Body;
use browserd_guest::internal;
use browserd_guest_profile::Profile;
use browserd_protocol::GuestReport;
use futures_util::{SinkExt, StreamExt};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tower::ServiceExt;

/// Puts something in everything a site can keep.
const FILL: &str = r#"(async () => {
    const mark = MARK;
    localStorage.setItem('mark', mark);
    document.cookie = `plain=${mark}; SameSite=Lax; Max-Age=86400`;
    const done = request => new Promise((yes, no) => {
        request.onsuccess = () => yes(request.result);
        request.onerror = () => no(request.error);
    });
    const open = indexedDB.open('base', 1);
    open.onupgradeneeded = () => open.result.createObjectStore('things');
    const base = await done(open);
    const change = base.transaction('things', 'readwrite');
    change.objectStore('things').put({ mark, blob: new Blob([mark.repeat(9000)]) }, 'thing');
    await new Promise(yes => change.oncomplete = yes);
    base.close();
    const cache = await caches.open('kept');
    await cache.put('/kept', new Response(mark));
    const root = await navigator.storage.getDirectory();
    const file = await (await root.getFileHandle('file', { create: true })).createWritable();
    await file.write(mark);
    await file.close();
    return mark;
})()"#;

/// What of it there is.
const LOOK: &str = r#"(async () => {
    const seen = { local: localStorage.getItem('mark'), cookie: document.cookie };
    const done = request => new Promise((yes, no) => {
        request.onsuccess = () => yes(request.result);
        request.onerror = () => no(request.error);
    });
    const bases = await indexedDB.databases();
    if (bases.length) {
        const base = await done(indexedDB.open('base', 1));
        const thing = await done(base.transaction('things').objectStore('things').get('thing'));
        seen.base = thing.mark;
        seen.blob = (await thing.blob.text()).length;
        base.close();
    }
    seen.cache = await (await caches.match('/kept'))?.text();
    try {
        const root = await navigator.storage.getDirectory();
        seen.file = await (await (await root.getFileHandle('file')).getFile()).text();
    } catch {}
    seen.sent = await (await fetch('/cookies')).text();
    return seen;
})()"#;

/// A site that sets cookies at `/login` and says at `/cookies` which it was sent.
fn site() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            std::thread::spawn(move || {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    if stream.read(&mut byte).unwrap_or(0) == 0 {
                        return;
                    }
                    head.push(byte[0]);
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let (mut set, mut body) = ("", "<!doctype html><title>site</title>".to_owned());
                if head.starts_with("GET /login ") {
                    set = "Set-Cookie: hidden=h; HttpOnly; Path=/; Max-Age=86400; SameSite=Strict\r\n\
                           Set-Cookie: session=s; Path=/; HttpOnly\r\n";
                } else if head.starts_with("GET /cookies ") {
                    let sent = head.lines().find_map(|line| line.strip_prefix("Cookie: "));
                    let mut sent: Vec<&str> = sent.unwrap_or_default().split("; ").collect();
                    sent.sort_unstable();
                    body = sent.join("; ");
                }
                let length = body.len();
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n\
                     Cache-Control: no-store\r\nConnection: close\r\n{set}\r\n{body}"
                );
            });
        }
    });
    format!("http://{address}")
}

/// What [`LOOK`] sees where [`FILL`] was with this mark.
fn all_of(mark: &str) -> Value {
    json!({
        "local": mark, "cookie": format!("plain={mark}"), "base": mark, "blob": mark.len() * 9000,
        "cache": mark, "file": mark, "sent": format!("hidden=h; plain={mark}; session=s"),
    })
}

async fn fill(guest: &Guest, mark: &str) {
    let cdp = guest.running().await.cdp;
    assert_eq!(evaluate(&cdp, &FILL.replace("MARK", &format!("'{mark}'"))).await, json!(mark));
}

async fn look(guest: &Guest) -> Value {
    evaluate(&guest.running().await.cdp, LOOK).await
}

/// One request to the routes between server and guest.
async fn ask(guest: &Guest, method: &str, path: &str, body: Vec<u8>) -> (StatusCode, Vec<u8>) {
    let profile = Profile::new(Arc::clone(&guest.session), guest.browser.clone());
    let router = internal::router(guest.browser.clone(), profile);
    // In pieces, as bodies come.
    let pieces: Vec<_> =
        body.chunks(64 << 10).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
    let body = Body::from_stream(futures_util::stream::iter(pieces));
    let request = Request::builder().method(method).uri(path).body(body).unwrap();
    let response = router.oneshot(request).await.unwrap();
    let status = response.status();
    if path.ends_with("/save") && status == StatusCode::OK {
        assert_eq!(response.headers()["content-type"], "application/zstd");
    }
    (status, response.into_body().collect().await.unwrap().to_bytes().to_vec())
}

async fn apply(guest: &Guest, archive: &[u8]) {
    let begun = Instant::now();
    let (status, body) = ask(guest, "PUT", "/internal/profile", archive.to_vec()).await;
    eprintln!("applied in {:?} ({} bytes)", begun.elapsed(), archive.len());
    assert_eq!(
        (status, &body[..]),
        (StatusCode::OK, &b"{}"[..]),
        "{}",
        String::from_utf8_lossy(&body)
    );
}

async fn save(guest: &Guest) -> Vec<u8> {
    let begun = Instant::now();
    let (status, archive) = ask(guest, "POST", "/internal/profile/save", Vec::new()).await;
    eprintln!("saved in {:?} ({} bytes)", begun.elapsed(), archive.len());
    assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&archive));
    archive
}

/// Saves while the process that has to write Local Storage gets no processor: Chromium, which would not wait for
/// it, is not closed before it is done.
async fn save_with_slow_storage(guest: &Guest) -> Vec<u8> {
    let (browser, storage) = pids();
    let storage = Pid::from_raw(storage).expect("there is a storage process");
    kill_process(storage, Signal::STOP).unwrap();
    let go_on = async {
        let gone = async {
            while std::path::Path::new(&format!("/proc/{browser}")).exists() {
                guest.session.children.reaped().await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(1), gone).await;
        let _ = kill_process(storage, Signal::CONT);
        assert!(waited.is_err(), "Chromium was closed before Local Storage was written");
    };
    tokio::join!(save(guest), go_on).0
}

/// The pids of the browser and of its storage process.
fn pids() -> (i32, i32) {
    let all = descendants();
    let browser = all
        .iter()
        .find(|(_, line)| line.contains("--remote-debugging-pipe") && !line.contains("--type="));
    let storage = all.iter().find(|(_, line)| line.contains("storage.mojom.StorageService"));
    (browser.expect("Chromium runs").0, storage.map_or(0, |(pid, _)| *pid))
}

type Client =
    tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

/// A client of Chromium's port.
async fn connect(guest: &Guest) -> Client {
    let endpoint = guest.running().await.endpoint;
    let url = format!("ws://127.0.0.1:{}{}", endpoint.port, endpoint.browser_path);
    tokio_tungstenite::connect_async(url).await.unwrap().0
}

async fn still_answers(client: &mut Client) {
    client.send(Message::text(r#"{"id":7,"method":"Target.getTargets"}"#)).await.unwrap();
    let answered = async {
        while let Some(message) = client.next().await {
            let message: Value = serde_json::from_str(message.unwrap().to_text().unwrap()).unwrap();
            if message["id"] == 7 {
                return message;
            }
        }
        panic!("the client was disconnected");
    };
    let answer = tokio::time::timeout(PATIENCE, answered).await.expect("no answer");
    let targets = answer["result"]["targetInfos"].as_array().unwrap();
    assert!(targets.iter().any(|target| target["type"] == "page"), "{answer}");
}

fn tarred(fill: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    fill(&mut tar);
    zstd::encode_all(&tar.into_inner().unwrap()[..], 1).unwrap()
}

/// Adds a file under any name.
fn add(tar: &mut tar::Builder<Vec<u8>>, name: &str, content: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    tar.append(&header, content).unwrap();
}

fn names(archive: &[u8]) -> Vec<String> {
    let mut tar = tar::Archive::new(zstd::Decoder::new(archive).unwrap());
    let entries = tar.entries().unwrap();
    entries
        .map(|entry| {
            let entry = entry.unwrap();
            let kind = entry.header().entry_type();
            assert!(kind.is_file() || kind.is_dir(), "{kind:?}");
            entry.path().unwrap().to_string_lossy().into_owned()
        })
        .collect()
}

/// Archives that are none are refused in words and change nothing.
async fn broken_archives(guest: &Guest, good: &[u8]) {
    let before = pids();
    let named = |name: &'static str| {
        tarred(|tar| {
            add(tar, "cookies.json", b"[]");
            add(tar, "Default/IndexedDB/x", b"x");
            add(tar, name, b"x");
        })
    };
    let linked = |name: &'static str| {
        tarred(|tar| {
            add(tar, "cookies.json", b"[]");
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            tar.append_link(&mut header, name, "/etc/passwd").unwrap();
        })
    };
    let cookies = |text: &'static str| {
        tarred(|tar| {
            add(tar, "Default/IndexedDB/x", b"x");
            add(tar, "cookies.json", text.as_bytes());
        })
    };
    for (archive, words) in [
        (Vec::new(), "cannot be read"),
        (zstd::encode_all(&b""[..], 1).unwrap(), "no cookies.json"),
        (b"garbage, and a little more of it".to_vec(), "cannot be read"),
        (good[..good.len() / 2].to_vec(), "cannot be"),
        (good[..good.len() - 1].to_vec(), "cannot be"),
        (named("../escaped"), "leads out"),
        (named("Default/IndexedDB/../../../escaped"), "leads out"),
        (named("/tmp/escaped"), "absolute"),
        (named("Default/IndexedDB/x"), "twice"),
        (linked("Default/IndexedDB/link"), "neither a file nor a folder"),
        (linked("unknown"), "neither a file nor a folder"),
        (named("Default/WebStorage"), "Default/WebStorage is no folder"),
        (tarred(|tar| add(tar, "Default/IndexedDB/x", b"x")), "no cookies.json"),
        (cookies("{\"cookies\":[]}"), "no array of cookies"),
        (cookies("[{]"), "no JSON"),
    ] {
        let (status, body) = ask(guest, "PUT", "/internal/profile", archive).await;
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(status, StatusCode::BAD_REQUEST, "{words}: {body}");
        assert_eq!(body["code"], "invalid_input", "{body}");
        assert!(body["message"].as_str().unwrap().contains(words), "{words}: {body}");
    }
    assert_eq!(pids(), before);
    assert!(!guest.session.places.user_data.join("Default/IndexedDB").exists());
}

/// A cookie Chromium does not take does not keep the others away, and unknown entries are nothing.
async fn bad_cookies(guest: &Guest, site: &str) {
    let cookie = |name: &str| json!({"name": name, "value": "v", "url": site});
    let cookies = json!([cookie("one"), {"name": "bad"}, 7, {"name": 1}, cookie("two")]);
    let archive = tarred(|tar| {
        add(tar, "cookies.json", cookies.to_string().as_bytes());
        add(tar, "Default/Preferences", b"not these");
        add(tar, "Default/Service Worker/Database/CURRENT", b"nor this");
    });
    apply(guest, &archive).await;
    go(&guest.running().await.cdp, site).await;
    assert_eq!(evaluate(&guest.running().await.cdp, "document.cookie").await, "one=v; two=v");
    assert!(guest.log("guest.log").contains("3 cookies of a profile were not taken"));
    let default = guest.session.places.user_data.join("Default");
    assert!(!default.join("Service Worker/Database/CURRENT").exists());
    assert_ne!(std::fs::read(default.join("Preferences")).unwrap_or_default(), b"not these");
    go(&guest.running().await.cdp, "about:blank").await;
}

async fn nothing_is_left(mut guest: Guest) {
    guest.browser.stop().await;
    let gone = async {
        while !descendants().is_empty() {
            guest.session.children.reaped().await;
        }
        // What archives were unpacked to is removed by other threads.
        while std::fs::read_dir(&guest.session.places.state).unwrap().count() > 0 {
            tokio::task::spawn_blocking(std::thread::yield_now).await.unwrap();
        }
    };
    let waited = tokio::time::timeout(PATIENCE, gone).await;
    let state = std::fs::read_dir(&guest.session.places.state).unwrap();
    assert!(waited.is_ok(), "still there: {:?}, {:?}", descendants(), state.collect::<Vec<_>>());
    assert!(!guest.dir.path().join("escaped").exists());
    assert_eq!(guest.unread().await, None);
}

/// A browser that a site filled, saved.
async fn saved(site: &str, mark: &str) -> Vec<u8> {
    let mut guest = Guest::start(spec(config()));
    assert!(matches!(guest.report().await, GuestReport::Ready { .. }));
    go(&guest.running().await.cdp, &format!("{site}/login")).await;
    fill(&guest, mark).await;
    assert_eq!(look(&guest).await, all_of(mark));
    // Not followed, and not packed.
    let link = guest.session.places.user_data.join("Default/IndexedDB/link");
    std::os::unix::fs::symlink("/etc/passwd", link).unwrap();
    let archive = save_with_slow_storage(&guest).await;
    // Nobody was told that it is lost, and nobody starts it again.
    let why = guest.browser.running().await.unwrap_err().to_string();
    assert!(why.contains("so that its profile could be saved"), "{why}");
    let (status, body) = ask(&guest, "POST", "/internal/profile/save", Vec::new()).await;
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &body["code"]), (StatusCode::BAD_GATEWAY, &json!("upstream_unavailable")));
    nothing_is_left(guest).await;
    let names = names(&archive);
    assert_eq!(names[0], "cookies.json");
    for name in &names[1..] {
        assert!(name.starts_with("Default/") && !name.ends_with("link"), "{name}");
    }
    archive
}

pub(crate) fn a_profile_from_one_browser_to_the_next() {
    let site = site();
    let mut archive = Vec::new();
    run(async { archive = saved(&site, "first").await });
    run(async {
        let mut guest = Guest::start(spec(config()));
        assert!(matches!(guest.report().await, GuestReport::Ready { .. }));
        let mut client = connect(&guest).await;
        broken_archives(&guest, &archive).await;
        let (browser, storage) = pids();
        apply(&guest, &archive).await;
        go(&guest.running().await.cdp, &site).await;
        assert_eq!(look(&guest).await, all_of("first"));
        assert_eq!(pids().0, browser);
        assert_ne!(pids().1, storage);
        still_answers(&mut client).await;
        // And it is that browser's own: it survives a crash, cookies that are written by then too.
        kill_process(Pid::from_raw(browser).unwrap(), Signal::KILL).unwrap();
        assert!(matches!(guest.report().await, GuestReport::BrowserLost { .. }));
        assert_eq!(guest.report().await, GuestReport::BrowserBack);
        go(&guest.running().await.cdp, &site).await;
        let mut wanted = all_of("first");
        let mut seen = look(&guest).await;
        for cookies in ["cookie", "sent"] {
            wanted[cookies].take();
            seen[cookies].take();
        }
        assert_eq!(seen, wanted);
        bad_cookies(&guest, &site).await;
        nothing_is_left(guest).await;
    });
    // A browser in use, at the very origin of the profile.
    run(async {
        let mut guest = Guest::start(spec(config()));
        assert!(matches!(guest.report().await, GuestReport::Ready { .. }));
        let mut client = connect(&guest).await;
        go(&guest.running().await.cdp, &site).await;
        fill(&guest, "second").await;
        let (browser, _) = pids();
        apply(&guest, &archive).await;
        go(&guest.running().await.cdp, &site).await;
        let mut wanted = all_of("first");
        // What has numbers is left out, and nothing of before is there.
        wanted.as_object_mut().unwrap().remove("file");
        assert_eq!(look(&guest).await, wanted);
        let log = guest.log("guest.log");
        assert!(log.contains("without its WebStorage and File System"), "{log}");
        assert_eq!(pids().0, browser);
        still_answers(&mut client).await;
        let again = save(&guest).await;
        nothing_is_left(guest).await;
        assert!(names(&again).contains(&"Default/IndexedDB".to_owned()));
    });
}
