//! One byte budget for a whole worker: every holder of buffers says how much it holds, and learns
//! when it is the one that has to give way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The bytes that buffers may take in a worker. Cheap to clone; clones share it.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    limit: AtomicUsize,
    used: AtomicUsize,
    holders: AtomicUsize,
}

impl Budget {
    /// A budget of so many bytes.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Pool {
            limit: AtomicUsize::new(limit),
            used: AtomicUsize::new(0),
            holders: AtomicUsize::new(0),
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
        self.0.holders.fetch_add(1, Ordering::Relaxed);
        BudgetHolder {
            budget: self.clone(),
            held: 0,
        }
    }
}

/// One of those who share a [`Budget`]. What it holds is given back when it is dropped.
#[derive(Debug)]
pub struct BudgetHolder {
    budget: Budget,
    held: usize,
}

impl BudgetHolder {
    /// Says how many bytes are held now. Never refused: bytes that have arrived are there.
    pub fn set(&mut self, bytes: usize) {
        let used = &self.budget.0.used;
        if bytes >= self.held {
            used.fetch_add(bytes - self.held, Ordering::Relaxed);
        } else {
            used.fetch_sub(self.held - bytes, Ordering::Relaxed);
        }
        self.held = bytes;
    }

    /// The bytes last said to be held.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Three quarters of the budget are in use, and this holder has its even share of them or more:
    /// it has to give bytes back. Whenever the budget is short, this is true of at least one holder.
    pub fn must_yield(&self) -> bool {
        let used = self.budget.used();
        let holders = self.budget.0.holders.load(Ordering::Relaxed).max(1);
        used > self.budget.limit() / 4 * 3 && self.held >= used / holders
    }

    /// Nothing is left: take in no more before bytes are given back.
    pub fn is_full(&self) -> bool {
        self.budget.used() >= self.budget.limit()
    }
}

impl Drop for BudgetHolder {
    fn drop(&mut self) {
        self.set(0);
        self.budget.0.holders.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_with_more_than_its_share_gives_way_when_the_budget_is_short() {
        let budget = Budget::new(1000);
        let (mut large, mut small) = (budget.holder(), budget.holder());
        large.set(500);
        small.set(200);
        assert!(!large.must_yield() && !small.must_yield(), "700 of 1000");
        small.set(300);
        assert!(large.must_yield(), "800 of 1000");
        assert!(!small.must_yield());
        assert!(!small.is_full());
        large.set(700);
        assert!(small.is_full(), "the budget is one for all");
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
