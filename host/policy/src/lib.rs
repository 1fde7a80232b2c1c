//! Policy without I/O: keys, scopes, budgets, and which handler serves. The
//! clock is handed in.

pub mod bucket;
pub mod key;
pub mod key_record;
pub mod scope;
pub mod swap;
