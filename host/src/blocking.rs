//! Work that reads files or computes for long, beside the threads that serve.

/// The work panicked, which the panic hook has logged, or the process ends.
#[derive(Debug, thiserror::Error)]
#[error("a step of the host panicked")]
pub struct Panicked;

/// Does `work` on a thread where it holds up nothing. It goes on when nobody waits for it
/// any more.
///
/// # Errors
///
/// [`Panicked`], without the message: that may quote what was at work.
pub async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> R + Send + 'static,
) -> Result<R, Panicked> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Panicked)
}
