//! The machine: what the process may use of it, beside what the settings let it use.

use super::Finding;
use crate::config::Settings;

const MIB: u64 = 1024 * 1024;

/// Files that a server has open beside its connections: the database, indexes that are
/// written, models, its own pipes. The busiest suite of tests meets some 400.
const FILES_BESIDE_CONNECTIONS: u64 = 1_024;

/// Threads of a server with its libraries: two for each core and collection that is
/// written, and some dozens.
const LEAST_THREADS: u64 = 512;

/// Memory maps that Linux allows a process by default. An index takes some ten for each
/// segment, an instance of a handler some dozens.
const USUAL_MAPS: u64 = 65_530;

/// What is reserved of the address space for one memory of an instance, whatever is
/// used of it (`memory_reservation` of wasmtime on 64 bits), with two memories each.
const RESERVED_PER_INSTANCE: u64 = 2 * 4 * 1024 * MIB;

/// Memory below which there is room for a server without a model at most.
const LEAST_AVAILABLE: u64 = 512 * MIB;

/// What the process may use. None where the system does not say, or sets no bound.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// Open files, soft limit.
    pub descriptors: Option<u64>,
    /// Threads and processes: the lower of the user's limit and the control group's.
    pub threads: Option<u64>,
    /// Bytes of address space.
    pub address_space: Option<u64>,
    /// Bytes of memory: the lower of the machine's and the control group's.
    pub memory: Option<u64>,
    /// Bytes of memory that are free or can be freed.
    pub available: Option<u64>,
    /// Cores, in hundredths: a control group may give out parts of one.
    pub centicores: Option<u64>,
    /// `vm.overcommit_memory`.
    pub overcommit: Option<u64>,
    /// `vm.max_map_count`.
    pub maps: Option<u64>,
    /// Instructions that vectors are computed with and that the processor lacks.
    pub lacking: Vec<&'static str>,
}

impl Machine {
    /// This one.
    pub fn look() -> Self {
        let groups = groups::Groups::look();
        let cores = std::thread::available_parallelism().ok().map(|cores| cores.get() as u64 * 100);
        Self {
            descriptors: limits::descriptors(),
            threads: lower(limits::threads(), groups.pids),
            address_space: limits::address_space(),
            memory: lower(kilobytes("MemTotal:"), groups.memory),
            available: kilobytes("MemAvailable:"),
            centicores: lower(cores, groups.centicores),
            overcommit: number("/proc/sys/vm/overcommit_memory"),
            maps: number("/proc/sys/vm/max_map_count"),
            lacking: lacking(),
        }
    }
}

fn lower(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).min()
}

fn number(path: &str) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// A line of `/proc/meminfo`, in bytes.
fn kilobytes(name: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

#[cfg(unix)]
mod limits {
    use rustix::process::{Resource, getrlimit};

    pub fn descriptors() -> Option<u64> {
        getrlimit(Resource::Nofile).current
    }

    #[cfg(target_os = "linux")]
    pub fn threads() -> Option<u64> {
        getrlimit(Resource::Nproc).current
    }

    #[cfg(not(target_os = "linux"))]
    pub fn threads() -> Option<u64> {
        None
    }

    pub fn address_space() -> Option<u64> {
        getrlimit(Resource::As).current
    }
}

#[cfg(not(unix))]
mod limits {
    pub fn descriptors() -> Option<u64> {
        None
    }

    pub fn threads() -> Option<u64> {
        None
    }

    pub fn address_space() -> Option<u64> {
        None
    }
}

/// Control groups of Linux, version 2 or 1.
mod groups {
    use super::number;

    /// Version 1 has no word for "unbounded" but a number of about this size.
    const UNBOUNDED: u64 = 1 << 60;

    #[derive(Debug, Default)]
    pub struct Groups {
        pub memory: Option<u64>,
        pub centicores: Option<u64>,
        pub pids: Option<u64>,
    }

    impl Groups {
        /// Those of this process. Inside a container they are at the root, outside they are
        /// below the path that `/proc/self/cgroup` names.
        pub fn look() -> Self {
            let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
            let path = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
            let below = format!("/sys/fs/cgroup{}", path.trim_end_matches('/'));
            let first = |names: &[String]| names.iter().find_map(|name| number(name));
            let of = |name: &str, old: &str| {
                let old = format!("/sys/fs/cgroup/{old}");
                first(&[format!("{below}/{name}"), format!("/sys/fs/cgroup/{name}"), old])
            };
            Self {
                memory: of("memory.max", "memory/memory.limit_in_bytes")
                    .filter(|bytes| *bytes < UNBOUNDED),
                centicores: cores(&below).or_else(|| cores("/sys/fs/cgroup")),
                pids: of("pids.max", "pids/pids.max"),
            }
        }
    }

    /// `cpu.max` is a quota and a period, in microseconds.
    fn cores(folder: &str) -> Option<u64> {
        let text = std::fs::read_to_string(format!("{folder}/cpu.max")).ok()?;
        let (quota, period) = text.trim().split_once(' ')?;
        let (quota, period) = (quota.parse::<u64>().ok()?, period.parse::<u64>().ok()?);
        (quota * 100).checked_div(period)
    }
}

#[cfg(target_arch = "x86_64")]
fn lacking() -> Vec<&'static str> {
    let has = [
        ("AVX2", std::arch::is_x86_feature_detected!("avx2")),
        ("FMA", std::arch::is_x86_feature_detected!("fma")),
    ];
    has.into_iter().filter(|(_, has)| !has).map(|(name, _)| name).collect()
}

/// Every processor of 64 bits by Arm has NEON; others are not known.
#[cfg(not(target_arch = "x86_64"))]
fn lacking() -> Vec<&'static str> {
    Vec::new()
}

/// Holds the machine against the settings.
pub fn judge(machine: &Machine, settings: &Settings) -> Vec<Finding> {
    let judged = [
        machine.descriptors.map(|limit| descriptors(limit, settings)),
        machine.threads.map(threads),
        Some(address_space(machine.address_space, settings)),
        machine.memory.map(|memory| budgets(memory, settings)),
        machine.available.map(available),
        machine.centicores.map(cores),
        machine.overcommit.map(overcommit),
        machine.maps.map(maps),
        Some(instructions(&machine.lacking)),
    ];
    judged.into_iter().flatten().collect()
}

fn descriptors(limit: u64, settings: &Settings) -> Finding {
    const CHECK: &str = "machine.descriptors";
    let connections = settings.server.max_connections as u64;
    let needed = connections + FILES_BESIDE_CONNECTIONS;
    if limit >= needed {
        return Finding::ok(CHECK, format!("{limit} open files"));
    }
    Finding::warn(
        CHECK,
        format!("{limit} open files, and {connections} connections with all else take {needed}"),
        "raise the limit (ulimit -n, LimitNOFILE=, ulimits of a container), or lower \
         server.max_connections: beyond the limit clients wait",
    )
}

fn threads(limit: u64) -> Finding {
    const CHECK: &str = "machine.threads";
    match limit >= LEAST_THREADS {
        true => Finding::ok(CHECK, format!("{limit} threads and processes")),
        false => Finding::warn(
            CHECK,
            format!("{limit} threads and processes, of which a server takes up to {LEAST_THREADS}"),
            "raise the limit: ulimit -u, TasksMax=, pids of a container",
        ),
    }
}

fn address_space(limit: Option<u64>, settings: &Settings) -> Finding {
    const CHECK: &str = "machine.address_space";
    let needed = u64::from(settings.handler.max_instances) * RESERVED_PER_INSTANCE;
    match limit.filter(|limit| *limit < needed) {
        None => Finding::ok(CHECK, "enough addresses for all instances of a handler"),
        Some(limit) => Finding::fail(
            CHECK,
            format!(
                "{} MiB of addresses, and {} instances of a handler reserve {} GiB without using them",
                limit / MIB,
                settings.handler.max_instances,
                needed / MIB / 1024
            ),
            "take the limit away (ulimit -v unlimited, LimitAS=infinity), or lower \
             handler.max_instances; what bounds memory is the control group",
        ),
    }
}

fn budgets(memory: u64, settings: &Settings) -> Finding {
    const CHECK: &str = "machine.memory";
    let all = [
        ("handler.max_total_memory_bytes", settings.handler.max_total_memory_bytes as u64),
        ("data.max_loaded_index_bytes", settings.data.max_loaded_index_bytes as u64),
        ("swap.max_compile_memory_bytes", settings.swap.max_compile_memory_bytes),
        ("server.max_bytes_in_flight", settings.server.max_bytes_in_flight as u64),
    ];
    let sum = all.iter().fold(0, |sum: u64, (_, bytes)| sum.saturating_add(*bytes));
    let has = format!("{} MiB of memory", memory / MIB);
    if sum <= memory {
        return Finding::ok(CHECK, format!("{has}, and the settings allow {} MiB", sum / MIB));
    }
    let parts: Vec<_> =
        all.iter().map(|(name, bytes)| format!("{name} {} MiB", bytes / MIB)).collect();
    Finding::warn(
        CHECK,
        format!("{has}, and the settings allow {} MiB: {}", sum / MIB, parts.join(", ")),
        "lower these until they fit together, or a busy server may be killed for its memory; \
         deploy/kubernetes/ragtime.toml has a set for 4 GiB",
    )
}

fn available(bytes: u64) -> Finding {
    const CHECK: &str = "machine.available_memory";
    let found = format!("{} MiB are free", bytes / MIB);
    match bytes >= LEAST_AVAILABLE {
        true => Finding::ok(CHECK, found),
        false => Finding::warn(
            CHECK,
            found,
            "end other programs, or do without the embedding model (model.source = \"none\")",
        ),
    }
}

fn cores(centicores: u64) -> Finding {
    const CHECK: &str = "machine.cores";
    let found = format!("{}.{:02} cores", centicores / 100, centicores % 100);
    match centicores >= 200 {
        true => Finding::ok(CHECK, found),
        false => Finding::warn(
            CHECK,
            found,
            "give it two cores or more: while one embeds or compiles, nobody else is answered",
        ),
    }
}

fn overcommit(mode: u64) -> Finding {
    const CHECK: &str = "machine.overcommit";
    match mode {
        2 => Finding::warn(
            CHECK,
            "vm.overcommit_memory is 2: memory that is reserved counts as used",
            "set it to 0 or 1 (sysctl vm.overcommit_memory=0), or starting handlers may fail \
             while memory is free",
        ),
        mode => Finding::ok(CHECK, format!("vm.overcommit_memory is {mode}")),
    }
}

fn maps(limit: u64) -> Finding {
    const CHECK: &str = "machine.memory_maps";
    match limit >= USUAL_MAPS {
        true => Finding::ok(CHECK, format!("{limit} memory maps")),
        false => Finding::warn(
            CHECK,
            format!("{limit} memory maps, less than the {USUAL_MAPS} that are usual"),
            "sysctl vm.max_map_count=65530 or more, or lower data.max_loaded_indexes",
        ),
    }
}

fn instructions(lacking: &[&str]) -> Finding {
    const CHECK: &str = "machine.instructions";
    match lacking.is_empty() {
        true => Finding::ok(CHECK, "the processor has what vectors are computed with"),
        false => Finding::warn(
            CHECK,
            format!("the processor lacks {}", lacking.join(" and ")),
            "embedding and exact search take several times as long; virtual machines often hide \
             instructions that the processor has",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    fn sound() -> Machine {
        Machine {
            descriptors: Some(65_536),
            threads: Some(4_096),
            address_space: None,
            memory: Some(64 * 1024 * MIB),
            available: Some(32 * 1024 * MIB),
            centicores: Some(800),
            overcommit: Some(0),
            maps: Some(262_144),
            lacking: Vec::new(),
        }
    }

    fn worst(machine: &Machine) -> Vec<(&'static str, Status)> {
        let judged = judge(machine, &Settings::default());
        let bad = judged.into_iter().filter(|one| one.status != Status::Ok);
        bad.map(|one| (one.check, one.status)).collect()
    }

    #[test]
    fn a_sound_machine_is_sound() {
        assert!(worst(&sound()).is_empty());
        assert!(worst(&Machine::default()).is_empty(), "what is not known is no fault");
    }

    #[test]
    fn each_limit_is_found() {
        let of = |change: fn(&mut Machine)| {
            let mut machine = sound();
            change(&mut machine);
            worst(&machine)
        };
        let warn = |check| vec![(check, Status::Warn)];
        assert_eq!(of(|one| one.descriptors = Some(1_024)), warn("machine.descriptors"));
        assert_eq!(of(|one| one.threads = Some(100)), warn("machine.threads"));
        assert_eq!(of(|one| one.memory = Some(2_048 * MIB)), warn("machine.memory"));
        assert_eq!(of(|one| one.available = Some(100 * MIB)), warn("machine.available_memory"));
        assert_eq!(of(|one| one.centicores = Some(150)), warn("machine.cores"));
        assert_eq!(of(|one| one.overcommit = Some(2)), warn("machine.overcommit"));
        assert_eq!(of(|one| one.maps = Some(30_000)), warn("machine.memory_maps"));
        assert_eq!(of(|one| one.lacking = vec!["AVX2"]), warn("machine.instructions"));
        let addresses = of(|one| one.address_space = Some(8 * 1024 * MIB));
        assert_eq!(addresses, [("machine.address_space", Status::Fail)]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn linux_tells_all_of_it() {
        let machine = Machine::look();
        assert!(machine.descriptors.is_some() && machine.memory.is_some(), "{machine:?}");
        assert!(machine.centicores.is_some() && machine.maps.is_some(), "{machine:?}");
    }
}
