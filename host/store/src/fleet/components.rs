//! Handlers, by what is in them. They are too large for the log, and no host decides by
//! them: whether it may serve one stands in the log.

use std::collections::HashSet;

use postgres::types::Type;

use super::Settings;
use super::link::{Broken, Link};
use crate::types::OpenError;

/// Keeps components, each with its SHA-256, for the hosts of a fleet. Blocking.
///
/// # Errors
///
/// PostgreSQL cannot be reached, or has no fleet in the schema.
pub fn keep_components(
    settings: &Settings,
    components: impl IntoIterator<Item = (String, Vec<u8>)>,
) -> Result<(), OpenError> {
    let mut link = Link::new(settings)?;
    for (sha256, component) in components {
        put(&mut link, &sha256, &component)?;
    }
    Ok(())
}

/// Keeps a component.
pub(crate) fn put(link: &mut Link, sha256: &str, component: &[u8]) -> Result<(), Broken> {
    link.run(|client, schema| {
        client.execute_typed(
            &format!("INSERT INTO {schema}.components VALUES ($1, $2) ON CONFLICT DO NOTHING"),
            &[(&sha256, Type::TEXT), (&component, Type::BYTEA)],
        )
    })?;
    Ok(())
}

/// A component, if it is kept.
pub(crate) fn get(link: &mut Link, sha256: &str) -> Result<Option<Vec<u8>>, Broken> {
    link.run(|client, schema| {
        let row = client.query_typed_opt(
            &format!("SELECT bytes FROM {schema}.components WHERE sha256 = $1"),
            &[(&sha256, Type::TEXT)],
        )?;
        Ok(row.map(|row| row.get(0)))
    })
}

/// Removes every component but these.
pub(crate) fn retain(link: &mut Link, keep: &HashSet<String>) -> Result<(), Broken> {
    let keep: Vec<_> = keep.iter().map(String::as_str).collect();
    link.run(|client, schema| {
        client.execute_typed(
            &format!("DELETE FROM {schema}.components WHERE sha256 <> ALL ($1)"),
            &[(&keep, Type::TEXT_ARRAY)],
        )
    })?;
    Ok(())
}
