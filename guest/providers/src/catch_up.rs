//! Makes vectors for what was written: they are stored beside their documents, so that each
//! chunk is embedded once.

use crate::embedder::{Embedder, warn};
use crate::records::Commit;
use crate::state::{Failure, read, write};
use crate::vectors::Stored;

/// Documents embedded before they are committed.
const DOCUMENTS: usize = 16;

/// Embeds what the model has not seen of a collection, up to some
/// documents, and says whether there may be more. A failure is
/// logged: the documents are found by words until the next try.
pub(crate) async fn catch_up(embedder: &Embedder, collection: &str) -> bool {
    match embed_some(embedder, collection).await {
        Ok(more) => more,
        Err(error) => {
            warn(&error);
            false
        }
    }
}

async fn embed_some(embedder: &Embedder, collection: &str) -> Result<bool, String> {
    let model = &embedder.settings.endpoint.model;
    let unseen = read(|library| Ok(library.collection(collection)?.unembedded(model, DOCUMENTS)))
        .map_err(|failure| failure.to_string())?;
    let mut made = Vec::with_capacity(unseen.len());
    for (number, texts) in &unseen {
        let vectors = embedder.embed(texts).await.map_err(|error| error.to_string())?;
        made.push((*number, Stored::new(model, &vectors)));
    }
    if made.is_empty() {
        return Ok(false);
    }
    let commit = Commit::Embed { collection: collection.to_owned(), vectors: made };
    write(|_| Ok((Some(commit.clone()), ()))).map_err(|failure: Failure| failure.to_string())?;
    Ok(unseen.len() == DOCUMENTS)
}
