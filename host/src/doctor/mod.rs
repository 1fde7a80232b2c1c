//! `ragtime doctor`: what of the machine, the files and the settings will cost
//! something later. It changes nothing, and goes beside a server at work.

mod certificates;
mod clock;
mod data;
mod endpoints;
mod fleet;
mod machine;
mod models;
mod settings;

use std::path::Path;

use crate::config::Settings;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at, as in `machine.descriptors`: stable, for programs.
    pub check: &'static str,
    /// How it is.
    pub status: Status,
    /// What was found.
    pub found: String,
    /// What to do about it; none where all is well.
    pub advice: Option<String>,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Well.
    Ok,
    /// It works, and will cost something.
    Warn,
    /// The server does not start so, or loses or gives away what it must not.
    Fail,
}

impl Status {
    /// For people and programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

impl Finding {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, status: Status::Ok, found: found.into(), advice: None }
    }

    fn warn(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        let advice = Some(advice.into());
        Self { check, status: Status::Warn, found: found.into(), advice }
    }

    fn fail(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { status: Status::Fail, ..Self::warn(check, found, advice) }
    }
}

/// That the settings cannot be read, beside which nothing else can be looked at.
pub fn unreadable(error: &str, hint: Option<&str>) -> Finding {
    let advice = hint.unwrap_or("ragtime.example.toml lists every setting with its default");
    Finding::fail("settings.read", error, advice)
}

/// Looks at everything; at endpoints and what hosts share only with `online`, since they
/// are others' machines. `file` is the one that the settings were read from, if there is one.
pub async fn examine(settings: &Settings, file: Option<&Path>, online: bool) -> Vec<Finding> {
    // Files are read, and a disk is waited for.
    let mut findings = tokio::task::block_in_place(|| {
        let folder = data::Folder::look(&settings.data.dir);
        let mut findings = machine::judge(&machine::Machine::look(), settings);
        findings.extend(data::judge(&folder));
        findings.extend(models::judge(settings));
        findings.extend(certificates::judge(settings));
        findings.extend(clock::judge(&folder));
        findings.extend(settings::judge(settings, file));
        findings.extend(fleet::judge(settings));
        if !folder.in_use {
            findings.extend(settings::listeners(settings));
        }
        findings
    });
    if online {
        findings.extend(endpoints::judge(settings).await);
        findings.extend(fleet::ask(settings).await);
    }
    findings
}
