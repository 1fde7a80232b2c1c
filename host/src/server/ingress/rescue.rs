//! The one place that decides what becomes of a request whose handler gave no response.

use http::Method;
use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::request::Parts;

use super::problem::Problem;
use crate::runtime::generation::HandlerFailure;
use crate::runtime::request::{Fate, RequestContext};

/// What becomes of the request.
#[derive(Debug, PartialEq, Eq)]
pub enum Rescue {
    /// All instances are taken: it waits for one.
    Wait,
    /// Its instance was lost: it runs once more, in an instance of its own.
    RunApart,
    /// It is answered with this problem.
    Refuse(Problem),
}

/// What is known of a run that gave no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Whether the request may wait for an instance any longer.
    pub may_wait: bool,
    /// Whether this was the second run.
    pub is_second: bool,
    /// Whether nobody else's request was in the instance, or this one was at work when
    /// the instance's time was up.
    pub is_to_blame: bool,
    /// Whether the handler has changed something for the request.
    pub wrote: bool,
    /// Whether the request means the same when it runs again: see [`may_repeat`].
    pub may_repeat: bool,
    /// What became of the instance.
    pub fate: Fate,
}

/// Decides. A loss that is another request's fault costs a second run; a request that is
/// to blame, or has changed something, is answered with what happened.
pub fn rescue(failure: &HandlerFailure, run: Run) -> Rescue {
    Rescue::Refuse(match failure {
        HandlerFailure::Full if run.may_wait => return Rescue::Wait,
        HandlerFailure::Full => Problem::NoInstance,
        HandlerFailure::Deadline if run.wrote => Problem::Interrupted,
        HandlerFailure::Deadline => Problem::HandlerTimeout,
        HandlerFailure::Failed(_) => Problem::HandlerFailed,
        HandlerFailure::Lost => {
            // A request that used up an instance's time would do so again.
            let overran = matches!(run.fate, Fate::Overran | Fate::TimedOut) && run.is_to_blame;
            if !run.is_second && !overran && run.may_repeat {
                return Rescue::RunApart;
            }
            of_lost(run)
        }
    })
}

/// The problem of a request whose instance was lost for good.
fn of_lost(run: Run) -> Problem {
    match run.fate {
        _ if run.wrote => Problem::Interrupted,
        Fate::Overran => Problem::HandlerOverran,
        Fate::TimedOut => Problem::HandlerTimeout,
        Fate::Outgrew => Problem::HandlerOutgrew,
        Fate::Starved => Problem::NoMemory,
        Fate::Running | Fate::Trapped => Problem::HandlerFailed,
    }
}

/// Whether a request can run again: it has changed nothing, or has a method that means
/// the same the second time (RFC 9110 section 9.2.2) and does not depend on what was
/// there before.
pub fn may_repeat(context: &RequestContext, parts: &Parts) -> bool {
    let conditional = [IF_MATCH, IF_NONE_MATCH].iter().any(|name| parts.headers.contains_key(name));
    !context.wrote() || (parts.method == Method::PUT && !conditional)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY_FATE: [Fate; 6] =
        [Fate::Running, Fate::Trapped, Fate::Overran, Fate::TimedOut, Fate::Outgrew, Fate::Starved];

    /// A first run in a shared instance, which has changed nothing.
    const FIRST: Run = Run {
        may_wait: false,
        is_second: false,
        is_to_blame: false,
        wrote: false,
        may_repeat: true,
        fate: Fate::Trapped,
    };

    /// A run behind a write that must not be repeated.
    const WROTE: Run = Run { wrote: true, may_repeat: false, ..FIRST };

    fn refused(failure: &HandlerFailure, run: Run) -> Problem {
        match rescue(failure, run) {
            Rescue::Refuse(problem) => problem,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_waits_for_an_instance_as_long_as_it_may() {
        let waits = Run { may_wait: true, ..FIRST };
        assert_eq!(rescue(&HandlerFailure::Full, waits), Rescue::Wait);
        assert_eq!(refused(&HandlerFailure::Full, FIRST), Problem::NoInstance);
    }

    #[test]
    fn a_lost_instance_costs_a_second_run_and_no_third() {
        for fate in EVERY_FATE {
            assert_eq!(rescue(&HandlerFailure::Lost, Run { fate, ..FIRST }), Rescue::RunApart);
        }
        let second = |fate| Run { is_second: true, fate, ..FIRST };
        let lost = HandlerFailure::Lost;
        assert_eq!(refused(&lost, second(Fate::Trapped)), Problem::HandlerFailed);
        assert_eq!(refused(&lost, second(Fate::Overran)), Problem::HandlerOverran);
        assert_eq!(refused(&lost, second(Fate::TimedOut)), Problem::HandlerTimeout);
        assert_eq!(refused(&lost, second(Fate::Outgrew)), Problem::HandlerOutgrew);
        assert_eq!(refused(&lost, second(Fate::Starved)), Problem::NoMemory);
    }

    #[test]
    fn what_used_up_its_instances_time_does_not_run_again() {
        let run = Run { is_to_blame: true, fate: Fate::Overran, ..FIRST };
        assert_eq!(refused(&HandlerFailure::Lost, run), Problem::HandlerOverran);
        let trapped = Run { fate: Fate::Trapped, ..run };
        assert_eq!(rescue(&HandlerFailure::Lost, trapped), Rescue::RunApart);
    }

    #[test]
    fn a_write_that_was_begun_is_told_as_such() {
        for fate in EVERY_FATE {
            let run = Run { fate, ..WROTE };
            assert_eq!(refused(&HandlerFailure::Lost, run), Problem::Interrupted);
        }
        assert_eq!(refused(&HandlerFailure::Deadline, WROTE), Problem::Interrupted);
        assert_eq!(refused(&HandlerFailure::Deadline, FIRST), Problem::HandlerTimeout);
        let failed = HandlerFailure::Failed(String::new());
        assert_eq!(refused(&failed, WROTE), Problem::HandlerFailed);
    }
}
