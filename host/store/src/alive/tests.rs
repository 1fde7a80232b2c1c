use super::*;

fn near(set: &AliveSet, query: &[f32]) -> Vec<u64> {
    set.nearest(query, 3, None).into_iter().map(|(chunk, _)| chunk).collect()
}

fn empty() -> AliveSet {
    AliveSet::new(Place::default())
}

#[test]
fn deleted_chunks_are_given_up_and_the_others_keep_their_vectors() {
    let mut set = empty();
    let count = 3 * MIN_DELETED as u64;
    for chunk in 1..=count {
        let angle = chunk as f32 / count as f32;
        // Every fifth still waits for its vector.
        let vector = [angle.cos(), angle.sin()];
        set.add(chunk, chunk, (chunk % 5 != 0).then_some(&vector));
    }
    (1..=count).filter(|chunk| chunk % 3 != 0).for_each(|chunk| set.remove(chunk));
    assert!(set.entries.len() < 2 * MIN_DELETED, "{}", set.entries.len());
    while set.move_some(100) {}
    assert!(set.vectors.len() < 2 * MIN_DELETED, "{}", set.vectors.len());
    for chunk in (3..=count).step_by(3) {
        let angle = chunk as f32 / count as f32;
        if chunk % 5 == 0 {
            assert_eq!(set.vector(chunk), None);
            set.add_vector(chunk, &[angle.cos(), angle.sin()]);
        }
        assert_eq!(set.vector(chunk), Some(&[angle.cos(), angle.sin()][..]));
    }
    assert_eq!(near(&set, &[1.0, 0.0]), [3, 6, 9]);
    assert!(!set.accepts(1, None));
}

#[test]
fn a_chunk_removed_before_it_came_stays_away() {
    let mut set = empty();
    set.remove(2);
    set.remove(9);
    set.add(1, 1, Some(&[1.0, 0.0]));
    set.add(2, 1, Some(&[1.0, 0.0]));
    set.caught_up(2);
    assert_eq!(near(&set, &[1.0, 0.0]), [1]);
    assert_eq!(set.tombstones, HashSet::from([9]));
}

#[test]
fn a_batch_done_twice_is_there_once() {
    let mut set = empty();
    for _ in 0..2 {
        set.add(1, 1, None);
        set.add(2, 1, Some(&[0.0, 1.0]));
    }
    set.add(1, 1, Some(&[1.0, 0.0]));
    assert_eq!((set.entries.len(), set.vectors.len()), (2, 2));
    assert_eq!(near(&set, &[1.0, 0.0]), [1, 2]);
}
