//! A circuit breaker (Nygard, *Release It!*, 2007): after some failures in a
//! row a remote is left alone for a while, then tried with one request.

use std::time::Duration;

use parking_lot::Mutex;

/// When a remote counts as down, and for how long it is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Failures in a row that open the circuit.
    pub failures: u32,
    /// How long it stays open.
    pub cooldown: Duration,
}

/// Whether a remote may be called. Times are since any fixed moment.
#[derive(Debug, Clone)]
pub struct CircuitBreaker {
    limits: Limits,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Calls go through; so many have failed in a row.
    Closed(u32),
    /// No call goes through before this time.
    Open(Duration),
    /// One call is on its way to find out, since this time.
    HalfOpen(Duration),
}

impl CircuitBreaker {
    /// A closed circuit.
    pub fn new(limits: Limits) -> Self {
        Self { limits, state: State::Closed(0) }
    }

    /// Whether a call may go through now. One that may must be followed by
    /// [`Self::succeeded`] or [`Self::failed`]; a trial that never is counts
    /// as failed after the cooldown.
    pub fn allows(&mut self, now: Duration) -> bool {
        match self.state {
            State::Closed(_) => true,
            State::Open(until) if now < until => false,
            State::HalfOpen(since) if now < since + self.limits.cooldown => false,
            State::Open(_) | State::HalfOpen(_) => {
                self.state = State::HalfOpen(now);
                true
            }
        }
    }

    /// A call was answered.
    pub fn succeeded(&mut self) {
        self.state = State::Closed(0);
    }

    /// A call was not answered.
    pub fn failed(&mut self, now: Duration) {
        self.state = match self.state {
            State::Closed(failures) if failures + 1 < self.limits.failures => {
                State::Closed(failures + 1)
            }
            _ => State::Open(now + self.limits.cooldown),
        };
    }
}

/// A breaker before work that many tasks ask for at once.
#[derive(Debug)]
pub struct SharedBreaker(Mutex<CircuitBreaker>);

impl SharedBreaker {
    /// A closed circuit.
    pub fn new(limits: Limits) -> Self {
        Self(Mutex::new(CircuitBreaker::new(limits)))
    }

    /// Does `work` where the circuit is closed, and notes how it ended: an error for
    /// which `is_failure` does not speak was an answer all the same. None where the
    /// circuit is open. `now` is asked before and after.
    pub async fn guard<R, E>(
        &self,
        now: impl Fn() -> Duration,
        is_failure: impl FnOnce(&E) -> bool,
        work: impl Future<Output = Result<R, E>>,
    ) -> Option<Result<R, E>> {
        if !self.0.lock().allows(now()) {
            return None;
        }
        let done = work.await;
        match &done {
            Err(error) if is_failure(error) => self.0.lock().failed(now()),
            Ok(_) | Err(_) => self.0.lock().succeeded(),
        }
        Some(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { failures: 3, cooldown: Duration::from_secs(10) };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn open_at(second: u64) -> CircuitBreaker {
        let mut breaker = CircuitBreaker::new(LIMITS);
        (0..3).for_each(|_| breaker.failed(at(second)));
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_in_between_does_not() {
        let mut breaker = CircuitBreaker::new(LIMITS);
        breaker.failed(at(0));
        breaker.failed(at(0));
        breaker.succeeded();
        breaker.failed(at(0));
        breaker.failed(at(0));
        assert!(breaker.allows(at(0)));
        breaker.failed(at(0));
        assert!(!breaker.allows(at(9)));
    }

    #[test]
    fn one_call_finds_out_and_decides() {
        let mut breaker = open_at(0);
        assert!(breaker.allows(at(10)));
        assert!(!breaker.allows(at(10)));
        breaker.failed(at(11));
        assert!(!breaker.allows(at(20)));
        assert!(breaker.allows(at(21)));
        breaker.succeeded();
        assert!(breaker.allows(at(21)) && breaker.allows(at(21)));
    }

    /// The result of work that ends at once.
    fn at_once<R>(work: impl Future<Output = R>) -> R {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::pin!(work).poll(&mut context) {
            std::task::Poll::Ready(done) => done,
            std::task::Poll::Pending => panic!("it waits"),
        }
    }

    #[test]
    fn work_is_done_while_it_is_closed_and_only_failures_open_it() {
        let breaker = SharedBreaker::new(Limits { failures: 1, ..LIMITS });
        let ended = |second, result: Result<(), &'static str>| {
            let work = async move { result };
            at_once(breaker.guard(|| at(second), |error| *error == "down", work))
        };
        assert_eq!(ended(0, Err("refused")), Some(Err("refused")));
        assert_eq!(ended(0, Ok(())), Some(Ok(())));
        assert_eq!(ended(0, Err("down")), Some(Err("down")));
        assert_eq!(ended(9, Ok(())), None);
        assert_eq!(ended(10, Ok(())), Some(Ok(())));
        assert_eq!(ended(10, Ok(())), Some(Ok(())));
    }

    #[test]
    fn a_trial_that_is_never_decided_does_not_close_it_for_good() {
        let mut breaker = open_at(0);
        assert!(breaker.allows(at(10)));
        assert!(!breaker.allows(at(19)));
        assert!(breaker.allows(at(20)));
    }
}
