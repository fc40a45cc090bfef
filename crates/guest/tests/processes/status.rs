//! Status: state, exit code, CPU and memory of a process and everything it started.

use std::time::{Duration, Instant};

use crate::harness::{Client, TestGuest, Way, eventually};
use serde_json::{Value, json};

both_ways!(
    exactly_four_fields,
    a_busy_loop_shows_what_the_kernel_accounts,
    children_and_daemons_count,
    memory_counts_children_too,
    unknown_and_malformed_ids,
    waiting,
    listing,
    only_so_many_exited_are_kept,
);

const BUSY: &str = "while :; do :; done";

async fn exactly_four_fields(guest: &TestGuest) {
    let client = guest.client();
    let (running, pid) = client.spawn_sh("sleep 1000").await;
    assert!(pid > 0);
    let (exited, _) = client.spawn_sh("exit 5").await;
    let (killed, _) = client.spawn_sh("kill -9 $$").await;
    assert_eq!(
        client.wait(&exited).await,
        json!({"state": "exited", "exit_code": 5, "cpu_pct": 0.0, "mem_bytes": 0})
    );
    assert_eq!(client.wait(&killed).await["exit_code"], 137);
    assert_eq!(client.status(&exited).await, client.wait(&exited).await);
    let status = client.status(&running).await;
    let mut fields: Vec<_> = status.as_object().unwrap().keys().cloned().collect();
    fields.sort();
    assert_eq!(fields, ["cpu_pct", "exit_code", "mem_bytes", "state"]);
    assert_eq!((&status["state"], &status["exit_code"]), (&json!("running"), &Value::Null));
    assert!(status["mem_bytes"].as_u64().unwrap() > 100_000, "{status}");
    assert!(status["cpu_pct"].as_f64().unwrap() < 100.0 * cores(), "{status}");
    client.kill(&running, "KILL").await.ok();
    client.wait(&running).await;
    guest.quiet().await;
}

fn cores() -> f64 {
    std::thread::available_parallelism().unwrap().get() as f64
}

async fn a_busy_loop_shows_what_the_kernel_accounts(guest: &TestGuest) {
    let client = guest.client();
    let (process, pid) = client.spawn_sh(BUSY).await;
    // Measured over about the window the status looks back on. A loaded machine gives the loop less
    // than a whole core, and the status must say so; once both looked at the same stretch, they agree.
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let (from, before) = (Instant::now(), guest.cpu_truth(pid));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let status = client.status(&process).await;
        let spent = (guest.cpu_truth(pid) - before) as f64;
        let truth = spent * 100.0 / from.elapsed().as_micros() as f64;
        let shown = status["cpu_pct"].as_f64().unwrap();
        if truth > 20.0 && (shown - truth).abs() < 10.0 {
            break;
        }
        assert!(Instant::now() < deadline, "shown {shown}, in truth {truth}");
    }
    // Stopped, it shows 0 as soon as the window has passed.
    client.sh(&format!("kill -STOP {pid}")).await;
    let mut last = Value::Null;
    let deadline = Instant::now() + Duration::from_secs(10);
    while last["cpu_pct"] != 0.0 {
        assert!(Instant::now() < deadline, "{last}");
        tokio::time::sleep(Duration::from_millis(50)).await;
        last = client.status(&process).await;
    }
    client.kill(&process, "KILL").await.ok();
    assert_eq!(client.wait(&process).await["cpu_pct"], 0.0);
}

/// Waits until the process shows at least `percent`.
async fn shows(client: &Client, process: &str, percent: f64) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let status = client.status(process).await;
        assert_eq!(status["state"], "running");
        if status["cpu_pct"].as_f64().unwrap() >= percent {
            return;
        }
        assert!(Instant::now() < deadline, "{status}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn children_and_daemons_count(guest: &TestGuest) {
    let client = guest.client();
    // The shell itself only waits.
    let (shell, _) = client.spawn_sh(&format!("({BUSY}) & wait")).await;
    shows(&client, &shell, 10.0).await;
    client.kill(&shell, "KILL").await.ok();
    client.wait(&shell).await;
    // A daemon: new session, parent gone.
    let daemon = format!("(setsid sh -c '(setsid sh -c \"{BUSY}\" &)' &); sleep 1000");
    let (process, _) = client.spawn_sh(&daemon).await;
    shows(&client, &process, 10.0).await;
    // KILL reaches it too.
    client.kill(&process, "KILL").await.ok();
    client.wait(&process).await;
    guest.quiet().await;
    // Many short-lived children, none of which is alive for long.
    let (process, _) = client
        .spawn_sh("while :; do sh -c 'i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done'; done")
        .await;
    shows(&client, &process, 10.0).await;
    client.kill(&process, "KILL").await.ok();
    client.wait(&process).await;
    guest.quiet().await;
}

async fn memory_counts_children_too(guest: &TestGuest) {
    let client = guest.client();
    // tail keeps all of a file without newlines in memory.
    let (process, _) =
        client.spawn_sh("(head -c 60000000 /dev/zero; sleep 1000) | tail -n 1").await;
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let mem = client.status(&process).await["mem_bytes"].as_u64().unwrap();
        if mem > 55_000_000 {
            assert!(mem < 200_000_000, "{mem}");
            break;
        }
        assert!(Instant::now() < deadline, "{mem}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    client.kill(&process, "KILL").await.ok();
    assert_eq!(client.wait(&process).await["mem_bytes"], 0);
}

async fn unknown_and_malformed_ids(guest: &TestGuest) {
    let client = guest.client();
    let unknown = "00000000-0000-4000-8000-000000000000";
    for (method, route) in [
        ("GET", "status"),
        ("GET", "wait"),
        ("GET", "stdout/stream"),
        ("GET", "attach"),
        ("POST", "kill"),
        ("POST", "stdin"),
        ("POST", "resize"),
    ] {
        let body = match route {
            "stdin" => Some(json!({"data_b64": ""})),
            "resize" => Some(json!({"rows": 1, "cols": 1})),
            _ => None,
        };
        let ask = async |id: &str| {
            client
                .send(Client::request(method, &format!("/process/{id}/{route}"), body.as_ref()))
                .await
        };
        ask(unknown).await.refused(404, "process_not_found", "");
        for bad in [
            "x",
            "123",
            "00000000000040008000000000000000",
            "%00",
            "..%2f..",
            &format!("{{{unknown}}}").replace('{', "%7B").replace('}', "%7D"),
        ] {
            ask(bad).await.refused(400, "bad_request", "process_id");
        }
    }
    client.get(&format!("/process/{unknown}/nothing")).await.refused(404, "route_not_found", "");
    client.get(&format!("/process/{unknown}/kill")).await.refused(405, "method_not_allowed", "");
}

async fn waiting(guest: &TestGuest) {
    let client = guest.client();
    let (process, _) = client.spawn_sh("read line; exit 9").await;
    let status = client.get(&format!("{process}/wait?timeout=0")).await.ok();
    assert_eq!(status["state"], "running");
    let begun = Instant::now();
    let status = client.get(&format!("{process}/wait?timeout=1")).await.ok();
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!((&status["state"], &status["exit_code"]), (&json!("running"), &Value::Null));
    let waiting = tokio::spawn({
        let (client, process) = (client.clone(), process.clone());
        async move { client.wait(&process).await }
    });
    client.post(&format!("{process}/stdin"), json!({"data_b64": "Cg=="})).await.ok();
    assert_eq!(waiting.await.unwrap()["exit_code"], 9);
    client.get(&format!("{process}/wait?timeout=301")).await.refused(
        400,
        "invalid_input",
        "timeout",
    );
    client.get(&format!("{process}/wait?timeout=x")).await.refused(400, "invalid_input", "timeout");
}

async fn listing(guest: &TestGuest) {
    let client = guest.client();
    assert_eq!(client.get("/process").await.ok(), json!([]));
    let (first, pid) = client.spawn(json!({"command": "sleep", "args": ["1000"]})).await;
    let (second, _) = client.spawn(json!({"command": "true", "allocate_tty": true})).await;
    client.wait(&second).await;
    let list = client.get("/process").await.ok();
    assert_eq!(list.as_array().unwrap().len(), 2);
    assert_eq!(list[0]["process_id"], first.trim_start_matches("/process/"));
    assert_eq!(list[0]["pid"], pid);
    assert_eq!((&list[0]["command"], &list[0]["args"]), (&json!("sleep"), &json!(["1000"])));
    assert_eq!((&list[0]["tty"], &list[0]["status"]["state"]), (&json!(false), &json!("running")));
    assert_eq!(list[0].get("exited_at"), None);
    assert_eq!((&list[1]["tty"], &list[1]["status"]["state"]), (&json!(true), &json!("exited")));
    assert!(list[1]["exited_at"].as_str() >= list[1]["started_at"].as_str());
    client.kill(&first, "KILL").await.ok();
    client.wait(&first).await;
}

async fn only_so_many_exited_are_kept(guest: &TestGuest) {
    let client = guest.client();
    if guest.way == Way::Tree {
        return;
    }
    let (first, _) = client.spawn_sh("echo first").await;
    client.wait(&first).await;
    assert_eq!(guest.output_files(), 1);
    let (kept, _) = client.spawn_sh("echo kept").await;
    client.wait(&kept).await;
    for _ in 0..1999 {
        let (process, _) = client.spawn(json!({"command": "true"})).await;
        client.wait(&process).await;
    }
    client.get(&format!("{first}/status")).await.refused(404, "process_not_found", "");
    assert_eq!(client.status(&kept).await["exit_code"], 0);
    // The output of the forgotten one is gone, that of the kept one is there.
    assert_eq!(guest.output_files(), 1);
    assert_eq!(client.stream(&kept).await.all().await.stdout, b"kept\n");
    assert_eq!(client.get("/process").await.ok().as_array().unwrap().len(), 2000);
    eventually("no leaves are left", || guest.leaves() == 0).await;
}
