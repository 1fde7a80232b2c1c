//! The first key: given by the settings, or made and shown once.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use ragtime_policy::bucket::{LEAST_BURST, Limits};
use ragtime_policy::key::Credential;
use ragtime_policy::scope::{Scope, Scopes};

use super::error::ServeError;
use crate::cli;
use crate::config::{Secret, Settings};
use crate::keyring::{self, Actor, Change, Keyring, KeyringError, NewKey};

/// Where the first key is put that nobody is there to see.
pub(super) const FIRST_KEY_FILE: &str = "first-key";

/// Shows the first key to a person. A pipe or a file may be anybody's log, which
/// is kept and sent on: there the key goes into a file of its own.
pub(super) fn show_first_key(key: &Credential, folder: &Path) -> io::Result<()> {
    if io::stderr().is_terminal() {
        cli::out::note("This admin key is shown once; only its hash is kept:");
        cli::out::note(&format!("  export RAGTIME_KEY={}", key.expose()));
        return Ok(());
    }
    let path = folder.join(FIRST_KEY_FILE);
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&path)?;
    writeln!(file, "{}", key.expose())?;
    file.sync_all()?;
    cli::out::note(&format!(
        "The first admin key is in {}: take it, and delete the file; only its hash is kept.",
        path.display()
    ));
    Ok(())
}

/// On the first start there has to be a key, or nobody could make one. It is
/// returned when it was made here and nobody else knows it.
pub(super) async fn first_key(
    keyring: &Keyring,
    settings: &Settings,
) -> Result<Option<Credential>, ServeError> {
    if settings.auth.burst < LEAST_BURST {
        return Err(ServeError::Burst(settings.auth.burst));
    }
    if settings.auth.rate_per_minute == 0 {
        return Err(ServeError::Rate);
    }
    let given = settings.auth.bootstrap_key.as_ref().map(Secret::expose);
    let given = given.map(Credential::parse).transpose().map_err(|_| ServeError::BootstrapKey)?;
    if !keyring.is_empty() {
        if let Some(given) = given {
            raise_budget(keyring, &given, settings).await?;
        }
        return Ok(None);
    }
    let new = admin_key(settings);
    match given {
        Some(credential) => {
            keyring.add_first(&credential, new).await?;
            Ok(None)
        }
        None => {
            let credential = keyring::random_credential().map_err(KeyringError::from)?;
            let made = keyring.add_first(&credential, new).await?;
            Ok(made.then_some(credential))
        }
    }
}

/// A key that may do everything.
pub(super) fn admin_key(settings: &Settings) -> NewKey {
    NewKey {
        name: "first".into(),
        scopes: [Scope::Read, Scope::Write, Scope::Admin].into_iter().collect::<Scopes>(),
        collections: None,
        expires_at: None,
        limits: Limits {
            rate_per_minute: settings.auth.rate_per_minute,
            burst: settings.auth.burst,
        },
    }
}

/// Nobody grants more than they have, so an operator who allows more by the
/// settings needs a key that has it: the one of the settings, as long as it is
/// live and unlimited.
async fn raise_budget(
    keyring: &Keyring,
    given: &Credential,
    settings: &Settings,
) -> Result<(), ServeError> {
    let (rate_per_minute, burst) = (settings.auth.rate_per_minute, settings.auth.burst);
    let Ok(key) = keyring.authenticate(&given.expose()) else { return Ok(()) };
    let record = &key.record;
    let lower = record.rate_per_minute < rate_per_minute || record.burst < burst;
    if !record.is_unlimited() || !lower {
        return Ok(());
    }
    let change = Change {
        rate_per_minute: Some(rate_per_minute.max(record.rate_per_minute)),
        burst: Some(burst.max(record.burst)),
        ..Change::default()
    };
    keyring.update(Actor::Operator, record.id.as_str(), change).await?;
    Ok(())
}
