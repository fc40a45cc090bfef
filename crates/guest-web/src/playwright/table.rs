//! The table of executors.

use std::collections::BTreeMap;
use std::sync::Arc;

use browserd_api::ErrorCode;
use browserd_api::playwright::{DEFAULT_EXECUTOR, is_executor_name};
use browserd_guest_browser::Browser;
use browserd_rest::Error;
use parking_lot::Mutex;

use super::executor::Executor;
use crate::runner::Kit;

/// Most named executors of a session.
const NAMED_LIMIT: usize = 8;

/// The executors of the session. Cheap to clone.
#[derive(Clone)]
pub struct Playwright {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) kit: Kit,
    pub(super) browser: Browser,
    table: Mutex<BTreeMap<String, Arc<Executor>>>,
}

impl Playwright {
    /// No executor yet; they start with their first script.
    pub fn new(kit: Kit, browser: Browser) -> Self {
        Self { inner: Arc::new(Inner { kit, browser, table: Mutex::default() }) }
    }

    /// The executor of this name, made if need be.
    ///
    /// # Errors
    ///
    /// 409 when there are as many as there may be.
    pub(super) fn obtain(&self, name: &str) -> Result<Arc<Executor>, Error> {
        let mut table = self.inner.table.lock();
        if let Some(known) = table.get(name) {
            return Ok(Arc::clone(known));
        }
        let named: Vec<&str> =
            table.keys().map(String::as_str).filter(|name| *name != DEFAULT_EXECUTOR).collect();
        if name != DEFAULT_EXECUTOR && named.len() >= NAMED_LIMIT {
            return Err(Error::new(
                ErrorCode::ExecutorLimit,
                format!(
                    "this session has {NAMED_LIMIT} named executors already: {}; use one of them \
                     or delete one",
                    named.join(", ")
                ),
            ));
        }
        let made = Arc::new(Executor::new(name.to_owned()));
        table.insert(name.to_owned(), Arc::clone(&made));
        Ok(made)
    }

    /// The executor of this name, if it was ever used.
    pub(super) fn find(&self, name: &str) -> Option<Arc<Executor>> {
        self.inner.table.lock().get(name).cloned()
    }

    /// Forgets `executor`, unless another has its name by now.
    pub(super) fn forget(&self, executor: &Arc<Executor>) {
        let mut table = self.inner.table.lock();
        if table.get(&executor.name).is_some_and(|known| Arc::ptr_eq(known, executor)) {
            table.remove(&executor.name);
        }
    }

    /// All of them, by name.
    pub(super) fn all(&self) -> Vec<Arc<Executor>> {
        self.inner.table.lock().values().cloned().collect()
    }

    /// The tabs named executors own.
    pub(super) fn owned_tabs(&self) -> Vec<String> {
        let table = self.inner.table.lock();
        let named = table.values().filter(|executor| !executor.is_default());
        named.filter_map(|executor| executor.target()).collect()
    }
}

/// A name as a request has it; `None` is the default one's.
///
/// # Errors
///
/// 400 naming `field`.
pub(super) fn name(field: &str, given: Option<&str>) -> Result<String, Error> {
    let name = given.unwrap_or(DEFAULT_EXECUTOR);
    if is_executor_name(name) {
        return Ok(name.to_owned());
    }
    Err(Error::field(field, "must be 1 to 64 of the characters A-Z, a-z, 0-9, _ and -"))
}
