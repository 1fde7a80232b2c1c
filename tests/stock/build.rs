//! Tells the shared suite that it runs on the stock runtime.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(stock, fleet)");
    println!("cargo::rustc-cfg=stock");
}
