//! Running handlers: the engine, the generations, and what the host keeps of
//! each instance and request.

pub mod background;
pub mod code;
pub mod compiler;
pub mod engine;
pub mod generation;
pub mod life;
mod lost;
pub mod memory;
pub mod request;
pub mod rights;
pub mod routing;
pub mod state;
