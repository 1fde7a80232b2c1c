#![allow(clippy::indexing_slicing)]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const HOSTS: usize = 4;

/// What stands in the log. Entries are decided on top of all those before them.
#[derive(Debug, Clone)]
enum Entry {
    Begun { id: u64, driver: String },
    Offered,
    Acknowledged(u64, Acknowledgement),
    Committed(u64),
    Refused(u64),
}

/// What a host has of the log.
#[derive(Debug, Clone, Default)]
struct Copy {
    at: usize,
    rollout: Option<Rollout>,
    active: u64,
    newest: u64,
}

impl Copy {
    fn apply(&mut self, entry: &Entry) {
        self.at += 1;
        match (entry, &mut self.rollout) {
            (Entry::Begun { id, driver }, rollout) => {
                self.newest = *id;
                *rollout = Some(Rollout {
                    id: *id,
                    driver: driver.clone(),
                    offered: false,
                    acknowledgements: Vec::new(),
                });
            }
            (Entry::Offered, Some(rollout)) => rollout.offered = true,
            (Entry::Acknowledged(_, one), Some(rollout)) => {
                rollout.acknowledgements.push(one.clone());
            }
            (Entry::Committed(id), rollout) => {
                self.active = *id;
                *rollout = None;
            }
            (Entry::Refused(_), rollout) => *rollout = None,
            (Entry::Offered | Entry::Acknowledged(..), None) => {}
        }
    }
}

#[derive(Debug, Clone)]
struct Machine {
    host: Host,
    alive: bool,
    /// Whether it reaches the log.
    connected: bool,
    copy: Copy,
    /// Generations that it could serve.
    compiled: BTreeSet<u64>,
    driving: Option<u64>,
}

#[derive(Debug)]
struct Fleet {
    log: Vec<Entry>,
    machines: Vec<Machine>,
    /// Whom the others take for alive: it lags behind what is so.
    seen: BTreeSet<String>,
    runs: usize,
}

#[derive(Debug, Clone)]
enum Event {
    Begin(usize),
    Offer(usize),
    /// Compiles what is offered, or cannot.
    Prepare(usize, bool),
    /// Its driver looks at what was said.
    Drive(usize, bool),
    /// Its driver's caller goes away.
    Abandon(usize),
    CallOff(usize),
    /// Takes in one entry, as without any request.
    Follow(usize),
    /// Compiles what the fleet serves.
    CatchUp(usize),
    Request(usize),
    Cut(usize),
    Mend(usize),
    Kill(usize),
    Start(usize),
    /// A silent host is taken for gone.
    Expire(usize),
    /// A host reports that it lives.
    Beat(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let at = 0..HOSTS;
    prop_oneof![
        2 => at.clone().prop_map(Event::Begin),
        3 => at.clone().prop_map(Event::Offer),
        8 => (at.clone(), prop::bool::weighted(0.9)).prop_map(|(h, ok)| Event::Prepare(h, ok)),
        6 => (at.clone(), prop::bool::weighted(0.1)).prop_map(|(h, late)| Event::Drive(h, late)),
        1 => at.clone().prop_map(Event::Abandon),
        1 => at.clone().prop_map(Event::CallOff),
        2 => at.clone().prop_map(Event::Follow),
        3 => at.clone().prop_map(Event::CatchUp),
        6 => at.clone().prop_map(Event::Request),
        1 => at.clone().prop_map(Event::Cut),
        2 => at.clone().prop_map(Event::Mend),
        1 => at.clone().prop_map(Event::Kill),
        2 => at.clone().prop_map(Event::Start),
        1 => at.clone().prop_map(Event::Expire),
        4 => at.prop_map(Event::Beat),
    ]
}

impl Fleet {
    fn new() -> Self {
        let machines = (0..HOSTS).map(|n| Machine {
            host: Host { id: format!("{n}"), name: format!("host {n}") },
            alive: true,
            connected: true,
            copy: Copy::default(),
            compiled: BTreeSet::from([0]),
            driving: None,
        });
        let machines: Vec<_> = machines.collect();
        let seen = machines.iter().map(|one| one.host.id.clone()).collect();
        Self { log: Vec::new(), machines, seen, runs: HOSTS }
    }

    /// Brings a machine up to the end of the log, if it reaches it.
    fn follow(&mut self, at: usize) -> bool {
        let machine = &mut self.machines[at];
        if !machine.alive || !machine.connected {
            return false;
        }
        self.log[machine.copy.at..].iter().for_each(|entry| machine.copy.apply(entry));
        true
    }

    /// Writes an entry if it holds on top of everything before it.
    fn write(&mut self, at: usize, decide: impl Fn(&Copy, &Machine) -> Option<Entry>) {
        if self.follow(at) {
            let machine = &mut self.machines[at];
            let entry = decide(&machine.copy, machine);
            if let Some(entry) = entry {
                machine.copy.apply(&entry);
                self.log.push(entry);
            }
        }
    }

    fn live(&self) -> Vec<Host> {
        let hosts = self.machines.iter().map(|one| one.host.clone());
        hosts.filter(|host| self.seen.contains(&host.id)).collect()
    }

    fn happens(&mut self, event: Event) -> Result<(), TestCaseError> {
        let live = self.live();
        match event {
            Event::Begin(at) => {
                self.write(at, |copy, machine| {
                    let driver = machine.host.id.clone();
                    let id = copy.newest + 1;
                    copy.rollout.is_none().then_some(Entry::Begun { id, driver })
                });
                let machine = &mut self.machines[at];
                if let Some(rollout) = &machine.copy.rollout
                    && rollout.driver == machine.host.id
                    && machine.alive
                {
                    machine.driving = Some(rollout.id);
                }
            }
            Event::Offer(at) => {
                let Some(id) = self.machines[at].driving else { return Ok(()) };
                self.machines[at].compiled.insert(id);
                self.write(at, |copy, _| {
                    let rollout = copy.rollout.as_ref().filter(|one| one.id == id)?;
                    (!rollout.offered).then_some(Entry::Offered)
                });
            }
            Event::Prepare(at, ok) => {
                self.follow(at);
                let Some(rollout) = self.machines[at].copy.rollout.clone() else {
                    return Ok(());
                };
                if !self.machines[at].alive || !rollout.awaits(&self.machines[at].host.id) {
                    return Ok(());
                }
                if ok {
                    self.machines[at].compiled.insert(rollout.id);
                }
                let refused = (!ok).then(|| "it does not compile".to_owned());
                self.write(at, |copy, machine| {
                    let same = copy.rollout.as_ref().filter(|one| one.id == rollout.id)?;
                    let said =
                        Acknowledgement { host: machine.host.clone(), refused: refused.clone() };
                    same.awaits(&said.host.id).then_some(Entry::Acknowledged(rollout.id, said))
                });
            }
            Event::Drive(at, overdue) => {
                let Some(id) = self.machines[at].driving else { return Ok(()) };
                if !self.follow(at) {
                    return Ok(());
                }
                let mine = self.machines[at].copy.rollout.clone().filter(|one| one.id == id);
                let next = match mine {
                    Some(rollout) if rollout.offered => rollout.next(&live, overdue),
                    Some(_) => return Ok(()),
                    // Somebody has called it off.
                    None => {
                        self.machines[at].driving = None;
                        return Ok(());
                    }
                };
                let entry = match next {
                    Next::Wait => return Ok(()),
                    Next::Commit => Entry::Committed(id),
                    Next::Refuse(_) => Entry::Refused(id),
                };
                self.write(at, |copy, _| {
                    copy.rollout.as_ref().filter(|one| one.id == id).map(|_| entry.clone())
                });
                self.machines[at].driving = None;
            }
            Event::Abandon(at) => self.machines[at].driving = None,
            Event::CallOff(at) => {
                self.write(at, |copy, machine| {
                    let rollout = copy.rollout.as_ref()?;
                    let orphan = rollout.is_orphan(&machine.host.id, machine.driving, &live);
                    orphan.then_some(Entry::Refused(rollout.id))
                });
            }
            Event::Follow(at) => {
                let machine = &mut self.machines[at];
                if machine.alive
                    && machine.connected
                    && let Some(entry) = self.log.get(machine.copy.at)
                {
                    machine.copy.apply(entry);
                }
            }
            Event::CatchUp(at) => {
                let machine = &mut self.machines[at];
                if machine.alive && machine.connected {
                    machine.compiled.insert(machine.copy.active);
                }
            }
            Event::Request(at) => self.request(at)?,
            Event::Cut(at) => self.machines[at].connected = false,
            Event::Mend(at) => self.machines[at].connected = true,
            Event::Kill(at) => self.machines[at].alive = false,
            Event::Start(at) => {
                let machine = &mut self.machines[at];
                if !machine.alive {
                    let id = self.runs.to_string();
                    self.runs += 1;
                    machine.host.id.clone_from(&id);
                    machine.alive = true;
                    machine.driving = None;
                    machine.copy = Copy::default();
                    machine.compiled.clear();
                    self.seen.insert(id);
                }
            }
            Event::Expire(at) => {
                let machine = &self.machines[at];
                if !machine.alive || !machine.connected {
                    self.seen.remove(&machine.host.id);
                }
            }
            Event::Beat(at) => {
                let machine = &self.machines[at];
                if machine.alive && machine.connected {
                    self.seen.insert(machine.host.id.clone());
                }
            }
        }
        // Of hosts that ended and started again the old run is not heard of any more.
        let runs: BTreeSet<_> = self.machines.iter().map(|one| one.host.id.clone()).collect();
        self.seen.retain(|id| runs.contains(id));
        Ok(())
    }

    /// A request that begins now: who answers it answers by what was committed last.
    fn request(&mut self, at: usize) -> Result<(), TestCaseError> {
        let committed = self.log.iter().rev().find_map(|entry| match entry {
            Entry::Committed(id) => Some(*id),
            _ => None,
        });
        if self.follow(at) {
            let machine = &self.machines[at];
            if machine.compiled.contains(&machine.copy.active) {
                prop_assert_eq!(machine.copy.active, committed.unwrap_or(0));
            }
        }
        Ok(())
    }

    /// All networks are mended, and everybody does what there is to do.
    fn settle(&mut self) -> Result<(), TestCaseError> {
        for at in 0..HOSTS {
            self.happens(Event::Mend(at))?;
            self.happens(Event::Start(at))?;
            self.happens(Event::Beat(at))?;
        }
        for _ in 0..3 {
            for at in 0..HOSTS {
                self.happens(Event::Offer(at))?;
                self.happens(Event::Prepare(at, true))?;
            }
            for at in 0..HOSTS {
                self.happens(Event::Drive(at, true))?;
                self.happens(Event::CallOff(at))?;
                self.happens(Event::CatchUp(at))?;
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_two_handlers_answer_and_nothing_is_stuck(
        events in prop::collection::vec(event(), 0..300),
    ) {
        let mut fleet = Fleet::new();
        for event in events {
            fleet.happens(event)?;
        }
        fleet.settle()?;
        for at in 0..HOSTS {
            prop_assert!(fleet.follow(at));
            let machine = &fleet.machines[at];
            prop_assert_eq!(&machine.copy.rollout, &None, "a rollout is stuck");
            prop_assert!(machine.compiled.contains(&machine.copy.active), "a host serves nothing");
        }
        // What a host refused was never committed, and an id ended once.
        let mut ended = BTreeSet::new();
        let mut refused = BTreeSet::new();
        for entry in &fleet.log {
            match entry {
                Entry::Acknowledged(id, said) if said.refused.is_some() => {
                    refused.insert(*id);
                }
                Entry::Committed(id) => {
                    prop_assert!(!refused.contains(id));
                    prop_assert!(ended.insert(*id));
                }
                Entry::Refused(id) => prop_assert!(ended.insert(*id)),
                Entry::Begun { .. } | Entry::Offered | Entry::Acknowledged(..) => {}
            }
        }
    }
}

fn host(id: &str) -> Host {
    Host { id: id.into(), name: format!("host {id}") }
}

fn offered(said: &[(&str, Option<&str>)]) -> Rollout {
    let said = said.iter().map(|(id, refused)| Acknowledgement {
        host: host(id),
        refused: refused.map(str::to_owned),
    });
    Rollout { id: 2, driver: "a".into(), offered: true, acknowledgements: said.collect() }
}

#[test]
fn a_driver_waits_for_those_that_live_and_for_no_others() {
    let live = [host("a"), host("b")];
    assert_eq!(offered(&[]).next(&live, false), Next::Wait);
    assert_eq!(offered(&[("b", None)]).next(&live, false), Next::Commit);
    assert_eq!(offered(&[]).next(&[host("a")], false), Next::Commit);
    let late = Next::Refuse("host b: nothing was heard in time".into());
    assert_eq!(offered(&[]).next(&live, true), late);
}

#[test]
fn one_refusal_is_enough_also_of_a_host_that_is_gone() {
    let refused = offered(&[("b", None), ("c", Some("it does not link"))]);
    let reason = Next::Refuse("host c: it does not link".into());
    assert_eq!(refused.next(&[host("a"), host("b")], false), reason);
}
