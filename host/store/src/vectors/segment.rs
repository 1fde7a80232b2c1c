//! Rows of vectors: in memory while they come, then in a mapped file.

use std::path::Path;

use super::file::{self, FileKind, Identity, Mapped, Refused};
use crate::quantization::{Block, Codes, CodesRef, Quantizer};

/// Rows of a segment that is full: 25 MB of 384 dimensions, which is also what a
/// collection holds in memory at most before it goes to a file, and what a start has to
/// read from the database at most.
/// Tests of this crate, which are not optimised, have smaller ones.
pub(crate) const SEGMENT_ROWS: usize = if cfg!(test) { 512 } else { 16_384 };

/// Sections of the file, in order.
const CHUNKS: usize = 0;
const FACTORS: usize = 1;
const WORDS: usize = 2;
const VALUES: usize = 3;
/// What is checked when the file is opened. Of the vectors themselves, which are nine
/// tenths, a start looks at a few; `ragtime check` reads all.
const CHECKED: std::ops::Range<usize> = CHUNKS..VALUES;

/// Rows of vectors of unit length, each with its chunk and its code.
pub(crate) enum Segment {
    /// In memory.
    Held(Rows),
    /// In a file.
    Mapped(Mapped),
}

/// Rows in memory.
#[derive(Default)]
pub(crate) struct Rows {
    chunks: Vec<u64>,
    values: Vec<f32>,
    codes: Codes,
}

impl Rows {
    pub(super) fn new(quantizer: &Quantizer) -> Self {
        Self { codes: quantizer.codes(), ..Self::default() }
    }

    pub(super) fn push(&mut self, quantizer: &Quantizer, chunk: u64, vector: &[f32]) {
        self.chunks.push(chunk);
        self.values.extend_from_slice(vector);
        quantizer.push(&mut self.codes, vector);
    }
}

impl Segment {
    /// Maps the file of a full segment.
    pub(super) fn open(path: &Path, identity: &Identity) -> Result<Self, Refused> {
        let mapped = Mapped::open(path, FileKind::Segment, identity, CHECKED)?;
        let segment = Self::Mapped(mapped);
        let (rows, dimensions) = (segment.len(), segment.dimensions());
        let codes = segment.codes();
        let is_whole = rows == SEGMENT_ROWS
            && dimensions > 0
            && segment.values().len() == rows * dimensions
            && codes.factors.len() == rows
            && codes.words.len() == rows / crate::quantization::LANES * dimensions.div_ceil(64);
        if is_whole { Ok(segment) } else { Err(Refused::Damaged) }
    }

    /// Writes the rows to a file.
    pub(super) fn save(
        &self,
        path: &Path,
        identity: &Identity,
        dimensions: usize,
    ) -> std::io::Result<()> {
        let codes = self.codes();
        let sections = [
            bytemuck::cast_slice(self.chunks()),
            bytemuck::cast_slice(codes.factors),
            bytemuck::cast_slice(codes.words),
            bytemuck::cast_slice(self.values()),
        ];
        file::write(path, FileKind::Segment, identity, dimensions, &sections)
    }

    /// Whether it is in a file; what the file's content is known by, if it is.
    pub(super) fn checksum(&self) -> Option<u32> {
        match self {
            Self::Held(_) => None,
            Self::Mapped(mapped) => Some(mapped.checksum()),
        }
    }

    /// Whether every byte is as it was written.
    pub(super) fn is_sound(&self) -> bool {
        match self {
            Self::Held(_) => true,
            Self::Mapped(mapped) => mapped.is_sound(CHUNKS..VALUES + 1),
        }
    }

    /// What it takes of the heap, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Held(rows) => {
                let of_values = size_of_val(rows.values.as_slice());
                of_values + of_values / 32 + size_of_val(rows.chunks.as_slice())
            }
            Self::Mapped(_) => 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.chunks().len()
    }

    /// Length of the vectors.
    pub(super) fn dimensions(&self) -> usize {
        self.values().len().checked_div(self.len()).unwrap_or(0)
    }

    /// The chunk of each row.
    pub(super) fn chunks(&self) -> &[u64] {
        match self {
            Self::Held(rows) => &rows.chunks,
            Self::Mapped(mapped) => mapped.section(CHUNKS),
        }
    }

    /// The vectors, row by row.
    pub(super) fn values(&self) -> &[f32] {
        match self {
            Self::Held(rows) => &rows.values,
            Self::Mapped(mapped) => mapped.section(VALUES),
        }
    }

    /// The codes of the rows.
    pub(super) fn codes(&self) -> CodesRef<'_> {
        match self {
            Self::Held(rows) => rows.codes.all(),
            Self::Mapped(mapped) => {
                let (factors, words): (_, &[Block]) =
                    (mapped.section(FACTORS), mapped.section(WORDS));
                CodesRef { words, factors }
            }
        }
    }

    /// The vector of a row.
    pub(super) fn vector(&self, row: usize, dimensions: usize) -> Option<&[f32]> {
        let start = row.checked_mul(dimensions)?;
        self.values().get(start..start + dimensions)
    }
}
