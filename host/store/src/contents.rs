//! What can be asked of documents and of the batches that they come in.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::models::Known;
use crate::writer::Effects;
use ragtime_policy::clock::unix_now;
use ragtime_policy::version::Condition;
use rusqlite::Connection;

use crate::types::{
    Between, Details, Document, DocumentSummary, Error, Failure, Job, JobItem, JobWarnings,
    NewDocument, Put, Seq, StoredChunk,
};
use crate::{Store, details, documents, embedding_queue, jobs};

/// Documents.
impl Store {
    /// Stores a document, replacing the one of the same id, if the condition
    /// holds. It is on disk when this returns.
    pub async fn put(
        &self,
        collection: &str,
        document: NewDocument,
        condition: Condition,
    ) -> Result<Put, Error> {
        let prepared = documents::prepare(document, &self.known())?;
        let collection = collection.to_owned();
        let room = self.room();
        let write = move |db: &Connection, effects: &mut Effects| {
            room.check(db)?;
            let mut put =
                documents::put(db, &collection, &prepared, &condition, unix_now(), effects)?;
            put.summary.searchable = embedding_queue::is_searchable(db, put.seq, room.through)?;
            Ok(put)
        };
        self.0.writer.write(write).await
    }

    /// Stores a batch as one job. A document that breaks a rule fails alone.
    pub async fn ingest(
        &self,
        collection: &str,
        documents: Vec<NewDocument>,
        failures: Vec<Failure>,
    ) -> Result<(Job, Seq), Error> {
        let items = items_of(documents, failures, &self.known());
        let (collection, bounds) = (collection.to_owned(), self.0.bounds);
        let room = self.room();
        let write = move |db: &Connection, effects: &mut Effects| {
            room.check(db)?;
            jobs::purge(db, bounds, room.through, unix_now())?;
            jobs::ingest(db, &collection, &items, unix_now(), effects)
        };
        let (id, seq) = self.0.writer.write(write).await?;
        let this = self.clone();
        let job = tokio::task::spawn_blocking(move || this.job(&id)).await;
        let job = job.map_err(|error| Error::Internal(error.to_string()))??;
        Ok((job, seq))
    }

    /// Deletes a document if the condition holds. Search does not find it any
    /// more when this returns.
    pub async fn delete_document(
        &self,
        collection: &str,
        id: &str,
        condition: Condition,
    ) -> Result<(), Error> {
        let (collection, id) = (collection.to_owned(), id.to_owned());
        self.0
            .writer
            .write(move |db, effects| documents::delete(db, &collection, &id, &condition, effects))
            .await
    }

    /// A document with its text. Blocking.
    pub fn document(&self, collection: &str, id: &str) -> Result<Document, Error> {
        let through = self.through();
        self.0.readers.read(|db| documents::document(db, collection, id, through))
    }

    /// The details of documents, in the order asked; empty ones for a document
    /// that has none or is not there. Blocking.
    pub fn details(&self, collection: &str, ids: &[String]) -> Result<Vec<Details>, Error> {
        self.0.readers.read(|db| details::of_documents(db, collection, ids))
    }

    /// The warnings of a job's documents, none if there is no such job or its
    /// collection is not one that is `seen`. Blocking.
    pub fn job_warnings(
        &self,
        id: &str,
        seen: impl Fn(&str) -> bool,
    ) -> Result<JobWarnings, Error> {
        self.0.readers.read(|db| jobs::warnings(db, id, seen))
    }

    /// Documents by id, and the cursor of the next page. Blocking.
    pub fn documents(
        &self,
        collection: &str,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<DocumentSummary>, Option<String>), Error> {
        let through = self.through();
        self.0.readers.read(|db| documents::documents(db, collection, cursor, limit, through))
    }

    /// The first documents of a range. Blocking.
    pub fn documents_between(
        &self,
        collection: &str,
        range: &Between,
    ) -> Result<Vec<DocumentSummary>, Error> {
        let through = self.through();
        self.0.readers.read(|db| documents::between(db, collection, range, through))
    }

    /// Documents in the order asked; none for one that is not there. Blocking.
    pub fn summaries(
        &self,
        collection: &str,
        ids: &[String],
    ) -> Result<Vec<Option<DocumentSummary>>, Error> {
        let through = self.through();
        self.0.readers.read(|db| documents::summaries(db, collection, ids, through))
    }

    /// The bytes of all texts of a collection. Blocking.
    pub fn bytes(&self, collection: &str) -> Result<u64, Error> {
        self.0.readers.read(|db| documents::bytes(db, collection))
    }

    /// Documents of a job from a position on. Blocking.
    pub fn job_items(&self, id: &str, first: u32, limit: usize) -> Result<Vec<JobItem>, Error> {
        let through = self.through();
        self.0.readers.read(|db| jobs::items(db, id, first, limit, through))
    }

    /// The chunks of a document in order, and the cursor of the next page.
    /// Blocking.
    pub fn chunks(
        &self,
        collection: &str,
        id: &str,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<StoredChunk>, Option<String>), Error> {
        self.0.readers.read(|db| documents::chunks(db, collection, id, cursor, limit))
    }

    /// A job. Blocking.
    pub fn job(&self, id: &str) -> Result<Job, Error> {
        let through = self.through();
        self.0.readers.read(|db| jobs::job(db, id, through))
    }

    /// Takes out of a job what search does not find yet; those documents fail as
    /// cancelled and are gone. What was stored elsewhere already stays.
    pub async fn cancel_job(&self, id: &str) -> Result<(), Error> {
        let (id, watermark) = (id.to_owned(), self.0.watermark.clone());
        let cancel = move |db: &Connection, effects: &mut Effects| {
            jobs::cancel(db, &id, *watermark.borrow(), effects)
        };
        self.0.writer.write(cancel).await
    }

    /// Tries again to embed the documents of a job that are stored and could not
    /// be embedded.
    pub async fn retry_job(&self, id: &str) -> Result<(), Error> {
        let id = id.to_owned();
        self.0.writer.write(move |db, _| jobs::retry(db, &id)).await?;
        self.0.embedders.are_behind();
        Ok(())
    }

    /// Jobs of these collections (or of all), newest first, and the cursor of the
    /// next page. Blocking.
    pub fn jobs(
        &self,
        collections: Option<&BTreeSet<String>>,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Job>, Option<String>), Error> {
        let through = self.through();
        self.0.readers.read(|db| jobs::jobs(db, collections, cursor, limit, through))
    }
}

/// Gives each document the place in its batch that the failures leave free.
fn items_of(
    documents: Vec<NewDocument>,
    failures: Vec<Failure>,
    known: &Arc<Known>,
) -> Vec<(u32, jobs::Item)> {
    let taken: std::collections::HashSet<u32> =
        failures.iter().map(|failure| failure.position).collect();
    let free = (0..).filter(|position| !taken.contains(position));
    let prepared = free.zip(documents).map(|(position, document)| {
        let id = document.id.clone();
        let item = documents::prepare(document, known).map_err(|error| Failure {
            position,
            id,
            reason: error.to_string(),
        });
        (position, item)
    });
    let mut items: Vec<_> = prepared.collect();
    items.extend(failures.into_iter().map(|failure| (failure.position, Err(failure))));
    items
}
