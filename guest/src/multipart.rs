//! `multipart/form-data` (RFC 7578): a document for each file.

use axum::body::Bytes;
use futures::stream;
use multer::{Constraints, Field, Multipart, SizeLimit};
use ragtime_api::extract::MediaType;
use ragtime_api::json::Fault;
use ragtime_api::limits;
use ragtime_api::problem::Problem;
use ragtime_api::resource::documents::{self, Batch, NewDocument, Rejected};
use ragtime_api::resource::rules;

/// Reads files. The name of a file is its document's id. A file that cannot be
/// taken is rejected and the others go on.
///
/// # Errors
///
/// `validation_failed` when the body breaks off, or holds no file or too many.
pub(crate) async fn read(content_type: Option<&[u8]>, body: Bytes) -> Result<Batch, Problem> {
    let boundary = content_type
        .and_then(|value| std::str::from_utf8(value).ok())
        .and_then(|value| multer::parse_boundary(value).ok())
        .ok_or_else(|| fault("must have a boundary in its Content-Type"))?;
    let whole = SizeLimit::new().whole_stream(limits::MAX_BODY_BYTES as u64);
    let source = stream::iter([Ok::<_, std::convert::Infallible>(body)]);
    let constraints = Constraints::new().size_limit(whole);
    let mut parts = Multipart::with_constraints(source, boundary, constraints);
    let mut batch = Batch::default();
    let mut position = 0;
    while let Some(part) = parts.next_field().await.map_err(|_| broken())? {
        if position as usize >= limits::MAX_BATCH_DOCUMENTS {
            let most = limits::MAX_BATCH_DOCUMENTS;
            return Err(fault(format!("must hold at most {most} files")));
        }
        let id = part.file_name().map(str::to_owned);
        match document(part).await? {
            Ok(document) => batch.documents.push((position, document)),
            Err(reason) => {
                let id = id.filter(|id| rules::document_id(id).is_ok());
                batch.rejected.push(Rejected { position, id, reason });
            }
        }
        position += 1;
    }
    if position == 0 { Err(fault("must hold at least one file")) } else { Ok(batch) }
}

/// The document of a part, or why it is none.
async fn document(part: Field<'_>) -> Result<Result<NewDocument, String>, Problem> {
    let name = part.file_name().map(str::to_owned);
    let claimed = part.content_type().map(|claimed| claimed.essence_str().to_owned());
    let bytes = part.bytes().await.map_err(|_| broken())?;
    let Some(name) = name else { return Ok(Err("has no file name".into())) };
    if let Err(detail) = rules::document_id(&name) {
        return Ok(Err(format!("its file name, which is its id, {detail}")));
    }
    // Programs that do not know a type send one that says nothing.
    let media_type = claimed
        .and_then(|claimed| MediaType::of(claimed.as_bytes()))
        .or_else(|| MediaType::of_file(&name));
    let Some(media_type) = media_type else {
        return Ok(Err("must be a text, Markdown, HTML, PDF or DOCX file".into()));
    };
    Ok(documents::of_file(Some(name.clone()), None, media_type, Some(name), &bytes))
}

fn broken() -> Problem {
    fault("is not multipart/form-data that can be read")
}

fn fault(detail: impl Into<String>) -> Problem {
    Problem::invalid(vec![Fault::at("#", detail)])
}
