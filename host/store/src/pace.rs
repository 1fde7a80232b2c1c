//! How many chunks one step of background work takes on.
//!
//! Each step ends with a commit, so large steps cost less for each chunk. What arrives
//! during a step waits for its end, so long steps are unfair. A pace takes as many chunks
//! as are done in about [`GOAL`], whatever the machine and the texts.

use std::time::Duration;

/// A quarter of what a small document may wait: search must find it within a second, and
/// it may have to wait for one step before its own.
const GOAL: Duration = Duration::from_millis(250);
/// How far a step may grow beyond the smallest. Bounds the memory that its texts take.
const MOST_TIMES: usize = 16;

/// Chunks of one step.
pub(crate) struct Pace {
    least: usize,
    now: usize,
}

impl Pace {
    /// Begins with steps of `least` chunks, the smallest there are.
    pub(crate) fn new(least: usize) -> Self {
        let least = least.max(1);
        Self { least, now: least }
    }

    /// Chunks that the next step takes.
    pub(crate) fn chunks(&self) -> usize {
        self.now
    }

    /// Notes that a step of so many chunks took so long.
    pub(crate) fn note(&mut self, chunks: usize, took: Duration) {
        if took > GOAL * 2 {
            self.now = (self.now / 2).max(self.least);
        } else if took < GOAL / 2 && chunks >= self.now {
            self.now = (self.now * 2).min(self.least * MOST_TIMES);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_steps_that_are_fast_grow_and_slow_ones_shrink() {
        let (fast, slow) = (Duration::from_millis(1), Duration::from_secs(1));
        let mut pace = Pace::new(32);
        // A step that was not full shows nothing about a larger one.
        pace.note(31, fast);
        assert_eq!(pace.chunks(), 32);
        pace.note(32, fast);
        assert_eq!(pace.chunks(), 64);
        // A step of about the goal changes nothing.
        pace.note(64, GOAL);
        assert_eq!(pace.chunks(), 64);
        pace.note(64, slow);
        pace.note(32, slow);
        assert_eq!(pace.chunks(), 32, "never below the least");
        (0..20).for_each(|_| pace.note(usize::MAX, fast));
        assert_eq!(pace.chunks(), 32 * MOST_TIMES);
    }
}
