//! What can be asked of collections.

use crate::wake::Wake;
use ragtime_policy::chunking::{Chunking, ChunkingSpec};
use ragtime_policy::clock::unix_now;
use rusqlite::Connection;
use tokio::sync::watch;

use crate::types::{Collection, CollectionModels, Error, NewChunk, Prompt, StaleDocument};
use crate::{Store, details, documents, models, rechunking};

/// Collections.
impl Store {
    /// All of them, by name. Blocking.
    pub fn collections(&self) -> Result<Vec<Collection>, Error> {
        self.0.readers.read(|db| documents::collections(db, &self.known()))
    }

    /// One of them. Blocking.
    pub fn collection(&self, name: &str) -> Result<Collection, Error> {
        self.0.readers.read(|db| documents::collection(db, name, &self.known()))
    }

    /// Makes an empty one.
    pub async fn create_collection(
        &self,
        name: &str,
        chunking: Option<Chunking>,
        model: Option<String>,
    ) -> Result<Collection, Error> {
        let (name, bounds, known) = (name.to_owned(), self.0.bounds, self.known());
        let create = move |db: &Connection, _: &mut _| {
            let within = (known.as_ref(), bounds);
            documents::create_collection(db, &name, chunking, model.as_deref(), within, unix_now())
        };
        self.0.writer.write(create).await
    }

    /// Chooses the embedding model of one; none for the default. Vectors of the one it
    /// had serve until there are all of the new one.
    pub async fn set_collection_model(
        &self,
        name: &str,
        model: Option<String>,
    ) -> Result<(), Error> {
        let (name, known) = (name.to_owned(), self.known());
        let choose = move |db: &Connection, _: &mut _| {
            models::choose(db, documents::collection_key(db, &name)?, model.as_deref(), &known)
        };
        self.0.writer.write(choose).await?;
        self.0.embedders.are_behind();
        Ok(())
    }

    /// The models of collections, in the order asked; nothing for one that is not there.
    /// Blocking.
    pub fn collection_models(&self, names: &[String]) -> Result<Vec<CollectionModels>, Error> {
        let known = self.known();
        self.0.readers.read(|db| {
            let of = |name: &String| match documents::collection_key(db, name) {
                Ok(key) => models::describe(db, key, &known),
                Err(Error::UnknownCollection) => Ok(CollectionModels::default()),
                Err(error) => Err(error),
            };
            names.iter().map(of).collect()
        })
    }

    /// Notified whenever another model's vectors have come to serve a collection, which may
    /// want its texts rechunked then.
    pub fn model_switches(&self) -> watch::Receiver<u64> {
        self.0.embedders.switches()
    }

    /// The model whose vectors are compared in one, if there are any. Blocking.
    pub fn serving_model(&self, name: &str) -> Result<Option<String>, Error> {
        let key = self.0.readers.read(|db| documents::collection_key(db, name))?;
        Ok(self.0.indexes.get(key)?.model())
    }

    /// Changes how the texts of one are cut. Those that are there stay as they
    /// are until [`Self::rechunk`].
    pub async fn set_chunking(&self, name: &str, chunking: Chunking) -> Result<(), Error> {
        let name = name.to_owned();
        let change = move |db: &Connection, _: &mut _| {
            rechunking::set_chunking(db, documents::collection_key(db, &name)?, chunking)
        };
        self.0.writer.write(change).await
    }

    /// What was set for collections, in the order asked: the language of their documents
    /// that were stored without one, and how language models are asked about them;
    /// nothing for one that is not there. Blocking.
    pub fn collection_settings(
        &self,
        names: &[String],
    ) -> Result<Vec<(Option<ragtime_text::Language>, Prompt)>, Error> {
        self.0.readers.read(|db| {
            let of = |name: &String| match documents::collection_key(db, name) {
                Ok(key) => details::collection_settings(db, key),
                Err(Error::UnknownCollection) => Ok(Default::default()),
                Err(error) => Err(error),
            };
            names.iter().map(of).collect()
        })
    }

    /// Changes how language models are asked about one.
    pub async fn set_collection_prompt(&self, name: &str, prompt: Prompt) -> Result<(), Error> {
        let name = name.to_owned();
        let change = move |db: &Connection, _: &mut _| {
            details::set_collection_prompt(db, documents::collection_key(db, &name)?, &prompt)
        };
        self.0.writer.write(change).await
    }

    /// Changes the language of one. Its documents are found as they are until its
    /// index has been rebuilt, in the background.
    pub async fn set_collection_language(
        &self,
        name: &str,
        language: Option<ragtime_text::Language>,
    ) -> Result<(), Error> {
        let name = name.to_owned();
        let change = move |db: &Connection, _: &mut _| {
            details::set_collection_language(db, documents::collection_key(db, &name)?, language)
        };
        self.0.writer.write(change).await?;
        let _ = self.0.wake.send(Wake::Language);
        Ok(())
    }

    /// How the texts of one are to be cut now. Blocking.
    pub fn wanted_cut(&self, name: &str) -> Result<ChunkingSpec, Error> {
        self.0
            .readers
            .read(|db| rechunking::wanted(db, documents::collection_key(db, name)?, &self.known()))
    }

    /// Names of those with documents that are not cut so. Blocking.
    pub fn stale_collections(&self) -> Result<Vec<String>, Error> {
        let through = self.through();
        self.0.readers.read(|db| rechunking::collections(db, &self.known(), through))
    }

    /// Such documents, and the cursor of the next page. Blocking.
    pub fn stale(
        &self,
        collection: &str,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<StaleDocument>, Option<String>), Error> {
        let through = self.through();
        self.0
            .readers
            .read(|db| rechunking::next(db, collection, &self.known(), cursor, limit, through))
    }

    /// Gives a document new chunks, if its text is still the one with this
    /// hash; true if it did. The old chunks are found until the new ones are.
    pub async fn rechunk(
        &self,
        collection: &str,
        id: &str,
        sha256: &str,
        chunks: Vec<NewChunk>,
        cut: ChunkingSpec,
    ) -> Result<bool, Error> {
        let (collection, id, sha256) = (collection.to_owned(), id.to_owned(), sha256.to_owned());
        let known = self.known();
        let recut = move |db: &Connection, _: &mut _| {
            rechunking::rechunk(db, &collection, &id, &sha256, &chunks, &cut, &known)
        };
        self.0.writer.write(recut).await
    }

    /// Deletes one with all that is in it.
    pub async fn delete_collection(&self, name: &str) -> Result<(), Error> {
        let name = name.to_owned();
        self.0
            .writer
            .write(move |db, effects| documents::delete_collection(db, &name, effects))
            .await
    }
}
