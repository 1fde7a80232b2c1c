//! Tells the shared suite that it runs on a fleet.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(stock, fleet)");
    println!("cargo::rustc-cfg=fleet");
}
