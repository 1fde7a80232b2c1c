//! Replacing the handler under load: which generation serves, which wait for
//! their turn, which are on their way out.
//!
//! ```text
//! Compiling → Linking → Probing → Gating → Active ⇄ Draining → Retired
//!     └──────────┴─────────┴─────────┴→ Refused      ↑ rollback   │
//!                                                    └────────────┘
//! ```

use std::collections::BTreeMap;

/// Where a generation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Its machine code is being made.
    Compiling,
    /// Its imports are being matched with what the host offers.
    Linking,
    /// It answers its first requests, all of them the host's own.
    Probing,
    /// Its answers are measured against what was demanded of them.
    Gating,
    /// It takes every new request.
    Active,
    /// It takes no new request and finishes those that it has.
    Draining,
    /// It has no request left.
    Retired,
    /// It has taken no request and never will.
    Refused(Refusal),
}

/// Why a generation never served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// The bytes are not a component that this host compiles.
    #[error("the component does not compile")]
    Compilation,
    /// An import or export is missing or has another type.
    #[error("the component does not fit the host's interfaces")]
    Linking,
    /// It did not answer the host's own requests.
    #[error("the handler failed its probe")]
    Probe,
    /// It answered worse than was demanded.
    #[error("the handler failed its gate")]
    Gate,
    /// Its swap was called off.
    #[error("the swap was called off")]
    Cancelled,
    /// A generation begun after it has already served.
    #[error("a newer generation was faster")]
    Overtaken,
}

/// What happens to a generation by its own progress. Only [`Generations`] can
/// end or renew a generation's time as the active one, as that takes two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// Its machine code is there.
    Compiled,
    /// Its imports are matched.
    Linked,
    /// The probe was answered.
    Probed,
    /// The gate was passed.
    Passed,
    /// The stage it is in went wrong.
    Failed,
    /// The operator no longer wants it.
    Cancelled,
    /// Its last request has ended.
    Drained,
}

/// An event that cannot happen in this state. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} cannot happen to a generation that is {state:?}")]
pub struct IllegalTransition {
    /// Where the generation stands.
    pub state: State,
    /// What was to happen.
    pub event: Event,
}

impl State {
    /// The state after `event`.
    pub fn on(self, event: Event) -> Result<Self, IllegalTransition> {
        match (self, event) {
            (Self::Compiling, Event::Compiled) => Ok(Self::Linking),
            (Self::Linking, Event::Linked) => Ok(Self::Probing),
            (Self::Probing, Event::Probed) => Ok(Self::Gating),
            (Self::Gating, Event::Passed) => Ok(Self::Active),
            (Self::Draining, Event::Drained) => Ok(Self::Retired),
            (Self::Compiling, Event::Failed) => Ok(Self::Refused(Refusal::Compilation)),
            (Self::Linking, Event::Failed) => Ok(Self::Refused(Refusal::Linking)),
            (Self::Probing, Event::Failed) => Ok(Self::Refused(Refusal::Probe)),
            (Self::Gating, Event::Failed) => Ok(Self::Refused(Refusal::Gate)),
            (Self::Compiling | Self::Linking | Self::Probing | Self::Gating, Event::Cancelled) => {
                Ok(Self::Refused(Refusal::Cancelled))
            }
            (state, event) => Err(IllegalTransition { state, event }),
        }
    }
}

/// Why a generation could not be advanced. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AdvanceError {
    /// No generation has this id.
    #[error("no generation has the id {0}")]
    Unknown(u64),
    /// The event does not fit the state.
    #[error(transparent)]
    Illegal(#[from] IllegalTransition),
}

/// No generation served before the active one. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no earlier generation to go back to")]
pub struct NothingToRestore;

/// Every generation of a process, exactly one of them active. Ids count up and
/// are never used twice.
#[derive(Debug, Clone)]
pub struct Generations {
    states: BTreeMap<u64, State>,
    active: u64,
    /// Those that a rollback goes back to, the next one last.
    predecessors: Vec<u64>,
    /// The highest id that was ever active.
    newest_served: u64,
    next: u64,
}

impl Generations {
    /// The id of the generation that a process starts with.
    pub const FIRST: u64 = 1;

    /// One active generation: a host that has none does not start to listen.
    pub fn new() -> Self {
        Self {
            states: BTreeMap::from([(Self::FIRST, State::Active)]),
            active: Self::FIRST,
            predecessors: Vec::new(),
            newest_served: Self::FIRST,
            next: Self::FIRST + 1,
        }
    }

    /// A new generation, compiling. Returns its id.
    pub fn begin(&mut self) -> u64 {
        let id = self.next;
        self.next += 1;
        self.states.insert(id, State::Compiling);
        id
    }

    /// Tells what happened to a generation; returns where it stands now. One
    /// that becomes active sends the active one into draining. One that would,
    /// but was begun before a generation that has served, is refused instead:
    /// the last wish counts, not the slowest compilation.
    pub fn advance(&mut self, id: u64, event: Event) -> Result<State, AdvanceError> {
        let state = self.state(id).ok_or(AdvanceError::Unknown(id))?.on(event)?;
        let state = match state {
            State::Active if id < self.newest_served => State::Refused(Refusal::Overtaken),
            state => state,
        };
        if state == State::Active {
            self.predecessors.push(self.active);
            self.newest_served = id;
            self.serve_with(id);
        } else {
            self.states.insert(id, state);
        }
        Ok(state)
    }

    /// Goes back to the generation that served before the active one, be it
    /// draining or retired: it has proved itself, so it is not asked again.
    /// Returns its id. What was left behind never comes back.
    pub fn rollback(&mut self) -> Result<u64, NothingToRestore> {
        let restored = self.predecessors.pop().ok_or(NothingToRestore)?;
        self.serve_with(restored);
        Ok(restored)
    }

    /// The generation that takes new requests.
    pub fn active(&self) -> u64 {
        self.active
    }

    /// The generation that a rollback would make active.
    pub fn previous(&self) -> Option<u64> {
        self.predecessors.last().copied()
    }

    /// Where a generation stands; `None` if there is none of this id.
    pub fn state(&self, id: u64) -> Option<State> {
        self.states.get(&id).copied()
    }

    /// Every generation, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (u64, State)> + '_ {
        self.states.iter().map(|(id, state)| (*id, *state))
    }

    fn serve_with(&mut self, id: u64) {
        self.states.insert(self.active, State::Draining);
        self.states.insert(id, State::Active);
        self.active = id;
    }
}

impl Default for Generations {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EVENTS: [Event; 7] = [
        Event::Compiled,
        Event::Linked,
        Event::Probed,
        Event::Passed,
        Event::Failed,
        Event::Cancelled,
        Event::Drained,
    ];

    fn activate(generations: &mut Generations, id: u64) -> State {
        for event in [Event::Compiled, Event::Linked, Event::Probed] {
            generations.advance(id, event).unwrap();
        }
        generations.advance(id, Event::Passed).unwrap()
    }

    #[test]
    fn a_new_generation_takes_over_and_the_old_one_drains() {
        let mut generations = Generations::new();
        let id = generations.begin();
        assert_eq!(activate(&mut generations, id), State::Active);
        assert_eq!(generations.active(), id);
        assert_eq!(generations.state(1), Some(State::Draining));
        assert_eq!(generations.advance(1, Event::Drained), Ok(State::Retired));
    }

    #[test]
    fn a_failure_says_at_which_stage() {
        let refusals = [Refusal::Compilation, Refusal::Linking, Refusal::Probe, Refusal::Gate];
        for (stage, refusal) in refusals.into_iter().enumerate() {
            let mut state = State::Compiling;
            for event in &EVENTS[..stage] {
                state = state.on(*event).unwrap();
            }
            assert_eq!(state.on(Event::Failed), Ok(State::Refused(refusal)));
            assert_eq!(state.on(Event::Cancelled), Ok(State::Refused(Refusal::Cancelled)));
        }
    }

    #[test]
    fn nothing_but_a_successor_or_a_rollback_ends_an_active_generation() {
        let finals = [State::Active, State::Retired, State::Refused(Refusal::Gate)];
        for (state, event) in finals.into_iter().flat_map(|s| EVENTS.map(|event| (s, event))) {
            assert_eq!(state.on(event), Err(IllegalTransition { state, event }));
        }
    }

    #[test]
    fn a_slow_generation_does_not_replace_a_newer_one() {
        let mut generations = Generations::new();
        let (slow, fast) = (generations.begin(), generations.begin());
        activate(&mut generations, fast);
        assert_eq!(activate(&mut generations, slow), State::Refused(Refusal::Overtaken));
        generations.rollback().unwrap();
        let late = generations.begin();
        assert_eq!(activate(&mut generations, late), State::Active);
    }

    #[test]
    fn rollbacks_go_back_one_by_one_and_never_forward() {
        let mut generations = Generations::new();
        for _ in 0..2 {
            let id = generations.begin();
            activate(&mut generations, id);
        }
        generations.advance(1, Event::Drained).unwrap();
        assert_eq!((generations.previous(), generations.rollback()), (Some(2), Ok(2)));
        assert_eq!(generations.state(3), Some(State::Draining));
        assert_eq!((generations.rollback(), generations.active()), (Ok(1), 1));
        assert_eq!((generations.rollback(), generations.active()), (Err(NothingToRestore), 1));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Begin,
        Advance(u64, Event),
        Rollback,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            2 => Just(Step::Begin),
            12 => (0_u64..8, prop::sample::select(&EVENTS[..])).prop_map(|(id, e)| Step::Advance(id, e)),
            1 => Just(Step::Rollback),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn exactly_one_generation_is_active_whatever_happens(
            steps in prop::collection::vec(step(), 0..200),
        ) {
            let mut generations = Generations::new();
            let mut newest = Generations::FIRST;
            for step in steps {
                let before = generations.clone();
                match step {
                    Step::Begin => {
                        let id = generations.begin();
                        prop_assert!(id > newest);
                        newest = id;
                    }
                    Step::Advance(id, event) => {
                        let result = generations.advance(id, event);
                        if result.is_err() {
                            prop_assert!(before.iter().eq(generations.iter()));
                        }
                        if result == Ok(State::Active) {
                            prop_assert_eq!(before.state(id), Some(State::Gating));
                        }
                    }
                    Step::Rollback => {
                        prop_assert_eq!(generations.rollback().ok(), before.previous());
                    }
                }
                let active: Vec<_> =
                    generations.iter().filter(|(_, state)| *state == State::Active).collect();
                prop_assert_eq!(active, vec![(generations.active(), State::Active)]);
                for (id, state) in before.iter() {
                    if matches!(state, State::Refused(_)) {
                        prop_assert_eq!(generations.state(id), Some(state));
                    }
                }
            }
        }
    }
}
