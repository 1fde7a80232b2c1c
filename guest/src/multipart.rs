//! `multipart/form-data` (RFC 7578): a document for each file.

use axum::body::Bytes;
use futures::stream;
use http::HeaderValue;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use multer::{Constraints, Field, Multipart, SizeLimit};
use ragtime_api::body::{charset, file_name};
use ragtime_api::extract::{self, Hints, MediaType};
use ragtime_api::json::Fault;
use ragtime_api::limits;
use ragtime_api::problem::Problem;
use ragtime_api::resource::documents::{self, Batch, NewDocument, Rejected};
use ragtime_api::resource::openai::files;
use ragtime_api::resource::rules;

/// Reads files. The name of a file is its document's id. A file that cannot be
/// taken is rejected and the others go on.
///
/// # Errors
///
/// `validation_failed` when the body breaks off, or holds no file or too many.
pub(crate) async fn read(
    content_type: Option<&[u8]>,
    body: Bytes,
    keep_boilerplate: bool,
) -> Result<Batch, Problem> {
    let mut parts = parts(content_type, body)?;
    let mut batch = Batch::default();
    let mut position = 0;
    while let Some(part) = parts.next_field().await.map_err(|_| broken())? {
        if position as usize >= limits::MAX_BATCH_DOCUMENTS {
            let most = limits::MAX_BATCH_DOCUMENTS;
            return Err(fault(format!("must hold at most {most} files")));
        }
        let file = File::read(part, keep_boilerplate).await?;
        for (id, taken) in file.documents() {
            match taken {
                Ok(document) => batch.documents.push((position, document)),
                Err(reason) => {
                    let id = id.filter(|id| rules::document_id(id).is_ok());
                    batch.rejected.push(Rejected { position, id, reason });
                }
            }
            position += 1;
        }
    }
    if position == 0 { Err(fault("must hold at least one file")) } else { Ok(batch) }
}

/// A file that is uploaded by OpenAI's API.
pub(crate) struct Upload {
    /// Its name.
    pub(crate) name: String,
    /// What it is said to be, where that says anything.
    pub(crate) content_type: Option<String>,
    /// What it is for.
    pub(crate) purpose: String,
    /// It.
    pub(crate) bytes: Bytes,
}

/// Reads `file` and `purpose`.
///
/// # Errors
///
/// `validation_failed` naming the part at fault.
pub(crate) async fn upload(content_type: Option<&[u8]>, body: Bytes) -> Result<Upload, Problem> {
    let mut parts = parts(content_type, body)?;
    let (mut file, mut purpose) = (None, None);
    while let Some(part) = parts.next_field().await.map_err(|_| broken())? {
        let name = part.name().unwrap_or_default().to_owned();
        match name.as_str() {
            "file" => {
                let said = part.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
                let said = said.map(str::to_owned);
                let file_read = File::read(part, false).await?;
                let said = said.filter(|said| {
                    file_read.claimed.is_some() && said.len() <= limits::MAX_FILE_NAME_BYTES
                });
                file = Some((file_read, said));
            }
            "purpose" => purpose = Some(part.text().await.map_err(|_| broken())?),
            "expires_after" | "expires_after[anchor]" | "expires_after[seconds]" => {
                return Err(fault_at("expires_after", "cannot be used: nothing expires here"));
            }
            // As in JSON, what is not known is left unread.
            _ => {}
        }
    }
    let Some((file, content_type)) = file else { return Err(fault_at("file", "is required")) };
    let name = file.name.unwrap_or_default();
    let fits = (1..=limits::MAX_FILE_NAME_BYTES).contains(&name.len())
        && !name.chars().any(char::is_control);
    if !fits {
        let most = limits::MAX_FILE_NAME_BYTES;
        return Err(fault_at("file", format!("must have a name of 1 to {most} bytes")));
    }
    let purpose = purpose.ok_or_else(|| fault_at("purpose", "is required"))?;
    if !files::PURPOSES.contains(&purpose.as_str()) {
        let known = files::PURPOSES.join(", ");
        return Err(fault_at("purpose", format!("must be one of: {known}")));
    }
    Ok(Upload { name, content_type, purpose, bytes: file.bytes })
}

/// The parts of a form.
fn parts(content_type: Option<&[u8]>, body: Bytes) -> Result<Multipart<'static>, Problem> {
    let boundary = content_type
        .and_then(|value| std::str::from_utf8(value).ok())
        .and_then(|value| multer::parse_boundary(value).ok())
        .ok_or_else(|| fault("must have a boundary in its Content-Type"))?;
    let whole = SizeLimit::new().whole_stream(limits::MAX_BODY_BYTES as u64);
    let source = stream::iter([Ok::<_, std::convert::Infallible>(body)]);
    let constraints = Constraints::new().size_limit(whole);
    Ok(Multipart::with_constraints(source, boundary, constraints))
}

/// A file of a form.
struct File {
    name: Option<String>,
    /// What the form says it is, where that says anything.
    claimed: Option<String>,
    hints: Hints,
    bytes: Bytes,
}

impl File {
    async fn read(part: Field<'_>, keep_boilerplate: bool) -> Result<Self, Problem> {
        let header = |name| part.headers().get(name).map(HeaderValue::as_bytes).map(<[u8]>::to_vec);
        let disposition = header(CONTENT_DISPOSITION);
        let disposition = disposition.as_deref().map(String::from_utf8_lossy);
        let name = disposition.as_deref().and_then(file_name);
        let charset = charset(header(CONTENT_TYPE).as_deref());
        let claimed = part.content_type().map(|claimed| claimed.essence_str().to_owned());
        // Programs that do not know a type send one that says nothing.
        let claimed = claimed.filter(|claimed| claimed != "application/octet-stream");
        let hints = Hints { charset, keep_boilerplate, ..Hints::default() };
        let bytes = part.bytes().await.map_err(|_| broken())?;
        Ok(Self { name, claimed, hints, bytes })
    }

    /// The document of the file, or why it is none, and the files in it.
    fn documents(self) -> Vec<(Option<String>, Result<NewDocument, String>)> {
        let Some(name) = self.name else { return vec![(None, Err("has no file name".into()))] };
        if let Err(detail) = rules::document_id(&name) {
            let reason = format!("its file name, which is its id, {detail}");
            return vec![(Some(name), Err(reason))];
        }
        let said = self.claimed.as_deref().and_then(|claimed| MediaType::of(claimed.as_bytes()));
        let declared = said.or_else(|| MediaType::of_file(&name));
        if declared.is_none() && self.claimed.is_some() {
            let reason = format!("is of no kind that can be read; {}", MediaType::KINDS);
            return vec![(Some(name), Err(reason))];
        }
        let mut hints = self.hints.clone();
        let mut inner = Vec::new();
        if extract::detect(&self.bytes, declared) == Ok(MediaType::Eml)
            && let Ok(files) = extract::attachments(&self.bytes)
        {
            hints.attachments_apart = true;
            inner = files;
        }
        let of = |name: &str, declared, hints, bytes: &[u8]| {
            let file_name = Some(name.to_owned());
            documents::of_file(file_name.clone(), None, declared, file_name, hints, bytes)
        };
        let mut all = vec![(Some(name.clone()), of(&name, declared, hints, &self.bytes))];
        for (number, file) in (1_u32..).zip(inner) {
            // Two files of one message may have one name.
            let mut id = format!("{name}/{}", file.name);
            if all.iter().any(|(known, _)| known.as_ref() == Some(&id)) {
                id = format!("{name}/{number}-{}", file.name);
            }
            let hints = Hints { nesting: 1, ..self.hints.clone() };
            let taken = rules::document_id(&id)
                .map_err(|detail| format!("its name, which is its id, {detail}"))
                .and_then(|()| of(&id, file.media_type, hints, &file.bytes));
            all.push((Some(id), taken));
        }
        all
    }
}

fn broken() -> Problem {
    fault("is not multipart/form-data that can be read")
}

fn fault_at(name: &str, detail: impl Into<String>) -> Problem {
    Problem::invalid(vec![Fault::at(format!("#/{name}"), detail)])
}

fn fault(detail: impl Into<String>) -> Problem {
    Problem::invalid(vec![Fault::at("#", detail)])
}
