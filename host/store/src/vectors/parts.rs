//! What a search scans, on one core or several.

use super::nearest::Near;

/// Rows that are scanned in one go.
#[derive(Clone, Copy)]
pub(super) enum Part {
    Segment(u32),
    List(u32),
}

/// Runs `scan` over parts on as many cores as are worth it.
pub(super) fn in_parallel(
    parts: &[Part],
    rows_per_thread: usize,
    rows_in: impl Fn(Part) -> usize,
    scan: &(dyn Fn(&[Part]) -> Vec<Near> + Sync),
) -> Vec<Near> {
    let rows: usize = parts.iter().map(|part| rows_in(*part)).sum();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = rows.div_ceil(rows_per_thread).min(cores).max(1);
    let mut shares = parts.chunks(parts.len().div_ceil(threads).max(1));
    let Some(own) = shares.next() else { return Vec::new() };
    std::thread::scope(|scope| {
        let others: Vec<_> = shares.map(|share| scope.spawn(move || scan(share))).collect();
        let mut found = scan(own);
        found.extend(others.into_iter().filter_map(|part| part.join().ok()).flatten());
        found
    })
}
