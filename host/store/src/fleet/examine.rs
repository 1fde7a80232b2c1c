//! What of a PostgreSQL will cost a fleet something later; for `ragtime doctor`.

use postgres::types::Type;

use super::address::Address;
use super::link::Link;
use super::{Settings, tables, unix_ms};
use crate::types::OpenError;

/// What was found. Nothing is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examination {
    /// The version of the server, as in 15.
    pub server_version: i32,
    /// Whether a fleet can use it.
    pub is_new_enough: bool,
    /// How what is sent to it is kept from others.
    pub way: Way,
    /// What is in the schema.
    pub schema: Schema,
    /// Milliseconds that the server's clock is ahead of this machine's.
    pub clock_ahead_ms: i64,
    /// Whether a commit is on its disk when it is acknowledged (`fsync`).
    pub is_durable: bool,
    /// `synchronous_commit`, as hosts get it.
    pub synchronous_commit: String,
    /// Standbys that follow the server, and whether it waits for one of them.
    pub standbys: Standbys,
}

/// How what is sent is kept from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// TLS, with the certificate and its name verified.
    Tls,
    /// It does not leave this machine.
    Local,
    /// It can be read on its way.
    Clear,
}

/// What is in the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// A fleet.
    Fleet {
        /// The version of its tables.
        version: i32,
        /// The one that this program has.
        known: i32,
    },
    /// None; the first host makes it.
    Empty {
        /// Whether the role may do so.
        may_make: bool,
    },
}

/// What happens should the server be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standbys {
    /// Nobody follows it.
    None,
    /// It waits for a standby before a commit is acknowledged.
    Synchronous,
    /// It waits for none.
    Asynchronous,
}

/// Whether the settings can be used at all: the URL, the schema, the authority's file. Asks
/// nobody. Blocking.
///
/// # Errors
///
/// They cannot; the text says why.
pub fn check(settings: &Settings) -> Result<(), OpenError> {
    settings.check()?;
    Link::new(settings).map(drop)
}

/// Asks PostgreSQL. Blocking.
///
/// # Errors
///
/// The settings cannot be used, or PostgreSQL cannot be reached.
pub fn examine(settings: &Settings) -> Result<Examination, OpenError> {
    settings.check()?;
    let address = Address::read(settings)?;
    let way = match (address.is_encrypted(), address.is_local()) {
        (true, _) => Way::Tls,
        (false, true) => Way::Local,
        (false, false) => Way::Clear,
    };
    let mut link = Link::new(settings)?;
    let server_version = tables::server_version(&mut link)?;
    let sent = unix_ms();
    let now_ms: i64 = link.run(|client, _| {
        let asked = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
        Ok(client.query_typed_one(asked, &[])?.get(0))
    })?;
    let clock_ahead_ms = now_ms - sent.midpoint(unix_ms());
    let schema = link.run(schema)?;
    let row = link.run(|client, _| {
        client.query_typed_one(
            "SELECT current_setting('fsync') = 'on', current_setting('synchronous_commit'),
                 current_setting('synchronous_standby_names') <> '',
                 EXISTS (SELECT 1 FROM pg_stat_replication)",
            &[],
        )
    })?;
    let (waits, followed): (bool, bool) = (row.get(2), row.get(3));
    Ok(Examination {
        server_version: server_version / tables::VERSIONS_OF_ONE,
        is_new_enough: tables::is_new_enough(server_version),
        way,
        schema,
        clock_ahead_ms,
        is_durable: row.get(0),
        synchronous_commit: row.get(1),
        standbys: match (waits, followed) {
            (true, _) => Standbys::Synchronous,
            (false, true) => Standbys::Asynchronous,
            (false, false) => Standbys::None,
        },
    })
}

fn schema(client: &mut postgres::Client, schema: &str) -> Result<Schema, postgres::Error> {
    if tables::there(client, schema)? {
        let row = client.query_typed_one(&format!("SELECT version FROM {schema}.fleet"), &[])?;
        return Ok(Schema::Fleet { version: row.get(0), known: tables::VERSION });
    }
    let row = client.query_typed_one(
        "SELECT CASE WHEN to_regnamespace($1) IS NULL
             THEN has_database_privilege(current_database(), 'CREATE')
             ELSE has_schema_privilege(to_regnamespace($1)::oid, 'CREATE') END",
        &[(&schema, Type::TEXT)],
    )?;
    Ok(Schema::Empty { may_make: row.get(0) })
}
