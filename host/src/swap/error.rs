//! Why a swap did not happen.

use ragtime_policy::swap::BeginError;

use crate::blocking::Panicked;

/// The active generation serves as before.
#[derive(Debug, thiserror::Error)]
pub enum SwapError {
    /// It could not begin.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The component of an earlier generation is not kept any more.
    #[error("the component of generation {0} is not kept any more")]
    NotKept(u64),
    /// The bytes are not a component that this host compiles.
    #[error("the component does not compile: {0}")]
    Compile(String),
    /// An import or export is missing or has another type.
    #[error("the component does not fit this host: {0}")]
    Link(String),
    /// It did not answer the host's own requests as it should.
    #[error("the handler failed its probe: {0}")]
    Probe(String),
    /// Whoever held it back decided against it.
    #[error("the handler failed its gate: {0}")]
    Gate(String),
    /// It did worse than the active handler on live traffic.
    #[error("the handler failed its trial: {0}")]
    Trial(String),
    /// A host of the fleet cannot serve it.
    #[error("a host of the fleet refused the handler: {0}")]
    Fleet(String),
    /// Whoever asked for the swap went away.
    #[error("the swap was called off")]
    CalledOff,
    /// The host failed.
    #[error("the host failed: {0}")]
    Host(String),
}

impl From<Panicked> for SwapError {
    fn from(error: Panicked) -> Self {
        Self::Host(error.to_string())
    }
}

impl From<ragtime_store::Error> for SwapError {
    fn from(error: ragtime_store::Error) -> Self {
        Self::Host(error.to_string())
    }
}
