//! Collections.

use super::Method::{Delete, Get, Patch, Post};
use super::description::{Description, Place, fields};
use super::parameters::PAGE;
use super::{ANSWER, Described, Operation, PLAIN, READ, WRITE, keyed};
use crate::problem::Code;
use crate::resource::collections;
use Collections as Do;

/// What can be asked for here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the descriptions below say it")]
pub enum Collections {
    List,
    Create,
    Get,
    Update,
    Delete,
    Rechunk,
}

const COLLECTIONS: &str = "/v1/collections";
const COLLECTION: &str = "/v1/collections/{collection}";
const RECHUNK: &str = "/v1/collections/{collection}/recut";

/// Their routes and descriptions.
pub(super) const OPERATIONS: &[Described] = &[
    keyed(Get, COLLECTIONS, READ, PLAIN, Operation::Collections(Do::List), || {
        about("listCollections", "Every collection with its size")
            .json::<collections::List>(200, "By name.")
    }),
    keyed(Post, COLLECTIONS, WRITE, PLAIN, Operation::Collections(Do::Create), || {
        about("createCollection", "Make a collection")
            .body(
                fields!(collections::FIELDS),
                r#"{"name": "papers", "chunking": {"tokens": 120}}"#,
                |body| collections::read(body).map(drop),
            )
            .json::<collections::Collection>(201, "Made.")
            .headers(&[Place::Location])
            .problems(&[Code::CollectionExists])
    }),
    keyed(Get, COLLECTION, READ, PLAIN, Operation::Collections(Do::Get), || {
        about("getCollection", "A collection with its size")
            .json::<collections::Collection>(200, "The collection.")
    }),
    keyed(Patch, COLLECTION, WRITE, PLAIN, Operation::Collections(Do::Update), || {
        about("updateCollection", "Change how texts are cut")
            .note("The documents it has are found as they are while they are cut anew, which the host does by itself.")
            .body(
                fields!(collections::CHANGE_FIELDS),
                r#"{"chunking": {"tokens": 120, "overlap": 20}}"#,
                |body| collections::read_change(body).map(drop),
            )
            .json::<collections::Collection>(200, "The collection.")
    }),
    keyed(Delete, COLLECTION, WRITE, PLAIN, Operation::Collections(Do::Delete), || {
        about("deleteCollection", "Delete a collection and its documents")
            .nothing(204, "Deleted.")
            .problems(&[Code::CollectionProtected])
    }),
    keyed(Post, RECHUNK, WRITE, ANSWER, Operation::Collections(Do::Rechunk), || {
        about("recutCollection", "Cut some documents anew")
            .note("Those that are not cut as the collection wants them, at most 32 a call.")
            .query(PAGE)
            .json::<collections::Rechunked>(200, "So many were.")
            .problems(&[Code::InvalidCursor])
    }),
];

fn about(id: &'static str, summary: &'static str) -> Description {
    Description::new(id, "collections", summary)
}
