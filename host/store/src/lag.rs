//! How far the indexes are behind, and waiting until they are not.

use crate::types::Error;
use crate::{Store, documents};

impl Store {
    /// Chunks that wait for the lexical indexes or for their vectors. Blocking.
    pub(crate) fn index_lag(&self) -> Result<u64, Error> {
        let through = self.through();
        let last = self.0.readers.read(documents::last_chunk_ever)?;
        Ok(last.saturating_sub(through) + self.queued())
    }

    /// Resolves when at most `chunks` wait for the indexes, and when nobody knows how
    /// many do: the store is closed, or the database cannot be read.
    pub async fn wait_index_lag(&self, chunks: u64) {
        let (mut watermark, mut queue) = (self.0.watermark.clone(), self.0.queue.clone());
        loop {
            watermark.mark_unchanged();
            queue.mark_unchanged();
            let store = self.clone();
            let lag = tokio::task::spawn_blocking(move || store.index_lag()).await;
            if !matches!(lag, Ok(Ok(lag)) if lag > chunks) {
                return;
            }
            let changed = tokio::select! {
                changed = watermark.changed() => changed,
                changed = queue.changed() => changed,
            };
            if changed.is_err() {
                return;
            }
        }
    }
}
