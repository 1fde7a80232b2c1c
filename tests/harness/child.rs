//! Programs that end with the test.

use std::path::Path;
use std::process::Command;

/// A shell that runs the program which its further arguments name, and sends it `signal`
/// when the test has ended, however it ended: then the standard input of the shell does,
/// which has to be piped. The shell removes the folder `clean` after the program.
pub fn until_the_test_ends(signal: &str, clean: Option<&Path>) -> Command {
    let mut shell = Command::new("sh");
    let script = "\"$@\" & read -r end; kill \"$SIGNAL\" $!; wait; rm -rf \"$CLEAN\"";
    shell.args(["-c", script, "sh"]);
    shell.env("SIGNAL", signal).env("CLEAN", clean.unwrap_or(Path::new("")));
    shell
}
