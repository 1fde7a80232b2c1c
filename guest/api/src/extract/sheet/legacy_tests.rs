//! Workbooks of the old format, made here record by record.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::super::{MediaType, Unreadable, extract};
use super::legacy::checked;
use crate::limits;

const SECTOR: usize = 512;
const END_OF_CHAIN: u32 = 0xffff_fffe;
const FREE: u32 = 0xffff_ffff;
const FAT: u32 = 0xffff_fffd;

fn record(kind: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap();
    [&kind.to_le_bytes()[..], &length.to_le_bytes(), data].concat()
}

fn units(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn label(row: u16, column: u16, text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap();
    record(0x0204, &[units(&[row, column, 0, length]), vec![0], text.as_bytes().to_vec()].concat())
}

fn number(row: u16, column: u16, format: u16, value: f64) -> Vec<u8> {
    record(0x0203, &[units(&[row, column, format]), value.to_le_bytes().to_vec()].concat())
}

fn merged(regions: &[[u16; 4]]) -> Vec<u8> {
    let count = u16::try_from(regions.len()).unwrap();
    record(0x00e5, &units(&[&[count][..], &regions.concat()].concat()))
}

/// The sheets' size as BIFF8 says it.
fn size(rows: u32, columns: u16) -> Vec<u8> {
    let rows = [0_u32.to_le_bytes(), rows.to_le_bytes()].concat();
    record(0x0200, &[rows, units(&[0, columns, 0])].concat())
}

/// A workbook of one sheet of these records, named so often.
fn workbook(cells: &[Vec<u8>], times: usize) -> Vec<u8> {
    let bof = |kind: u16| record(0x0809, &units(&[0x0600, kind, 0, 0, 0, 0, 0, 0]));
    // Format 0 is a number as it is, 14 a date.
    let formats =
        [0_u16, 14].map(|format| record(0x00e0, &[units(&[0, format]), vec![0; 16]].concat()));
    let named = |start: u32| {
        let name = [vec![0, 0, 5, 0], b"Ports".to_vec()].concat();
        record(0x0085, &[start.to_le_bytes().to_vec(), name].concat())
    };
    let globals = |start: u32| {
        [bof(5), formats.concat(), named(start).repeat(times), record(0x000a, &[])].concat()
    };
    let start = u32::try_from(globals(0).len()).unwrap();
    let sheet = [bof(16), cells.concat(), record(0x000a, &[])].concat();
    let mut stream = [globals(start), sheet].concat();
    stream.resize(stream.len().max(4_096), 0);
    stream
}

fn entry(name: &str, kind: u8, start: u32, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; 128];
    let name: Vec<u16> = name.encode_utf16().collect();
    bytes[..2 * name.len()].copy_from_slice(&units(&name));
    bytes[64] = u8::try_from(2 * name.len() + 2).unwrap();
    bytes[66] = kind;
    bytes[116..120].copy_from_slice(&start.to_le_bytes());
    bytes[120..124].copy_from_slice(&u32::try_from(length).unwrap().to_le_bytes());
    bytes
}

/// A compound file of one table of sectors, the folder, and the stream.
fn compound(stream: &[u8], table: impl Fn(&mut Vec<u32>)) -> Vec<u8> {
    let sectors = u32::try_from(stream.len().div_ceil(SECTOR)).unwrap();
    let mut fat = vec![FAT, END_OF_CHAIN];
    fat.extend((2..sectors + 1).map(|id| id + 1).chain([END_OF_CHAIN]));
    fat.resize(SECTOR / 4, FREE);
    table(&mut fat);
    let mut header = vec![0; SECTOR];
    header[..8].copy_from_slice(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1");
    header[24..34].copy_from_slice(&units(&[0x3e, 3, 0xfffe, 9, 6]));
    for (at, value) in
        [(44, 1), (48, 1), (56, 4_096), (60, END_OF_CHAIN), (68, END_OF_CHAIN), (76, 0)]
    {
        header[at..at + 4].copy_from_slice(&u32::to_le_bytes(value));
    }
    header[80..].fill(0xff);
    let folder = [
        entry("Root Entry", 5, END_OF_CHAIN, 0),
        entry("Workbook", 2, 2, stream.len()),
        vec![0; 256],
    ];
    let fat: Vec<u8> = fat.iter().flat_map(|id| id.to_le_bytes()).collect();
    let mut file = [header, fat, folder.concat(), stream.to_vec()].concat();
    file.resize(file.len().next_multiple_of(SECTOR), 0);
    file
}

fn file(cells: &[Vec<u8>]) -> Vec<u8> {
    compound(&workbook(cells, 1), |_| {})
}

#[test]
fn rows_dates_and_cells_over_rows_are_read() {
    let source = file(&[
        size(4, 3),
        label(0, 0, "Port"),
        label(0, 1, "Since"),
        label(0, 2, "Fee"),
        label(1, 0, "Norhaven"),
        number(1, 1, 1, 45_000.0),
        number(1, 2, 0, 40.5),
        number(2, 1, 1, 45_001.0),
        number(2, 2, 0, 41.0),
        merged(&[[1, 2, 0, 0]]),
    ]);
    let extracted = extract(&source, MediaType::Xls).unwrap();
    assert_eq!(
        extracted.text,
        "Ports\n\nPort | Since | Fee\nNorhaven | 2023-03-15 | 40.5\nNorhaven | 2023-03-16 | 41"
    );
}

#[test]
fn what_a_sheet_says_of_its_size_is_not_believed() {
    let source = file(&[size(u32::MAX, 255), label(0, 0, "one"), label(9, 3, "two")]);
    assert_eq!(extract(&source, MediaType::Xls).unwrap().text, "Ports\n\none\n\ntwo");
}

#[test]
fn cells_far_apart_do_not_take_the_memory_of_those_between() {
    let far = file(&[label(0, 0, "one"), label(u16::MAX, 255, "two")]);
    let refused = extract(&far, MediaType::Xls);
    assert!(
        matches!(refused, Err(Unreadable::Bound { most: limits::MAX_GRID_CELLS, .. })),
        "{refused:?}"
    );
}

#[test]
fn a_sheet_that_is_named_many_times_is_not_read_as_often() {
    let cells: Vec<_> = (0..400).map(|row| label(row, 0, "again")).collect();
    let source = compound(&workbook(&cells, 60), |_| {});
    assert_eq!(extract(&source, MediaType::Xls), Err(Unreadable::Damaged("XLS")));
}

#[test]
fn sectors_that_lead_in_a_circle_are_damage() {
    for (id, to) in [(1, 1), (2, 9_999)] {
        let source = compound(&workbook(&[label(0, 0, "one")], 1), |fat| fat[id] = to);
        assert_eq!(checked(&source).err(), Some(Unreadable::Damaged("XLS")), "{id} to {to}");
    }
    let mut source = compound(&workbook(&[label(0, 0, "one")], 1), |fat| fat[3] = 3);
    let length = 2 * SECTOR + 128 + 120;
    source[length..length + 4].fill(0xff);
    assert_eq!(checked(&source).err(), Some(Unreadable::Damaged("XLS")));
    // A table that lists its own sector over and over.
    let mut source = file(&[label(0, 0, "one")]);
    source[80..84].fill(0);
    assert_eq!(checked(&source).err(), Some(Unreadable::Damaged("XLS")));
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_refused_or_read() {
    let source = file(&[label(0, 0, "one")]);
    for length in (0..source.len()).step_by(61) {
        let _ = checked(&source[..length]).is_ok();
    }
}
