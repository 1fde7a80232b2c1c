//! `ragtime guest build`: from a project to a component.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use tokio::process::Command;

use super::super::{CliError, Context, out};
use super::swap;

const WORLD: &str = "ragtime:handler/handler";
const TARGET: &str = "wasm32-wasip2";

/// How often to look whether a file was saved.
const LOOK: Duration = Duration::from_millis(300);

/// Folders that hold what is made, and not what is written.
const MADE: [&str; 4] = ["target", ".venv", "__pycache__", ".git"];

/// Which project, and what to do with its component.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The project's folder
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Swap it in when it is built
    #[arg(long)]
    swap: bool,
    /// Build again on every save
    #[arg(long)]
    watch: bool,
}

/// Builds, once or on every save.
pub async fn run(args: Args, admin: &Context) -> Result<(), CliError> {
    if !args.watch {
        return once(&args, admin).await;
    }
    let mut seen = None;
    loop {
        let saved = tokio::task::block_in_place(|| last_save(&args.dir));
        if seen != saved {
            seen = saved;
            if let Err(error) = once(&args, admin).await {
                out::note(&format!("error: {error}"));
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}

async fn once(args: &Args, admin: &Context) -> Result<(), CliError> {
    let dir = args.dir.canonicalize().map_err(|error| {
        CliError::new(format!("{} cannot be read: {error}", args.dir.display()))
    })?;
    let component = component(&dir);
    if dir.join("app.py").exists() {
        python(&dir, &component).await?;
    } else if dir.join("Cargo.toml").exists() {
        rust(&dir, &component).await?;
    } else {
        return Err(CliError::with_hint(
            format!("{} holds neither app.py nor Cargo.toml", args.dir.display()),
            "ragtime guest new NAME --lang python lays a project out",
        ));
    }
    out::data(&component.display().to_string());
    match args.swap {
        true => swap::file(&component, admin).await,
        false => Ok(()),
    }
}

/// Where a project's component lies: in its folder, by its name.
pub fn component(dir: &Path) -> PathBuf {
    let name = dir.file_name().map_or_else(|| "handler".into(), |name| name.to_string_lossy());
    dir.join(format!("{name}.wasm"))
}

/// By componentize-py, in a virtual environment of the project's own.
async fn python(dir: &Path, component: &Path) -> Result<(), CliError> {
    let venv = dir.join(".venv");
    let (bin, made) = (venv.join("bin"), venv.join("requirements.txt"));
    let wanted = std::fs::read_to_string(dir.join("requirements.txt")).unwrap_or_default();
    if std::fs::read_to_string(&made).ok().as_ref() != Some(&wanted) {
        out::note("making .venv for componentize-py");
        let hint = "install Python 3.10 or later with the module venv";
        command("python3", dir, hint).args(["-m", "venv", ".venv"]).run().await?;
        let hint = "pip could not install requirements.txt; is the package index reachable?";
        let install = ["-m", "pip", "install", "--quiet", "-r", "requirements.txt"];
        command(bin.join("python"), dir, hint).args(install).run().await?;
        // Not worth an error: the next build makes it again.
        let _ = std::fs::write(&made, wanted);
    }
    let made = component.with_extension("wasm.new");
    command(bin.join("componentize-py"), dir, "see what componentize-py says above")
        .args(["-d", "wit", "-w", WORLD, "componentize", "app", "-o"])
        .arg(&made)
        .run()
        .await?;
    finish(&made, component)
}

/// By cargo.
async fn rust(dir: &Path, component: &Path) -> Result<(), CliError> {
    let hint = "rustup target add wasm32-wasip2 installs the target, if that is what is missing";
    let target = dir.join("target");
    let build = ["build", "--release", "--target", TARGET, "--target-dir"];
    command("cargo", dir, hint).args(build).arg(&target).run().await?;
    let built = std::fs::read_dir(target.join(TARGET).join("release")).ok();
    let built = built.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let built = built.filter(|path| path.extension().is_some_and(|extension| extension == "wasm"));
    let built = built.max_by_key(|path| modified(path)).ok_or_else(|| {
        CliError::with_hint("cargo made no component", "the crate type is cdylib")
    })?;
    let made = component.with_extension("wasm.new");
    std::fs::copy(&built, &made).map_err(|error| unwritable(&made, &error))?;
    finish(&made, component)
}

/// The component is whole or not there.
fn finish(made: &Path, component: &Path) -> Result<(), CliError> {
    std::fs::rename(made, component).map_err(|error| unwritable(component, &error))
}

fn unwritable(path: &Path, error: &std::io::Error) -> CliError {
    CliError::new(format!("{} cannot be written: {error}", path.display()))
}

/// A command whose output the person sees, and what to do when it fails.
struct Tool {
    name: String,
    command: Command,
    hint: &'static str,
}

fn command(program: impl AsRef<std::ffi::OsStr>, dir: &Path, hint: &'static str) -> Tool {
    let name = Path::new(program.as_ref()).file_name().unwrap_or(program.as_ref());
    let name = name.to_string_lossy().into_owned();
    let mut command = Command::new(program);
    // Standard output is the path of the component alone.
    command.current_dir(dir).stdin(Stdio::null()).stdout(std::io::stderr()).kill_on_drop(true);
    Tool { name, command, hint }
}

impl Tool {
    fn args<const N: usize>(mut self, arguments: [&str; N]) -> Self {
        self.command.args(arguments);
        self
    }

    fn arg(mut self, argument: &Path) -> Self {
        self.command.arg(argument);
        self
    }

    async fn run(mut self) -> Result<(), CliError> {
        let failed = |what: String| CliError::with_hint(what, self.hint);
        let status = self.command.status().await;
        let status =
            status.map_err(|error| failed(format!("{} cannot be run: {error}", self.name)))?;
        if status.success() { Ok(()) } else { Err(failed(format!("{} failed", self.name))) }
    }
}

/// When something in the project was last saved.
fn last_save(dir: &Path) -> Option<SystemTime> {
    let written = walkdir::WalkDir::new(dir).into_iter().filter_entry(|entry| {
        let name = entry.file_name().to_string_lossy();
        let made = entry.file_type().is_dir() && MADE.contains(&name.as_ref());
        !made && !name.contains(".wasm")
    });
    let files = written.filter_map(Result::ok).filter(|entry| entry.file_type().is_file());
    files.filter_map(|entry| modified(entry.path())).max()
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_save_is_seen_and_what_is_built_is_none() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("app.py"), "").unwrap();
        let first = last_save(dir.path());
        assert!(first.is_some());
        std::thread::sleep(Duration::from_millis(20));
        std::fs::create_dir(dir.path().join("target")).unwrap();
        std::fs::write(dir.path().join("target/x.rs"), "").unwrap();
        std::fs::write(dir.path().join("app.wasm"), "").unwrap();
        assert_eq!(last_save(dir.path()), first);
        std::fs::write(dir.path().join("app.py"), "x").unwrap();
        assert!(last_save(dir.path()) > first);
    }
}
