//! What one instance keeps: its keys, the library as far as it has read the
//! journal, and the way to other servers.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

use crate::chat::Chat;
use crate::embedder::Embedder;
use crate::journal::{CommitError, Journal};
use crate::keys::Keyring;
use crate::library::{Error, Library};
use crate::log::log;
use crate::records::Commit;
use crate::settings::{self, Embeddings, Generator, min_confidence};

/// Where the data folder is mounted when the settings do not say.
const DATA_DIR: &str = "/data";

/// One instance's state. Calls do not wait while they hold it, and an instance
/// runs on one thread.
pub(crate) struct State {
    /// The keys of the settings.
    pub(crate) keyring: Keyring,
    /// When this instance started; budgets count from here.
    pub(crate) started: Instant,
    /// A language model, when one is set.
    pub(crate) chat: Option<Rc<Chat>>,
    /// The confidence below which quotes decline.
    pub(crate) min_confidence: f32,
    /// A model that makes vectors, when one is set.
    pub(crate) embedder: Option<Rc<Embedder>>,
    journal: Journal,
    library: Library,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A rule of the library.
    #[error(transparent)]
    Refused(Error),
    /// Others write faster than this instance.
    #[error("too many writers at once")]
    Busy,
    /// The data folder is full or read-only.
    #[error("the data folder takes no more")]
    Unwritable,
    /// The text is for the log.
    #[error("{0}")]
    Internal(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<CommitError<Error>> for Failure {
    fn from(error: CommitError<Error>) -> Self {
        match error {
            CommitError::Refused(error) => Self::Refused(error),
            CommitError::Busy => Self::Busy,
            CommitError::Io(error) if is_unwritable(&error) => {
                log("error", "the data folder takes no more", &error.to_string());
                Self::Unwritable
            }
            CommitError::Io(error) => Self::Internal(format!("the data folder: {error}")),
        }
    }
}

fn is_unwritable(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), FileTooLarge | QuotaExceeded | ReadOnlyFilesystem | StorageFull)
}

thread_local! {
    static STATE: RefCell<Option<Rc<RefCell<State>>>> = const { RefCell::new(None) };
}

/// The state, made at the first call. Settings that are wrong are reported at each
/// call until they are right.
pub(crate) fn state() -> Result<Rc<RefCell<State>>, String> {
    STATE.with_borrow_mut(|slot| match slot {
        Some(state) => Ok(Rc::clone(state)),
        None => {
            let state = Rc::new(RefCell::new(State::open()?));
            *slot = Some(Rc::clone(&state));
            Ok(state)
        }
    })
}

/// Reads the library as it is now.
pub(crate) fn read<R>(work: impl FnOnce(&Library) -> Result<R, Error>) -> Result<R, Failure> {
    let state = state().map_err(Failure::Internal)?;
    let state = &mut *state.borrow_mut();
    let (journal, library) = (&mut state.journal, &mut state.library);
    journal
        .refresh(|commit| apply(library, commit))
        .map_err(|error| Failure::Internal(format!("the data folder: {error}")))?;
    Ok(work(library)?)
}

/// Changes the library. `make` sees it as it is right before the change, and is
/// asked again when another instance was first.
pub(crate) fn write<T>(
    make: impl Fn(&Library) -> Result<(Option<Commit>, T), Error>,
) -> Result<T, Failure> {
    let state = state().map_err(Failure::Internal)?;
    let state = &mut *state.borrow_mut();
    Ok(state.journal.commit(&mut state.library, apply, |library| {
        let (commit, outcome) = make(library)?;
        let encode = |commit| serde_json::to_vec(&commit);
        let commit = commit
            .map(encode)
            .transpose()
            .map_err(|error| Error::Invalid(format!("not storable: {error}")))?;
        Ok((commit, outcome))
    })?)
}

/// Commits are whole by construction. One that does not parse was written by
/// something else, and is passed over and logged.
fn apply(library: &mut Library, commit: &[u8]) {
    match serde_json::from_slice(commit) {
        Ok(commit) => library.apply(commit),
        Err(error) => log("error", "a commit is unreadable", &error.to_string()),
    }
}

/// The model that makes vectors, when one is set.
pub(crate) fn embedder() -> Option<Rc<Embedder>> {
    state().ok()?.borrow().embedder.clone()
}

impl State {
    fn open() -> Result<Self, String> {
        let setting = |name: &str| std::env::var(name).ok();
        let list = match setting("RAGTIME_KEYS_FILE") {
            Some(file) => Some(
                std::fs::read_to_string(&file)
                    .map_err(|error| format!("RAGTIME_KEYS_FILE: {error}"))?,
            ),
            None => setting("RAGTIME_KEYS"),
        };
        let bootstrap = setting("RAGTIME_AUTH__BOOTSTRAP_KEY");
        let keyring = Keyring::from_settings(bootstrap.as_deref(), list.as_deref())
            .map_err(|error| error.to_string())?;
        let dir = setting("RAGTIME_DATA__DIR").unwrap_or_else(|| DATA_DIR.into());
        let nonce = getrandom::u64().map_err(|error| format!("no randomness: {error}"))?;
        let journal = Journal::open(Path::new(&dir), nonce).map_err(|error| {
            format!("the data folder {dir} is not mounted, or not writable: {error}")
        })?;
        let wrong = |error: crate::settings::Invalid| error.to_string();
        let chat = Generator::from(&setting).map_err(wrong)?;
        let embedder = Embeddings::from(&setting).map_err(wrong)?;
        let bounds = settings::bounds(&setting).map_err(wrong)?;
        Ok(Self {
            keyring,
            started: Instant::now(),
            min_confidence: min_confidence(&setting).map_err(wrong)?,
            chat: chat.map(|settings| Rc::new(Chat::new(settings))),
            embedder: embedder.map(|settings| Rc::new(Embedder::new(settings))),
            journal,
            library: Library::new(bounds),
        })
    }
}
