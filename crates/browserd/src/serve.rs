//! `browserd serve`: from settings to a server that runs until it is told to stop.
//!
//! ```text
//!  settings ─▶ logs ─▶ doctor ─▶ state folder ─▶ local runtime ──┐ one thread up to here, because
//!                 │                                              │ cgroups may have to be changed
//!                 └ a hard requirement is not met: exit code 1   ▼
//!                       stop ◀─ server ◀─ fleet ◀─ listener ◀─ keys ◀─ store
//! ```

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use browserd_fleet::local::{LocalConfig, LocalRuntime};
use browserd_fleet::{Budgets, CHROMIUM_SETTLES, Class, Fleet, FleetOptions, PING_EVERY, Runtime};
use browserd_protocol::{DiskReserve, EgressPolicy, Programs};
use browserd_server::{ApiKeys, Profiles, Recordings, Server, ServerConfig};
use browserd_store::{Blobs, DiskBlobs, SqliteStore, Store};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;

use crate::programs::Search;
use crate::settings::{Environment, Flags, HeadlessEngine, Host, Listen, Settings, resolve};
use crate::state::StateDir;
use crate::{doctor, first_key, logs, stop};

/// Runs the server.
pub(crate) fn run(flags: Flags) -> Result<ExitCode> {
    let settings = resolve(flags, &Environment::of_process(), &Host::this())?;
    logs::start(&settings.log, settings.log_format)?;
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    let checks = doctor::examine(&settings);
    for check in doctor::warnings(&checks) {
        tracing::warn!(check = check.name, fix = check.fix, "{}", check.message);
    }
    let failures = doctor::hard_failures(&checks);
    let search = Search::on_this_host(&settings);
    let programs = search.programs(doctor::version(search.headless()).ok().as_deref());
    let (true, Some(programs)) = (failures.is_empty(), programs) else {
        refuse(&failures).context("cannot say why the server does not start")?;
        return Ok(ExitCode::FAILURE);
    };
    raise_descriptor_limit();
    let state = StateDir::open(&settings.state_dir)?;
    let screens = programs.xvfb.is_some();
    let local = LocalRuntime::prepare(local_config(&settings, &state, programs)?)
        .context("cannot prepare this host for sessions")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("browserd")
        .build()
        .context("cannot start the async runtime")?;
    let local = Arc::new(local);
    let served =
        runtime.block_on(serve(&settings, screens, &state, Arc::clone(&local) as Arc<dyn Runtime>));
    // Also after a failure: what was prepared must not pile up over restarts.
    let dismantled = local.dismantle().context("cannot clear up after the last session");
    served.and(dismantled)?;
    Ok(ExitCode::SUCCESS)
}

/// Each session takes some descriptors, and so does each of its clients: the soft limit most systems
/// start with (1024) ends at a few hundred sessions. What sessions start has limits of its own.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// Says what keeps sessions from working, in `doctor`'s own lines.
fn refuse(failures: &[String]) -> std::io::Result<()> {
    let mut stderr = std::io::stderr().lock();
    writeln!(stderr, "browserd cannot run sessions on this host yet:\n")?;
    for failure in failures {
        writeln!(stderr, "{failure}")?;
    }
    writeln!(stderr, "\n`browserd doctor` shows everything that was looked at.")
}

fn local_config(settings: &Settings, state: &StateDir, programs: Programs) -> Result<LocalConfig> {
    Ok(LocalConfig {
        state_dir: state.path().to_owned(),
        program: std::env::current_exe().context("cannot find this program's own file")?,
        programs,
        egress: egress(settings),
        timezone: settings.timezone.clone(),
        locale: settings.locale.clone(),
        pids_max: settings.pids_max,
        cpu_max_pct: settings.cpu_max_pct,
        disk_limit: settings.session_disk,
        disk_reserve: settings.disk_reserve().map_or(0, DiskReserve::bytes),
        merge_memory: settings.merge_memory,
        log: settings.log.clone(),
    })
}

fn egress(settings: &Settings) -> EgressPolicy {
    EgressPolicy { allowed_private_hosts: settings.allowed_private_hosts.clone() }
}

/// How many sessions are started at a time: more only take turns, and all of them become late.
fn starts_at_once() -> usize {
    2 * std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

async fn listener(listen: &Listen) -> std::io::Result<TcpListener> {
    TcpListener::bind(&*listen.addresses().await?).await
}

async fn serve(
    settings: &Settings,
    screens: bool,
    state: &StateDir,
    runtime: Arc<dyn Runtime>,
) -> Result<()> {
    let stop = stop::requested().context("cannot listen for signals")?;
    let store = SqliteStore::open(&state.path().join("browserd.db")).await?;
    let keys = first_key::establish(settings.api_key.as_ref(), &store, state.path()).await?;
    let listener = listener(&settings.listen).await.with_context(|| {
        format!("cannot listen on {}; choose another address with --listen", settings.listen)
    })?;
    let listen = listener.local_addr()?;
    let public_url = settings.public_url(listen);
    let blobs = DiskBlobs::open(state.path().join("blobs"))
        .context("cannot open the folder of recordings and profiles")?
        .keep_free(settings.disk_reserve().map_or(0, DiskReserve::bytes));
    let blobs: Arc<dyn Blobs> = Arc::new(blobs);
    let rows: Arc<dyn Store> = Arc::new(store.clone());
    let profiles = Profiles::new(Arc::clone(&rows), Arc::clone(&blobs));
    let options = FleetOptions {
        budgets: Budgets {
            max_sessions: usize::try_from(settings.max_sessions).unwrap_or(usize::MAX),
            starts_at_once: starts_at_once(),
            wait: settings.create_wait,
        },
        pool: settings.pool.clone(),
        pool_memory: settings.pool_memory,
        settle: CHROMIUM_SETTLES,
        classes: match screens {
            true => vec![Class::HEADLESS, Class::HEADFUL],
            false => vec![Class::HEADLESS],
        },
        standby: settings.standby,
        ping_every: PING_EVERY,
        profile_exporter: Some(Arc::new(profiles.clone())),
        remembered: settings.remembered,
    };
    let fleet = Fleet::start(rows, runtime, options).await?;

    let url = public_url.as_str().trim_end_matches('/').to_owned();
    let config = ServerConfig {
        region_default: settings.region,
        default_timezone: settings.timezone.clone(),
        default_locale: settings.locale.clone(),
        idle_after: settings.silent_after,
        profiles: Some(profiles),
        egress: egress(settings),
        proxy_check_url: settings.proxy_check_url.clone(),
        headless_shell: settings.headless_engine == HeadlessEngine::Shell,
        recordings: Some(Recordings {
            blobs,
            limit_bytes: settings.replay_limit,
            retention: settings.retention,
        }),
        ..ServerConfig::new(public_url, state.token_secret()?, browserd_guest::openapi())
    };
    let server = Server::new(config, fleet, ApiKeys::new(keys.keys));
    if let Some(made) = keys.made {
        made.keep_and_show(&url)?;
    }
    tracing::info!(%listen, public_url = url, "ready");
    server.serve(listener, stop).await.context("the server failed")?;
    store.close().await;
    tracing::info!("stopped");
    Ok(())
}
