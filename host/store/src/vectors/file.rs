//! Files of numbers that are mapped into memory.
//!
//! Such a file is written once, under another name, synced and renamed, so it is whole or
//! not there. It has a header of [`HEADER`] bytes, then sections that each begin at a
//! multiple of [`ALIGNMENT`]. All of it is derived: a file that cannot be taken is
//! removed and rebuilt.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

use bytemuck::{Pod, Zeroable};
use memmap2::Mmap;
use sha2::{Digest, Sha256};

/// What each file begins with, with the version of this layout. A machine of another
/// byte order reads another word.
const MAGIC: u64 = u64::from_le_bytes(*b"rtvec\0\0\x01");
/// Sections that a header has room for.
const MAX_SECTIONS: usize = 8;
/// Bytes of a cache line, which no section shares with another.
const ALIGNMENT: usize = 64;
/// Bytes of the header.
const HEADER: usize = size_of::<Header>();

/// Whose numbers a file has: one of another owner is not taken.
pub(crate) type Identity = [u8; 32];

/// The identity of the vectors that a model made of a collection.
pub(crate) fn identity(collection: i64, model: &str) -> Identity {
    Sha256::new().chain_update(collection.to_le_bytes()).chain_update(model).finalize().into()
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Header {
    magic: u64,
    kind: u32,
    dimensions: u32,
    identity: Identity,
    sections: [Section; MAX_SECTIONS],
    padding: [u8; 12],
    /// CRC-32 of all before it.
    checksum: u32,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Section {
    /// In bytes.
    length: u64,
    /// CRC-32 of the bytes.
    checksum: u32,
    padding: u32,
}

/// What a file is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// Rows of vectors.
    Segment = 1,
    /// Inverted lists over them.
    Lists = 2,
}

/// A file that was taken.
pub(crate) struct Mapped {
    map: Mmap,
    header: Box<Header>,
    places: [Range<usize>; MAX_SECTIONS],
}

/// Why a file was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("it cannot be read: {0}")]
    Io(#[from] std::io::Error),
    #[error("it is of another model or version")]
    Other,
    #[error("it is damaged")]
    Damaged,
}

impl Header {
    fn new(kind: FileKind, identity: &Identity, dimensions: usize, sections: &[&[u8]]) -> Self {
        let mut header = Self { kind: kind as u32, identity: *identity, ..Self::zeroed() };
        header.magic = MAGIC;
        header.dimensions = u32::try_from(dimensions).unwrap_or(u32::MAX);
        for (to, bytes) in header.sections.iter_mut().zip(sections) {
            let checksum = crc32fast::hash(bytes);
            *to = Section { length: bytes.len() as u64, checksum, padding: 0 };
        }
        header.checksum = header.own_checksum();
        header
    }

    fn own_checksum(&self) -> u32 {
        let bytes = bytemuck::bytes_of(self);
        crc32fast::hash(bytes.get(..HEADER - size_of::<u32>()).unwrap_or_default())
    }

    /// Where a section is in the file.
    fn place(&self, section: usize) -> Range<usize> {
        let length = |section: &Section| usize::try_from(section.length).unwrap_or(usize::MAX);
        let before = self.sections.iter().take(section);
        let start = before.fold(HEADER, |at, section| {
            at.saturating_add(length(section)).next_multiple_of(ALIGNMENT)
        });
        start..start.saturating_add(self.sections.get(section).map_or(0, length))
    }

    fn file_length(&self) -> u64 {
        self.place(MAX_SECTIONS).start as u64
    }
}

/// Writes a file; it is on disk when this returns.
pub(crate) fn write(
    path: &Path,
    kind: FileKind,
    identity: &Identity,
    dimensions: usize,
    sections: &[&[u8]],
) -> std::io::Result<()> {
    let header = Header::new(kind, identity, dimensions, sections);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let begun = path.with_file_name(format!("{}{name}", crate::opening::IN_THE_MAKING));
    let written = File::create(&begun).and_then(|mut file| {
        file.write_all(bytemuck::bytes_of(&header))?;
        for (number, bytes) in sections.iter().enumerate() {
            file.seek(SeekFrom::Start(header.place(number).start as u64))?;
            file.write_all(bytes)?;
        }
        file.set_len(header.file_length())?;
        file.sync_data()?;
        std::fs::rename(&begun, path)
    });
    written.inspect_err(|_| drop(std::fs::remove_file(&begun)))
}

impl Mapped {
    /// Maps a file and compares its header, its length and the checksums of the sections
    /// in `checked`.
    pub(crate) fn open(
        path: &Path,
        kind: FileKind,
        identity: &Identity,
        checked: Range<usize>,
    ) -> Result<Self, Refused> {
        let file = File::open(path)?;
        if file.metadata()?.len() < HEADER as u64 {
            return Err(Refused::Damaged);
        }
        let map = map(&file)?;
        let bytes = map.get(..HEADER).ok_or(Refused::Damaged)?;
        let header: Header = bytemuck::pod_read_unaligned(bytes);
        if header.magic != MAGIC || header.kind != kind as u32 || header.identity != *identity {
            return Err(Refused::Other);
        }
        if header.checksum != header.own_checksum() || header.file_length() != map.len() as u64 {
            return Err(Refused::Damaged);
        }
        let mapped = Self {
            map,
            places: std::array::from_fn(|of| header.place(of)),
            header: Box::new(header),
        };
        match mapped.is_sound(checked) {
            true => Ok(mapped),
            false => Err(Refused::Damaged),
        }
    }

    /// Whether the bytes of these sections are those that were written.
    pub(crate) fn is_sound(&self, sections: Range<usize>) -> bool {
        sections.into_iter().all(|number| {
            let wanted = self.header.sections.get(number).map_or(0, |section| section.checksum);
            crc32fast::hash(self.bytes(number)) == wanted
        })
    }

    /// Length of the vectors.
    pub(crate) fn dimensions(&self) -> usize {
        self.header.dimensions as usize
    }

    /// Stands for the content of the file.
    pub(crate) fn checksum(&self) -> u32 {
        self.header.checksum
    }

    /// The numbers of a section.
    pub(crate) fn section<T: Pod>(&self, number: usize) -> &[T] {
        bytemuck::try_cast_slice(self.bytes(number)).unwrap_or_default()
    }

    fn bytes(&self, number: usize) -> &[u8] {
        let place = self.places.get(number).cloned();
        place.and_then(|place| self.map.get(place)).unwrap_or_default()
    }
}

#[allow(unsafe_code)]
fn map(file: &File) -> std::io::Result<Mmap> {
    // SAFETY: the file is written once under another name and renamed, and the folder is
    // locked by this process, so nothing changes it. If somebody truncates it all the
    // same, the process is ended by a signal; no memory is corrupted.
    unsafe { Mmap::map(file) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Identity = [7; 32];

    #[test]
    fn what_was_written_is_read_and_what_was_changed_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let (small, large) = ([1_u64, 2, 3], vec![0.5_f32; 1_000]);
        let sections = [bytemuck::cast_slice(&small), bytemuck::cast_slice(&large)];
        write(&path, FileKind::Segment, &OWNER, 4, &sections).unwrap();
        let open = |checked| Mapped::open(&path, FileKind::Segment, &OWNER, checked);
        let mapped = open(0..2).unwrap();
        assert_eq!((mapped.section::<u64>(0), mapped.dimensions()), (&small[..], 4));
        assert_eq!(mapped.section::<f32>(1), large);
        assert!(mapped.section::<u8>(2).is_empty());
        let of_another = Mapped::open(&path, FileKind::Segment, &[8; 32], 0..2);
        assert!(matches!(of_another, Err(Refused::Other)));
        assert!(matches!(Mapped::open(&path, FileKind::Lists, &OWNER, 0..2), Err(Refused::Other)));
        let whole = std::fs::read(&path).unwrap();
        for at in [20, 60, HEADER + 1, HEADER + 64 + 5] {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            assert!(open(0..2).is_err(), "a bit at {at}");
        }
        std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert!(matches!(open(0..2), Err(Refused::Damaged)));
        std::fs::write(&path, &whole[..10]).unwrap();
        assert!(matches!(open(0..2), Err(Refused::Damaged)));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left over");
    }
}
