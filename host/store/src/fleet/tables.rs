//! The fleet's tables in PostgreSQL.

use postgres::types::Type;
use postgres::{GenericClient, Transaction};

use super::link::{Broken, Link};

/// The version of these tables. They are only added to, so that an older host runs
/// beside a newer one; a change that an older one cannot live with makes this larger.
pub(crate) const VERSION: i32 = 1;

/// The oldest PostgreSQL that is tried and that its makers still mend.
pub(crate) const OLDEST_SERVER: i32 = 15;
/// How PostgreSQL counts: 150018 is 15.18.
pub(crate) const VERSIONS_OF_ONE: i32 = 10_000;

/// The version of the server, as it counts.
pub(crate) fn server_version(link: &mut Link) -> Result<i32, Broken> {
    link.ask(|client, _| {
        let asked = "SELECT current_setting('server_version_num')::int";
        Ok(client.query_typed_one(asked, &[])?.get(0))
    })
}

/// Whether a fleet can use a server of this version.
pub(crate) fn is_new_enough(version: i32) -> bool {
    version / VERSIONS_OF_ONE >= OLDEST_SERVER
}

/// What two hosts that start on an empty database agree on by this lock: any number that
/// nothing else in the database uses.
const START_LOCK: i64 = 0x7261_6774_696d_6521;

/// Takes the lock that hosts start under, until the transaction ends.
pub(crate) fn lock(transaction: &mut Transaction<'_>) -> Result<(), postgres::Error> {
    transaction
        .query_typed("SELECT pg_advisory_xact_lock($1)", &[(&START_LOCK, Type::INT8)])
        .map(drop)
}

/// Whether the schema has a fleet. Not whether it has tables: they are made together
/// with the first row.
pub(crate) fn there(
    client: &mut impl GenericClient,
    schema: &str,
) -> Result<bool, postgres::Error> {
    let table = format!("{schema}.fleet");
    let row =
        client.query_typed_one("SELECT to_regclass($1) IS NOT NULL", &[(&table, Type::TEXT)])?;
    Ok(row.get(0))
}

/// Makes the tables. The values of `log` and `snapshot_parts` do not compress well
/// enough to be worth the time, hence `EXTERNAL`.
pub(crate) fn create(
    transaction: &mut Transaction<'_>,
    schema: &str,
) -> Result<(), postgres::Error> {
    let there = transaction
        .query_typed_one("SELECT to_regnamespace($1) IS NOT NULL", &[(&schema, Type::TEXT)])?;
    // A role that may not create schemas can be given one.
    if !there.get::<_, bool>(0) {
        transaction.batch_execute(&format!("CREATE SCHEMA {schema}"))?;
    }
    transaction.batch_execute(&format!(
        "CREATE TABLE {schema}.fleet (
             one boolean PRIMARY KEY DEFAULT true CHECK (one),
             version int NOT NULL,
             id text NOT NULL,
             head bigint NOT NULL,
             columns bigint NOT NULL,
             models text NOT NULL);
         CREATE TABLE {schema}.log (
             n bigint PRIMARY KEY,
             token text NOT NULL,
             host text NOT NULL,
             at timestamptz NOT NULL DEFAULT clock_timestamp(),
             changes bytea NOT NULL);
         ALTER TABLE {schema}.log ALTER changes SET STORAGE EXTERNAL;
         CREATE TABLE {schema}.searchable (
             one boolean PRIMARY KEY DEFAULT true CHECK (one),
             through bigint NOT NULL);
         CREATE TABLE {schema}.snapshots (
             n bigint PRIMARY KEY,
             token text NOT NULL,
             bytes bigint NOT NULL,
             parts int NOT NULL,
             sha256 text NOT NULL,
             at timestamptz NOT NULL DEFAULT clock_timestamp());
         CREATE TABLE {schema}.snapshot_parts (
             n bigint NOT NULL,
             part int NOT NULL,
             bytes bytea NOT NULL,
             PRIMARY KEY (n, part));
         ALTER TABLE {schema}.snapshot_parts ALTER bytes SET STORAGE EXTERNAL;
         CREATE TABLE {schema}.hosts (
             id text PRIMARY KEY,
             address text NOT NULL,
             version text NOT NULL,
             position bigint NOT NULL,
             indexed bigint NOT NULL,
             state text NOT NULL,
             handler text NOT NULL,
             seen_at timestamptz NOT NULL,
             generation bigint NOT NULL DEFAULT 0);
         CREATE TABLE {schema}.leases (
             name text PRIMARY KEY,
             holder text NOT NULL,
             until timestamptz NOT NULL);
         CREATE TABLE {schema}.components (
             sha256 text PRIMARY KEY,
             bytes bytea NOT NULL);
         ALTER TABLE {schema}.components ALTER bytes SET STORAGE EXTERNAL;
         INSERT INTO {schema}.searchable VALUES (true, 0);"
    ))
}
