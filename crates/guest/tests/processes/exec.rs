//! `POST /process/exec`, rule by rule.

use crate::harness::{Client, TestGuest, Way, eventually, output};
use serde_json::{Value, json};

both_ways!(
    arguments_are_passed_as_they_are,
    exit_codes_and_signals,
    shell_syntax_runs_through_sh,
    refusals_say_what_is_wrong,
    the_environment_is_clean,
    users,
    a_timeout_kills_everything_and_is_no_error,
    a_background_child_does_not_hang_the_call_and_lives_on,
    a_client_that_leaves_ends_the_command,
    output_beyond_the_limit_is_counted,
    many_at_once_leave_nothing,
);

async fn arguments_are_passed_as_they_are(guest: &TestGuest) {
    let client = guest.client();
    let args = ["a b", "", "$HOME", "*", "; exit 9", "ü\n", "-n"];
    let mut all = vec!["[%s]", "--"];
    all.extend(args);
    let answer = client.exec(json!({"command": "printf", "args": &all[..]})).await.ok();
    let (code, out, err) = output(&answer);
    let expected: String =
        std::iter::once("[--]".to_owned()).chain(args.iter().map(|a| format!("[{a}]"))).collect();
    assert_eq!((code, out, err.as_str()), (0, expected, ""));
    let mut fields: Vec<&String> = answer.as_object().unwrap().keys().collect();
    fields.sort();
    assert_eq!(fields, ["duration_ms", "exit_code", "stderr_b64", "stdout_b64"]);
    // Standard input is empty.
    assert_eq!(client.sh("cat; echo end").await, (0, "end\n".into(), String::new()));
    // Unknown fields are ignored.
    let answer = client.exec(json!({"command": "true", "some_new_field": 1})).await.ok();
    assert_eq!(answer["exit_code"], 0);
    guest.quiet().await;
}

async fn exit_codes_and_signals(guest: &TestGuest) {
    let client = guest.client();
    let (code, out, err) = client.sh("echo out; echo err >&2; exit 3").await;
    assert_eq!((code, out.as_str(), err.as_str()), (3, "out\n", "err\n"));
    assert_eq!(client.sh("kill -9 $$").await.0, 137);
    assert_eq!(client.sh("kill -15 $$").await.0, 143);
    let slow = client.exec(json!({"command": "sleep", "args": ["0.2"]})).await.ok();
    let duration = slow["duration_ms"].as_u64().unwrap();
    assert!(duration >= 200, "{duration}");
}

async fn shell_syntax_runs_through_sh(guest: &TestGuest) {
    let client = guest.client();
    let run = async |command: &str| output(&client.exec(json!({"command": command})).await.ok());
    assert_eq!(run("echo one | tr o O && exit 4").await, (4, "One\n".into(), String::new()));
    assert_eq!(run("X=1; echo $X").await.1, "1\n");
    assert_eq!(run("pwd").await.1.trim_end(), guest.home().to_str().unwrap());
    // A path with a space that exists needs no shell.
    let program = guest.home().join("my program");
    std::fs::write(&program, "#!/bin/sh\necho ran\n").unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    assert_eq!(run(program.to_str().unwrap()).await.1, "ran\n");
    // With arguments there is no shell, whatever the name looks like.
    client.exec(json!({"command": "echo hi", "args": ["x"]})).await.refused(
        400,
        "invalid_input",
        "command",
    );
}

async fn refusals_say_what_is_wrong(guest: &TestGuest) {
    let client = guest.client();
    let home = guest.home();
    let script = home.join("no-interpreter");
    std::fs::write(&script, "echo hi\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let script = script.to_str().unwrap();
    let cases: &[(Value, &str, &str)] = &[
        (json!({"command": ""}), "command", "empty"),
        (json!({"command": "  "}), "command", "empty"),
        (json!({}), "command", "missing"),
        (json!({"command": 5}), "command", "string"),
        (json!({"command": "no-such-program-here"}), "command", "No such file"),
        (json!({"command": "/etc/passwd"}), "command", "Permission denied"),
        (json!({"command": "/etc"}), "command", "Permission denied"),
        (json!({"command": "/etc/passwd/x"}), "command", "Not a directory"),
        (json!({"command": script, "args": ["x"]}), "command", "format"),
        (json!({"command": "a\0b"}), "command", "NUL"),
        (json!({"command": "echo", "args": ["a", "b\0"]}), "args[1]", "NUL"),
        (json!({"command": "echo", "args": "a"}), "args", "sequence"),
        (json!({"command": "true", "cwd": "relative"}), "cwd", "absolute"),
        (json!({"command": "true", "cwd": ""}), "cwd", "absolute"),
        (json!({"command": "true", "cwd": "/nonexistent"}), "cwd", "No such file"),
        (json!({"command": "true", "cwd": "/etc/passwd"}), "cwd", "Not a directory"),
        (json!({"command": "true", "cwd": "/\0"}), "cwd", "NUL"),
        (json!({"command": "true", "env": {"A=B": "x"}}), "env", "name"),
        (json!({"command": "true", "env": {"": "x"}}), "env", "name"),
        (json!({"command": "true", "env": {"A": "\0"}}), "env.A", "NUL"),
        (json!({"command": "true", "env": {"A": 1}}), "env.A", "string"),
        (json!({"command": "true", "timeout_sec": -1}), "timeout_sec", ""),
        (json!({"command": "true", "timeout_sec": 1.5}), "timeout_sec", ""),
        (json!({"command": "true", "timeout_sec": 259_201}), "timeout_sec", "259200"),
        (json!({"command": "true", "as_user": "nobody-of-that-name"}), "as_user", "not a user"),
        (json!({"command": "true", "as_user": ""}), "as_user", "not a user"),
        (json!({"command": "true", "as_user": "root", "as_root": true}), "as_user", "exclude"),
        (json!({"command": "echo", "args": ["x".repeat(200_000)]}), "args", "too long"),
        (json!({"command": "true", "env": {"PATH": ""}}), "command", "No such file"),
    ];
    for (body, field, words) in cases {
        let answer = client.exec(body.clone()).await;
        answer.refused(400, "invalid_input", field);
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(words), "{body}: {message}");
    }
    let send = async |content_type: &str, body: &'static [u8]| {
        let mut request = Client::request("POST", "/process/exec", None);
        request.headers_mut().insert("content-type", content_type.parse().unwrap());
        *request.body_mut() = body.into();
        client.send(request).await
    };
    send("text/plain", b"{}").await.refused(415, "unsupported_media_type", "");
    send("application/json", b"{").await.refused(400, "bad_request", "body");
    send("application/json", b"{} x").await.refused(400, "invalid_input", "command");
    let huge = json!({"command": "true", "args": ["x".repeat(5 << 20)]});
    client.exec(huge).await.refused(413, "payload_too_large", "");
    client.get("/process/exec").await.refused(405, "method_not_allowed", "");
    client.get("/no/such").await.refused(404, "route_not_found", "");
    guest.quiet().await;
}

async fn the_environment_is_clean(guest: &TestGuest) {
    let client = guest.client();
    let body = json!({"command": "/usr/bin/env", "env": {"LANG": "C", "ADDED": "a=b c"}});
    let (_, out, _) = output(&client.exec(body).await.ok());
    let vars: std::collections::BTreeMap<&str, &str> =
        out.lines().filter_map(|line| line.split_once('=')).collect();
    let home = guest.home();
    for (name, value) in [
        ("HOME", home.to_str().unwrap()),
        ("USER", "kernel"),
        ("LOGNAME", "kernel"),
        ("LANG", "C"),
        ("TZ", "Europe/Berlin"),
        ("ADDED", "a=b c"),
        ("HTTP_PROXY", "http://127.0.0.1:3128"),
        ("https_proxy", "http://127.0.0.1:3128"),
        ("no_proxy", "localhost,127.0.0.1,::1"),
    ] {
        assert_eq!(vars.get(name), Some(&value), "{name}");
    }
    assert!(vars["PATH"].contains("/usr/bin"));
    // Nothing of the guest's own environment, and no display without an X server.
    for name in ["BROWSERD_TEST_GUEST", "CARGO_MANIFEST_DIR", "DISPLAY", "TERM"] {
        assert!(!vars.contains_key(name), "{name}");
    }
    // No descriptors of the guest.
    assert_eq!(client.sh("ls /proc/self/fd | tr '\\n' ' '").await.1, "0 1 2 3 ");
    let body = json!({"command": "pwd", "cwd": "/usr/share"});
    assert_eq!(output(&client.exec(body).await.ok()).1, "/usr/share\n");
    // PATH of the request decides.
    let tool = guest.home().join("mytool");
    std::fs::write(&tool, "#!/bin/sh\necho mine\n").unwrap();
    std::fs::set_permissions(&tool, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let body =
        json!({"command": "mytool", "env": {"PATH": format!("/nowhere:{}", home.display())}});
    assert_eq!(output(&client.exec(body).await.ok()).1, "mine\n");
}

async fn users(guest: &TestGuest) {
    let client = guest.client();
    let id = async |mut body: Value| {
        body["command"] = "sh".into();
        body["args"] = json!([
            "-c",
            "id -u; id -g; grep -E '^Cap(Eff|Prm|Bnd)' /proc/self/status | cut -f2 | sort -u | tr '\\n' ' '; echo $HOME"
        ]);
        client.exec(body).await
    };
    let home = guest.home();
    let home = home.to_str().unwrap();
    if guest.way == Way::Tree {
        id(json!({"as_root": true})).await.refused(400, "invalid_input", "as_root");
        id(json!({"as_user": "root"})).await.refused(400, "invalid_input", "as_user");
        let own = output(&id(json!({})).await.ok()).1;
        assert!(!own.starts_with("0\n"), "{own}");
        return;
    }
    let none = "0000000000000000";
    let text = async |body: Value| output(&id(body).await.ok()).1;
    assert_eq!(text(json!({})).await, format!("1000\n1000\n{none} {home}\n"));
    assert_eq!(text(json!({"as_root": true})).await, "0\n0\n00000000000004ff /root\n");
    assert_eq!(text(json!({"as_user": "1234:2345"})).await, format!("1234\n2345\n{none} /\n"));
    assert_eq!(text(json!({"as_user": "daemon"})).await, format!("1\n1\n{none} /usr/sbin\n"));
    assert_eq!(text(json!({"as_user": "1"})).await, text(json!({"as_user": "daemon"})).await);
    // The new user's rights count for the working directory and the program.
    let body = json!({"command": "true", "cwd": "/root", "as_user": "4242"});
    client.exec(body).await.refused(400, "invalid_input", "cwd");
}

async fn a_timeout_kills_everything_and_is_no_error(guest: &TestGuest) {
    let client = guest.client();
    let script = "echo before; setsid sleep 1000 & (setsid sleep 1000 &) ; sleep 1000 & sleep 1000; echo after";
    let body = json!({"command": "sh", "args": ["-c", script], "timeout_sec": 1});
    let answer = client.exec(body).await.ok();
    assert_eq!(output(&answer), (124, "before\n".into(), String::new()));
    assert_eq!(answer["timed_out"], true);
    guest.quiet().await;
    // A command that is faster is not touched; 0 means no timeout.
    let answer = client.exec(json!({"command": "true", "timeout_sec": 100})).await.ok();
    assert_eq!((&answer["exit_code"], &answer["timed_out"]), (&json!(0), &Value::Null));
    assert_eq!(
        client.exec(json!({"command": "true", "timeout_sec": 0})).await.ok()["exit_code"],
        0
    );
}

async fn a_background_child_does_not_hang_the_call_and_lives_on(guest: &TestGuest) {
    let client = guest.client();
    // It holds standard output and goes on writing to it.
    let file = guest.home().join("alive");
    let script = format!(
        "(while :; do echo noise; echo x >> {}; sleep 0.02; done) & echo started",
        file.display()
    );
    let (code, out, _) = client.sh(&script).await;
    assert_eq!(
        (code, out.starts_with("started") || out.ends_with("started\n")),
        (0, true),
        "{out}"
    );
    // It lives on after the answer. Far more than a pipe holds would have to be written for it to block; a closed pipe would
    // kill it at once.
    let size = || std::fs::metadata(&file).map_or(0, |m| m.len());
    let before = size();
    eventually("the background child goes on", || size() > before + 20).await;
    assert!(guest.processes() > 0);
    client.sh(&format!("pkill -f {}", file.display())).await;
    guest.quiet().await;
}

async fn a_client_that_leaves_ends_the_command(guest: &TestGuest) {
    let client = guest.client();
    let body = json!({"command": "sh", "args": ["-c", "setsid sleep 1000 & sleep 1000"]});
    let call = tokio::spawn(async move { client.exec(body).await });
    eventually("it runs", || guest.processes() >= 3).await;
    call.abort();
    let _ = call.await;
    guest.quiet().await;
}

async fn output_beyond_the_limit_is_counted(guest: &TestGuest) {
    let client = guest.client();
    let limit = 8 << 20;
    let script = format!("head -c {} /dev/zero; printf abc >&2", limit + 12_345);
    let answer = client.exec(json!({"command": "sh", "args": ["-c", script]})).await.ok();
    let (code, out, err) = output(&answer);
    assert_eq!((code, out.len(), err.as_str()), (0, limit, "abc"));
    assert_eq!(answer["stdout_truncated_bytes"], 12_345);
    assert_eq!(answer.get("stderr_truncated_bytes"), None);
}

async fn many_at_once_leave_nothing(guest: &TestGuest) {
    let client = guest.client();
    let calls = (0..60).map(|n| {
        let client = client.clone();
        tokio::spawn(async move { client.sh(&format!("echo {n}; (true &); exit {}", n % 7)).await })
    });
    let calls: Vec<_> = calls.collect();
    for (n, call) in calls.into_iter().enumerate() {
        let (code, out, _) = call.await.unwrap();
        assert_eq!((code, out), (n as i64 % 7, format!("{n}\n")));
    }
    guest.quiet().await;
}
