//! Slots: queues, other processes, reading ahead, narrowing.

use super::*;

const LONG: Duration = Duration::from_secs(900);

#[tokio::test(start_paused = true)]
async fn a_third_transfer_waits_for_the_first_to_be_dropped() {
    let slots = UserSlots::local(2, LONG);
    let first = slots.acquire().await.unwrap();
    let _second = slots.acquire().await.unwrap();
    assert!(timeout(Duration::from_secs(5), slots.acquire()).await.is_err());
    drop(first);
    slots.acquire().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_at_the_queue_limit() {
    let slots = UserSlots::local(1, Duration::from_secs(3));
    let _held = slots.acquire().await.unwrap();
    assert_eq!(slots.acquire().await.err().map(|e| e.kind()), Some(ErrorKind::TimedOut));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_told_that_a_slot_is_free_finds_it_free() {
    let directory = tempfile::tempdir().unwrap();
    let slots = UserSlots::shared(1, directory.path().join("slots"), LONG).unwrap();
    for _ in 0..2000 {
        let held = slots.acquire().await.unwrap();
        let freed = slots.freed();
        let dropped = tokio::spawn(async move { drop(held) });
        freed.await;
        assert_eq!(slots.usage().0, 0);
        assert!(matches!(slots.lock(), Locked::Here(_)));
        dropped.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn two_processes_share_the_lock_files() {
    let directory = tempfile::tempdir().unwrap();
    let here = UserSlots::shared(2, directory.path().join("slots"), LONG).unwrap();
    let there = UserSlots::shared(2, directory.path().join("slots"), LONG).unwrap();
    let one = here.acquire().await.unwrap();
    let _two = there.acquire().await.unwrap();
    assert!(here.spare().is_none() && there.spare().is_none());
    assert!(timeout(Duration::from_secs(2), there.acquire()).await.is_err());
    drop(one);
    there.acquire().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_waits_in_another_process_comes_next() {
    let directory = tempfile::tempdir().unwrap();
    let process = || UserSlots::shared(1, directory.path().join("slots"), LONG).unwrap();
    let (here, there) = (process(), process());
    for _ in 0..3 {
        let held = here.acquire().await.unwrap();
        assert!(!held.queue().is_wanted());
        let mut waiting = Box::pin(there.acquire());
        assert!(timeout(Duration::from_secs(1), &mut waiting).await.is_err());
        let queue = held.queue();
        assert!(queue.is_wanted() && queue.give_way() && !queue.give_way());
        drop(held);
        assert!(here.spare().is_none());
        // Wanted again at once, and looked for first.
        tokio::select! {
            biased;
            _ = here.acquire() => panic!("the one that had it has it again"),
            slot = &mut waiting => drop(slot.unwrap()),
        }
        drop(waiting);
        tokio::time::advance(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_was_stopped_in_its_turn_is_passed_by() {
    let directory = tempfile::tempdir().unwrap();
    let slots = UserSlots::shared(1, directory.path().to_owned(), LONG).unwrap();
    let _stopped = Turn::new(directory.path()).take().unwrap();
    assert!(timeout(TURN / 2, slots.acquire()).await.is_err());
    timeout(TURN * 2, slots.acquire()).await.unwrap().unwrap();
}

#[tokio::test]
async fn reading_ahead_leaves_one_slot_and_gives_its_own_back() {
    let slots = UserSlots::local(2, LONG);
    let ahead = slots.spare().unwrap();
    assert!(slots.spare().is_none());
    drop(ahead);
    assert!(slots.spare().is_some());
    assert!(UserSlots::local(1, LONG).spare().is_none());
}

#[tokio::test]
async fn a_guess_that_somebody_waits_for_makes_room_for_another() {
    let slots = UserSlots::local(2, LONG);
    let first = slots.spare().unwrap();
    assert!(!slots.may_spare());
    first.ahead().promote();
    assert!(slots.may_spare() && slots.spare().is_some());
}

#[tokio::test(start_paused = true)]
async fn one_gives_way_to_each_who_waits() {
    let slots = UserSlots::local(2, LONG);
    let (one, two) = (slots.acquire().await.unwrap(), slots.spare().unwrap());
    assert!(!one.queue().is_wanted());
    let mut waiting = Box::pin(slots.acquire());
    assert!(timeout(Duration::from_secs(1), &mut waiting).await.is_err());
    assert!(one.queue().is_wanted());
    assert!(two.queue().give_way() && !one.queue().give_way());
    drop(two);
    let _third = waiting.await.unwrap();
    // Who gives up waiting wants nothing any more.
    assert!(timeout(Duration::from_secs(1), slots.acquire()).await.is_err());
    assert!(!one.queue().is_wanted());
}

#[tokio::test(start_paused = true)]
async fn a_complaint_narrows_to_one_for_a_minute() {
    let slots = UserSlots::local(2, LONG);
    // In use, and somebody waits for them: the first that comes back is kept all the same.
    let (one, two) = (slots.acquire().await.unwrap(), slots.acquire().await.unwrap());
    slots.narrow();
    drop(one);
    assert!(timeout(Duration::from_secs(1), slots.acquire()).await.is_err());
    drop(two);
    let _one = slots.acquire().await.unwrap();
    assert!(timeout(Duration::from_secs(30), slots.acquire()).await.is_err());
    assert!(timeout(Duration::from_secs(31), slots.acquire()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_narrowing_holds_back_is_not_in_use() {
    let slots = UserSlots::local(4, LONG);
    let _one = slots.acquire().await.unwrap();
    slots.narrow();
    tokio::task::yield_now().await;
    assert_eq!(slots.usage(), (1, 4));
}
