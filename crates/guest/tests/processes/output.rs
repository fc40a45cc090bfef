//! Output streams, input, terminals, signals and attachments of spawned processes.

use crate::harness::{Client, TestGuest, eventually};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::UnixStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

both_ways!(
    every_subscriber_gets_everything_in_order,
    lines_arrive_as_they_are_written,
    nobody_reading_slows_nothing,
    old_output_is_dropped_with_a_notice,
    what_is_left_in_the_background_does_not_hold_the_stream,
    input_reaches_the_process,
    input_waits_for_a_process_that_does_not_read,
    a_terminal_is_a_terminal,
    signals,
    a_spawn_has_a_timeout_too,
    spawn_refusals,
    attached_clients_share_a_process,
    attach_refusals,
);

fn b64(text: impl AsRef<[u8]>) -> String {
    base64_simd::STANDARD.encode_to_string(text)
}

async fn every_subscriber_gets_everything_in_order(guest: &TestGuest) {
    let client = guest.client();
    let script = "i=0; while [ $i -lt 300 ]; do echo out$i; echo err$i >&2; i=$((i+1)); done; read line; printf end; exit 6";
    let (process, _) = client.spawn_sh(script).await;
    let early: Vec<_> =
        futures_util::future::join_all((0..3).map(|_| client.stream(&process))).await;
    client.post(&format!("{process}/stdin"), json!({"data_b64": b64("\n")})).await.ok();
    let numbered = |word: &str| (0..300).map(|i| format!("{word}{i}\n")).collect::<String>();
    let check = |seen: crate::harness::Transcript| {
        assert_eq!(String::from_utf8(seen.stdout).unwrap(), numbered("out") + "end");
        assert_eq!(String::from_utf8(seen.stderr).unwrap(), numbered("err"));
        assert_eq!((seen.exit_code, seen.dropped), (Some(6), 0));
    };
    for events in early {
        check(events.all().await);
    }
    // After the exit, as often as one likes.
    for _ in 0..2 {
        check(client.stream(&process).await.all().await);
    }
    // No output is a stream too.
    let (silent, _) = client.spawn(json!({"command": "true"})).await;
    assert_eq!(client.stream(&silent).await.all().await.exit_code, Some(0));
}

async fn lines_arrive_as_they_are_written(guest: &TestGuest) {
    let client = guest.client();
    let (process, _) =
        client.spawn_sh("while read line; do echo \"got $line\"; done; echo bye").await;
    let mut events = client.stream(&process).await;
    for n in 0..20 {
        client
            .post(&format!("{process}/stdin"), json!({"data_b64": b64(format!("{n}\n"))}))
            .await
            .ok();
        let event = events.next().await.unwrap();
        assert_eq!(event, json!({"stream": "stdout", "data_b64": b64(format!("got {n}\n"))}));
    }
    client.post(&format!("{process}/stdin"), json!({"eof": true})).await.ok();
    assert_eq!(events.next().await.unwrap()["data_b64"], b64("bye\n"));
    assert_eq!(events.next().await.unwrap(), json!({"event": "exit", "exit_code": 0}));
    assert_eq!(events.next().await, None);
}

async fn nobody_reading_slows_nothing(guest: &TestGuest) {
    let client = guest.client();
    let size = 12_000_000;
    let print = format!("head -c {size} /dev/zero");
    // What the allocator and the threads keep, however much passes through, is there after the first.
    let (first, _) = client.spawn_sh(&print).await;
    assert_eq!(client.wait(&first).await["exit_code"], 0);
    let before = guest.resident();
    let (process, _) = client.spawn_sh(&print).await;
    // This one subscribes and never reads.
    let stalled = client.stream(&process).await;
    assert_eq!(client.wait(&process).await["exit_code"], 0);
    let grown = guest.resident().saturating_sub(before);
    assert!(grown < size as u64 / 2, "grew by {grown} bytes of {size}");
    let seen = client.stream(&process).await.all().await;
    assert_eq!(seen.stdout.len(), size);
    assert!(seen.stdout.iter().all(|b| *b == 0));
    assert_eq!(stalled.all().await.stdout.len(), size);
}

async fn old_output_is_dropped_with_a_notice(guest: &TestGuest) {
    let client = guest.client();
    // The guest of these tests keeps 16 MiB a process.
    let size: u64 = 40 << 20;
    let (process, _) = client.spawn_sh(&format!("head -c {size} /dev/zero; echo end")).await;
    client.wait(&process).await;
    let mut events = client.stream(&process).await;
    let first = events.next().await.unwrap();
    let dropped = first["dropped_bytes"].as_u64().unwrap();
    assert_eq!((&first["stream"], &first["data_b64"]), (&json!("stdout"), &json!("")));
    let (mut kept, mut last) = (0, Vec::new());
    loop {
        let event = events.next().await.unwrap();
        if event["event"] == "exit" {
            break;
        }
        assert_eq!(event.get("dropped_bytes"), None);
        last = base64_simd::STANDARD.decode_to_vec(event["data_b64"].as_str().unwrap()).unwrap();
        kept += last.len() as u64;
    }
    assert_eq!(dropped + kept, size + 4);
    assert!((14 << 20..=16 << 20).contains(&kept), "{kept}");
    assert!(last.ends_with(b"end\n"));
}

async fn what_is_left_in_the_background_does_not_hold_the_stream(guest: &TestGuest) {
    let client = guest.client();
    let (process, pid) = client.spawn_sh("(echo $$; sleep 1000) & echo main; exit 2").await;
    let seen = client.stream(&process).await.all().await;
    assert_eq!(seen.exit_code, Some(2));
    assert!(String::from_utf8(seen.stdout).unwrap().contains("main\n"));
    assert!(guest.processes() > 0, "the stream has ended before the one in the background");
    assert_eq!(client.status(&process).await["mem_bytes"], 0);
    client.sh(&format!("pkill -s {pid}")).await;
    guest.quiet().await;
}

async fn input_reaches_the_process(guest: &TestGuest) {
    let client = guest.client();
    let (process, _) = client.spawn(json!({"command": "cat"})).await;
    let stdin = format!("{process}/stdin");
    let answer = client.post(&stdin, json!({"data_b64": b64("hello ")})).await.ok();
    assert_eq!(answer, json!({"written_bytes": 6}));
    assert_eq!(client.post(&stdin, json!({"data_b64": ""})).await.ok()["written_bytes"], 0);
    // Bytes of one request stay together, however many write at once.
    let writes = (0..20).map(|n| {
        let line = vec![b'a' + n; 40_000];
        client.post(&stdin, json!({"data_b64": b64([&line[..], b"\n"].concat())}))
    });
    futures_util::future::join_all(writes).await.iter().for_each(|answer| {
        assert_eq!(answer.ok()["written_bytes"], 40_001);
    });
    let answer = client.post(&stdin, json!({"data_b64": b64("end"), "eof": true})).await.ok();
    assert_eq!(answer["written_bytes"], 3);
    assert_eq!(client.wait(&process).await["exit_code"], 0);
    let seen = client.stream(&process).await.all().await;
    let text = String::from_utf8(seen.stdout).unwrap();
    let text = text.strip_prefix("hello ").unwrap().strip_suffix("end").unwrap();
    for line in text.lines() {
        assert!(line.len() == 40_000 && line.bytes().all(|b| b == line.as_bytes()[0]));
    }
    assert_eq!(text.lines().count(), 20);
    client.post(&stdin, json!({"data_b64": b64("more")})).await.refused(409, "stdin_closed", "");
    client.post(&stdin, json!({"eof": true})).await.refused(409, "stdin_closed", "");
    // A process that closes its input while it runs.
    let (process, _) = client.spawn_sh("exec 0<&-; echo closed; sleep 1000").await;
    client.stream(&process).await.next().await.unwrap();
    let stdin = format!("{process}/stdin");
    client.post(&stdin, json!({"data_b64": b64("x")})).await.refused(409, "stdin_closed", "");
    client.kill(&process, "KILL").await.ok();
    // Refusals.
    let (process, _) = client.spawn(json!({"command": "cat"})).await;
    let stdin = format!("{process}/stdin");
    for bad in ["!", "YQ", "YQ=", "Y Q==", "YQ==\n", "-_-_"] {
        client.post(&stdin, json!({"data_b64": bad})).await.refused(
            400,
            "invalid_input",
            "data_b64",
        );
    }
    client.post(&stdin, json!({})).await.refused(400, "invalid_input", "data_b64");
    client.post(&stdin, json!({"data_b64": "A".repeat(9 << 20)})).await.refused(
        413,
        "payload_too_large",
        "",
    );
    client.post(&stdin, json!({"eof": true})).await.ok();
    client.wait(&process).await;
}

async fn input_waits_for_a_process_that_does_not_read(guest: &TestGuest) {
    let client = guest.client();
    // It reads a byte, and the rest once the gate is there.
    let gate = guest.home().join("gate");
    let script = format!(
        "head -c 1 >/dev/null; echo first; while [ ! -e {} ]; do sleep 0.01; done; cat >/dev/null",
        gate.display()
    );
    let (process, _) = client.spawn_sh(&script).await;
    let megabyte = json!({"data_b64": b64(vec![b'x'; 1 << 20])});
    let writer = tokio::spawn({
        let (client, stdin) = (client.clone(), format!("{process}/stdin"));
        let megabyte = megabyte.clone();
        async move { client.post(&stdin, megabyte).await.ok() }
    });
    client.stream(&process).await.next().await.unwrap();
    assert!(!writer.is_finished(), "a pipe takes far less");
    std::fs::write(&gate, "").unwrap();
    assert_eq!(writer.await.unwrap()["written_bytes"], 1 << 20);
    client.post(&format!("{process}/stdin"), json!({"eof": true})).await.ok();
    assert_eq!(client.wait(&process).await["exit_code"], 0);
    // It does not wait for ever: one that never reads has taken what its pipe holds.
    let (process, _) = client.spawn_sh("sleep 1000").await;
    let stdin = format!("{process}/stdin");
    let answer = client.post(&stdin, megabyte).await.ok();
    let taken = answer["written_bytes"].as_u64().unwrap();
    assert!((4096..1 << 20).contains(&taken), "{taken}");
    // Nor does the writer of one that is killed meanwhile: it is told so, not that it wrote nothing.
    let (answer, killed) = tokio::join!(
        client.post(&stdin, json!({"data_b64": b64("x")})),
        client.kill(&process, "KILL")
    );
    killed.ok();
    answer.refused(409, "stdin_closed", "");
}

/// Reads terminal output until `text` has come.
async fn until(events: &mut crate::harness::Events, seen: &mut String, text: &str) {
    while !seen.contains(text) {
        let event = events.next().await.unwrap_or_else(|| panic!("no {text:?} in {seen:?}"));
        assert_eq!(event["stream"], "stdout", "{event}");
        let bytes =
            base64_simd::STANDARD.decode_to_vec(event["data_b64"].as_str().unwrap()).unwrap();
        seen.push_str(&String::from_utf8_lossy(&bytes));
    }
    *seen = seen.split_once(text).unwrap().1.to_owned();
}

async fn a_terminal_is_a_terminal(guest: &TestGuest) {
    let client = guest.client();
    let script = "stty size; test -t 0 && test -t 1 && test -t 2 && echo $TERM; : > /dev/tty && echo control; while read line; do echo \"[$line]\"; [ \"$line\" = size ] && stty size; done; echo eof";
    let body = json!({"command": "sh", "args": ["-c", script], "allocate_tty": true, "rows": 33, "cols": 101});
    let (process, _) = client.spawn(body).await;
    let mut events = client.stream(&process).await;
    let mut seen = String::new();
    until(&mut events, &mut seen, "33 101\r\n").await;
    until(&mut events, &mut seen, "xterm-256color\r\n").await;
    until(&mut events, &mut seen, "control\r\n").await;
    client.post(&format!("{process}/resize"), json!({"rows": 20, "cols": 40})).await.ok();
    let stdin = format!("{process}/stdin");
    client.post(&stdin, json!({"data_b64": b64("size\n")})).await.ok();
    until(&mut events, &mut seen, "[size]\r\n20 40\r\n").await;
    client.post(&stdin, json!({"data_b64": b64("again\n")})).await.ok();
    until(&mut events, &mut seen, "[again]\r\n").await;
    for (size, field) in
        [((0, 5), "rows"), ((5, 0), "cols"), ((65536, 5), "rows"), ((-1, 5), "rows")]
    {
        let answer = client
            .post(&format!("{process}/resize"), json!({"rows": size.0, "cols": size.1}))
            .await;
        answer.refused(400, "invalid_input", field);
    }
    client.post(&stdin, json!({"eof": true})).await.ok();
    until(&mut events, &mut seen, "eof\r\n").await;
    assert_eq!(client.wait(&process).await["exit_code"], 0);
    client.post(&format!("{process}/resize"), json!({"rows": 1, "cols": 1})).await.refused(
        409,
        "process_exited",
        "",
    );
    client.post(&stdin, json!({"data_b64": b64("x")})).await.refused(409, "stdin_closed", "");
    // Everything written before the exit is there.
    let body = json!({"command": "sh", "args": ["-c", "seq 1 20000"], "allocate_tty": true});
    let (process, _) = client.spawn(body).await;
    let seen = client.stream(&process).await.all().await;
    let text = String::from_utf8(seen.stdout).unwrap();
    assert_eq!(text.lines().count(), 20_000);
    assert!(text.ends_with("20000\r\n"));
    // Ctrl-C reaches the foreground group; the default size is 24 by 80.
    let body =
        json!({"command": "sh", "args": ["-c", "stty size; sleep 1000"], "allocate_tty": true});
    let (process, _) = client.spawn(body).await;
    let mut events = client.stream(&process).await;
    until(&mut events, &mut String::new(), "24 80\r\n").await;
    // Between two commands dash may lose one.
    let status = loop {
        client.post(&format!("{process}/stdin"), json!({"data_b64": b64("\x03")})).await;
        let status = client.get(&format!("{process}/wait?timeout=1")).await.ok();
        if status["state"] == "exited" {
            break status;
        }
    };
    assert_eq!(status["exit_code"], 130);
    guest.quiet().await;
}

async fn signals(guest: &TestGuest) {
    let client = guest.client();
    for (signal, code) in [("TERM", 143), ("INT", 130), ("HUP", 129), ("KILL", 137)] {
        let (process, pid) = client.spawn_sh("sleep 1000 & sleep 1000; exit 1").await;
        eventually("it has started its children", || guest.processes() >= 3).await;
        // dash loses an INT that comes between fork and exec, so it may take more than one.
        let status = loop {
            client.kill(&process, signal).await;
            let status = client.get(&format!("{process}/wait?timeout=1")).await.ok();
            if status["state"] == "exited" {
                break status;
            }
            assert_eq!(signal, "INT");
        };
        assert_eq!(status["exit_code"], code, "{signal}");
        client.kill(&process, signal).await.refused(409, "process_exited", "");
        if signal == "INT" {
            // A background job of a shell ignores it.
            client.sh(&format!("pkill -s {pid}")).await;
        }
        guest.quiet().await;
    }
    let (process, _) =
        client.spawn_sh("trap 'exit 77' TERM; echo ready; while :; do sleep 0.05; done").await;
    client.stream(&process).await.next().await.unwrap();
    for bad in [json!({"signal": "STOP"}), json!({"signal": 15}), json!({"signal": "term"})] {
        client.post(&format!("{process}/kill"), bad).await.refused(400, "invalid_input", "signal");
    }
    // No body, or an empty one, means TERM; the process may handle it.
    client.send(Client::request("POST", &format!("{process}/kill"), None)).await.ok();
    assert_eq!(client.wait(&process).await["exit_code"], 77);
    let (process, _) = client.spawn_sh("sleep 1000").await;
    client.post(&format!("{process}/resize"), json!({"rows": 1, "cols": 1})).await.refused(
        400,
        "invalid_input",
        "",
    );
    client.post(&format!("{process}/kill"), json!({})).await.ok();
    assert_eq!(client.wait(&process).await["exit_code"], 143);
    guest.quiet().await;
}

async fn a_spawn_has_a_timeout_too(guest: &TestGuest) {
    let client = guest.client();
    let body = json!({"command": "sh", "args": ["-c", "echo before; (setsid sleep 1000 &); sleep 1000"], "timeout_sec": 1});
    let (process, _) = client.spawn(body).await;
    let seen = client.stream(&process).await.all().await;
    assert_eq!((seen.stdout.as_slice(), seen.exit_code), (&b"before\n"[..], Some(124)));
    assert_eq!(client.status(&process).await["exit_code"], 124);
    guest.quiet().await;
}

async fn spawn_refusals(guest: &TestGuest) {
    let client = guest.client();
    let cases: &[(Value, &str)] = &[
        (json!({"command": "no-such-program"}), "command"),
        (json!({"command": 1}), "command"),
        (json!({}), "command"),
        (json!({"command": "sh", "rows": 10}), "rows"),
        (json!({"command": "sh", "cols": 10}), "cols"),
        (json!({"command": "sh", "allocate_tty": true, "rows": 0}), "rows"),
        (json!({"command": "sh", "allocate_tty": true, "cols": 65536}), "cols"),
        (json!({"command": "sh", "allocate_tty": "yes"}), "allocate_tty"),
        (json!({"command": "sh", "env": {"A": 1}}), "env.A"),
        (json!({"command": "sh", "cwd": "/nonexistent"}), "cwd"),
    ];
    for (body, field) in cases {
        client.post("/process/spawn", body.clone()).await.refused(400, "invalid_input", field);
    }
    assert_eq!(client.get("/process").await.ok(), json!([]));
    guest.quiet().await;
}

fn exit_message(code: i32) -> Message {
    Message::Text(format!(r#"{{"type":"exit","exitCode":{code}}}"#).into())
}

type Socket = WebSocketStream<UnixStream>;

async fn attach(guest: &TestGuest, process: &str) -> Socket {
    let stream = UnixStream::connect(guest.socket()).await.unwrap();
    let url = format!("ws://guest{process}/attach");
    tokio_tungstenite::client_async(url, stream).await.unwrap().0
}

/// Collects bytes until `text` has come.
async fn hear(socket: &mut Socket, seen: &mut String, text: &str) {
    while !seen.contains(text) {
        match socket.next().await.unwrap().unwrap() {
            Message::Binary(bytes) => seen.push_str(&String::from_utf8_lossy(&bytes)),
            other => panic!("{other:?} instead of {text:?} after {seen:?}"),
        }
    }
}

async fn attached_clients_share_a_process(guest: &TestGuest) {
    let client = guest.client();
    let body = json!({"command": "sh", "args": ["-c", "stty -echo; echo ready; while read line; do echo \"[$line]\"; [ \"$line\" = size ] && stty size; done; exit 3"], "allocate_tty": true});
    let (process, _) = client.spawn(body).await;
    let mut one = attach(guest, &process).await;
    let (mut first, mut second) = (String::new(), String::new());
    hear(&mut one, &mut first, "ready\r\n").await;
    one.send(Message::Binary("from one\n".into())).await.unwrap();
    hear(&mut one, &mut first, "[from one]\r\n").await;
    // A later one sees it all, and both may write.
    let mut two = attach(guest, &process).await;
    hear(&mut two, &mut second, "ready\r\n[from one]\r\n").await;
    two.send(Message::Text(json!({"type": "resize", "rows": 7, "cols": 9}).to_string().into()))
        .await
        .unwrap();
    two.send(Message::Binary("size\n".into())).await.unwrap();
    hear(&mut one, &mut first, "7 9\r\n").await;
    hear(&mut two, &mut second, "7 9\r\n").await;
    one.send(Message::Text(json!({"type": "eof"}).to_string().into())).await.unwrap();
    for socket in [&mut one, &mut two] {
        assert_eq!(socket.next().await.unwrap().unwrap(), exit_message(3));
        let Message::Close(Some(CloseFrame { code, .. })) = socket.next().await.unwrap().unwrap()
        else {
            panic!("no close frame")
        };
        assert_eq!(u16::from(code), 1000);
    }
    // After the exit: the whole output, then the exit.
    let mut late = attach(guest, &process).await;
    let mut third = String::new();
    hear(&mut late, &mut third, "7 9\r\n").await;
    assert!(late.next().await.unwrap().unwrap().is_text());
    // Without a terminal, and with a viewer that never reads.
    let (process, _) = client.spawn_sh("cat; head -c 10000000 /dev/zero; exit 4").await;
    let _stalled = attach(guest, &process).await;
    let mut socket = attach(guest, &process).await;
    socket.send(Message::Binary("through a pipe".into())).await.unwrap();
    let mut seen = String::new();
    hear(&mut socket, &mut seen, "through a pipe").await;
    socket.send(Message::Text(json!({"type": "eof"}).to_string().into())).await.unwrap();
    assert_eq!(client.wait(&process).await["exit_code"], 4);
    let mut bytes = 0;
    let exit = loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Binary(data) => bytes += data.len(),
            other => break other,
        }
    };
    assert_eq!(bytes, 10_000_000);
    assert_eq!(exit, exit_message(4));
}

async fn attach_refusals(guest: &TestGuest) {
    let client = guest.client();
    let (process, _) = client.spawn(json!({"command": "cat"})).await;
    client.get(&format!("{process}/attach")).await.refused(426, "upgrade_required", "");
    let closed = async |message: Message| {
        let mut socket = attach(guest, &process).await;
        if socket.send(message).await.is_err() {
            // The guest did not read it to its end.
            return 1009;
        }
        loop {
            match socket.next().await {
                Some(Ok(Message::Close(Some(frame)))) => return u16::from(frame.code),
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    assert_eq!(closed(Message::Text("hello".into())).await, 1008);
    assert_eq!(
        closed(Message::Text(json!({"type": "resize", "rows": 1, "cols": 1}).to_string().into()))
            .await,
        1008
    );
    assert_eq!(
        closed(Message::Text(json!({"type": "exit", "exitCode": 0}).to_string().into())).await,
        1008
    );
    assert_eq!(closed(Message::Binary(vec![0; (1 << 20) + 1].into())).await, 1009);
    // None of that harmed the process.
    assert_eq!(client.status(&process).await["state"], "running");
    client.post(&format!("{process}/stdin"), json!({"eof": true})).await.ok();
    assert_eq!(client.wait(&process).await["exit_code"], 0);
}
