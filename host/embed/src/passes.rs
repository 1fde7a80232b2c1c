//! Many texts in passes of like lengths, on threads of their own.

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::{EmbedError, LoadError};

/// Tokens that one pass takes together: enough rows to keep the kernels busy,
/// few enough that the activations stay in the second-level cache.
const TOKENS_PER_PASS: usize = 512;

/// Threads for many texts at once, so that a query, which works on the common
/// ones, never queues behind a batch.
pub(crate) struct Batches(ThreadPool);

impl Batches {
    pub(crate) fn new() -> Result<Self, LoadError> {
        let threads = ThreadPoolBuilder::new().thread_name(|n| format!("ragtime-embed-{n}"));
        threads.build().map(Self).map_err(|error| LoadError::Threads(error.to_string()))
    }

    /// Does something for each item: on these threads for many items.
    pub(crate) fn map<T: Sync, R: Send>(
        &self,
        items: &[T],
        each: impl Fn(&T) -> Result<R, EmbedError> + Sync + Send,
    ) -> Result<Vec<R>, EmbedError> {
        match items {
            [item] => Ok(vec![each(item)?]),
            items => self.0.install(|| items.par_iter().map(&each).collect()),
        }
    }

    /// Runs items in passes and gives the results in the items' order. `run` gives
    /// one result for each item of a pass; once it fails, no pass is begun.
    pub(crate) fn run<T: Sync, R: Send>(
        &self,
        items: &[T],
        tokens: impl Fn(&T) -> usize + Sync,
        run: impl Fn(&[&T]) -> Result<Vec<R>, EmbedError> + Sync,
    ) -> Result<Vec<R>, EmbedError> {
        match items {
            [] => Ok(Vec::new()),
            // The kernels share their work among the common threads; from one of
            // these, each of some hundred products does not have to wait for them.
            [item] => rayon::scope(|_| run(&[item])),
            items => self.0.install(|| {
                let mut order: Vec<(usize, &T)> = items.iter().enumerate().collect();
                order.sort_by_key(|(_, item)| std::cmp::Reverse(tokens(item)));
                let pass = |pass: &&[(usize, &T)]| {
                    run(&pass.iter().map(|(_, item)| *item).collect::<Vec<_>>())
                };
                let done: Vec<Vec<R>> = passes(&order, |(_, item)| tokens(item))
                    .par_iter()
                    .map(pass)
                    .collect::<Result<_, _>>()?;
                let places = order.into_iter().map(|(place, _)| place);
                let mut placed: Vec<(usize, R)> = places.zip(done.into_iter().flatten()).collect();
                placed.sort_by_key(|(place, _)| *place);
                Ok(placed.into_iter().map(|(_, result)| result).collect())
            }),
        }
    }
}

/// Cuts the order into runs of about [`TOKENS_PER_PASS`] tokens.
fn passes<T>(order: &[T], tokens: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let mut passes = Vec::new();
    let (mut start, mut sum) = (0, 0);
    for (end, item) in order.iter().enumerate() {
        sum += tokens(item);
        if sum >= TOKENS_PER_PASS {
            passes.extend(order.get(start..=end));
            (start, sum) = (end + 1, 0);
        }
    }
    passes.extend(order.get(start..).filter(|rest| !rest.is_empty()));
    passes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_hold_every_text_once_and_in_order() {
        let order: Vec<usize> = (0..40).map(|n| 2 + 7 * n).rev().collect();
        let passes = passes(&order, |tokens| *tokens);
        assert!(passes.len() > 1);
        assert_eq!(passes.concat(), order);
    }

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let batches = Batches::new().unwrap();
        let items: Vec<usize> = (0..500).map(|n| n * 37 % 101).collect();
        let double = |pass: &[&usize]| Ok(pass.iter().map(|item| **item * 2).collect());
        let results = batches.run(&items, |item| *item, double).unwrap();
        assert_eq!(results, items.iter().map(|item| item * 2).collect::<Vec<_>>());
    }

    #[test]
    fn a_pass_that_fails_fails_the_whole() {
        let batches = Batches::new().unwrap();
        let fail = |pass: &[&usize]| match pass {
            [_] => Err(EmbedError::CalledOff),
            pass => Ok(vec![(); pass.len()]),
        };
        let failed = batches.run(&[600, 600, 1, 1], |item| *item, fail);
        assert!(matches!(failed, Err(EmbedError::CalledOff)));
    }
}
