//! The memory of instances: a bound for each, and one for all together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use wasmtime::ResourceLimiter;

/// What all instances may hold together.
#[derive(Debug)]
pub struct MemoryBudget {
    most: usize,
    used: AtomicUsize,
}

impl MemoryBudget {
    /// A budget of `most` bytes.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, used: AtomicUsize::new(0) })
    }

    /// Bytes that instances hold.
    pub fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    fn take(&self, bytes: usize) -> bool {
        let more = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.most);
        self.used.fetch_update(Relaxed, Relaxed, more).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Relaxed);
    }
}

/// What is known of one instance's memory, also outside of its store.
#[derive(Debug, Default)]
pub struct Held {
    bytes: AtomicUsize,
    outgrown: AtomicBool,
    starved: AtomicBool,
}

impl Held {
    /// Bytes of its linear memories.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    /// Whether it was refused memory beyond what one instance may have.
    pub fn is_outgrown(&self) -> bool {
        self.outgrown.load(Relaxed)
    }

    /// Whether it was refused memory for what the others hold.
    pub fn is_starved(&self) -> bool {
        self.starved.load(Relaxed)
    }
}

/// Grants an instance memory out of the budget, and gives it back at its end.
pub struct MemoryLimits {
    budget: Arc<MemoryBudget>,
    held: Arc<Held>,
    most: usize,
    /// The growth that was granted last: it may fail yet.
    last: usize,
}

impl MemoryLimits {
    /// Up to `most` bytes, as long as `budget` has them.
    pub fn new(budget: Arc<MemoryBudget>, most: usize) -> Self {
        Self { budget, held: Arc::default(), most, last: 0 }
    }

    /// What the instance holds.
    pub fn held(&self) -> Arc<Held> {
        Arc::clone(&self.held)
    }
}

impl ResourceLimiter for MemoryLimits {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let growth = desired.saturating_sub(current);
        let own = self.held.bytes().saturating_add(growth);
        if own > self.most || maximum.is_some_and(|maximum| desired > maximum) {
            self.held.outgrown.store(true, Relaxed);
            return Ok(false);
        }
        if !self.budget.take(growth) {
            self.held.starved.store(true, Relaxed);
            tracing::warn!(
                wanted = growth,
                used = self.budget.used(),
                "the memory of all instances is spent (handler.max_total_memory_bytes)"
            );
            return Ok(false);
        }
        self.held.bytes.store(own, Relaxed);
        self.last = growth;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        let growth = std::mem::take(&mut self.last);
        self.held.bytes.fetch_sub(growth, Relaxed);
        self.budget.give_back(growth);
        Ok(())
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // The pool has a bound of its own.
        Ok(maximum.is_none_or(|maximum| desired <= maximum))
    }
}

impl Drop for MemoryLimits {
    fn drop(&mut self) {
        self.budget.give_back(self.held.bytes());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_one_holds_another_cannot_have_until_it_ends() {
        let budget = MemoryBudget::new(100);
        let mut one = MemoryLimits::new(Arc::clone(&budget), 80);
        let mut other = MemoryLimits::new(Arc::clone(&budget), 80);
        assert!(one.memory_growing(0, 70, None).unwrap());
        assert!(!one.memory_growing(70, 90, None).unwrap(), "above its own bound");
        assert!(one.held().is_outgrown() && !one.held().is_starved());
        assert!(!other.memory_growing(0, 40, None).unwrap());
        assert!(other.held().is_starved());
        assert!(other.memory_growing(0, 30, None).unwrap());
        drop(one);
        assert!(other.memory_growing(30, 80, None).unwrap());
        assert_eq!(budget.used(), 80);
        other.memory_grow_failed(wasmtime::format_err!("no pages")).unwrap();
        assert_eq!((budget.used(), other.held().bytes()), (30, 30));
        drop(other);
        assert_eq!(budget.used(), 0);
    }
}
