//! Requests that arrive together are answered together. While as many groups are under way as may
//! be, requests wait; the next group takes as many along as fit, first come, first served.

use crate::trace::ExportedSpan;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::oneshot;

/// A queue of requests that are answered in groups. Clones share the queue.
pub struct Groups<Q, A>(Arc<Mutex<Queue<Q, A>>>);

struct Queue<Q, A> {
    waiting: VecDeque<Request<Q, A>>,
    /// Number of leaders, each of which has one group under way.
    leaders: usize,
    most_leaders: usize,
    largest: usize,
    /// Whether a request is answered though its caller no longer waits.
    answers_abandoned: bool,
}

/// A request in a group.
pub struct Request<Q, A> {
    /// What is asked.
    pub question: Q,
    /// The span in which it is asked.
    pub asked_in: ExportedSpan,
    size: usize,
    answer: oneshot::Sender<A>,
}

/// Takes one group after the other out of the queue, until nobody waits. If the last leader ends
/// early, or never begins, requests that wait are dropped, so that no caller waits in vain; the
/// next request has another leader.
pub struct Leader<Q, A> {
    groups: Groups<Q, A>,
    /// Whether the queue was empty. From then on, what waits is another leader's.
    has_ended: bool,
}

impl<Q, A> Clone for Groups<Q, A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<Q, A> Groups<Q, A> {
    /// `at_once` is the maximum number of groups under way, and `largest` the maximum size of all
    /// requests in one group, unless a single one is larger. A request whose caller no longer waits
    /// when its turn comes is not answered.
    #[must_use]
    pub fn new(at_once: usize, largest: usize) -> Self {
        Self::of(at_once, largest, false)
    }

    /// As [`Self::new`], for requests that are answered though their callers no longer wait.
    #[must_use]
    pub fn of_lasting_requests(at_once: usize, largest: usize) -> Self {
        Self::of(at_once, largest, true)
    }

    fn of(most_leaders: usize, largest: usize, answers_abandoned: bool) -> Self {
        let waiting = VecDeque::new();
        Self(Arc::new(Mutex::new(Queue { waiting, leaders: 0, most_leaders, largest, answers_abandoned })))
    }

    /// Asks, and waits for the answer. If no leader is free, `lead` gets a new one, and has to
    /// start a task in which it answers groups: on its own, the caller may disconnect and would
    /// take the answers of others along.
    ///
    /// `None` if the leader ended before it answered.
    pub async fn ask(&self, question: Q, size: usize, lead: impl FnOnce(Leader<Q, A>)) -> Option<A> {
        let (answer, answered) = oneshot::channel();
        if let Some(leader) = self.add(Request { question, asked_in: ExportedSpan::entered(), size, answer }) {
            lead(leader);
        }
        answered.await.ok()
    }

    fn add(&self, request: Request<Q, A>) -> Option<Leader<Q, A>> {
        let mut queue = self.0.lock();
        queue.waiting.push_back(request);
        let may_lead = queue.leaders < queue.most_leaders;
        queue.leaders += usize::from(may_lead);
        may_lead.then(|| Leader { groups: self.clone(), has_ended: false })
    }
}

impl<Q, A> Request<Q, A> {
    /// Answers the request. A caller that no longer waits needs no answer.
    pub fn answer(self, answer: A) {
        drop(self.answer.send(answer));
    }

    /// Whether the caller still waits.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        !self.answer.is_closed()
    }
}

impl<Q, A> Leader<Q, A> {
    /// The next group, which is not empty; `None` when nobody waits, and the leader's task is to
    /// end.
    pub fn next_group(&mut self) -> Option<Vec<Request<Q, A>>> {
        let mut queue = self.groups.0.lock();
        if !queue.answers_abandoned {
            // Before they are counted: under load, they would take the room of others.
            queue.waiting.retain(Request::is_awaited);
        }
        if queue.waiting.is_empty() {
            queue.leaders -= 1;
            self.has_ended = true;
            return None;
        }
        let (mut size, largest) = (0, queue.largest);
        let fit = queue.waiting.iter().take_while(|request| {
            size += request.size;
            size <= largest
        });
        let count = fit.count().max(1);
        Some(queue.waiting.drain(..count).collect())
    }
}

impl<Q, A> Drop for Leader<Q, A> {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        let mut queue = self.groups.0.lock();
        queue.leaders -= 1;
        let dropped = if queue.leaders == 0 { std::mem::take(&mut queue.waiting) } else { VecDeque::new() };
        drop(queue);
        tracing::error!(requests = dropped.len(), "a task that answers groups of requests ended early");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(groups: &Groups<u8, ()>, size: usize) -> (oneshot::Receiver<()>, Option<Leader<u8, ()>>) {
        let (answer, answered) = oneshot::channel();
        (answered, groups.add(Request { question: 0, asked_in: ExportedSpan::entered(), size, answer }))
    }

    #[test]
    fn one_leader_takes_along_who_waits_and_a_request_after_its_end_has_another() {
        let groups = Groups::new(1, 10);
        let (_first, leader) = add(&groups, 1);
        let mut leader = leader.unwrap();
        let (_second, another) = add(&groups, 1);
        assert!(another.is_none());
        assert_eq!(leader.next_group().map(|group| group.len()), Some(2));
        assert!(leader.next_group().is_none());
        let (_third, another) = add(&groups, 1);
        assert!(another.is_some());
    }

    #[test]
    fn a_group_takes_what_fits_and_at_least_one() {
        let groups = Groups::new(1, 10);
        let (_large, leader) = add(&groups, 11);
        let mut leader = leader.unwrap();
        let _others = [4, 6, 1].map(|size| add(&groups, size));
        let mut sizes = || leader.next_group().map(|group| group.iter().map(|one| one.size).collect::<Vec<_>>());
        assert_eq!(sizes(), Some(vec![11]));
        assert_eq!(sizes(), Some(vec![4, 6]));
        assert_eq!(sizes(), Some(vec![1]));
        assert_eq!(sizes(), None);
    }

    #[test]
    fn a_request_whose_caller_left_takes_no_room_unless_it_is_to_last() {
        for (groups, awaited) in [(Groups::new(1, 10), 2), (Groups::of_lasting_requests(1, 10), 1)] {
            let (caller, leader) = add(&groups, 5);
            let _others = [add(&groups, 5), add(&groups, 5)];
            drop(caller);
            let first = leader.unwrap().next_group().unwrap();
            assert_eq!(first.len(), 2);
            assert_eq!(first.iter().filter(|one| one.is_awaited()).count(), awaited);
        }
    }

    #[test]
    fn no_more_groups_are_under_way_than_may_be() {
        let groups = Groups::new(2, 10);
        let (_a, first) = add(&groups, 1);
        let (_b, second) = add(&groups, 1);
        let (_c, third) = add(&groups, 1);
        assert!(first.is_some() && second.is_some() && third.is_none());
    }

    #[test]
    fn who_waits_is_refused_when_the_last_leader_ends_early() {
        let groups = Groups::new(1, 10);
        let (mut waiting, leader) = add(&groups, 1);
        drop(leader);
        assert!(matches!(waiting.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
        let (_next, leader) = add(&groups, 1);
        assert!(leader.is_some(), "the next request has another leader");
    }

    #[test]
    fn a_request_that_comes_when_the_queue_was_just_empty_is_the_next_leaders() {
        let groups = Groups::new(1, 10);
        let (_first, leader) = add(&groups, 1);
        let mut leader = leader.unwrap();
        assert!(leader.next_group().is_some());
        assert!(leader.next_group().is_none());
        // Before the first leader is gone.
        let (mut waiting, another) = add(&groups, 1);
        assert!(another.is_some());
        drop(leader);
        assert!(matches!(waiting.try_recv(), Err(oneshot::error::TryRecvError::Empty)), "the next leader answers it");
    }
}
