//! Threads for work that stands back behind requests in a hurry.
//!
//! A file to parse or a large batch keeps a processor busy for seconds. On
//! threads of their own, which the operating system runs at lower priority, such
//! requests get what the others leave, and at least a share when they leave
//! nothing.

use tokio::runtime::{Builder, Runtime};
use tokio_util::task::AbortOnDropHandle;

/// How far it stands back, as for nice(1). On a busy processor the scheduler of
/// Linux gives a thread of 5 about a quarter of what it has beside one of 0, so
/// the work goes on and what it locks is not held for long.
const NICENESS: i32 = 5;

/// Those threads, as many as there are processors.
pub struct Background(Option<Runtime>);

impl Background {
    /// Starts them.
    pub fn start() -> std::io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .thread_name("ragtime-background")
            .on_thread_start(|| stand_back(NICENESS))
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Does `work` there; a caller that goes away ends it. `None` at the end of
    /// the process, and when it panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let runtime = self.0.as_ref()?;
        AbortOnDropHandle::new(runtime.spawn(work)).await.ok()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // A runtime must not wait for its threads where others' tasks run.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Has the calling thread, and those that it makes later, stand back.
pub fn stand_back(niceness: i32) {
    // On Linux this is the thread's own. Elsewhere, and where it is forbidden, the
    // work competes.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, niceness);
    #[cfg(not(target_os = "linux"))]
    let _ = niceness;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn work_whose_caller_goes_away_ends() {
        let background = Background::start().unwrap();
        let (held, ended) = oneshot::channel::<()>();
        let waiting = background.run(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        assert!(tokio::time::timeout(std::time::Duration::ZERO, waiting).await.is_err());
        // The sender goes with the work.
        assert!(ended.await.is_err());
        assert_eq!(background.run(async { 1 }).await, Some(1));
        assert_eq!(background.run(async { panic!("of the test") }).await, None::<()>);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn it_stands_back_and_others_do_not() {
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let background = Background::start().unwrap();
        let own = niceness();
        let there = background.run(async move { niceness() }).await;
        assert_eq!(there, Some(own.max(NICENESS)));
        assert_eq!(niceness(), own);
    }
}
