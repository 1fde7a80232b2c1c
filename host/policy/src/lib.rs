//! Policy without I/O: keys, scopes, budgets, versions of documents, problems, and the
//! rules of a swap. Rules are handed the time; `clock` is for who hands it to them.

pub mod bounds;
pub mod breaker;
pub mod bucket;
pub mod canary;
pub mod chunking;
pub mod clock;
pub mod cursor;
pub mod details;
pub mod digest;
pub mod fault;
pub mod grant;
pub mod key;
pub mod key_record;
pub mod names;
pub mod problem;
pub mod rollout;
pub mod scope;
pub mod shared_bucket;
pub mod swap;
pub mod version;
