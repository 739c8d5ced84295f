//! One byte budget for a whole worker: every holder of buffers says how much it holds, and learns
//! when it is the one that has to give way.
//!
//! Half of the budget is split evenly: each holder has its share of it for sure, so that one whose
//! store is gone takes nothing away from the others. The other half goes to whoever needs more.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The bytes that buffers may take in a worker. Cheap to clone; clones share it.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    limit: AtomicUsize,
    used: AtomicUsize,
    /// What each holder holds.
    holders: Mutex<Vec<Arc<AtomicUsize>>>,
}

impl Pool {
    fn holders(&self) -> std::sync::MutexGuard<'_, Vec<Arc<AtomicUsize>>> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How the budget stands for one holder.
struct Standing {
    /// What each holder has for sure.
    sure: usize,
    /// What all hold beyond that.
    beyond: usize,
    holders: usize,
}

impl Budget {
    /// A budget of so many bytes.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Pool {
            limit: AtomicUsize::new(limit),
            used: AtomicUsize::new(0),
            holders: Mutex::default(),
        }))
    }

    /// A budget that is never short, for plugins that run alone.
    pub fn unlimited() -> Self {
        Self::new(usize::MAX)
    }

    /// The bytes that there are.
    pub fn limit(&self) -> usize {
        self.0.limit.load(Ordering::Relaxed)
    }

    /// Makes the budget larger or smaller, when others than its holders need less or more.
    pub fn resize(&self, limit: usize) {
        self.0.limit.store(limit, Ordering::Relaxed);
    }

    /// The bytes that all holders hold together.
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Joins as one of those who share the budget, holding nothing yet.
    pub fn holder(&self) -> BudgetHolder {
        let held = Arc::new(AtomicUsize::new(0));
        self.0.holders().push(held.clone());
        BudgetHolder {
            budget: self.clone(),
            held,
        }
    }

    fn standing(&self) -> Standing {
        let holders = self.0.holders();
        let sure = self.limit() / 2 / holders.len().max(1);
        let beyond = |held: &Arc<AtomicUsize>| held.load(Ordering::Relaxed).saturating_sub(sure);
        Standing {
            sure,
            beyond: holders.iter().map(beyond).sum(),
            holders: holders.len().max(1),
        }
    }
}

/// One of those who share a [`Budget`]. What it holds is given back when it is dropped.
#[derive(Debug)]
pub struct BudgetHolder {
    budget: Budget,
    held: Arc<AtomicUsize>,
}

impl BudgetHolder {
    /// Says how many bytes are held now. Never refused: bytes that have arrived are there.
    pub fn set(&mut self, bytes: usize) {
        let used = &self.budget.0.used;
        let before = self.held.swap(bytes, Ordering::Relaxed);
        if bytes >= before {
            used.fetch_add(bytes - before, Ordering::Relaxed);
        } else {
            used.fetch_sub(before - bytes, Ordering::Relaxed);
        }
    }

    /// The bytes last said to be held.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// More than half of what is not split evenly is in use, and this holder has its even share of all
    /// that is used, or more; or it is full. It has to give bytes back. Whenever the budget is short,
    /// this is true of at least one holder.
    pub fn must_yield(&self) -> bool {
        let (used, limit) = (self.budget.used(), self.budget.limit());
        if used <= limit / 4 {
            return false;
        }
        let now = self.budget.standing();
        let short = now.beyond > limit / 4 && self.held() >= used / now.holders;
        short || self.is_full_in(&now)
    }

    /// Nothing is left for this holder: take in no more before bytes are given back. Never so while it
    /// holds less than its share of the half that is split evenly.
    pub fn is_full(&self) -> bool {
        self.budget.used() >= self.budget.limit() / 2 && self.is_full_in(&self.budget.standing())
    }

    fn is_full_in(&self, now: &Standing) -> bool {
        let all_used = now.beyond >= self.budget.limit() / 2;
        // A budget of a few bytes splits into nothing.
        all_used && self.held() >= now.sure.max(1)
    }
}

impl Drop for BudgetHolder {
    fn drop(&mut self) {
        self.set(0);
        let held = &self.held;
        self.budget
            .0
            .holders()
            .retain(|other| !Arc::ptr_eq(other, held));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_with_more_than_its_share_gives_way_when_the_budget_is_short() {
        let budget = Budget::new(1000);
        let (mut large, mut small) = (budget.holder(), budget.holder());
        large.set(480);
        small.set(200);
        assert!(!large.must_yield() && !small.must_yield(), "680 of 1000");
        large.set(520);
        assert!(large.must_yield(), "more than half of the free half");
        assert!(!small.must_yield());
        assert!(!large.is_full() && !small.is_full());
    }

    #[test]
    fn one_that_takes_all_it_can_get_leaves_the_others_their_share() {
        let budget = Budget::new(1000);
        let (mut greedy, mut other) = (budget.holder(), budget.holder());
        while !greedy.is_full() {
            greedy.set(greedy.held() + 1);
        }
        assert_eq!(greedy.held(), 750, "the free half, and its own share");
        while !other.is_full() {
            other.set(other.held() + 1);
        }
        assert_eq!(other.held(), 250);
        assert_eq!(budget.used(), budget.limit());
        assert!(other.must_yield(), "it takes more only when it gives back");
    }

    #[test]
    fn one_alone_may_have_everything() {
        let budget = Budget::new(1000);
        let mut holder = budget.holder();
        holder.set(750);
        assert!(!holder.must_yield());
        holder.set(751);
        assert!(holder.must_yield() && !holder.is_full());
        holder.set(1000);
        assert!(holder.is_full());
    }

    #[test]
    fn what_a_holder_held_is_given_back_when_it_goes() {
        let budget = Budget::new(1000);
        let mut holder = budget.holder();
        holder.set(900);
        holder.set(400);
        assert_eq!(budget.used(), 400);
        drop(holder);
        assert_eq!(budget.used(), 0);
        assert!(!budget.holder().must_yield());
    }
}
