//! One fuzzer for each target of `ragtime-parsers`.

#[doc(hidden)]
pub use libfuzzer_sys::fuzz_target;

/// The fuzzer of the target of this name.
#[macro_export]
macro_rules! target {
    ($name:literal) => {
        use $crate::libfuzzer_sys;
        $crate::fuzz_target!(|bytes: &[u8]| $crate::run($name, bytes));
    };
}

#[doc(hidden)]
pub use libfuzzer_sys;

/// Runs a target on what the fuzzer made up.
pub fn run(name: &str, bytes: &[u8]) {
    ragtime_parsers::target(name).expect("every fuzzer has a target of its name")(bytes);
}
