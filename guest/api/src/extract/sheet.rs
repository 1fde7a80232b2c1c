//! Workbooks, by `calamine`: a heading for each sheet, and its tables a row a
//! line. Empty rows part tables.

mod beside;
mod legacy;
#[cfg(test)]
mod legacy_tests;
mod merged;
mod number;

use std::collections::HashMap;
use std::io::Cursor;

use calamine::{Data, DataRef, ExcelDateTime, Reader, SheetType, SheetVisible, Xls, Xlsb, Xlsx};
use zip::ZipArchive;

use super::builder::Builder;
use super::package::{Package, parse};
use super::xml::{attribute, named};
use super::{BlockKind, Extracted, MediaType, Unreadable, Warning, WarningCode};
use crate::limits;
use merged::Merged;

/// The workbook's title is that of its properties.
pub(super) fn extract(source: &[u8], media_type: MediaType) -> Result<Extracted, Unreadable> {
    match media_type {
        MediaType::Xls => xls(source),
        MediaType::Xlsb => xlsb(source),
        _ => xlsx(source),
    }
}

/// Unpacks every part once, as `calamine` unpacks them without a bound.
fn measure(source: &[u8], format: &'static str) -> Result<(), Unreadable> {
    let damaged = |_| Unreadable::Damaged(format);
    let mut archive = ZipArchive::new(Cursor::new(source)).map_err(damaged)?;
    if archive.len() > limits::MAX_PACKED_PARTS {
        return Err(Unreadable::bound("packed files", limits::MAX_PACKED_PARTS));
    }
    let mut budget = limits::MAX_UNPACKED_BYTES as u64;
    for index in 0..archive.len() {
        let Ok(file) = archive.by_index(index) else { continue };
        let name = file.name();
        if !(name.ends_with(".xml") || name.ends_with(".rels") || name.ends_with(".bin")) {
            continue;
        }
        let mut bounded = std::io::Read::take(file, budget + 1);
        let read = std::io::copy(&mut bounded, &mut std::io::sink()).unwrap_or(0);
        budget = budget.checked_sub(read).ok_or(Unreadable::Unpacked)?;
    }
    Ok(())
}

fn xlsx(source: &[u8]) -> Result<Extracted, Unreadable> {
    const FORMAT: &str = "XLSX";
    measure(source, FORMAT)?;
    let mut book = Xlsx::new(Cursor::new(source)).map_err(|_| Unreadable::Damaged(FORMAT))?;
    let mut package = Package::open(source, FORMAT)?;
    let main = package.main("xl/workbook.xml")?;
    let parts = parts(&mut package, &main, FORMAT)?;
    let people = beside::people(&mut package, &main)?;
    let mut sheets = Sheets::default();
    for (name, shown, kind) in names(&book) {
        if !sheets.begin(&name, shown) {
            continue;
        }
        if !kind {
            if let Some(part) = parts.get(&name) {
                beside::write(&mut package, part, &people, &mut sheets.builder)?;
            }
            continue;
        }
        if let Ok(regions) = book.merge_cells_by_sheet_name(&name) {
            sheets.merged = Merged::of(&regions);
        }
        let Ok(mut cells) = book.worksheet_cells_reader(&name) else {
            sheets.unreadable(&name);
            continue;
        };
        let formats: Vec<String> = cells
            .styles()
            .iter()
            .map(|style| {
                style.number_format.as_ref().map_or("", |format| &format.format_code).to_owned()
            })
            .collect();
        loop {
            match cells.next_cell_with_style_id() {
                Ok(Some((cell, style))) => {
                    let format = formats.get(style).map_or("", String::as_str);
                    sheets.cell(cell.get_position(), || reference(cell.get_value(), format))?;
                }
                Ok(None) => break,
                Err(_) => {
                    sheets.unreadable(&name);
                    break;
                }
            }
        }
        sheets.end();
        if let Some(part) = parts.get(&name) {
            beside::write(&mut package, part, &people, &mut sheets.builder)?;
        }
    }
    let title = package.title();
    Ok(sheets.builder.finish(title))
}

/// The part of each sheet by its name.
fn parts(
    package: &mut Package<'_>,
    main: &str,
    format: &'static str,
) -> Result<HashMap<String, String>, Unreadable> {
    let relations = package.relations(main)?;
    let Some(xml) = package.xml(main)? else { return Ok(HashMap::new()) };
    let Ok(book) = parse(&xml, format) else { return Ok(HashMap::new()) };
    let sheets = book.descendants().filter(|node| named(*node, "sheet"));
    let part = |node: roxmltree::Node<'_, '_>| {
        let target = relations.target(attribute(node, "id")?)?;
        Some((node.attribute("name")?.to_owned(), target.to_owned()))
    };
    Ok(sheets.filter_map(part).collect())
}

fn xlsb(source: &[u8]) -> Result<Extracted, Unreadable> {
    const FORMAT: &str = "XLSB";
    measure(source, FORMAT)?;
    let mut book = Xlsb::new(Cursor::new(source)).map_err(|_| Unreadable::Damaged(FORMAT))?;
    let mut sheets = Sheets::default();
    for (name, shown, _) in names(&book) {
        if !sheets.begin(&name, shown) {
            continue;
        }
        match book.worksheet_cells_reader(&name) {
            Ok(mut cells) => {
                while let Ok(Some(cell)) = cells.next_cell() {
                    sheets.cell(cell.get_position(), || reference(cell.get_value(), ""))?;
                }
            }
            Err(_) => sheets.unreadable(&name),
        }
        sheets.end();
    }
    Ok(sheets.builder.finish(None))
}

fn xls(source: &[u8]) -> Result<Extracted, Unreadable> {
    let source = legacy::checked(source)?;
    let mut book = Xls::new(Cursor::new(source)).map_err(|error| match error {
        calamine::XlsError::Password => Unreadable::Encrypted,
        _ => Unreadable::Damaged("XLS"),
    })?;
    let mut sheets = Sheets::default();
    for (name, shown, _) in names(&book) {
        if !sheets.begin(&name, shown) {
            continue;
        }
        match book.worksheet_range(&name) {
            Ok(range) => {
                let regions = book.merge_cells_by_sheet_name(&name).unwrap_or_default();
                sheets.merged = Merged::of(&regions);
                let (row, column) = range.start().unwrap_or((0, 0));
                for (below, beside, value) in range.used_cells() {
                    let at = (row + below as u32, column + beside as u32);
                    sheets.cell(at, || owned(value))?;
                }
            }
            Err(_) => sheets.unreadable(&name),
        }
        sheets.end();
    }
    Ok(sheets.builder.finish(None))
}

/// The name of each sheet, whether it is shown, and whether it has cells.
fn names<B: Reader<R>, R: std::io::Read + std::io::Seek>(book: &B) -> Vec<(String, bool, bool)> {
    let sheets = book.sheets_metadata().iter();
    sheets
        .map(|sheet| {
            let cells = matches!(sheet.typ, SheetType::WorkSheet);
            (sheet.name.clone(), sheet.visible == SheetVisible::Visible, cells)
        })
        .collect()
}

/// A workbook on its way to a text.
#[derive(Default)]
struct Sheets {
    builder: Builder,
    cells: usize,
    /// Bytes of all cells: a string that many cells share is text in each.
    bytes: usize,
    row: Option<u32>,
    merged: Merged,
    /// Cells of the row, with their columns.
    held: Vec<(u32, String)>,
    /// The rows of the table so far.
    table: Vec<Vec<(u32, String)>>,
}

impl Sheets {
    /// Begins a sheet, if it is to be read.
    fn begin(&mut self, name: &str, shown: bool) -> bool {
        if !shown {
            self.builder
                .warn(Warning::new(WarningCode::HiddenLeftOut, format!("the sheet {name}")));
            return false;
        }
        self.merged = Merged::default();
        self.builder.page();
        self.builder.block(BlockKind::Heading(1), name);
        true
    }

    fn unreadable(&mut self, name: &str) {
        self.builder
            .warn(Warning::new(WarningCode::PartLeftOut, format!("a part of the sheet {name}")));
    }

    fn cell(
        &mut self,
        (row, column): (u32, u32),
        text: impl FnOnce() -> String,
    ) -> Result<(), Unreadable> {
        self.cells += 1;
        if self.cells > limits::MAX_CELLS {
            return Err(Unreadable::bound("cells", limits::MAX_CELLS));
        }
        let text = text();
        self.bytes += text.len();
        if self.bytes > limits::MAX_TEXT_BYTES {
            return Err(Unreadable::TooLong);
        }
        if text.trim().is_empty() {
            return Ok(());
        }
        if self.row != Some(row) {
            self.end_row();
            if self.row.is_some_and(|before| row != before + 1) {
                self.end_table();
            }
            self.row = Some(row);
        }
        self.merged.begin((row, column), &text);
        self.held.push((column, text));
        Ok(())
    }

    fn end_row(&mut self) {
        if let Some(row) = self.row.filter(|_| !self.held.is_empty()) {
            self.held.sort_by_key(|(column, _)| *column);
            // The next cell, or the whole, is refused when this is too much.
            self.bytes += self.merged.fill(row, &mut self.held);
            self.table.push(std::mem::take(&mut self.held));
        }
    }

    /// Writes the rows that belong together, in the columns that any of them
    /// uses.
    fn end_table(&mut self) {
        let rows = std::mem::take(&mut self.table);
        let mut columns: Vec<u32> = rows.iter().flatten().map(|(column, _)| *column).collect();
        columns.sort_unstable();
        columns.dedup();
        if columns.is_empty() {
            return;
        }
        self.builder.start(BlockKind::Table);
        for row in rows {
            let mut cells = Vec::new();
            for (column, text) in row {
                let place = columns.partition_point(|known| *known < column);
                // A row that uses one of very many columns is not padded.
                if place < limits::MAX_COLUMNS || cells.len() >= limits::MAX_COLUMNS {
                    cells.resize(place.min(limits::MAX_COLUMNS).max(cells.len()), String::new());
                }
                cells.push(text);
            }
            self.builder.row(&cells);
        }
        self.builder.end();
    }

    fn end(&mut self) {
        self.end_row();
        self.end_table();
        self.row = None;
    }
}

fn reference(value: &DataRef<'_>, format: &str) -> String {
    match value {
        DataRef::String(text) => text.clone(),
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::Int(number) => number::shown(*number as f64, format),
        DataRef::Float(number) => number::shown(*number, format),
        DataRef::Bool(truth) => boolean(*truth),
        DataRef::DateTime(time) => date(time),
        DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.replace('T', " "),
        DataRef::Error(error) => error.to_string(),
        DataRef::Empty => String::new(),
    }
}

fn owned(value: &Data) -> String {
    match value {
        Data::String(text) => text.clone(),
        Data::Int(number) => number.to_string(),
        Data::Float(number) => number::shown(*number, ""),
        Data::Bool(truth) => boolean(*truth),
        Data::DateTime(time) => date(time),
        Data::DateTimeIso(text) | Data::DurationIso(text) => text.replace('T', " "),
        Data::Error(error) => error.to_string(),
        Data::Empty => String::new(),
    }
}

fn boolean(truth: bool) -> String {
    if truth { "TRUE" } else { "FALSE" }.to_owned()
}

/// A date as `2024-03-05`, with its time of day where it has one; a time as
/// `14:30`, and a length of time in hours.
fn date(time: &ExcelDateTime) -> String {
    let value = time.as_f64();
    if !(0.0..2_958_466.0).contains(&value) {
        return number::shown(value, "");
    }
    let seconds = (value * 86_400.0).round() as u64;
    let clock = |hours: u64| match seconds % 60 {
        0 => format!("{hours:02}:{:02}", seconds / 60 % 60),
        rest => format!("{hours:02}:{:02}:{rest:02}", seconds / 60 % 60),
    };
    if time.is_duration() {
        return clock(seconds / 3_600);
    }
    if value < 1.0 {
        return clock(seconds / 3_600 % 24);
    }
    let (year, month, day, ..) = time.to_ymd_hms_milli();
    let day = format!("{year:04}-{month:02}-{day:02}");
    match seconds % 86_400 {
        0 => day,
        _ => format!("{day} {}", clock(seconds / 3_600 % 24)),
    }
}
