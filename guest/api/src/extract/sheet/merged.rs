//! Cells that span rows: each of the rows says in its column what the cell
//! says, as a row that stands alone in a passage is not understood otherwise.

use std::collections::{BTreeMap, HashMap};

use calamine::Dimensions;

use crate::limits;

/// The spanning cells of a sheet.
#[derive(Debug, Default)]
pub(super) struct Merged {
    /// The last row of each, by row and column of the first.
    last_rows: HashMap<(u32, u32), u32>,
    /// Of those that have begun, by column: the last row, and what they say.
    open: BTreeMap<u32, (u32, String)>,
}

impl Merged {
    /// Those among these regions that span rows.
    pub(super) fn of(regions: &[Dimensions]) -> Self {
        let spanning = regions.iter().filter(|region| region.end.0 > region.start.0);
        Self {
            last_rows: spanning.map(|region| (region.start, region.end.0)).collect(),
            open: BTreeMap::new(),
        }
    }

    /// A cell is read. One that says more than [`limits::MAX_REPEATED_BYTES`] is a
    /// text rather than a label, and is said once.
    pub(super) fn begin(&mut self, (row, column): (u32, u32), text: &str) {
        if let Some(last) = self.last_rows.get(&(row, column))
            && text.len() <= limits::MAX_REPEATED_BYTES
        {
            self.open.insert(column, (*last, text.to_owned()));
        }
    }

    /// Adds what spans a row to its cells, which are in the order of columns and
    /// stay so. Gives the bytes that came along.
    pub(super) fn fill(&mut self, row: u32, cells: &mut Vec<(u32, String)>) -> usize {
        self.open.retain(|_, (last, _)| *last >= row);
        let own = |column: &u32| cells.binary_search_by_key(column, |(column, _)| *column).is_ok();
        let added: Vec<_> = self
            .open
            .iter()
            .filter(|(column, _)| !own(column))
            .map(|(column, (_, text))| (*column, text.clone()))
            .collect();
        let bytes = added.iter().map(|(_, text)| text.len()).sum();
        cells.extend(added);
        cells.sort_by_key(|(column, _)| *column);
        bytes
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn region(start: (u32, u32), end: (u32, u32)) -> Dimensions {
        Dimensions { start, end }
    }

    #[test]
    fn what_spans_rows_is_said_in_each_and_ends_where_it_ends() {
        let mut merged = Merged::of(&[region((0, 0), (2, 0)), region((0, 2), (0, 4))]);
        merged.begin((0, 0), "North");
        merged.begin((0, 2), "Fees");
        let row = |merged: &mut Merged, row: u32, cells: &[(u32, &str)]| {
            let mut cells: Vec<_> =
                cells.iter().map(|(at, text)| (*at, (*text).to_owned())).collect();
            let bytes = merged.fill(row, &mut cells);
            (bytes, cells.iter().map(|(at, text)| format!("{at}{text}")).collect::<Vec<_>>())
        };
        assert_eq!(row(&mut merged, 0, &[(0, "North"), (2, "Fees")]).1, ["0North", "2Fees"]);
        assert_eq!(row(&mut merged, 1, &[(1, "a")]), (5, vec!["0North".into(), "1a".into()]));
        assert_eq!(row(&mut merged, 2, &[(0, "own")]), (0, vec!["0own".into()]));
        assert_eq!(row(&mut merged, 3, &[(1, "b")]), (0, vec!["1b".into()]));
    }

    #[test]
    fn a_long_text_is_said_once() {
        let mut merged = Merged::of(&[region((0, 0), (9, 0))]);
        merged.begin((0, 0), &"x".repeat(limits::MAX_REPEATED_BYTES + 1));
        let mut cells = vec![(1, "a".to_owned())];
        assert_eq!(merged.fill(1, &mut cells), 0);
    }
}
