//! Readers as programs are, and what is foreseen of them.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const MOST: usize = 8;

/// What a reader of `places` meets: how many were guessed, and how many were guessed and not read.
fn follow(counts: &[u64], places: impl IntoIterator<Item = Place>) -> (usize, usize) {
    let (mut strides, mut used, mut asked) = (Strides::new(counts), 0, 0);
    for place in places {
        let step = strides.read(&place, MOST);
        used += usize::from(step.was_guessed);
        asked += step.ask.len();
        assert!(
            step.ask.iter().all(|guess| guess.iter().zip(counts).all(|(at, count)| at < count)),
            "{step:?}"
        );
        assert!(strides.open.len() <= MOST);
    }
    (used, asked - used)
}

/// All places of a box, the last axis fastest.
fn scan(axes: &[Vec<u64>]) -> Vec<Place> {
    axes.iter().fold(vec![Vec::new()], |places, axis| {
        let longer =
            |place: &Place| axis.iter().map(|at| [place.as_slice(), &[*at]].concat()).collect::<Vec<Place>>();
        places.iter().flat_map(longer).collect()
    })
}

fn range(range: std::ops::Range<u64>) -> Vec<u64> {
    range.collect()
}

#[test]
fn a_time_series_is_foreseen_from_its_third_chunk_on_and_no_further_than_the_grid() {
    let series = |places: Vec<u64>| follow(&[100, 8, 17], places.into_iter().map(|time| vec![time, 3, 16]));
    assert_eq!(series(range(0..100)), (97, 0));
    assert_eq!(series((0..100).rev().collect()), (97, 0));
    assert_eq!(series((1..100).step_by(7).collect()), (12, 0));
    assert_eq!(series((0..100).rev().step_by(3).collect()), (31, 0));
}

#[test]
fn two_places_and_scattered_ones_foretell_nothing() {
    let scattered = [[0, 0], [5, 3], [9, 1], [2, 7], [7, 6], [4, 2]].map(|place| place.to_vec());
    assert_eq!(follow(&[10, 10], scattered), (0, 0));
    assert_eq!(follow(&[10], [vec![0], vec![1]]), (0, 0));
    let again = [0, 1, 1, 1, 0].map(|at| vec![at]);
    assert_eq!(follow(&[10], again), (0, 0), "the same chunk again is no step");
    assert_eq!(follow(&[], [vec![], vec![]]), (0, 0));
}

#[test]
fn a_walk_that_ends_has_at_most_a_quarter_of_what_it_read_in_vain() {
    for length in 3..60 {
        let (_, wasted) = follow(&[100, 8], (0..length).map(|time| vec![time, 3]));
        assert!(wasted <= (length as usize / 4).max(1), "{length}: {wasted}");
    }
}

#[test]
fn where_a_walk_ended_the_next_one_is_not_foreseen_further() {
    // A time series of the same period at one point after another.
    let points = [[3, 16], [9, 2], [14, 7], [22, 11], [31, 25], [5, 30], [18, 0], [1, 9]];
    for period in [range(10..34), (10..34).rev().collect(), range(10..90)] {
        let series = |points: &[[u64; 2]]| -> Vec<Place> {
            points.iter().flat_map(|at| period.iter().map(|time| vec![*time, at[0], at[1]])).collect()
        };
        let (used, wasted) = follow(&[100, 40, 40], series(&points));
        let all = points.len() * period.len();
        assert!(used * 10 > all * 7, "{used} of {all}");
        assert!(wasted <= MOST + 1, "{wasted} in vain");
        // Whoever goes on is foreseen again.
        let longer = series(&points).into_iter().chain((10..100).map(|time| vec![time, 35, 35]));
        let (longer, _) = follow(&[100, 40, 40], longer);
        assert!(longer > used + 60, "{longer} after {used}");
    }
}

#[test]
fn a_scan_of_rows_goes_over_their_ends() {
    // All of the grid: nothing is ever guessed in vain.
    let (used, wasted) = follow(&[10, 12], scan(&[range(0..10), range(0..12)]));
    assert!(used > 105 && wasted == 0, "{used} {wasted}");
    // A part of it: at the end of the first row the walk is thought to go on, and at the end of all.
    let (used, wasted) = follow(&[40, 40], scan(&[range(3..23), range(5..15)]));
    assert!(used > 170 && wasted <= 2 * MOST, "{used} {wasted}");
}

#[test]
fn maps_of_one_time_after_another() {
    for (rows, columns) in [(4, 6), (3, 2), (2, 2), (1, 5)] {
        let places = scan(&[range(0..30), range(2..2 + rows), range(7..7 + columns)]);
        let all = places.len();
        let (used, wasted) = follow(&[30, 20, 20], places);
        assert!(used * 10 > all * 8, "{rows} x {columns}: {used} of {all}");
        assert!(wasted <= 4 * MOST, "{rows} x {columns}: {wasted} in vain");
    }
}

#[test]
fn any_axis_may_be_the_fastest() {
    let mut places = scan(&[range(0..12), range(0..9)]);
    places.iter_mut().for_each(|place| place.reverse());
    let (used, wasted) = follow(&[9, 12], places);
    assert!(used > 90 && wasted == 0, "{used} {wasted}");
}

#[test]
fn eight_readers_who_take_turns_are_each_foreseen() {
    let rows = [0, 5, 9, 14, 22, 23, 31, 38];
    let places = (0..40).flat_map(|time| rows.map(|row| vec![time, row]));
    let (used, wasted) = follow(&[40, 40], places);
    assert!(used > 250, "{used}");
    assert!(wasted <= 2 * MOST, "{wasted}");
    // Each with steps and a direction of its own.
    let places = (0..40u64).flat_map(|n| [vec![2 * n, 0], vec![79 - n, 1], vec![n, 2], vec![3, 2 + n]]);
    let (used, wasted) = follow(&[80, 80], places);
    assert!(used > 120, "{used}");
    assert!(wasted <= 2 * MOST, "{wasted}");
}

#[test]
fn threads_that_mix_the_order_are_followed() {
    let mut places: Vec<Place> = (0..128).map(|time| vec![time, 4]).collect();
    for (at, part) in places.chunks_mut(6).enumerate() {
        let places = part.len();
        part.rotate_left(at % places);
        part.swap(0, places / 2);
    }
    let (used, wasted) = follow(&[200, 8], places);
    assert!(used > 90 && wasted <= 2 * MOST, "{used} {wasted}");
}

#[test]
fn what_other_threads_ask_for_is_not_ahead_of_them() {
    const THREADS: u64 = 6;
    let mut strides = Strides::new(&[200]);
    let mut guessed = BTreeSet::new();
    for round in 0..12 {
        let places: Vec<Place> = (round * THREADS..(round + 1) * THREADS).map(|at| vec![at]).collect();
        let waits: Vec<&Place> = places.iter().filter(|place| !guessed.contains(*place)).collect();
        waits.iter().for_each(|place| strides.awaits(place));
        for place in &places {
            let ask = strides.read(place, MOST).ask;
            assert!(ask.iter().all(|guess| !places.contains(guess)), "{ask:?} in {places:?}");
            guessed.extend(ask);
        }
        // Once it may be six ahead, nobody waits.
        assert!(round < 5 || waits.is_empty(), "{waits:?}");
    }
}

#[test]
fn wrong_guesses_stop_the_guessing() {
    // Three in a row, and then somewhere else, for ever.
    let places = (0..300u64).flat_map(|n| {
        let (row, column) = ((n * 37) % 997, (n * n * 17) % 911);
        (0..3).map(move |step| vec![row, column + step])
    });
    let (used, wasted) = follow(&[1000, 1000], places);
    assert!(used <= 3 && wasted < 40, "{used} {wasted}");
    // Who comes back to order is foreseen again.
    let mut strides = Strides::new(&[1000]);
    strides.proof = MOST_PROOF;
    let asked = (0..200).map(|at| strides.read(&[at], MOST).ask.len()).sum::<usize>();
    assert!(asked > 100, "{asked}");
}

#[test]
fn no_more_than_allowed_is_open_and_what_could_not_be_asked_for_is_guessed_again() {
    let mut strides = Strides::new(&[50]);
    let asked: Vec<Vec<Place>> = (0..12).map(|at| strides.read(&[at], 3).ask).collect();
    // One for four that the walk has read, and one from the third on.
    let first = (2..8).map(|at| vec![vec![at + 1]]);
    let then = [vec![vec![9], vec![10]], vec![vec![11]], vec![vec![12]], vec![vec![13]]];
    assert_eq!(asked, [vec![], vec![]].into_iter().chain(first).chain(then).collect::<Vec<_>>());
    strides.retract(&[13]);
    assert_eq!(strides.read(&[12], 3).ask, [[13], [14], [15]]);
    assert!(strides.read(&[13], 0).ask.is_empty());
    // What was there already is not taken for a guess.
    strides.was_there(&[14]);
    assert!(!strides.read(&[14], 3).was_guessed);
    assert!(strides.read(&[15], 3).was_guessed);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn numbers_and_places_belong_together(
        start in prop::collection::vec(0u64..40, 3),
        steps in prop::collection::vec((-4i64..5).prop_filter("no step", |step| *step != 0), 3),
        counts in prop::collection::vec(1u64..6, 2),
        number in 0u64..200,
    ) {
        let axes = [2usize, 0, 1].iter().enumerate().map(|(at, axis)| Axis {
            axis: *axis,
            step: steps[at],
            count: counts.get(at).copied(),
        });
        let walk = Walk { start, axes: axes.collect(), done: 0, hits: 0, moved: 0 };
        if let Some(place) = walk.place(number, &[60, 60, 60]) {
            prop_assert_eq!(walk.number(&place), Some(number));
        }
    }

    #[test]
    fn nothing_is_guessed_outside_of_the_grid_whatever_is_read(
        counts in prop::collection::vec(1u64..7, 1..4),
        reads in prop::collection::vec(any::<prop::sample::Index>(), 1..300),
    ) {
        let all = scan(&counts.iter().map(|count| range(0..*count)).collect::<Vec<Vec<u64>>>());
        follow(&counts, reads.iter().map(|at| all[at.index(all.len())].clone()));
    }

    #[test]
    fn huge_numbers_do_not_overflow(places in prop::collection::vec(prop::collection::vec(any::<u64>(), 2), 1..40)) {
        follow(&[u64::MAX, u64::MAX], places.into_iter().filter(|place| place.iter().all(|at| *at < u64::MAX)));
        follow(&[u64::MAX], (0..50).map(|n| vec![(n % 7) * (u64::MAX / 7) + n]));
    }
}
