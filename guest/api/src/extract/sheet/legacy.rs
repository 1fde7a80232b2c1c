//! The workbook format until 2003, before `calamine` reads it. It lays out every
//! cell from the first to the last, reserves what a sheet says of its size, and
//! follows the sectors of a file for as long as they lead on; so a file of a few
//! kilobytes could take any amount of memory. This walks the file in constant
//! memory and refuses such a one (MS-CFB section 2, MS-XLS section 2.1).

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::super::Unreadable;
use crate::limits;

const DAMAGED: Unreadable = Unreadable::Damaged("XLS");

const HEADER_BYTES: usize = 512;
const ENTRY_BYTES: usize = 128;
const MINI_SECTOR_BYTES: usize = 64;
/// Streams of fewer bytes are in mini sectors.
const MINI_STREAM_BYTES: usize = 4_096;
/// Sectors from here on are marks rather than places.
const RESERVED: u32 = 0xffff_fffa;

const FILE_PASS: u16 = 0x002f;
const BOUND_SHEET: u16 = 0x0085;
const BEGIN: u16 = 0x0809;
const END: u16 = 0x000a;
const DIMENSIONS: u16 = 0x0200;
const MUL_RK: u16 = 0x00bd;
/// Records that `calamine` reads this many bytes of, whether they are there or not:
/// FilePass, CodePage, DateMode, BOF, ExternSheet, Lbl.
const SHORTEST: [(u16, usize); 6] =
    [(FILE_PASS, 2), (0x0042, 2), (0x0022, 2), (BEGIN, 2), (0x0017, 2), (NAME, 14)];
/// Lbl, a name for a formula, which says at byte 4 how long the formula at its end is.
const NAME: u16 = 0x0018;
/// A cell without a value, which says nothing to a reader.
const BLANK: u16 = 0x0201;
/// Formula, LabelSst, RString, Number, Label, BoolErr, Rk.
const CELLS: [u16; 7] = [0x0006, 0x00fd, 0x00d6, 0x0203, 0x0204, 0x0205, 0x027e];

/// The file, without what its sheets say of their sizes.
///
/// # Errors
///
/// It is damaged, or has more cells than there may be.
pub(super) fn checked(source: &[u8]) -> Result<Cow<'_, [u8]>, Unreadable> {
    let stream = Compound::open(source)?.workbook()?;
    let mut source = Cow::Borrowed(source);
    let workbook = Workbook { bytes: &stream.bytes, scanned: 0, cells: 0, laid_out: 0 };
    for place in workbook.check()? {
        for (at, byte) in (place..).zip(BLANK.to_le_bytes()) {
            let target = stream.place(at).and_then(|at| source.to_mut().get_mut(at));
            *target.ok_or(DAMAGED)? = byte;
        }
    }
    Ok(source)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// A file of streams.
struct Compound<'s> {
    source: &'s [u8],
    /// Bytes of a sector.
    sector: usize,
    fat: Vec<u32>,
}

/// A stream, and where its pieces are in the file.
struct Stream {
    bytes: Vec<u8>,
    pieces: Vec<usize>,
    /// Bytes of a piece.
    piece: usize,
}

impl Stream {
    fn place(&self, at: usize) -> Option<usize> {
        Some(self.pieces.get(at / self.piece)? + at % self.piece)
    }
}

impl<'s> Compound<'s> {
    fn open(source: &'s [u8]) -> Result<Self, Unreadable> {
        let sector = match u16_at(source, 30).ok_or(DAMAGED)? {
            9 => 512,
            12 => 4_096,
            _ => return Err(DAMAGED),
        };
        let mut file = Self { source, sector, fat: Vec::new() };
        let header = source.get(76..HEADER_BYTES).ok_or(DAMAGED)?;
        let mut listed: Vec<u32> = words(header).collect();
        let mut next = u32_at(source, 68).ok_or(DAMAGED)?;
        for _ in 0..=source.len() / sector {
            if next >= RESERVED {
                break;
            }
            let mut more: Vec<u32> = words(file.sector(next)?).collect();
            next = more.pop().ok_or(DAMAGED)?;
            listed.extend(more);
        }
        if next < RESERVED {
            return Err(DAMAGED);
        }
        // A sector that is listed twice would let the table grow beyond the file.
        let mut seen = BTreeSet::new();
        for id in listed.into_iter().filter(|id| *id < RESERVED) {
            if !seen.insert(id) {
                return Err(DAMAGED);
            }
            let part = words(file.sector(id)?).collect::<Vec<_>>();
            file.fat.extend(part);
        }
        Ok(file)
    }

    fn offset(&self, id: u32) -> usize {
        (id as usize).saturating_add(1).saturating_mul(self.sector)
    }

    /// The last sector of a file may be short.
    fn sector(&self, id: u32) -> Result<&'s [u8], Unreadable> {
        let rest = self.source.get(self.offset(id)..).ok_or(DAMAGED)?;
        Ok(rest.get(..self.sector).unwrap_or(rest))
    }

    /// The stream that begins at a sector, up to `length` bytes.
    fn stream(&self, start: u32, length: usize) -> Result<Stream, Unreadable> {
        let ids = chain(start, &self.fat, length.div_ceil(self.sector))?;
        let mut bytes = Vec::new();
        for id in &ids {
            bytes.extend_from_slice(self.sector(*id)?);
        }
        bytes.truncate(length);
        let pieces = ids.iter().map(|id| self.offset(*id)).collect();
        Ok(Stream { bytes, pieces, piece: self.sector })
    }

    /// The stream of the workbook.
    fn workbook(&self) -> Result<Stream, Unreadable> {
        let field = |at: usize| u32_at(self.source, at).ok_or(DAMAGED);
        let folder = self.stream(field(48)?, usize::MAX)?.bytes;
        let entries: Vec<Entry> =
            folder.chunks_exact(ENTRY_BYTES).filter_map(Entry::read).collect();
        let root = entries.first().ok_or(DAMAGED)?;
        let named = |name: &str| entries.iter().find(|one| one.name.eq_ignore_ascii_case(name));
        let book = named("Workbook").or_else(|| named("Book")).ok_or(DAMAGED)?;
        // Both are unpacked whatever the workbook is in.
        let (table, minis) = match field(64)? {
            0 => (Vec::new(), None),
            sectors => {
                let length = (sectors as usize).saturating_mul(self.sector);
                let table = self.stream(field(60)?, length)?.bytes;
                (words(&table).collect(), Some(self.stream(root.start, root.length)?))
            }
        };
        if book.length >= MINI_STREAM_BYTES {
            return self.stream(book.start, book.length);
        }
        let minis = minis.ok_or(DAMAGED)?;
        let ids = chain(book.start, &table, book.length.div_ceil(MINI_SECTOR_BYTES))?;
        let (mut bytes, mut pieces) = (Vec::new(), Vec::new());
        for id in ids {
            let at = (id as usize).saturating_mul(MINI_SECTOR_BYTES);
            let rest = minis.bytes.get(at..).ok_or(DAMAGED)?;
            bytes.extend_from_slice(rest.get(..MINI_SECTOR_BYTES).unwrap_or(rest));
            pieces.push(minis.place(at).ok_or(DAMAGED)?);
        }
        bytes.truncate(book.length);
        Ok(Stream { bytes, pieces, piece: MINI_SECTOR_BYTES })
    }
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word))
}

/// The sectors from one on, at most `most`. One that leads back into itself has
/// more of them than there are.
fn chain(start: u32, table: &[u32], most: usize) -> Result<Vec<u32>, Unreadable> {
    let (mut ids, mut next) = (Vec::new(), start);
    while next < RESERVED && ids.len() < most {
        if ids.len() >= table.len() {
            return Err(DAMAGED);
        }
        ids.push(next);
        next = *table.get(next as usize).ok_or(DAMAGED)?;
    }
    Ok(ids)
}

/// An entry of the folder of a file.
struct Entry {
    name: String,
    start: u32,
    length: usize,
}

impl Entry {
    fn read(bytes: &[u8]) -> Option<Self> {
        let name = bytes.get(..64)?.as_chunks::<2>().0.iter().map(|unit| u16::from_le_bytes(*unit));
        let name: Vec<u16> = name.take_while(|unit| *unit != 0).collect();
        let length = u32_at(bytes, 120)? as usize;
        Some(Self { name: String::from_utf16_lossy(&name), start: u32_at(bytes, 116)?, length })
    }
}

/// The records of a workbook.
struct Workbook<'b> {
    bytes: &'b [u8],
    /// Bytes of records walked over.
    scanned: usize,
    cells: usize,
    /// Cells from the first to the last of each sheet.
    laid_out: usize,
}

/// One record: where it is, what it is, and what it says.
type Record<'b> = (usize, u16, &'b [u8]);

impl<'b> Workbook<'b> {
    /// Where the sheets say how large they are.
    fn check(mut self) -> Result<Vec<usize>, Unreadable> {
        let (mut at, mut sheets, mut sizes) = (0, Vec::new(), Vec::new());
        while let Some((place, kind, data)) = self.record(&mut at)? {
            if SHORTEST.iter().any(|(short, bytes)| *short == kind && data.len() < *bytes) {
                return Err(DAMAGED);
            }
            if kind == NAME
                && u16_at(data, 4).is_none_or(|formula| usize::from(formula) > data.len())
            {
                return Err(DAMAGED);
            }
            match kind {
                // Nothing behind it can be read; the reader warns of that.
                FILE_PASS => return Ok(sizes),
                END => break,
                BOUND_SHEET => sheets.push(u32_at(data, 0).ok_or(DAMAGED)? as usize),
                DIMENSIONS => sizes.push(place),
                _ => {}
            }
        }
        for start in sheets {
            if start > self.bytes.len() {
                return Err(DAMAGED);
            }
            self.sheet(start, &mut sizes)?;
        }
        Ok(sizes)
    }

    /// Sheets may lie in each other, but not so that all of them together are
    /// much more than the file.
    fn record(&mut self, at: &mut usize) -> Result<Option<Record<'b>>, Unreadable> {
        let place = *at;
        let (Some(kind), Some(length)) =
            (u16_at(self.bytes, place), u16_at(self.bytes, place.saturating_add(2)))
        else {
            return Ok(None);
        };
        let end = place + 4 + usize::from(length);
        let Some(data) = self.bytes.get(place + 4..end) else { return Ok(None) };
        self.scanned += end - place;
        if self.scanned > self.bytes.len().saturating_mul(2) {
            return Err(DAMAGED);
        }
        *at = end;
        Ok(Some((place, kind, data)))
    }

    fn sheet(&mut self, mut at: usize, sizes: &mut Vec<usize>) -> Result<(), Unreadable> {
        let mut extent: Option<[u16; 4]> = None;
        // Charts within a sheet are streams of their own, with cells of their own.
        let mut depth = 0_usize;
        while let Some((place, kind, data)) = self.record(&mut at)? {
            let (row, first) = match kind {
                BEGIN => {
                    depth += 1;
                    continue;
                }
                END if depth <= 1 => break,
                END => {
                    depth -= 1;
                    continue;
                }
                _ if depth > 1 => continue,
                DIMENSIONS => {
                    sizes.push(place);
                    continue;
                }
                kind if kind == MUL_RK || CELLS.contains(&kind) => {
                    (u16_at(data, 0).ok_or(DAMAGED)?, u16_at(data, 2).ok_or(DAMAGED)?)
                }
                _ => continue,
            };
            let last = match kind {
                MUL_RK => u16_at(data, data.len().saturating_sub(2)).ok_or(DAMAGED)?,
                _ => first,
            };
            let columns = last.checked_sub(first).ok_or(DAMAGED)?;
            self.cells += usize::from(columns) + 1;
            if self.cells > limits::MAX_CELLS {
                return Err(Unreadable::bound("cells", limits::MAX_CELLS));
            }
            let [top, left, bottom, right] = extent.unwrap_or([row, first, row, last]);
            extent = Some([top.min(row), left.min(first), bottom.max(row), right.max(last)]);
        }
        if let Some([top, left, bottom, right]) = extent {
            let (rows, columns) = (usize::from(bottom - top) + 1, usize::from(right - left) + 1);
            self.laid_out = self.laid_out.saturating_add(rows.saturating_mul(columns));
        }
        match self.laid_out <= limits::MAX_GRID_CELLS {
            true => Ok(()),
            false => Err(Unreadable::bound(
                "cells from the first to the last of its sheets",
                limits::MAX_GRID_CELLS,
            )),
        }
    }
}
