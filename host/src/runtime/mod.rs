//! Running handlers: the engine, the generations, and what the host keeps of
//! each instance and request.

pub mod engine;
pub mod generation;
pub mod request;
pub mod state;
