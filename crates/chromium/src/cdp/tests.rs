//! The client against a counterpart that sends what a test says.

use std::io::{Read, Write};

use serde_json::{Value, json};

use super::*;

/// Chromium's ends of the pipes.
struct Far {
    commands: io::PipeReader,
    answers: io::PipeWriter,
}

impl Far {
    fn connect() -> (Cdp, Self) {
        let (commands, ours_out) = io::pipe().unwrap();
        let (ours_in, answers) = io::pipe().unwrap();
        (Cdp::over(ours_out.into(), ours_in.into()).unwrap(), Self { commands, answers })
    }

    async fn command(&mut self) -> Value {
        let mut commands = self.commands.try_clone().unwrap();
        tokio::task::spawn_blocking(move || {
            let mut message = Vec::new();
            let mut byte = [0];
            while commands.read_exact(&mut byte).is_ok() && byte[0] != 0 {
                message.push(byte[0]);
            }
            serde_json::from_slice(&message).unwrap()
        })
        .await
        .unwrap()
    }

    fn say(&mut self, message: &Value) {
        self.answers.write_all(format!("{message}\0").as_bytes()).unwrap();
    }
}

#[tokio::test]
async fn answers_find_their_calls_in_any_order() {
    let (cdp, mut far) = Far::connect();
    let (one, two) = (cdp.clone(), cdp.clone());
    let session = SessionId("S".into());
    let one = tokio::spawn(async move { one.call::<_, Value>(None, "A.a", json!({})).await });
    let first = far.command().await;
    let two =
        tokio::spawn(async move { two.call::<_, Value>(Some(&session), "B.b", json!({})).await });
    let second = far.command().await;
    assert_eq!(first["method"], "A.a");
    assert!(first.get("sessionId").is_none());
    assert_eq!(second["sessionId"], "S");
    far.say(&json!({"id": second["id"], "error": {"code": -32000, "message": "no"}}));
    far.say(&json!({"id": first["id"], "result": {"x": 1}}));
    assert_eq!(one.await.unwrap().unwrap(), json!({"x": 1}));
    match two.await.unwrap() {
        Err(CdpError::Refused { code: -32000, message, .. }) => assert_eq!(message, "no"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn events_reach_listeners() {
    let (cdp, mut far) = Far::connect();
    let mut events = cdp.events();
    far.say(
        &json!({"method": "Target.targetCreated", "params": {"a": "\u{e9}"}, "sessionId": "S"}),
    );
    let event = events.recv().await.unwrap();
    assert_eq!(event.method, "Target.targetCreated");
    assert_eq!(event.session.as_deref(), Some("S"));
    assert_eq!(event.params.as_ref().unwrap().get(), "{\"a\":\"\u{e9}\"}");
}

#[tokio::test]
async fn the_end_of_chromium_fails_waiting_and_later_calls() {
    let (cdp, mut far) = Far::connect();
    let waiting = tokio::spawn({
        let cdp = cdp.clone();
        async move { cdp.version().await }
    });
    far.command().await;
    drop(far);
    assert!(matches!(waiting.await.unwrap(), Err(CdpError::Closed { .. })));
    cdp.closed().await;
    assert!(matches!(cdp.version().await, Err(CdpError::Closed { .. })));
}

#[tokio::test]
async fn what_is_no_message_closes() {
    for bad in [b"{\"id\":1\0".as_slice(), b"\xff\0", b"[1,2\0", b"\0", b"{\"id\":-1}\0"] {
        let (cdp, mut far) = Far::connect();
        far.answers.write_all(bad).unwrap();
        cdp.closed().await;
    }
}

#[tokio::test]
async fn answers_to_nobody_are_ignored() {
    let (cdp, mut far) = Far::connect();
    far.say(&json!({"id": 99, "result": {}}));
    far.say(&json!({"unknown": true}));
    let pages = tokio::spawn(async move { cdp.pages().await });
    let command = far.command().await;
    far.say(&json!({"id": command["id"], "result": {"targetInfos": [
        {"targetId": "a", "type": "page", "url": "about:blank", "title": ""},
        {"targetId": "b", "type": "service_worker", "url": "https://example.com/sw.js"},
    ]}}));
    let pages = pages.await.unwrap().unwrap();
    assert_eq!(pages.len(), 1);
    assert_eq!(pages[0].target_id, "a");
}

#[tokio::test]
async fn an_answer_of_many_megabytes_arrives() {
    let (cdp, mut far) = Far::connect();
    let picture = tokio::spawn(async move {
        cdp.call::<_, Value>(None, "Page.captureScreenshot", json!({})).await
    });
    let id = far.command().await["id"].clone();
    let data = "A".repeat(40 << 20);
    let answer = json!({"id": id, "result": {"data": data}});
    let say = std::thread::spawn(move || far.say(&answer));
    assert_eq!(picture.await.unwrap().unwrap()["data"], data.as_str());
    say.join().unwrap();
}

#[tokio::test]
async fn a_message_over_the_limit_closes() {
    let (cdp, mut far) = Far::connect();
    let flood = std::thread::spawn(move || {
        let block = vec![b' '; 1 << 20];
        // Fails with a broken pipe once the client has had enough.
        while far.answers.write_all(&block).is_ok() {}
    });
    cdp.closed().await;
    drop(cdp);
    flood.join().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_call_without_answer_times_out_and_is_forgotten() {
    let (cdp, _far) = Far::connect();
    assert!(matches!(cdp.version().await, Err(CdpError::TimedOut { .. })));
    assert_eq!(cdp.inner.shared.pending.lock().as_ref().unwrap().len(), 0);
}
