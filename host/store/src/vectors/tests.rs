use std::sync::atomic::AtomicBool;

use super::*;

const MODEL: &str = "of the test";

/// Everything that is to be done in the background.
fn maintain(vectors: &mut Vectors) {
    while let Some(segment) = vectors.sparse() {
        vectors.move_rows(segment, 100);
    }
    while let Some(save) = vectors.next_save() {
        vectors.set_saved(save.carry_out().unwrap());
    }
    if let Some(listing) = vectors.next_listing() {
        vectors.set_lists(listing.carry_out(&AtomicBool::new(false)).unwrap());
    }
}

fn home(dir: &tempfile::TempDir) -> Home {
    Home::new(dir.path(), 1, MODEL)
}

/// The chunk is its own document; both begin with 1.
fn filled(home: Option<Home>, count: usize, vector: impl Fn(u64) -> Vec<f32>) -> Vectors {
    let mut vectors = Vectors::new(home, 8);
    for chunk in 1..=count as u64 {
        assert!(vectors.push(chunk, chunk, &vector(chunk)).is_some());
    }
    vectors
}

fn on_a_circle(chunk: u64) -> Vec<f32> {
    let angle = chunk as f32 * 0.37;
    vec![angle.cos(), angle.sin(), 0.0]
}

const CENTRES: u64 = 60;

/// Points around [`CENTRES`] centres on the sphere.
fn clustered(point: u64) -> Vec<f32> {
    let noise = |seed: u64, at: u64| {
        let mixed = (seed * 1_000 + at + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as f32
            / (1 << 23) as f32
            - 1.0
    };
    let centre = point % CENTRES;
    let values: Vec<f32> =
        (0..128).map(|at| noise(centre, at) + noise(CENTRES + point, at)).collect();
    let length = dot(&values, &values).sqrt();
    values.iter().map(|value| value / length).collect()
}

/// The nearest by comparing all.
fn exact(count: usize, query: &[f32], depth: usize, accept: impl Fn(u64) -> bool) -> Vec<u64> {
    let all = (1..=count as u64).filter(|chunk| accept(*chunk));
    let all = all.map(|chunk| Near { similarity: dot(&clustered(chunk), query), key: chunk });
    best(all.collect(), depth).into_iter().map(|near| near.key).collect()
}

fn chunks(found: &[(u64, f32)]) -> Vec<u64> {
    found.iter().map(|(chunk, _)| *chunk).collect()
}

/// How many of a hundred are found that comparing all finds.
fn recall(vectors: &Vectors, count: usize, accept: Option<Accept<'_>>) -> usize {
    let right = |query: u64| {
        let query = clustered(1_000_000 + query);
        let wanted = exact(count, &query, 10, |chunk| accept.is_none_or(|of| of(chunk, chunk)));
        let found = chunks(&vectors.top(&query, 10, accept));
        assert!(found.iter().all(|chunk| accept.is_none_or(|of| of(*chunk, *chunk))));
        wanted.iter().filter(|chunk| found.contains(chunk)).count()
    };
    (0..10).map(right).sum()
}

const MANY: usize = 9 * SEGMENT_ROWS + 100;

#[test]
fn the_scan_agrees_with_sorting_everything() {
    let count = EXACT_ROWS - 10;
    let vectors = filled(None, count, on_a_circle);
    let query = [0.6, 0.8, 0.0];
    let all =
        (1..=count as u64).map(|key| Near { similarity: dot(&on_a_circle(key), &query), key });
    let all = best(all.collect(), 25).into_iter().map(|near| (near.key, near.similarity));
    assert_eq!(vectors.top(&query, 25, None), all.collect::<Vec<_>>());
}

#[test]
fn in_lists_the_nearest_are_found_and_new_ones_at_once_and_deleted_ones_never() {
    let dir = tempfile::tempdir().unwrap();
    let mut vectors = filled(Some(home(&dir)), MANY, clustered);
    assert!(recall(&vectors, MANY, None) >= 95, "without lists");
    maintain(&mut vectors);
    assert!(vectors.lists.as_ref().unwrap().len() > 8 * 4, "a search looks through a part");
    assert!(recall(&vectors, MANY, None) >= 95);
    assert!(vectors.full.iter().flatten().all(|full| full.segment.checksum().is_some()));
    let query = clustered(5_000_000);
    let row = vectors.push(7_000_000, 1, &query).unwrap();
    assert_eq!(vectors.top(&query, 1, None)[0].0, 7_000_000);
    let second = vectors.top(&query, 2, None)[1].0;
    vectors.remove(row);
    assert_eq!(vectors.top(&query, 1, None)[0].0, second);
    vectors.remove(u32::try_from(second).unwrap() - 1);
    assert!(!chunks(&vectors.top(&query, 100, None)).contains(&second));
}

#[test]
fn a_filter_gets_all_that_it_accepts_wherever_that_is() {
    let mut vectors = filled(None, MANY, clustered);
    maintain(&mut vectors);
    assert!(vectors.lists.is_some());
    let few = |chunk: u64, _: u64| chunk % 250 == 7;
    let mut found = chunks(&vectors.top(&clustered(7), 50, Some(&few)));
    assert_eq!(found[0], 7);
    found.sort_unstable();
    assert_eq!(found, (7..MANY as u64).step_by(250).collect::<Vec<_>>());
    for every in [2, 10, 50] {
        let part = |chunk: u64, _: u64| chunk % every == 1;
        let right = recall(&vectors, MANY, Some(&part));
        assert!(right >= 95, "{right} of 100 where one in {every} is let through");
    }
}

#[test]
fn what_is_in_files_is_found_after_a_restart_as_before() {
    let dir = tempfile::tempdir().unwrap();
    let mut vectors = filled(Some(home(&dir)), MANY, clustered);
    maintain(&mut vectors);
    let query = clustered(5_000_000);
    let before = vectors.top(&query, 50, Some(&|chunk, _| chunk <= 9 * SEGMENT_ROWS as u64));
    drop(vectors);
    let mut vectors = Vectors::open(home(&dir), 8);
    assert_eq!(vectors.top(&query, 50, None), [], "nobody has claimed a row");
    let stored = vectors.stored();
    assert_eq!(stored.len(), 9 * SEGMENT_ROWS);
    stored.iter().for_each(|(chunk, row)| vectors.claim(*row, *chunk));
    assert!(vectors.lists.is_some());
    assert_eq!(vectors.top(&query, 50, None), before);
    assert!(!vectors.has_more());
    vectors.push(8_000_000, 1, &query);
    assert_eq!(vectors.top(&query, 1, None)[0].0, 8_000_000);
}

#[test]
fn files_that_are_missing_damaged_or_of_another_model_are_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let mut vectors = filled(Some(home(&dir)), MANY, clustered);
    maintain(&mut vectors);
    drop(vectors);
    let files: Vec<_> = std::fs::read_dir(dir.path().join(FOLDER)).unwrap().flatten().collect();
    assert_eq!(files.len(), 10);
    let named = |part: &str| {
        let all = files.iter().map(|file| file.path());
        all.filter(|path| path.to_string_lossy().contains(part)).collect::<Vec<_>>()
    };
    std::fs::remove_file(&named("-00000003")[0]).unwrap();
    let bytes = std::fs::read(&named("-00000004")[0]).unwrap();
    std::fs::write(&named("-00000004")[0], &bytes[..bytes.len() / 2]).unwrap();
    let vectors = Vectors::open(home(&dir), 8);
    assert_eq!(vectors.stored().len(), 7 * SEGMENT_ROWS);
    assert!(!named("-00000004")[0].exists(), "it makes room for the next");
    let mut lists = std::fs::read(&named(".lists")[0]).unwrap();
    let middle = lists.len() / 2;
    lists[middle] ^= 1;
    std::fs::write(&named(".lists")[0], lists).unwrap();
    let vectors = Vectors::open(home(&dir), 8);
    assert!(vectors.lists.is_none() && vectors.has_more());
    assert!(Vectors::open(Home::new(dir.path(), 1, "another"), 8).stored().is_empty());
    assert!(Vectors::open(Home::new(dir.path(), 2, MODEL), 8).stored().is_empty());
}

#[test]
fn a_segment_that_is_mostly_deleted_is_given_up_and_its_rows_move() {
    let dir = tempfile::tempdir().unwrap();
    let mut vectors = filled(Some(home(&dir)), MANY, clustered);
    maintain(&mut vectors);
    let gone = |chunk: u64| chunk <= 6 * SEGMENT_ROWS as u64 && chunk % 4 != 1;
    for row in 0..u32::try_from(6 * SEGMENT_ROWS).unwrap() {
        if gone(u64::from(row) + 1) {
            vectors.remove(row);
        }
    }
    maintain(&mut vectors);
    assert_eq!(vectors.segments().count(), 9 - 6 + 1);
    assert!(vectors.len() < MANY / 2 + SEGMENT_ROWS);
    let right = |query: u64| {
        let query = clustered(1_000_000 + query);
        let found = chunks(&vectors.top(&query, 10, None));
        assert!(found.iter().all(|chunk| !gone(*chunk)));
        let wanted = exact(MANY, &query, 10, |chunk| !gone(chunk));
        wanted.iter().filter(|chunk| found.contains(chunk)).count()
    };
    let right: usize = (0..10).map(right).sum();
    assert!(right >= 95, "{right}");
    drop(vectors);
    assert_eq!(Vectors::open(home(&dir), 8).stored().len(), 4 * SEGMENT_ROWS);
}

#[test]
fn a_vector_of_another_length_is_refused() {
    let mut vectors = filled(None, 1, on_a_circle);
    assert_eq!(vectors.push(9, 9, &[1.0]), None);
    assert!(vectors.top(&[1.0], 1, None).is_empty());
}
