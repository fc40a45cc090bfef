//! Why a wall could not be raised.

use std::io;

/// One failed step, with what it was about.
#[derive(Debug, thiserror::Error)]
#[error("{step}: {source}")]
pub struct WallError {
    /// What was being done, with the path where there is one.
    pub step: String,
    /// What the kernel said.
    #[source]
    pub source: io::Error,
}

impl WallError {
    pub(crate) fn new(step: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self { step: step.into(), source: source.into() }
    }
}

/// Names the step a result belongs to.
pub(crate) trait Step<T> {
    fn step(self, step: impl Into<String>) -> Result<T, WallError>;
}

impl<T, E: Into<io::Error>> Step<T> for Result<T, E> {
    fn step(self, step: impl Into<String>) -> Result<T, WallError> {
        self.map_err(|source| WallError::new(step, source))
    }
}
