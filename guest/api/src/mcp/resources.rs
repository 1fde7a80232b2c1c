//! Documents as resources, `ragtime://{collection}/{id}`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::{ErrorKind, Request, RpcError, Version};
use crate::problem::{Code, Problem};
use crate::resource::rules;
use crate::{limits, parameters};

const SCHEME: &str = "ragtime://";

/// What a resource is read as: the text that was made of the source.
const MEDIA_TYPE: &str = "text/plain";

/// A document's URI.
pub fn uri(collection: &str, id: &str) -> String {
    format!("{SCHEME}{collection}/{}", parameters::encode(id))
}

/// The collection and the id that a URI names.
pub fn parse(uri: &str) -> Option<(String, String)> {
    let (collection, id) = uri.strip_prefix(SCHEME)?.split_once('/')?;
    let id = percent_decode_str(id).decode_utf8().ok()?.into_owned();
    let valid = rules::collection(collection).is_ok() && rules::document_id(&id).is_ok();
    valid.then(|| (collection.to_owned(), id))
}

/// The form of every URI.
pub(super) fn template() -> Value {
    json!({
        "uriTemplate": format!("{SCHEME}{{collection}}/{{id}}"), "name": "document",
        "title": "Document", "description": "The text of a document.", "mimeType": MEDIA_TYPE,
    })
}

/// A document in a list.
pub fn listed(collection: &str, id: &str, title: Option<&str>, bytes: u64) -> Value {
    let mut resource = json!({
        "uri": uri(collection, id), "name": id, "mimeType": MEDIA_TYPE, "size": bytes,
    });
    if let (Some(title), Some(members)) = (title, resource.as_object_mut()) {
        members.insert("title".into(), title.into());
    }
    resource
}

/// A document that is read.
pub fn read(uri: &str, text: &str, version: Version) -> Value {
    let contents = json!([{"uri": uri, "mimeType": MEDIA_TYPE, "text": text}]);
    // A document may change with the next request.
    super::kept(json!({"contents": contents}), version, 0)
}

/// Where a list goes on: a collection, and the cursor in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The collection; the first where none is named.
    pub collection: Option<String>,
    /// Where the last page of it ended.
    pub cursor: Option<String>,
}

impl Place {
    /// From the cursor of a request.
    ///
    /// # Errors
    ///
    /// `InvalidParams`
    pub fn of(request: &Request<'_>) -> Result<Self, RpcError> {
        let Some(cursor) = request.text("cursor") else { return Ok(Self::default()) };
        Self::decode(cursor)
            .ok_or_else(|| RpcError::new(ErrorKind::InvalidParams, "`cursor` is not of this list"))
    }

    fn decode(cursor: &str) -> Option<Self> {
        if cursor.len() > 2 * limits::MAX_CURSOR_BYTES {
            return None;
        }
        let decoded = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        let (collection, cursor) = decoded.split_once(' ')?;
        rules::collection(collection).ok()?;
        let cursor = (!cursor.is_empty()).then(|| cursor.to_owned());
        Some(Self { collection: Some(collection.to_owned()), cursor })
    }

    /// As a cursor.
    pub fn encode(&self) -> String {
        let collection = self.collection.as_deref().unwrap_or_default();
        let cursor = self.cursor.as_deref().unwrap_or_default();
        URL_SAFE_NO_PAD.encode(format!("{collection} {cursor}"))
    }
}

/// What a problem of the store is in this protocol.
pub fn error(problem: &Problem, version: Version) -> RpcError {
    let missing = matches!(problem.code, Code::UnknownDocument | Code::UnknownCollection);
    let kind = match problem.code {
        _ if missing && version.is_initialized() => ErrorKind::ResourceNotFound,
        _ if missing => ErrorKind::InvalidParams,
        Code::InvalidCursor => ErrorKind::InvalidParams,
        _ => ErrorKind::Internal,
    };
    let entry = problem.code.entry();
    let data = Some(json!({"code": entry.code, "status": entry.status}));
    RpcError { data, ..RpcError::new(kind, entry.title) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_uri_names_one_document_whatever_its_id() {
        for id in ["joplin", "a/b c.md", "http://x/?q=é#f", "%2F"] {
            let uri = uri("papers-1", id);
            assert_eq!(parse(&uri), Some(("papers-1".to_owned(), id.to_owned())), "{uri}");
        }
        for wrong in [
            "file:///etc/passwd",
            "ragtime://a",
            "ragtime://A/b",
            "ragtime://a/",
            "ragtime://a/%ff",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_list_goes_on_where_it_ended() {
        for cursor in [None, Some("abc".to_owned())] {
            let place = Place { collection: Some("default".into()), cursor };
            assert_eq!(Place::decode(&place.encode()), Some(place));
        }
        for wrong in ["", "x", "!!", &URL_SAFE_NO_PAD.encode("NO cursor")] {
            assert_eq!(Place::decode(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_not_there_is_told_as_each_version_does() {
        let missing = Problem::from(Code::UnknownDocument);
        assert_eq!(error(&missing, Version::June2025).kind, ErrorKind::ResourceNotFound);
        assert_eq!(error(&missing, Version::SelfContained).kind, ErrorKind::InvalidParams);
        assert_eq!(error(&Code::Internal.into(), Version::June2025).kind, ErrorKind::Internal);
    }
}
