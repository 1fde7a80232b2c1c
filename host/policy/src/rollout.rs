//! Replacing the handler of all hosts of a fleet at one moment.
//!
//! ```text
//! begun → offered → committed
//!    └───────┴────→ refused
//! ```
//!
//! Hosts see every step in one order. A rollout begins on the host that was asked, its
//! driver: that one tries the candidate by itself, and then offers it. Each host compiles,
//! links and probes it beside its serving, and acknowledges. When all hosts that live have
//! done so the driver commits, by one step; a host serves the candidate from the moment on
//! at which it sees that step, and a host that does not have it yet serves nothing. So who
//! lives is for the driver to know as well as it can: a host that it has missed comes late,
//! and never answers by another handler than the others.

/// A host, as the others know it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Host {
    /// Of this run of the host, and of no other.
    pub id: String,
    /// What people call it.
    pub name: String,
}

/// What a host said of the candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgement {
    /// Who said it.
    pub host: Host,
    /// Why it cannot serve it; none when it can.
    pub refused: Option<String>,
}

/// A rollout that has not ended. There is one at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    /// The generation that the candidate is to be.
    pub id: u64,
    /// The id of the host that drives it.
    pub driver: String,
    /// Whether the others are asked to prepare.
    pub offered: bool,
    /// What hosts have said.
    pub acknowledgements: Vec<Acknowledgement>,
}

/// What a driver does with what it has offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Some host has yet to say something.
    Wait,
    /// All can serve it.
    Commit,
    /// It will not be served, for this reason.
    Refuse(String),
}

impl Rollout {
    /// What its driver does next, given the hosts that live, and whether they have had
    /// their time.
    pub fn next(&self, live: &[Host], overdue: bool) -> Next {
        let refusals: Vec<_> = self
            .acknowledgements
            .iter()
            .filter_map(|one| Some(format!("{}: {}", one.host.name, one.refused.as_ref()?)))
            .collect();
        if !refusals.is_empty() {
            return Next::Refuse(refusals.join("; "));
        }
        let silent: Vec<_> = live.iter().filter(|host| !self.has_spoken(&host.id)).collect();
        match (silent.as_slice(), overdue) {
            ([], _) => Next::Commit,
            (_, false) => Next::Wait,
            (silent, true) => {
                let names: Vec<_> = silent.iter().map(|host| host.name.as_str()).collect();
                Next::Refuse(format!("{}: nothing was heard in time", names.join(", ")))
            }
        }
    }

    /// Whether the host `me` has to prepare the candidate and to say what came of it.
    pub fn awaits(&self, me: &str) -> bool {
        self.offered && !self.has_spoken(me)
    }

    /// Whether nobody drives it: its driver is gone, or is this host and knows nothing of
    /// it. `driving` is what this host drives. Whoever finds that calls it off.
    pub fn is_orphan(&self, me: &str, driving: Option<u64>, live: &[Host]) -> bool {
        match self.driver == me {
            true => driving != Some(self.id),
            false => !live.iter().any(|host| host.id == self.driver),
        }
    }

    /// The driver has tried it before it offered it.
    fn has_spoken(&self, host: &str) -> bool {
        self.driver == host || self.acknowledgements.iter().any(|one| one.host.id == host)
    }
}

#[cfg(test)]
mod tests;
