//! Models from a double of a hub.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use ragtime_embed::hub::{HubError, Model, fetch};
use ragtime_embed::{Embedder, LoadError, Manifest, Options};

const ID: &str = "owner/tiny-model";
const REVISION: &str = "0123456789abcdef0123456789abcdef01234567";

/// A hub with one model.
struct Hub {
    address: String,
    /// The files that were asked for.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    /// Serves the files of a tiny model, some of them changed.
    fn with(name: &str, changes: &[(&str, Option<&[u8]>)]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        let mut files = BTreeMap::new();
        for place in ["", "1_Pooling/"] {
            for entry in fs::read_dir(folder.join(place)).unwrap().map(Result::unwrap) {
                if entry.path().is_file() {
                    let name = entry.file_name().into_string().unwrap();
                    files.insert(format!("{place}{name}"), fs::read(entry.path()).unwrap());
                }
            }
        }
        for (name, bytes) in changes {
            files.remove(*name);
            files.extend(bytes.map(|bytes| ((*name).to_owned(), bytes.to_vec())));
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &files, &log);
            }
        });
        Self { address, asked }
    }

    fn fetch(&self, dir: &Path) -> Result<Manifest, HubError> {
        self.expecting(dir, &BTreeMap::new())
    }

    fn expecting(
        &self,
        dir: &Path,
        sha256: &BTreeMap<String, String>,
    ) -> Result<Manifest, HubError> {
        let model = Model { hub: &self.address, id: ID, revision: REVISION, sha256 };
        fetch(dir, &model, &mut |_| ())
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock())
    }
}

fn answer(stream: TcpStream, files: &BTreeMap<String, Vec<u8>>, log: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
    let Some(request) = lines.next() else { return };
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    let path = request.split(' ').nth(1).unwrap();
    let file = path.strip_prefix(&format!("/{ID}/resolve/{REVISION}/")).unwrap();
    log.lock().push(file.to_owned());
    let (status, body) = match files.get(file) {
        Some(bytes) => ("200 OK", bytes.as_slice()),
        None => ("404 Not Found", b"".as_slice()),
    };
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    // The other side may have hung up, as it does with a file that is too long.
    let _ = (&stream).write_all(&[head.as_bytes(), body].concat());
}

/// Names of the files in a folder, without the one that locks it.
fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
    names.retain(|name| name != "lock");
    names.sort();
    names
}

#[test]
fn a_model_is_fetched_once_and_opened() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::with("bert-bf16-shards", &[]);
    let manifest = hub.fetch(dir.path()).unwrap();
    assert_eq!((manifest.id.as_str(), manifest.revision.as_str()), (ID, REVISION));
    assert!(manifest.files.contains_key("model-00003-of-00003.safetensors"));
    assert_eq!(manifest.files.len(), 11);
    let embedder = Embedder::open(dir.path(), Options::default()).unwrap();
    assert_eq!(embedder.manifest(), Some(&manifest));
    assert!(!hub.asked().is_empty());
    assert_eq!(hub.fetch(dir.path()).unwrap(), manifest);
    assert!(hub.asked().is_empty());
}

#[test]
fn a_file_that_was_changed_is_refused_and_fetched_anew() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::with("bert-mean", &[]);
    let manifest = hub.fetch(dir.path()).unwrap();
    let weights = dir.path().join("model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    let opened = Embedder::open(dir.path(), Options::default());
    assert!(matches!(opened, Err(LoadError::Altered { .. })));
    assert_eq!(hub.fetch(dir.path()).unwrap(), manifest);
    assert!(Embedder::open(dir.path(), Options::default()).is_ok());
}

#[test]
fn branches_and_paths_are_not_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let sha256 = BTreeMap::new();
    let hub = "http://127.0.0.1:9";
    for revision in ["main", "", "0123456", &REVISION.to_uppercase(), &"g".repeat(40)] {
        let refused =
            fetch(dir.path(), &Model { hub, id: ID, revision, sha256: &sha256 }, &mut |_| ());
        assert!(matches!(refused, Err(HubError::Revision(_))), "{revision}");
    }
    for id in ["", "a/b/c", "../b", "a/..", "a b/c", "a/b?c", "a//b"] {
        let model = Model { hub, id, revision: REVISION, sha256: &sha256 };
        assert!(matches!(fetch(dir.path(), &model, &mut |_| ()), Err(HubError::Id(_))), "{id}");
    }
    assert!(names(dir.path()).is_empty());
}

#[test]
fn other_bytes_than_expected_are_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::with("bert-mean", &[]);
    let expected = |file: &str| BTreeMap::from([(file.to_owned(), "0".repeat(64))]);
    let altered = hub.expecting(dir.path(), &expected("config.json"));
    assert!(matches!(altered, Err(HubError::Altered { .. })));
    assert!(names(dir.path()).is_empty());
    let missing = hub.expecting(dir.path(), &expected("other.json"));
    assert!(matches!(missing, Err(HubError::Missing(file)) if file == "other.json"));
    assert!(!dir.path().join(Manifest::FILE).exists());
}

#[test]
fn a_form_that_is_not_supported_is_refused_before_its_weights_are_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let config = br#"{"architectures": ["ModernBertModel"], "model_type": "modernbert"}"#;
    let hub = Hub::with("bert-mean", &[("config.json", Some(config))]);
    let error = hub.fetch(dir.path()).unwrap_err().to_string();
    assert!(error.contains("ModernBertModel"), "{error}");
    assert_eq!(hub.asked(), ["config.json"]);
}

#[test]
fn files_that_are_too_long_or_of_another_format_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let long = vec![b' '; 2 << 20];
    let hub = Hub::with("bert-mean", &[("config.json", Some(&long))]);
    assert!(matches!(hub.fetch(dir.path()), Err(HubError::TooLong { .. })));
    let hub = Hub::with("bert-mean", &[("model.safetensors", Some(&long))]);
    assert!(matches!(hub.fetch(dir.path()), Err(HubError::TooLong { .. })));
    let pickled: &[_] =
        &[("model.safetensors", None), ("pytorch_model.bin", Some(b"x".as_slice()))];
    let hub = Hub::with("bert-mean", pickled);
    assert!(
        matches!(hub.fetch(dir.path()), Err(HubError::Missing(file)) if file == "model.safetensors")
    );
}

#[test]
fn a_folder_of_another_model_is_not_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::with("bert-mean", &[]);
    hub.fetch(dir.path()).unwrap();
    let sha256 = BTreeMap::new();
    let other = "f".repeat(40);
    let model = Model { hub: &hub.address, id: ID, revision: &other, sha256: &sha256 };
    let refused = fetch(dir.path(), &model, &mut |_| ());
    assert!(matches!(refused, Err(HubError::Occupied { .. })));
}

#[test]
fn a_hub_out_of_reach_is_named_as_such() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let sha256 = BTreeMap::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let hub = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let model = Model { hub: &hub, id: ID, revision: REVISION, sha256: &sha256 };
    let error = fetch(dir.path(), &model, &mut |_| ()).unwrap_err();
    assert!(matches!(error, HubError::Request { .. }), "{error}");
}
