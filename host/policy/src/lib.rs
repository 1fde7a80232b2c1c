//! Policy without I/O: keys, scopes and budgets. The clock is handed in.

pub mod bucket;
pub mod key;
pub mod key_record;
pub mod scope;
