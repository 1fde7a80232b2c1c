//! Replacing the handler under load: which generation serves, which waits for
//! its turn, which are on their way out.
//!
//! ```text
//! Compiling → Linking → Probing → Gating → Active → Draining → (gone)
//!     └──────────┴─────────┴─────────┴→ Refused
//! ```
//!
//! A rollback makes a new generation of an old component, which takes the same
//! road. So ids only grow, and an id that a client has seen never means another
//! component.

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
    /// It takes new requests.
    Active,
    /// It takes no new request and finishes those that it has.
    Draining,
}

impl State {
    /// The word for it in logs and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Compiling => "compiling",
            Self::Linking => "linking",
            Self::Probing => "probing",
            Self::Gating => "gating",
            Self::Active => "active",
            Self::Draining => "draining",
        }
    }

    /// The next state on the way to [`State::Active`], for a candidate.
    fn next(self) -> Option<Self> {
        match self {
            Self::Compiling => Some(Self::Linking),
            Self::Linking => Some(Self::Probing),
            Self::Probing => Some(Self::Gating),
            Self::Gating => Some(Self::Active),
            Self::Active | Self::Draining => None,
        }
    }
}

/// Why a generation came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GenerationKind {
    /// The server started with it.
    Start,
    /// Somebody handed it in.
    Swap,
    /// It brings back the component that served before.
    Rollback,
}

impl GenerationKind {
    /// The word for it in logs, answers and the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Swap => "swap",
            Self::Rollback => "rollback",
        }
    }

    /// The kind of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Start, Self::Swap, Self::Rollback].into_iter().find(|kind| kind.name() == name)
    }
}

/// Why a swap cannot begin. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BeginError {
    /// Another swap is on its way.
    #[error("generation {0} is on its way already")]
    Busy(u64),
    /// The caller expected another generation to be active.
    #[error("generation {0} is active, not the one you expected")]
    Changed(u64),
    /// No generation served before the active one.
    #[error("no earlier generation to go back to")]
    NothingToRestore,
}

/// Every generation of a server that has not gone, exactly one of them active
/// and at most one on its way. Ids count up and are never used twice, across
/// restarts too.
#[derive(Debug, Clone)]
pub struct Generations {
    live: BTreeMap<u64, State>,
    active: u64,
    candidate: Option<(u64, GenerationKind)>,
    /// Those that a rollback goes back to, the next one last.
    ancestors: Vec<u64>,
    next: u64,
}

impl Generations {
    /// The generations of a server whose past activations are `past`, oldest
    /// first, whose highest id so far is `newest`, and which starts with the
    /// generation `active`: the last one of `past`, or a new one.
    pub fn restore(
        past: impl IntoIterator<Item = (u64, GenerationKind)>,
        newest: u64,
        active: u64,
    ) -> Self {
        let (mut ancestors, mut last) = (Vec::new(), None);
        for (id, kind) in past {
            match kind {
                GenerationKind::Rollback => drop(ancestors.pop()),
                GenerationKind::Start | GenerationKind::Swap => ancestors.extend(last),
            }
            last = Some(id);
        }
        ancestors.extend(last.filter(|last| *last != active));
        Self {
            live: BTreeMap::from([(active, State::Active)]),
            active,
            candidate: None,
            ancestors,
            next: newest.max(active) + 1,
        }
    }

    /// A candidate, compiling. `expected` is the generation that the caller
    /// believes to be active. Returns its id, and for a rollback the generation
    /// whose component it brings back.
    pub fn begin(
        &mut self,
        kind: GenerationKind,
        expected: Option<u64>,
    ) -> Result<(u64, Option<u64>), BeginError> {
        if let Some((busy, _)) = self.candidate {
            return Err(BeginError::Busy(busy));
        }
        if expected.is_some_and(|expected| expected != self.active) {
            return Err(BeginError::Changed(self.active));
        }
        let restored = match kind {
            GenerationKind::Rollback => Some(self.previous().ok_or(BeginError::NothingToRestore)?),
            GenerationKind::Start | GenerationKind::Swap => None,
        };
        let id = self.next;
        self.enter(id, kind);
        Ok((id, restored))
    }

    /// A candidate, compiling, whose id was given elsewhere. There must be no other.
    pub fn enter(&mut self, id: u64, kind: GenerationKind) {
        self.next = self.next.max(id + 1);
        self.live.insert(id, State::Compiling);
        self.candidate = Some((id, kind));
    }

    /// Takes over what was decided elsewhere: the activations that there are now, oldest
    /// first, and the highest id so far. The last of them is active, and the one that was
    /// drains. A candidate that is not among them stays one.
    pub fn follow(&mut self, past: impl IntoIterator<Item = (u64, GenerationKind)>, newest: u64) {
        let past: Vec<_> = past.into_iter().collect();
        let Some((active, _)) = past.last().copied() else { return };
        let now = Self::restore(past, newest, active);
        if self.candidate.is_some_and(|(id, _)| id == active) {
            self.candidate = None;
        }
        if active != self.active {
            self.live.insert(self.active, State::Draining);
            self.live.insert(active, State::Active);
            self.active = active;
        }
        self.ancestors = now.ancestors;
        self.next = self.next.max(now.next);
    }

    /// The candidate has passed the stage it is in. Returns where it stands
    /// now, or nothing when there is no candidate. One that becomes active
    /// sends the active one into draining.
    pub fn advance(&mut self) -> Option<State> {
        let (id, kind) = self.candidate?;
        let state = self.live.get(&id)?.next()?;
        self.live.insert(id, state);
        if state == State::Active {
            match kind {
                GenerationKind::Rollback => drop(self.ancestors.pop()),
                GenerationKind::Start | GenerationKind::Swap => self.ancestors.push(self.active),
            }
            self.live.insert(self.active, State::Draining);
            self.active = id;
            self.candidate = None;
        }
        Some(state)
    }

    /// The candidate will never serve. Returns the stage it failed at.
    pub fn refuse(&mut self) -> Option<State> {
        let (id, _) = self.candidate.take()?;
        self.live.remove(&id)
    }

    /// A generation has ended its last request. One that is active or on its
    /// way stays.
    pub fn drained(&mut self, id: u64) {
        if self.live.get(&id) == Some(&State::Draining) {
            self.live.remove(&id);
        }
    }

    /// Where a generation stands that has not gone.
    pub fn state(&self, id: u64) -> Option<State> {
        self.live.get(&id).copied()
    }

    /// The generation that takes new requests.
    pub fn active(&self) -> u64 {
        self.active
    }

    /// The generation on its way.
    pub fn candidate(&self) -> Option<u64> {
        self.candidate.map(|(id, _)| id)
    }

    /// The generation whose component a rollback would bring back.
    pub fn previous(&self) -> Option<u64> {
        self.ancestors.last().copied()
    }

    /// Those that rollbacks can go back to, the next one first.
    pub fn ancestors(&self) -> impl Iterator<Item = u64> + '_ {
        self.ancestors.iter().rev().copied()
    }

    /// Every generation that has not gone, oldest first.
    pub fn live(&self) -> impl Iterator<Item = (u64, State)> + '_ {
        self.live.iter().map(|(id, state)| (*id, *state))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn activate(generations: &mut Generations, kind: GenerationKind) -> u64 {
        let (id, _) = generations.begin(kind, None).unwrap();
        while generations.advance().unwrap() != State::Active {}
        id
    }

    #[test]
    fn a_new_generation_takes_over_and_the_old_one_drains() {
        let mut generations = Generations::restore([], 0, 1);
        assert_eq!(activate(&mut generations, GenerationKind::Swap), 2);
        let live: Vec<_> = generations.live().collect();
        assert_eq!(live, [(1, State::Draining), (2, State::Active)]);
        generations.drained(2);
        generations.drained(1);
        assert_eq!(generations.live().collect::<Vec<_>>(), [(2, State::Active)]);
    }

    #[test]
    fn a_refused_candidate_leaves_all_as_it_was_and_its_id_is_spent() {
        let mut generations = Generations::restore([], 0, 1);
        for stages in 0..4 {
            let (id, _) = generations.begin(GenerationKind::Swap, Some(1)).unwrap();
            assert_eq!(id, 2 + stages);
            assert_eq!(generations.begin(GenerationKind::Swap, None), Err(BeginError::Busy(id)));
            for _ in 0..stages {
                generations.advance();
            }
            let reached = [State::Compiling, State::Linking, State::Probing, State::Gating];
            assert_eq!(generations.refuse(), reached.get(stages as usize).copied());
            assert_eq!(generations.live().collect::<Vec<_>>(), [(1, State::Active)]);
        }
        assert_eq!((generations.advance(), generations.refuse()), (None, None));
    }

    #[test]
    fn a_swap_on_a_wrong_belief_does_not_begin() {
        let mut generations = Generations::restore([], 0, 1);
        activate(&mut generations, GenerationKind::Swap);
        assert_eq!(generations.begin(GenerationKind::Swap, Some(1)), Err(BeginError::Changed(2)));
        assert_eq!(generations.begin(GenerationKind::Swap, Some(2)), Ok((3, None)));
    }

    #[test]
    fn rollbacks_go_back_one_by_one_and_never_forward() {
        let mut generations = Generations::restore([], 0, 1);
        activate(&mut generations, GenerationKind::Swap);
        activate(&mut generations, GenerationKind::Swap);
        assert_eq!(generations.begin(GenerationKind::Rollback, None), Ok((4, Some(2))));
        while generations.advance().unwrap() != State::Active {}
        assert_eq!(generations.begin(GenerationKind::Rollback, None), Ok((5, Some(1))));
        while generations.advance().unwrap() != State::Active {}
        assert_eq!(
            generations.begin(GenerationKind::Rollback, None),
            Err(BeginError::NothingToRestore)
        );
    }

    #[test]
    fn what_another_host_decides_is_taken_over() {
        let mut here = Generations::restore([(1, GenerationKind::Start)], 1, 1);
        here.enter(2, GenerationKind::Swap);
        while here.advance().unwrap() != State::Gating {}
        here.follow([(1, GenerationKind::Start), (2, GenerationKind::Swap)], 2);
        assert_eq!((here.active(), here.candidate(), here.previous()), (2, None, Some(1)));
        assert_eq!((here.state(1), here.state(2)), (Some(State::Draining), Some(State::Active)));
        // One that it was not asked to prepare, while it has a candidate.
        here.enter(4, GenerationKind::Swap);
        here.follow(
            [(1, GenerationKind::Start), (2, GenerationKind::Swap), (3, GenerationKind::Rollback)],
            3,
        );
        assert_eq!((here.active(), here.candidate(), here.previous()), (3, Some(4), None));
        assert_eq!(here.begin(GenerationKind::Swap, None), Err(BeginError::Busy(4)));
        here.refuse();
        assert_eq!(here.begin(GenerationKind::Swap, None), Ok((5, None)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn one_is_active_whatever_happens_and_a_restart_forgets_nothing(
            steps in prop::collection::vec(0_u8..10, 0..150),
        ) {
            let mut generations = Generations::restore([], 0, 1);
            let (mut past, mut newest) = (vec![(1, GenerationKind::Start)], 1);
            for step in steps {
                match step {
                    0 | 1 => {
                        let kind = if step == 0 {
                            GenerationKind::Swap
                        } else {
                            GenerationKind::Rollback
                        };
                        if let Ok((id, _)) = generations.begin(kind, None) {
                            prop_assert!(id > newest);
                            newest = id;
                        }
                    }
                    2..=7 => {
                        let candidate = generations.candidate;
                        if generations.advance() == Some(State::Active) {
                            past.extend(candidate);
                        }
                    }
                    8 => drop(generations.refuse()),
                    _ => (1..=newest).for_each(|id| generations.drained(id)),
                }
                let active: Vec<_> =
                    generations.live().filter(|(_, state)| *state == State::Active).collect();
                prop_assert_eq!(active, vec![(generations.active(), State::Active)]);
                let restored = Generations::restore(past.clone(), newest, generations.active());
                prop_assert!(restored.ancestors().eq(generations.ancestors()));
            }
        }
    }
}
