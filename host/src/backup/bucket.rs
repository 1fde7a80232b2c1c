//! A prefix of a bucket of S3, or of a store that speaks its protocol.

use std::fmt;
use std::io;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{
    ClientOptions, GetResult, ObjectStore, ObjectStoreExt, PutPayload, RetryConfig, WriteMultipart,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::manifest::{BackupFile, Hashing};
use super::{BackupError, at};
use crate::config;

/// Parts of one upload that S3 takes at most.
const MAX_PARTS: u64 = 10_000;
/// Parts on the way at once: two keep a connection busy, a few more cover one that
/// is repeated.
const PARTS_IN_FLIGHT: usize = 4;
/// The smallest part that S3 takes but for the last.
const MIN_PART_BYTES: usize = 5 * 1024 * 1024;

/// A prefix of a bucket.
#[derive(Debug, Clone)]
pub struct Bucket {
    store: Arc<AmazonS3>,
    name: String,
    prefix: Path,
    part_bytes: usize,
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.name, self.prefix)
    }
}

impl Bucket {
    /// The bucket and prefix of `BUCKET/PREFIX`.
    pub fn open(place: &str, settings: &config::Backup) -> Result<Self, BackupError> {
        let (name, prefix) = place.split_once('/').unwrap_or((place, ""));
        if name.is_empty() {
            return Err(BackupError::Place("a bucket has a name: s3://BUCKET/PREFIX"));
        }
        let prefix = Path::parse(prefix.trim_end_matches('/'))
            .map_err(|_| BackupError::Place("that is no prefix of a bucket"))?;
        let store = Arc::new(connect(name, &settings.s3)?);
        let part_bytes = settings.part_bytes.max(MIN_PART_BYTES);
        Ok(Self { store, name: name.to_owned(), prefix, part_bytes })
    }

    /// The prefix of this name below.
    pub fn child(&self, name: &str) -> Self {
        Self { prefix: self.prefix.clone().join(name), ..self.clone() }
    }

    /// Names of the prefixes directly below.
    pub async fn children(&self) -> Result<Vec<String>, BackupError> {
        let found = self.store.list_with_delimiter(Some(&self.prefix)).await?;
        let names = found.common_prefixes.iter().filter_map(|path| path.filename());
        Ok(names.map(str::to_owned).collect())
    }

    /// An object of at most `limit` bytes; none if there is none.
    pub async fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, BackupError> {
        let Some(found) = self.get(name).await? else { return Ok(None) };
        if found.meta.size > limit {
            return Err(BackupError::Manifest(format!("it has {} bytes", found.meta.size)));
        }
        Ok(Some(found.bytes().await?.to_vec()))
    }

    /// Whether there is an object of this name.
    pub async fn has(&self, name: &str) -> Result<bool, BackupError> {
        match self.store.head(&self.path(name)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes a small object.
    pub async fn write(&self, name: &str, bytes: Vec<u8>) -> Result<(), BackupError> {
        self.store.put(&self.path(name), PutPayload::from(bytes)).await?;
        Ok(())
    }

    /// Uploads a file in parts.
    pub async fn upload(&self, name: &str, from: &FilePath) -> Result<(), BackupError> {
        let broken = |error: io::Error| at(from, error);
        let mut file = tokio::fs::File::open(from).await.map_err(broken)?;
        let bytes = file.metadata().await.map_err(broken)?.len();
        let least = usize::try_from(bytes.div_ceil(MAX_PARTS)).unwrap_or(usize::MAX);
        let part_bytes = self.part_bytes.max(least);
        if bytes <= part_bytes as u64 {
            let mut whole = Vec::new();
            file.read_to_end(&mut whole).await.map_err(broken)?;
            return self.write(name, whole).await;
        }
        let upload = self.store.put_multipart(&self.path(name)).await?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, part_bytes);
        match send(&mut file, &mut upload, part_bytes).await {
            Ok(()) => {
                upload.finish().await?;
                Ok(())
            }
            Err(Sending::File(error)) => {
                let _ = upload.abort().await;
                Err(broken(error))
            }
            Err(Sending::Store(error)) => {
                let _ = upload.abort().await;
                Err(error.into())
            }
        }
    }

    /// What the object is, read from its first to its last byte.
    pub async fn examine(
        &self,
        name: &str,
        copy: Option<&FilePath>,
    ) -> Result<BackupFile, BackupError> {
        let found = self.get(name).await?;
        let found = found.ok_or_else(|| BackupError::Missing(name.to_owned()))?;
        let mut copy = match copy {
            Some(path) => {
                let file = tokio::fs::File::create(path).await.map_err(|error| at(path, error))?;
                Some((path, file))
            }
            None => None,
        };
        let (mut hashing, mut stream) = (Hashing::default(), found.into_stream());
        while let Some(bytes) = stream.next().await {
            let bytes: Bytes = bytes?;
            hashing.add(&bytes);
            if let Some((path, file)) = &mut copy {
                file.write_all(&bytes).await.map_err(|error| at(path, error))?;
            }
        }
        if let Some((path, mut file)) = copy {
            file.flush().await.map_err(|error| at(path, error))?;
        }
        Ok(hashing.file(name.to_owned()))
    }

    /// Deletes an object.
    pub async fn delete(&self, name: &str) -> Result<(), BackupError> {
        match self.store.delete(&self.path(name)).await {
            Err(error) if !matches!(error, object_store::Error::NotFound { .. }) => {
                Err(error.into())
            }
            _ => Ok(()),
        }
    }

    async fn get(&self, name: &str) -> Result<Option<GetResult>, BackupError> {
        match self.store.get(&self.path(name)).await {
            Ok(found) => Ok(Some(found)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn path(&self, name: &str) -> Path {
        name.split('/').fold(self.prefix.clone(), |path, part| path.join(part))
    }
}

/// Which side of an upload broke.
enum Sending {
    File(io::Error),
    Store(object_store::Error),
}

async fn send(
    file: &mut tokio::fs::File,
    upload: &mut WriteMultipart,
    part_bytes: usize,
) -> Result<(), Sending> {
    let mut buffer = vec![0; part_bytes.min(1024 * 1024)];
    loop {
        let read = file.read(&mut buffer).await.map_err(Sending::File)?;
        if read == 0 {
            return Ok(());
        }
        upload.wait_for_capacity(PARTS_IN_FLIGHT).await.map_err(Sending::Store)?;
        upload.write(buffer.get(..read).unwrap_or_default());
    }
}

/// The environment first, as Amazon's own tools read it, and settings over it.
fn connect(bucket: &str, settings: &config::S3) -> Result<AmazonS3, BackupError> {
    // The whole of a request may take long: a database is read in one.
    let options = ClientOptions::new()
        .with_timeout_disabled()
        .with_read_timeout(Duration::from_millis(settings.timeout_ms));
    let retry = RetryConfig { max_retries: settings.max_retries, ..RetryConfig::default() };
    let mut builder = AmazonS3Builder::from_env()
        .with_client_options(options)
        .with_retry(retry)
        .with_bucket_name(bucket)
        // A few files at a time, and not every store takes a list of them.
        .with_disable_bulk_delete(true)
        .with_virtual_hosted_style_request(settings.virtual_hosted);
    let endpoint = settings.endpoint.clone().or_else(|| std::env::var("AWS_ENDPOINT_URL").ok());
    if let Some(endpoint) = endpoint {
        // Whoever writes http:// wants it: a store on this machine, or behind a proxy.
        builder = builder.with_allow_http(endpoint.starts_with("http://")).with_endpoint(endpoint);
    }
    if let Some(region) = &settings.region {
        builder = builder.with_region(region);
    }
    if let Some(id) = &settings.access_key_id {
        builder = builder.with_access_key_id(id.expose());
    }
    if let Some(key) = &settings.secret_access_key {
        builder = builder.with_secret_access_key(key.expose());
    }
    Ok(builder.build()?)
}
