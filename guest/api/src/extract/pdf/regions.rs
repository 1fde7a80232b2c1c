//! What belongs side by side on a page: columns of running text, which are read
//! one after the other, and tables, which are read row by row.
//!
//! Distances are in em of the line that they are measured at.

use super::lines::{Line, Part};

/// How far the next line of columns or rows may be.
const STEP: f64 = 2.5;
/// Lines side by side from which on they are columns.
const COLUMN_LINES: usize = 3;
/// Words of a line of running text in a column; a cell has fewer.
const COLUMN_WORDS: usize = 3;
/// How much of their column's width lines of running text fill on average.
const COLUMN_FILL: f64 = 0.7;
/// How far the next line of a cell may be.
const CELL_STEP: f64 = 1.6;
/// Lines of one cell.
const CELL_LINES: usize = 16;
/// How far the next row may be from the one above.
const ROW_GAP: f64 = 3.0;

/// A part of a page that is read as one.
#[derive(Debug, PartialEq)]
pub(super) enum Region {
    /// Lines one after the other.
    Flow(Vec<Line>),
    /// Rows of cells; all rows have as many.
    Table(Vec<Vec<String>>),
}

/// Divides the lines of a page.
pub(super) fn regions(lines: Vec<Line>) -> Vec<Region> {
    let mut regions = Vec::new();
    let mut rest = lines.as_slice();
    while let Some((first, tail)) = rest.split_first() {
        if let Some((columns, used)) = columns(rest) {
            regions.extend(columns.into_iter().map(Region::Flow));
            rest = rest.get(used..).unwrap_or_default();
        } else if let Some((table, used)) = table(rest) {
            regions.push(Region::Table(table));
            rest = rest.get(used..).unwrap_or_default();
        } else {
            match regions.last_mut() {
                Some(Region::Flow(lines)) => lines.push(first.clone()),
                _ => regions.push(Region::Flow(vec![first.clone()])),
            }
            rest = tail;
        }
    }
    regions
}

/// Whether a line is the next one down.
fn follows(above: &Line, below: &Line, most: f64) -> bool {
    let step = below.down - above.down;
    above.is_parallel(below) && step > 0.0 && step <= most * above.size.max(below.size)
}

/// Columns that were drawn row by row, and how many lines they take.
fn columns(lines: &[Line]) -> Option<(Vec<Vec<Line>>, usize)> {
    let first = lines.first()?;
    let count = first.parts.len();
    if count < 2 {
        return None;
    }
    let mut bounds: Vec<(f64, f64)> = bounds(first);
    let mut used = 1;
    for (above, below) in lines.iter().zip(lines.iter().skip(1)) {
        if below.parts.len() != count || !follows(above, below, STEP) {
            break;
        }
        let merged: Vec<_> = bounds
            .iter()
            .zip(self::bounds(below))
            .map(|(one, two)| (one.0.min(two.0), one.1.max(two.1)))
            .collect();
        if !are_apart(&merged, 0.6 * first.size) {
            break;
        }
        (bounds, used) = (merged, used + 1);
    }
    let taken = lines.get(..used)?;
    if used < COLUMN_LINES || !is_running_text(taken, &bounds) {
        return None;
    }
    let mut columns: Vec<Vec<Line>> = vec![Vec::new(); count];
    for line in taken {
        for (column, part) in columns.iter_mut().zip(&line.parts) {
            column.push(alone(line, part));
        }
    }
    // The columns need not be of one length.
    for (above, below) in lines.iter().zip(lines.iter().skip(1)).skip(used - 1) {
        let inside = |part: &Part| {
            bounds.iter().position(|(start, end)| {
                part.start >= start - 0.5 * below.size && part.end <= end + 0.5 * below.size
            })
        };
        let places: Option<Vec<usize>> = below.parts.iter().map(inside).collect();
        let Some(places) = places.filter(|_| follows(above, below, STEP)) else { break };
        for (place, part) in places.iter().zip(&below.parts) {
            columns.get_mut(*place)?.push(alone(below, part));
        }
        used += 1;
    }
    Some((columns, used))
}

fn bounds(line: &Line) -> Vec<(f64, f64)> {
    line.parts.iter().map(|part| (part.start, part.end)).collect()
}

/// Whether no two intervals come nearer than this. They may run either way.
fn are_apart(bounds: &[(f64, f64)], least: f64) -> bool {
    let rising = |pair: &[(f64, f64)]| matches!(pair, [one, two] if two.0 - one.1 >= least);
    let falling = |pair: &[(f64, f64)]| matches!(pair, [one, two] if one.0 - two.1 >= least);
    bounds.windows(2).all(rising) || bounds.windows(2).all(falling)
}

fn is_running_text(lines: &[Line], bounds: &[(f64, f64)]) -> bool {
    let parts = || lines.iter().flat_map(|line| &line.parts);
    let words: usize = parts().map(|part| words(&part.text)).sum();
    let enough = words >= COLUMN_WORDS * parts().count();
    let mut fills = Vec::new();
    for (at, (start, end)) in bounds.iter().enumerate() {
        let widths = lines.iter().filter_map(|line| line.parts.get(at));
        let filled: f64 = widths.map(|part| part.end - part.start).sum();
        fills.push(filled / lines.len() as f64 / (end - start).max(1e-9));
    }
    enough && fills.iter().all(|fill| *fill >= COLUMN_FILL)
}

/// Words, where a Chinese or Japanese one has two characters on average.
fn words(text: &str) -> usize {
    let cjk = text.chars().filter(|char| super::lines::is_cjk(*char)).count();
    text.split_whitespace().count() + cjk / 2
}

fn alone(line: &Line, part: &Part) -> Line {
    Line { start: part.start, end: part.end, parts: vec![part.clone()], ..line.clone() }
}

/// One cell of a row.
#[derive(Debug, Clone)]
struct Cell {
    start: f64,
    end: f64,
    /// The baselines of its first and last line.
    top: f64,
    bottom: f64,
    lines: Vec<String>,
}

impl Cell {
    fn overlap(&self, (start, end): (f64, f64)) -> f64 {
        self.end.min(end) - self.start.max(start)
    }
}

/// The cells that lie side by side from here, and how many lines they take. A
/// program writes a row on one baseline, or cell by cell, each from its top.
fn row(lines: &[Line]) -> Option<(Vec<Cell>, usize)> {
    let first = lines.first()?;
    let mut cells = cells(first);
    let mut used = 1;
    for below in lines.iter().skip(1).take_while(|line| line.is_parallel(first)) {
        let (top, bottom) = cells.iter().fold((f64::MAX, f64::MIN), |(top, bottom), cell| {
            (top.min(cell.top), bottom.max(cell.bottom))
        });
        let right = cells.iter().fold(f64::MIN, |right, cell| right.max(cell.end));
        let em = below.size.max(first.size);
        let beside = below.start >= right - 0.3 * em
            && below.down >= top - 0.7 * em
            && below.down <= bottom + 0.7 * em;
        if beside {
            cells.extend(self::cells(below));
        } else if !goes_on(cells.last_mut()?, below) {
            break;
        }
        used += 1;
    }
    Some((cells, used))
}

fn cells(line: &Line) -> Vec<Cell> {
    let cell = |part: &Part| Cell {
        start: part.start,
        end: part.end,
        top: line.down,
        bottom: line.down,
        lines: vec![part.text.clone()],
    };
    line.parts.iter().map(cell).collect()
}

/// Takes a line into a cell that it goes on.
fn goes_on(cell: &mut Cell, line: &Line) -> bool {
    let [part] = line.parts.as_slice() else { return false };
    let step = line.down - cell.bottom;
    let below = step > 0.0 && step <= CELL_STEP * line.size;
    if !below || cell.overlap((part.start, part.end)) <= 0.0 || cell.lines.len() >= CELL_LINES {
        return false;
    }
    (cell.start, cell.end) = (cell.start.min(part.start), cell.end.max(part.end));
    cell.bottom = line.down;
    cell.lines.push(part.text.clone());
    true
}

/// A table that begins here, and how many lines it takes.
fn table(lines: &[Line]) -> Option<(Vec<Vec<String>>, usize)> {
    let first = lines.first()?;
    let (mut rows, mut columns): (Vec<Vec<Cell>>, Vec<(f64, f64)>) = (Vec::new(), Vec::new());
    let (mut used, mut kept, mut bottom) = (0, 0, first.down - first.size);
    let mut alone = 0;
    while let Some((cells, taken)) = row(lines.get(used..)?) {
        let top = cells.iter().fold(f64::MAX, |top, cell| top.min(cell.top));
        let near = top > bottom && (rows.is_empty() || top - bottom <= ROW_GAP * first.size);
        let parallel = lines.get(used).is_some_and(|line| line.is_parallel(first));
        if !near || !parallel || !fits(&cells, &columns) {
            break;
        }
        let whole = cells.len() >= 2;
        // A row of one cell heads the rows below it, or is no row.
        if !whole && (rows.is_empty() || alone > 0 || cells.iter().any(|cell| cell.lines.len() > 1))
        {
            break;
        }
        bottom = cells.iter().fold(f64::MIN, |bottom, cell| bottom.max(cell.bottom));
        used += taken;
        if whole {
            widen(&mut columns, &cells);
            (kept, alone) = (used, 0);
        } else {
            alone += 1;
        }
        rows.push(cells);
    }
    rows.truncate(rows.len() - alone);
    // Two rows of two cells may as well be words far apart.
    let with = |cells| rows.iter().filter(|row| row.len() >= cells).count();
    let enough = with(2) >= 3 || with(3) >= 2;
    enough.then(|| (written(rows, &columns, first.rtl), kept))
}

/// Whether most cells stand in columns that are known.
fn fits(cells: &[Cell], columns: &[(f64, f64)]) -> bool {
    let stands =
        |cell: &&Cell| columns.iter().filter(|column| cell.overlap(**column) > 0.0).count() == 1;
    columns.is_empty() || 2 * cells.iter().filter(stands).count() >= cells.len()
}

/// Takes the cells of a row into the columns: those that overlap one are part of
/// it, those that overlap none are new.
fn widen(columns: &mut Vec<(f64, f64)>, cells: &[Cell]) {
    for cell in cells {
        let mut over = columns.iter_mut().filter(|column| cell.overlap(**column) > 0.0);
        match (over.next(), over.next()) {
            (None, _) => columns.push((cell.start, cell.end)),
            (Some(column), None) => {
                *column = (column.0.min(cell.start), column.1.max(cell.end));
            }
            // A cell that spans columns says nothing of where they end.
            _ => {}
        }
    }
    columns.sort_by(|one, two| one.0.total_cmp(&two.0));
    let mut apart: Vec<(f64, f64)> = Vec::with_capacity(columns.len());
    for column in columns.drain(..) {
        match apart.last_mut() {
            Some(last) if last.1 > column.0 => last.1 = last.1.max(column.1),
            _ => apart.push(column),
        }
    }
    *columns = apart;
}

fn written(rows: Vec<Vec<Cell>>, columns: &[(f64, f64)], rtl: bool) -> Vec<Vec<String>> {
    let write = |cells: Vec<Cell>| {
        let mut row = vec![String::new(); columns.len()];
        for cell in cells {
            let over =
                |at: &usize| columns.get(*at).map_or(f64::MIN, |column| cell.overlap(*column));
            let place = (0..columns.len())
                .max_by(|one, two| over(one).total_cmp(&over(two)).then(two.cmp(one)));
            if let Some(text) = place.and_then(|place| row.get_mut(place)) {
                if !text.is_empty() {
                    text.push('\n');
                }
                text.push_str(&cell.lines.join("\n"));
            }
        }
        if rtl {
            row.reverse();
        }
        row
    };
    rows.into_iter().map(write).collect()
}
