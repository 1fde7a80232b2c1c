//! Every limit of the HTTP contract, with its unit and its reason.

/// Bytes of a request body. The host has a limit of its own; this one holds
/// under every host.
pub const MAX_BODY_BYTES: usize = 32 * 1024 * 1024;

/// Values in one JSON text: the largest batch, with a score of members in the
/// metadata of each document. A value takes about 40 bytes however short it is,
/// so this bounds what is read to some 10 MB beyond the text.
pub const MAX_JSON_VALUES: usize = 262_144;

/// Bytes of one document as sent: a book is 1 to 2 MiB of text.
pub const MAX_TEXT_BYTES: usize = 8 * 1024 * 1024;

/// Bytes that the note of a text's structure may have beyond the text: the host
/// keeps no longer one.
pub const MAX_OUTLINE_EXTRA_BYTES: usize = 1_024;

/// Tokens that a chunk may aim at: below, a chunk says too little to be found;
/// above, it says too much to be quoted. The default model sees 256 of them.
pub const CHUNK_TOKENS: (u32, u32) = (16, 512);

/// The most tokens that a chunk may repeat of the one before.
pub const MAX_OVERLAP_TOKENS: u32 = 256;

/// Documents that one request rechunks.
pub const MAX_RECHUNKED_DOCUMENTS: u32 = 32;

/// Pages of one document: the longest books have some thousands.
pub const MAX_PAGES: usize = 10_000;

/// Bytes that one file of a packed document may unpack to: markup is some times
/// as long as its text.
pub const MAX_UNPACKED_BYTES: usize = 4 * MAX_TEXT_BYTES;

/// Warnings of one document: a reader looks at the first few, and the last says
/// how many more there were.
pub const MAX_WARNINGS: usize = 64;

/// Bytes of what a warning says: a sentence with a name in it. The host keeps up
/// to 1,024.
pub const MAX_WARNING_BYTES: usize = 512;

/// Files of one packed document: a book of a thousand chapters with an image
/// each.
pub const MAX_PACKED_PARTS: usize = 10_000;

/// Elements and texts of one XML part or of one page: a text of 8 MiB has fewer
/// than a million, and each takes some 50 bytes of memory.
pub const MAX_XML_NODES: usize = 2_000_000;

/// Levels of elements below which nothing is read: the deepest tables in tables
/// of real documents have some 60, and the walk is recursive.
pub const MAX_XML_DEPTH: usize = 256;

/// Cells of one workbook: a million rows of two columns are a database.
pub const MAX_CELLS: usize = 2_000_000;

/// Cells from the first to the last of all sheets of a workbook of the format
/// until 2003: its reader lays them out, at some 50 bytes each.
pub const MAX_GRID_CELLS: usize = 2 * MAX_CELLS;

/// Bytes of a cell over several rows that each of them repeats: a label, not a
/// text.
pub const MAX_REPEATED_BYTES: usize = 256;

/// Attributes of one tag of a page. Real ones have some 30, and each is compared
/// with those before it.
pub const MAX_TAG_ATTRIBUTES: usize = 256;

/// Attachments of one message.
pub const MAX_ATTACHMENTS: usize = 256;

/// Messages within messages.
pub const MAX_MESSAGE_DEPTH: usize = 4;

/// Bytes of front matter: it becomes metadata, which has a bound of its own.
pub const MAX_FRONT_MATTER_BYTES: usize = 4 * MAX_METADATA_BYTES;
/// Bytes that one stream of a PDF may unpack to, and its tables of objects
/// together: a large page of vector graphics has some MiB, and the instance that
/// reads it has 512 MiB.
pub const MAX_PDF_STREAM_BYTES: usize = 64 * 1024 * 1024;

/// Bytes that all streams of a PDF that are read for text may unpack to: about
/// three seconds of work.
pub const MAX_PDF_UNPACKED_BYTES: usize = 512 * 1024 * 1024;

/// Drawing operators of a PDF: books have some millions, and as many take some
/// seconds.
pub const MAX_PDF_OPERATORS: usize = 40_000_000;

/// Times that forms of a PDF are drawn: a form that draws another twice, and so
/// on, would otherwise never end.
pub const MAX_PDF_FORMS: usize = 250_000;

/// Glyphs of a PDF, blanks included: the longest text has fewer.
pub const MAX_PDF_GLYPHS: usize = 12_000_000;

/// Glyphs of one page: a page of small print has 10,000, and each takes some
/// 100 bytes while the page is laid out.
pub const MAX_PDF_PAGE_GLYPHS: usize = 1_000_000;

/// Levels of forms within forms, of saved states, and of fields within fields.
pub const MAX_PDF_DEPTH: usize = 64;

/// Fonts of a PDF: each is kept until the end.
pub const MAX_PDF_FONTS: usize = 10_000;

/// Widths that a font of a PDF may name: a font has at most 65,536 glyphs, and
/// a file may name each in several ranges.
pub const MAX_PDF_WIDTHS: usize = 4 * 65_536;

/// Annotations of a page that are read.
pub const MAX_PDF_ANNOTATIONS: usize = 10_000;

/// Columns of a table of records: each becomes a member of the metadata.
pub const MAX_COLUMNS: usize = 256;

/// Documents of one batch: beyond this a job's report is unreadable.
pub const MAX_BATCH_DOCUMENTS: usize = 10_000;

/// Bytes of each part of a collection's prompt; the host has the same.
pub const MAX_PROMPT_BYTES: usize = ragtime_policy::details::MAX_PROMPT_BYTES;

/// Bytes of a query: the embedding model reads 256 tokens, about 1 KiB, and
/// lexical search gains nothing from more than a few pages.
pub const MAX_QUERY_BYTES: usize = 8_192;

/// Results of one search.
pub const MAX_TOP_K: u32 = 100;

/// Results of a search that does not say how many.
pub const DEFAULT_SEARCH_TOP_K: u32 = 10;

/// Sources of an answer that does not say how many: ten passages of 200 tokens are
/// half of the smallest context of a language model in use (4,096 tokens). With six, one
/// in a hundred more of XQuAD's questions was declined; with twelve, no fewer than with
/// ten.
pub const DEFAULT_QUERY_TOP_K: u32 = 10;

/// Candidates from each retriever for each result wanted: several chunks of one
/// document may stand before the next document.
pub const DEPTH_PER_RESULT: u32 = 8;

/// The fewest candidates from each retriever: with a short list, the score that a retriever
/// is normalised by depends too much on the query.
pub const MIN_DEPTH: u32 = 400;

/// Passages to pick from for each result wanted, where results are to differ:
/// beyond the first few times as many, what is left is hardly relevant.
pub const POOL_PER_RESULT: u32 = 4;

/// The most passages to pick from: each is compared with each, some 20,000
/// comparisons.
pub const MAX_POOL: u32 = 200;

/// Characters of a document id: longer than any path or URL in normal use.
pub const MAX_ID_CHARS: usize = 256;

/// Characters of a collection name.
pub const MAX_COLLECTION_CHARS: usize = ragtime_policy::names::MAX_COLLECTION_NAME;

/// Bytes of a title: it is indexed with every chunk.
pub const MAX_TITLE_BYTES: usize = 1_024;

/// Bytes of a document's metadata as JSON: it is returned with every result.
pub const MAX_METADATA_BYTES: usize = 16 * 1024;

/// Levels of nesting in metadata.
pub const MAX_METADATA_DEPTH: usize = 8;

/// Bytes of a filter as JSON.
pub const MAX_FILTER_BYTES: usize = 16 * 1024;

/// Levels of nesting in a filter: the host evaluates it recursively.
pub const MAX_FILTER_DEPTH: usize = 16;

/// Items of a page.
pub const MAX_PAGE_ITEMS: u32 = 1_000;

/// Items of a page that does not say how many.
pub const DEFAULT_PAGE_ITEMS: u32 = 100;

/// Bytes of a cursor; this host's are far shorter.
pub const MAX_CURSOR_BYTES: usize = 1_024;

/// Characters of a key's name.
pub const MAX_KEY_NAME_CHARS: usize = 100;

/// Collections that one key may be limited to.
pub const MAX_KEY_COLLECTIONS: usize = 100;

/// Bytes of a generator's name.
pub const MAX_GENERATOR_BYTES: usize = 256;

/// Bytes of a message of the Model Context Protocol: a call holds a query and a
/// filter.
pub const MAX_MCP_BYTES: usize = 256 * 1024;

/// Files that one request attaches to a store: each is read and written.
pub const MAX_ATTACHED_FILES: usize = 500;

/// Items of a page in OpenAI's API, and of one that does not say how many.
pub const OPENAI_PAGE_ITEMS: (u32, u32) = (100, 20);

/// The same for uploaded files: clients of 2023 and 2024 ask for one page of them
/// and take it for the whole. One is some 300 bytes.
pub const OPENAI_PAGE_FILES: (u32, u32) = (10_000, 10_000);

/// Bytes of the name of an uploaded file, and of what it says it is: file systems
/// take 255.
pub const MAX_FILE_NAME_BYTES: usize = 255;

/// Messages of one batch of that protocol.
pub const MAX_MCP_BATCH: usize = 32;

/// Characters of a model's name: longer than `ragtime/` and any collection.
pub const MAX_MODEL_CHARS: usize = 128;

/// Messages of one conversation. Only the last few are of use to an answer, but
/// agents send all they have.
pub const MAX_MESSAGES: usize = 10_000;

/// Parts of one message.
pub const MAX_MESSAGE_PARTS: usize = 256;

/// Bytes of one message, as many as OpenAI's API takes: people paste documents.
pub const MAX_MESSAGE_BYTES: usize = 1_048_576;

/// Passages that are reranked where a request does not say how many: beyond some dozens
/// rerankers find little that is better (Nogueira and Cho 2019, figure 3).
pub const DEFAULT_RERANK_DEPTH: u32 = 50;

/// The most passages that one search reranks: some seconds of a small model.
pub const MAX_RERANK_DEPTH: u32 = 200;

/// The most texts that `POST /v1/rerank` takes.
pub const MAX_RERANK_DOCUMENTS: usize = 1_000;

/// Bytes of the conversation, counted from its end, that a language model sees:
/// about 1,000 tokens, which leaves room for the sources.
pub const MAX_CONVERSATION_BYTES: usize = 4_096;

/// Texts of one request for embeddings, as many as OpenAI's API takes: clients
/// send batches of 1,000.
pub const MAX_EMBEDDING_INPUTS: usize = 2_048;

/// Tokens of one text that comes as such: OpenAI's models take as many.
pub const MAX_EMBEDDING_TOKENS: usize = 8_192;

/// Texts that the model embeds in one go, so that a large request gives others
/// a turn.
pub const EMBEDDINGS_AT_ONCE: usize = 256;

/// Bytes of one text to embed: the model reads its first 256 tokens.
pub const MAX_EMBEDDING_BYTES: usize = 65_536;

/// Seconds that a rotated key goes on working when the request does not say.
pub const DEFAULT_GRACE_SECONDS: u32 = 3_600;

/// Seconds that a rotated key may go on working: a week.
pub const MAX_GRACE_SECONDS: u32 = 7 * 24 * 3_600;

/// Faults reported in one answer: enough to fix a request, too few to make the
/// answer larger than the request.
pub const MAX_REPORTED_FAULTS: usize = 20;

/// Candidates that each retriever of a search is asked for.
pub fn depth(top_k: u32) -> u32 {
    top_k.saturating_mul(DEPTH_PER_RESULT).max(MIN_DEPTH)
}

/// Passages to pick from where results are to differ.
pub fn pool(top_k: u32) -> u32 {
    top_k.saturating_mul(POOL_PER_RESULT).min(MAX_POOL).max(top_k)
}
