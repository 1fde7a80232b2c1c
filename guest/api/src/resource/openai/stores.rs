//! `/v1/vector_stores`: a collection is a vector store, and a document in it a
//! file of it. What is asked.

use serde_json::json;

use super::file_search;
use super::files::ATTRIBUTES;
use super::metadata::METADATA;
pub use super::store::{collection, id};
use super::unsupported::{self, Unsupported};
use crate::json::{
    self, Any, Faults, Field, Fields, Json, Location, Member, Nested, Number, Text, Texts,
};
use crate::limits;
use crate::problem::Problem;
use crate::resource::rules;

/// Characters of a collection's name that come from the name of its store; the
/// rest of 64 is for what makes it unique.
const MAX_SLUG_CHARS: usize = 45;
/// Bits of a UUID of version 7 below its time in milliseconds.
const TIME_SHIFT: u32 = 80;
/// Hexadecimal digits of the time in a collection's name.
const TIME_DIGITS: usize = 12;
/// Hexadecimal digits of what is random there.
const RANDOM_DIGITS: usize = 6;
/// Seconds between naming a collection and making it, at most.
const CLOCK_SECONDS: u64 = 60;

/// Before the id of the job in the id of a batch.
const BATCH_PREFIX: &str = "vsfb_";

/// The id of the batch that a job is.
pub fn batch_id(job: &str) -> String {
    format!("{BATCH_PREFIX}{job}")
}

/// The job that a batch is.
pub fn job(batch: &str) -> Option<&str> {
    batch.strip_prefix(BATCH_PREFIX)
}

/// A name for the collection of a store with this name, of a UUID of version 7:
/// the time at which it is made, in milliseconds, and some of what is random.
pub fn collection_name(name: &str, uuid: u128) -> String {
    let mut slug = String::new();
    for char in name.chars().flat_map(char::to_lowercase) {
        if char.is_ascii_alphanumeric() {
            slug.push(char);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
        if slug.len() >= MAX_SLUG_CHARS {
            break;
        }
    }
    let slug = match slug.trim_end_matches('-') {
        "" => "store",
        slug => slug,
    };
    format!("{slug}-{:012x}{:06x}", uuid >> TIME_SHIFT, uuid & 0xff_ffff)
}

/// The time at which a collection was made, in milliseconds, as near as is known
/// of its name and its record.
pub fn made(collection: &str, created_at: Option<u64>) -> Option<u64> {
    let in_name = collection
        .rsplit_once('-')
        .filter(|(_, unique)| unique.len() == TIME_DIGITS + RANDOM_DIGITS)
        .and_then(|(_, unique)| u64::from_str_radix(unique.get(..TIME_DIGITS)?, 16).ok());
    match (in_name, created_at) {
        // A name that a person gave may look like one.
        (Some(ms), Some(seconds)) if (ms / 1_000).abs_diff(seconds) > CLOCK_SECONDS => {
            Some(seconds * 1_000)
        }
        (None, Some(seconds)) => Some(seconds * 1_000),
        (in_name, _) => in_name,
    }
}

/// A store to make.
#[derive(Debug, PartialEq, Eq)]
pub struct NewStore {
    /// For people.
    pub name: Option<String>,
    /// The client's own notes, as JSON.
    pub metadata: String,
    /// Files to attach.
    pub file_ids: Vec<String>,
    /// Tokens of a chunk and of its overlap.
    pub chunking: Option<(u32, u32)>,
}

/// What changes about a store.
#[derive(Debug, PartialEq, Eq)]
pub struct StoreChange {
    /// For people.
    pub name: Option<String>,
    /// The client's own notes, as JSON.
    pub metadata: Option<String>,
}

/// A file to attach.
#[derive(Debug, PartialEq, Eq)]
pub struct Attach {
    /// Which.
    pub file_id: String,
    /// What filters compare, as JSON.
    pub attributes: String,
}

/// A search.
#[derive(Debug, PartialEq)]
pub struct StoreSearch {
    /// What for.
    pub query: String,
    /// The most passages.
    pub max_num_results: u32,
    /// A filter on metadata, as JSON.
    pub filter: Option<String>,
    /// The least score.
    pub min_score: Option<f64>,
    /// Whether a reranker orders the passages, where there is one.
    pub rerank: bool,
}

const NAME: Member<Text> = Text::optional("name", &rules::TITLE, "For people.");
const FILE_IDS: Member<Texts> = Texts::optional(
    "file_ids",
    &rules::DOCUMENT_ID,
    0,
    limits::MAX_ATTACHED_FILES,
    "Files to attach.",
);
const CHUNKING: Member<Any> = Any::optional(
    "chunking_strategy",
    || json!({"type": "object"}),
    "How long chunks are, as near as the embedding model allows; the answer says how long.",
);

/// Members of the body that makes a store.
pub const FIELDS: &[Field] = &[
    NAME.field(),
    FILE_IDS.field(),
    CHUNKING.field(),
    METADATA.field(),
    unsupported::EXPIRES_AFTER.member.field(),
];
/// Members of the body that changes a store.
pub const CHANGE_FIELDS: &[Field] =
    &[NAME.field(), METADATA.field(), unsupported::EXPIRES_AFTER.member.field()];
const FILE_ID: Member<Text> = Text::required("file_id", &rules::DOCUMENT_ID, "The file.");
/// Members of the body that attaches a file.
pub const ATTACH_FIELDS: &[Field] = &[FILE_ID.field(), ATTRIBUTES.field(), CHUNKING.field()];
const REQUIRED_ATTRIBUTES: Member<Nested> = ATTRIBUTES.must_be_there();
/// Members of the body that changes an attached file.
pub const ATTRIBUTES_FIELDS: &[Field] = &[REQUIRED_ATTRIBUTES.field()];
const FILES: Member<Any> = Any::optional(
    "files",
    || json!({"type": "array", "items": json::lenient_object(ATTACH_FIELDS)}),
    "The files, each with attributes of its own.",
);
/// Members of the body that attaches files.
pub const BATCH_FIELDS: &[Field] =
    &[FILE_IDS.field(), FILES.field(), ATTRIBUTES.field(), CHUNKING.field()];
/// The body that attaches files, as JSON Schema: it names one at least.
pub fn batch_schema() -> serde_json::Value {
    let schema = json::lenient_object(BATCH_FIELDS);
    let some = |name: &str| json!({"properties": {name: {"type": "array", "minItems": 1}}, "required": [name]});
    json::any_of(schema, json!([some("file_ids"), some("files")]))
}

const QUERY: Member<Any> = Any::required(
    "query",
    || {
        json!({"anyOf": [
            rules::QUERY.schema(),
            {"type": "array", "items": rules::QUERY.schema(), "minItems": 1, "maxItems": 1},
        ]})
    },
    "What for.",
);
const RANKING_OPTIONS: Member<Any> = Any::optional(
    "ranking_options",
    || json::lenient_object(RANKING),
    "Which results are good enough.",
);
/// Members of the body that searches a store.
pub const SEARCH_FIELDS: &[Field] = &[
    QUERY.field(),
    file_search::MAX_NUM_RESULTS.field(),
    file_search::FILTERS.field(),
    RANKING_OPTIONS.field(),
];

const SCORE_THRESHOLD: Member<Number> =
    Number::optional_share("score_threshold", "The least score.");
const RANKER: Member<Any> = Any::optional(
    "ranker",
    || json!({"type": "string"}),
    "Any but `none` has a reranker order the passages, where there is one. Default: none.",
);
const RANKING: &[Field] = &[SCORE_THRESHOLD.field(), RANKER.field()];

/// The ranker that leaves passages as they were found.
const NO_RANKER: &str = "none";

const EXPIRY: [Unsupported; 1] = [unsupported::EXPIRES_AFTER];

/// Reads the body that makes a store; none makes one without a name.
///
/// # Errors
///
/// See [`json::read`].
pub fn read(body: &[u8]) -> Result<NewStore, Problem> {
    json::read(or_object(body), |json, faults| {
        let mut fields = Fields::open_lenient(json, Location::Root, FIELDS, faults)?;
        unsupported::check(&EXPIRY, &mut fields, faults);
        Some(NewStore {
            name: fields.string(NAME, faults).map(Into::into),
            metadata: fields.tree(METADATA, faults).unwrap_or_else(|| "{}".to_owned()),
            file_ids: fields.strings(FILE_IDS, faults).unwrap_or_default(),
            chunking: chunking(&mut fields, faults),
        })
    })
}

/// Reads the body that changes a store.
///
/// # Errors
///
/// See [`json::read`].
pub fn read_change(body: &[u8]) -> Result<StoreChange, Problem> {
    json::read(or_object(body), |json, faults| {
        let mut fields = Fields::open_lenient(json, Location::Root, CHANGE_FIELDS, faults)?;
        unsupported::check(&EXPIRY, &mut fields, faults);
        let name = fields.string(NAME, faults).map(Into::into);
        Some(StoreChange { name, metadata: fields.tree(METADATA, faults) })
    })
}

/// Reads the body that attaches a file.
///
/// # Errors
///
/// See [`json::read`].
pub fn read_attach(body: &[u8]) -> Result<Attach, Problem> {
    json::read(body, |json, faults| attach(json, Location::Root, None, faults))
}

/// Reads the body that changes what filters compare.
///
/// # Errors
///
/// See [`json::read`].
pub fn read_attributes(body: &[u8]) -> Result<String, Problem> {
    json::read(body, |json, faults| {
        Fields::open_lenient(json, Location::Root, ATTRIBUTES_FIELDS, faults)?
            .tree(REQUIRED_ATTRIBUTES, faults)
    })
}

/// Reads the body that attaches files.
///
/// # Errors
///
/// See [`json::read`].
pub fn read_batch(body: &[u8]) -> Result<Vec<Attach>, Problem> {
    json::read(body, |json, faults| {
        let mut fields = Fields::open_lenient(json, Location::Root, BATCH_FIELDS, faults)?;
        let common = fields.tree(ATTRIBUTES, faults).unwrap_or_else(|| "{}".to_owned());
        let ids = fields.strings(FILE_IDS, faults).unwrap_or_default();
        let mut files: Vec<_> =
            ids.into_iter().map(|file_id| Attach { file_id, attributes: common.clone() }).collect();
        match fields.take(FILES, faults) {
            None => {}
            Some(Json::Array(items)) => {
                let place = fields.location(FILES);
                for (index, item) in items.into_iter().enumerate() {
                    files.push(attach(item, Location::Item(&place, index), Some(&common), faults)?);
                }
            }
            Some(other) => {
                fields.fault(FILES, format!("must be an array, not {}", other.kind()), faults);
            }
        }
        let most = limits::MAX_ATTACHED_FILES;
        if !(1..=most).contains(&files.len()) {
            fields.fault(FILE_IDS, format!("must name 1 to {most} files"), faults);
        }
        Some(files)
    })
}

/// Reads the body that searches a store.
///
/// # Errors
///
/// See [`json::read`].
pub fn read_search(body: &[u8]) -> Result<StoreSearch, Problem> {
    json::read(body, |json, faults| {
        let mut fields = Fields::open_lenient(json, Location::Root, SEARCH_FIELDS, faults)?;
        let max_num_results = fields.integer(file_search::MAX_NUM_RESULTS, faults);
        let filter = file_search::filters(&mut fields, faults);
        let (min_score, rerank) = ranking(&mut fields, faults);
        let query = match fields.take(QUERY, faults)? {
            Json::String(query) => query.into_owned(),
            Json::Array(queries) => match queries.as_slice() {
                [Json::String(query)] => query.clone().into_owned(),
                _ => {
                    fields.fault(QUERY, "must be one string: one search is one query", faults);
                    return None;
                }
            },
            other => {
                fields.fault(QUERY, format!("must be a string, not {}", other.kind()), faults);
                return None;
            }
        };
        if let Err(detail) = rules::query(&query) {
            fields.fault(QUERY, detail, faults);
        }
        Some(StoreSearch {
            query,
            max_num_results: max_num_results.unwrap_or(limits::DEFAULT_SEARCH_TOP_K),
            filter,
            min_score,
            rerank,
        })
    })
}

/// The least score, and whether a reranker orders the passages.
fn ranking(fields: &mut Fields<'_, '_>, faults: &mut Faults) -> (Option<f64>, bool) {
    let options = fields.take(RANKING_OPTIONS, faults);
    let place = fields.location(RANKING_OPTIONS);
    let Some(mut options) =
        options.and_then(|options| Fields::open_lenient(options, place, RANKING, faults))
    else {
        return (None, false);
    };
    let rerank = match options.take(RANKER, faults) {
        None => false,
        Some(Json::String(ranker)) => ranker != NO_RANKER,
        Some(other) => {
            options.fault(RANKER, format!("must be a string, not {}", other.kind()), faults);
            false
        }
    };
    (options.number(SCORE_THRESHOLD, faults), rerank)
}

/// Clients send no body where they have nothing to say.
fn or_object(body: &[u8]) -> &[u8] {
    if body.trim_ascii().is_empty() { b"{}" } else { body }
}

fn attach(
    json: Json<'_>,
    place: Location<'_>,
    common: Option<&str>,
    faults: &mut Faults,
) -> Option<Attach> {
    let mut fields = Fields::open_lenient(json, place, ATTACH_FIELDS, faults)?;
    let file_id = fields.string(FILE_ID, faults);
    let attributes = fields.tree(ATTRIBUTES, faults);
    let attributes = attributes.unwrap_or_else(|| common.unwrap_or("{}").to_owned());
    Some(Attach { file_id: file_id?.into(), attributes })
}

/// `{"type": "static", "static": {…}}`, as near as may be: a wish for longer
/// chunks than the embedding model sees makes them as long as it sees.
fn chunking(fields: &mut Fields<'_, '_>, faults: &mut Faults) -> Option<(u32, u32)> {
    let strategy = fields.take(CHUNKING, faults)?;
    let Json::Object(members) = &strategy else {
        let detail = format!("must be an object, not {}", strategy.kind());
        fields.fault(CHUNKING, detail, faults);
        return None;
    };
    let (_, Json::Object(lengths)) = members.iter().find(|(name, _)| name == "static")? else {
        return None;
    };
    let length = |wanted: &str| match lengths.iter().find(|(name, _)| name == wanted)? {
        (_, Json::Number(number)) => json::whole(number),
        _ => None,
    };
    let (least, most) = limits::CHUNK_TOKENS;
    let tokens = length("max_chunk_size_tokens")?.clamp(least, most);
    let overlap = length("chunk_overlap_tokens").unwrap_or(0);
    Some((tokens, overlap.min(tokens / 2).min(limits::MAX_OVERLAP_TOKENS)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_store_is_a_collection() {
        assert_eq!(collection(&id("papers")), Some("papers"));
        assert_eq!(collection("papers"), Some("papers"));
        assert_eq!(collection("vs_A"), None);
        let uuid = 0x0190_1234_5678_7abc_8def_0123_4567_89ab;
        let named = collection_name("Financial  Statements (2024)", uuid);
        assert_eq!(named, "financial-statements-2024-0190123456786789ab");
        let at = 0x0190_1234_5678;
        assert_eq!(made(&named, None), Some(at));
        assert_eq!(made(&named, Some(at / 1_000 + 1)), Some(at));
        assert_eq!(made(&named, Some(5)), Some(5_000), "a name that looks like one");
        assert_eq!((made("papers", Some(5)), made("papers", None)), (Some(5_000), None));
        for name in ["", "日本", "---", &"é x".repeat(99), &"x".repeat(99)] {
            assert!(rules::collection(&collection_name(name, uuid)).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_new_store_needs_nothing() {
        assert_eq!(read(b"").unwrap().name, None);
        let body = br#"{"name":"A","file_ids":["f"],"description":"x","metadata":{"k":"v"},"chunking_strategy":
            {"type":"static","static":{"max_chunk_size_tokens":800,"chunk_overlap_tokens":400}}}"#;
        let store = read(body).unwrap();
        assert_eq!(store.chunking, Some((512, 256)));
        assert_eq!(read(br#"{"chunking_strategy":{"type":"auto"}}"#).unwrap().chunking, None);
        let expiring = read(br#"{"expires_after":{"anchor":"last_active_at","days":7}}"#);
        assert_eq!(expiring.unwrap_err().faults.first().unwrap().place().unwrap(), "expires_after");
    }

    #[test]
    fn a_batch_names_files_with_attributes_of_their_own_or_in_common() {
        let files = read_batch(br#"{"file_ids":["a"],"files":[{"file_id":"b","attributes":{"x":1}},{"file_id":"c"}],"attributes":{"y":2}}"#).unwrap();
        let attributes: Vec<_> = files.iter().map(|file| file.attributes.as_str()).collect();
        assert_eq!(attributes, [r#"{"y":2}"#, r#"{"x":1}"#, r#"{"y":2}"#]);
        assert!(read_batch(b"{}").is_err());
    }

    #[test]
    fn a_search_has_one_query() {
        let search = read_search(br#"{"query":["lift"],"max_num_results":3,"ranking_options":{"ranker":"auto","score_threshold":0.5}}"#).unwrap();
        assert_eq!((search.query.as_str(), search.min_score), ("lift", Some(0.5)));
        assert!(search.rerank);
        let none = read_search(br#"{"query":"lift","ranking_options":{"ranker":"none"}}"#).unwrap();
        assert!(!none.rerank);
        for wrong in [
            r#"{"query":["a","b"]}"#,
            r#"{"query":" "}"#,
            "{}",
            r#"{"query":"a","max_num_results":0}"#,
            r#"{"query":"a","ranking_options":{"ranker":1}}"#,
        ] {
            assert!(read_search(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
