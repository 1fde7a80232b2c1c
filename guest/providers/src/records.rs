//! What a commit of the journal holds, as JSON.

#![allow(missing_docs, reason = "the contract in wit/ documents each field")]

use ragtime_policy::details::{Details, JobWarnings, Prompt};
use ragtime_policy::version::version;
use ragtime_text::{Language, Words};
use serde::{Deserialize, Serialize};

use crate::vectors::Stored;

/// One commit.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Commit {
    CreateCollection {
        name: String,
        at: u64,
        #[serde(default)]
        chunking: Option<(u32, u32)>,
    },
    /// How texts are cut from now on, in tokens: a chunk's, and its overlap's.
    Chunking {
        collection: String,
        chunking: (u32, u32),
    },
    /// The language of the texts that came without one, none where it is detected in each.
    Language {
        collection: String,
        language: Option<String>,
    },
    /// How language models are asked about a collection.
    Prompt {
        collection: String,
        prompt: Prompt,
    },
    /// New chunks for a document with this text.
    Recut {
        collection: String,
        id: String,
        sha256: String,
        chunks: Vec<ChunkRecord>,
        cut: String,
    },
    DeleteCollection {
        name: String,
    },
    Put {
        collection: String,
        document: Box<Document>,
    },
    Ingest {
        job: Job,
        documents: Vec<Document>,
    },
    Delete {
        collection: String,
        id: String,
    },
    /// Vectors of documents with these numbers, where they still are.
    Embed {
        collection: String,
        vectors: Vec<(u64, Stored)>,
    },
}

/// A document with all that is stored of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    pub id: String,
    pub title: Option<String>,
    pub text: String,
    pub media_type: String,
    /// A JSON object.
    pub metadata: String,
    pub chunks: Vec<ChunkRecord>,
    pub sha256: String,
    pub created_at: u64,
    pub updated_at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vectors: Option<Stored>,
    /// How it was cut, as [`ragtime_policy::chunking::ChunkingSpec::label`] has it; empty
    /// for documents of a time that knew one way only.
    #[serde(default)]
    pub cut: String,
    /// The handler's notes of the text's structure.
    #[serde(default)]
    pub outline: String,
    #[serde(default, skip_serializing_if = "Details::is_empty")]
    pub details: Details,
}

/// A chunk as the handler cut it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkRecord {
    pub start: u64,
    pub end: u64,
    pub headings: Vec<String>,
    #[serde(default)]
    pub page: Option<u32>,
}

/// The account of a batch. Whatever is committed is searchable, so nothing is
/// ever pending.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    pub id: String,
    pub collection: String,
    pub indexed: u32,
    pub failed: Vec<Failure>,
    pub created_at: u64,
    #[serde(default, skip_serializing_if = "JobWarnings::is_empty")]
    pub warnings: JobWarnings,
    /// Documents that were stored, with their places in the batch; none for jobs
    /// of a time that did not note them.
    #[serde(default)]
    pub stored: Vec<(u32, String)>,
}

/// A document of a batch that could not be taken.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Failure {
    pub position: u32,
    pub id: Option<String>,
    pub reason: String,
}

impl Document {
    /// Whether a client would see no difference but the times.
    pub fn same_content(&self, other: &Self) -> bool {
        let Self { id, title, text, media_type, metadata, chunks, details, .. } = self;
        (id, title, text, media_type, metadata, chunks, details)
            == (
                &other.id,
                &other.title,
                &other.text,
                &other.media_type,
                &other.metadata,
                &other.chunks,
                &other.details,
            )
    }

    /// Its version, see [`version`].
    pub fn version(&self) -> String {
        let Details { language, file_name, .. } = &self.details;
        version(
            self.title.as_deref(),
            &self.media_type,
            &self.metadata,
            &self.sha256,
            [language.as_deref(), file_name.as_deref()],
        )
    }

    /// The text of a chunk.
    pub fn chunk_text(&self, chunk: &ChunkRecord) -> &str {
        self.slice(chunk.start, chunk.end).unwrap_or_default()
    }

    /// A piece of the text, unless the span is not of it.
    pub fn slice(&self, start: u64, end: u64) -> Option<&str> {
        self.text.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
    }

    /// What is indexed of a chunk: title and headings belong to what it is
    /// about.
    pub fn indexed_text(&self, chunk: &ChunkRecord) -> String {
        let headings =
            chunk.headings.iter().filter(|heading| Some(*heading) != self.title.as_ref());
        let parts = self.title.iter().chain(headings).map(String::as_str);
        parts.chain([self.chunk_text(chunk)]).collect::<Vec<_>>().join("\n")
    }
}

impl Document {
    /// The language its words are compared in, in a collection of a language.
    pub fn language(&self, collection: Option<Language>) -> Option<Language> {
        let stored = self.details.language.as_deref().and_then(Language::parse);
        stored.or(collection).or_else(|| ragtime_text::detect(&self.text, None))
    }

    /// What is indexed of a chunk by its words.
    pub fn words(&self, chunk: &ChunkRecord, language: Option<Language>) -> Words {
        let file = self.details.file_name.as_deref();
        let names = Words::names(&self.id, file, self.title.as_deref(), &chunk.headings);
        Words { text: self.indexed_text(chunk), names, language }
    }
}
