//! The PostgreSQL and the Redis that hosts share.

use std::time::Duration;

use ragtime_store::OpenError;
use ragtime_store::fleet::{
    Examination, Schema, SharedServer, Standbys, TlsFault, Way, check, examine,
};
use redis::{AsyncConnectionConfig, RedisError};

use super::Finding;
use crate::config::{Fleet, Settings};
use crate::keyring::{BudgetsError, redis_client};

const POSTGRES: &str = "fleet.postgres";
const REDIS: &str = "fleet.redis";
const TLS: &str = "fleet.tls";

/// How long Redis may take to answer a small question.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How far clocks may differ before somebody wonders at the timestamps of documents.
const CLOCK_TOLERANCE_MS: u64 = 60_000;

/// The oldest Redis that the script of the budgets is tried with.
const OLDEST_REDIS: u32 = 7;

/// Looks at the settings. Asks nobody. Blocking.
pub fn judge(settings: &Settings) -> Vec<Finding> {
    const CHECK: &str = "fleet.settings";
    const ADVICE: &str = "docs/fleet.md says what hosts of a fleet need";
    let fleet = &settings.fleet;
    let postgres = of_store(settings).map(|store| match check(&store) {
        Ok(()) => Finding::ok(CHECK, "fleet.postgres can be used; --online asks it"),
        Err(error) => Finding::fail(CHECK, error.to_string(), ADVICE),
    });
    let redis = client(fleet).map(|client| match client {
        Ok(_) => Finding::ok(CHECK, "fleet.redis can be used; --online asks it"),
        Err(error) => Finding::fail(CHECK, error.to_string(), ADVICE),
    });
    postgres.into_iter().chain(redis).collect()
}

/// Asks both, where the settings name them.
pub async fn ask(settings: &Settings) -> Vec<Finding> {
    let store = of_store(settings);
    let mut findings = match &store {
        Some(store) => match tokio::task::block_in_place(|| examine(store)) {
            Ok(examination) => of_postgres(&examination),
            Err(error) => vec![unreachable(&error)],
        },
        None => Vec::new(),
    };
    // `judge` reports what is wrong with the settings of the Redis.
    if let Some(Ok(client)) = client(&settings.fleet) {
        findings.extend(match information(&client).await {
            Ok(info) => of_redis(&info),
            Err(error) => vec![redis_unreachable(&error)],
        });
    }
    findings
}

fn of_store(settings: &Settings) -> Option<ragtime_store::fleet::Settings> {
    settings.fleet.store(settings.fleet.name_at(settings.server.listen))
}

fn client(fleet: &Fleet) -> Option<Result<redis::Client, BudgetsError>> {
    let url = fleet.redis.as_ref()?;
    Some(redis_client(url.expose(), fleet.redis_ca.as_deref()))
}

fn unreachable(error: &OpenError) -> Finding {
    match error {
        OpenError::FleetTls(fault) => {
            Finding::fail(TLS, error.to_string(), fault.advice(SharedServer::Postgres))
        }
        _ => Finding::fail(
            POSTGRES,
            error.to_string(),
            "start it, correct fleet.postgres, or open the way to it; no host serves without",
        ),
    }
}

fn of_postgres(found: &Examination) -> Vec<Finding> {
    vec![version(found), way(found.way), schema(found.schema), clock(found), durable(found)]
}

fn version(found: &Examination) -> Finding {
    let summary = format!("PostgreSQL {} answers", found.server_version);
    match found.is_new_enough {
        true => Finding::ok(POSTGRES, summary),
        false => {
            Finding::fail(POSTGRES, summary, "upgrade it to 15 or newer; hosts refuse this one")
        }
    }
}

fn way(way: Way) -> Finding {
    match way {
        Way::Tls => Finding::ok(TLS, "the certificate of PostgreSQL and its name are verified"),
        Way::Local => Finding::ok(TLS, "what is sent to PostgreSQL does not leave this machine"),
        Way::Clear => Finding::warn(
            TLS,
            "documents go to PostgreSQL in the clear, as the URL says sslmode=disable",
            "set ssl = on in PostgreSQL, and sslmode=verify-full in fleet.postgres",
        ),
    }
}

fn schema(schema: Schema) -> Finding {
    const CHECK: &str = "fleet.schema";
    match schema {
        Schema::Fleet { version, known } if version > known => Finding::fail(
            CHECK,
            format!("the tables are of version {version}, and this program knows {known}"),
            "start this host with the version of Ragtime that the others have",
        ),
        Schema::Fleet { version, .. } => {
            Finding::ok(CHECK, format!("there is a fleet, with tables of version {version}"))
        }
        Schema::Empty { may_make: true } => {
            Finding::ok(CHECK, "there is no fleet yet; the first host makes it")
        }
        Schema::Empty { may_make: false } => Finding::fail(
            CHECK,
            "there is no fleet yet, and the role may not make the tables",
            "CREATE SCHEMA ragtime AUTHORIZATION ragtime, with the names of fleet.schema and the role",
        ),
    }
}

fn clock(found: &Examination) -> Finding {
    const CHECK: &str = "fleet.clock";
    let seconds = found.clock_ahead_ms.unsigned_abs() / 1_000;
    let side = if found.clock_ahead_ms < 0 { "behind" } else { "ahead of" };
    let summary = format!("PostgreSQL's clock is {seconds} s {side} that of this machine");
    match found.clock_ahead_ms.unsigned_abs() <= CLOCK_TOLERANCE_MS {
        true => Finding::ok(CHECK, summary),
        false => Finding::warn(
            CHECK,
            summary,
            "set both, and have them kept (chrony, systemd-timesyncd): keys end by PostgreSQL's, \
             documents have the time of their host",
        ),
    }
}

fn durable(found: &Examination) -> Finding {
    const CHECK: &str = "fleet.durability";
    let commit = &found.synchronous_commit;
    if !found.is_durable || commit == "off" {
        return Finding::fail(
            CHECK,
            format!("fsync is {}, synchronous_commit {commit}", on(found.is_durable)),
            "set both on: what clients were told is kept would go with a crash of PostgreSQL",
        );
    }
    match found.standbys {
        Standbys::Synchronous => Finding::ok(CHECK, "a commit waits for a standby"),
        Standbys::None => {
            Finding::ok(CHECK, "a commit is on PostgreSQL's disk; no standby follows")
        }
        Standbys::Asynchronous => Finding::warn(
            CHECK,
            "standbys follow PostgreSQL, and it waits for none",
            "set synchronous_standby_names, or a failover loses the last acknowledged writes",
        ),
    }
}

fn on(is: bool) -> &'static str {
    if is { "on" } else { "off" }
}

/// What Redis says of itself.
async fn information(client: &redis::Client) -> Result<String, RedisError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(TIMEOUT))
        .set_response_timeout(Some(TIMEOUT));
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    redis::cmd("INFO").arg("server").arg("memory").query_async(&mut connection).await
}

fn redis_unreachable(error: &RedisError) -> Finding {
    match TlsFault::behind(error) {
        Some(fault) => {
            Finding::fail(REDIS, format!("Redis: {fault}"), fault.advice(SharedServer::Redis))
        }
        None => Finding::fail(
            REDIS,
            format!("Redis cannot be reached: {error}"),
            "start it, correct fleet.redis, or open the way to it; until then fleet.without_redis \
             counts",
        ),
    }
}

fn of_redis(info: &str) -> Vec<Finding> {
    let value = |name: &str| {
        info.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'))
    };
    // Valkey says the Redis that it is like.
    let version = value("redis_version").unwrap_or("of no version");
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    let found = format!("Redis {version} answers");
    let mut findings = vec![match major.is_some_and(|major| major >= OLDEST_REDIS) {
        true => Finding::ok(REDIS, found),
        false => Finding::fail(REDIS, found, "upgrade it to 7 or newer, or take a Valkey"),
    }];
    let bounded = value("maxmemory").is_some_and(|bytes| bytes != "0");
    if let Some(policy) =
        value("maxmemory_policy").filter(|policy| bounded && *policy != "noeviction")
    {
        findings.push(Finding::warn(
            "fleet.redis_eviction",
            format!("Redis evicts budgets by {policy} when its memory is full"),
            "set maxmemory-policy noeviction: what is evicted is a full budget again",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn servers_that_are_too_old_fail() {
        let found = Examination {
            server_version: 14,
            is_new_enough: false,
            way: Way::Tls,
            schema: Schema::Empty { may_make: true },
            clock_ahead_ms: 0,
            is_durable: true,
            synchronous_commit: "on".into(),
            standbys: Standbys::None,
        };
        assert_eq!(version(&found).status, Status::Fail);
        let statuses = |info| of_redis(info).iter().map(|one| one.status).collect::<Vec<_>>();
        assert_eq!(statuses("redis_version:6.2.1\r\nmaxmemory:0\r\n"), [Status::Fail]);
        assert_eq!(statuses("redis_version:7.0.15\r\n"), [Status::Ok]);
        assert_eq!(statuses("no version"), [Status::Fail]);
    }

    #[test]
    fn what_is_sent_in_the_clear_and_what_a_failover_loses_is_told() {
        assert_eq!(way(Way::Clear).status, Status::Warn);
        let found = |standbys, commit: &str| Examination {
            server_version: 15,
            is_new_enough: true,
            way: Way::Tls,
            schema: Schema::Empty { may_make: true },
            clock_ahead_ms: 0,
            is_durable: true,
            synchronous_commit: commit.into(),
            standbys,
        };
        assert_eq!(durable(&found(Standbys::Asynchronous, "on")).status, Status::Warn);
        assert_eq!(durable(&found(Standbys::Synchronous, "on")).status, Status::Ok);
        assert_eq!(durable(&found(Standbys::Synchronous, "off")).status, Status::Fail);
    }
}
