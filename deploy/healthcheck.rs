//! The health check of the container image, which has neither a shell nor an HTTP client.
//! `healthcheck ADDRESS PATH` ends with 0 when the server answers with 200, and prints what
//! it answered otherwise.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

/// How long the server may take to accept, and to say something. Below the timeout of the
/// check, which ends the process without a word.
const TIMEOUT: Duration = Duration::from_secs(4);
/// The most that is read of an answer. `/readyz` gives its reasons in less than that.
const MAX_BYTES: u64 = 4096;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(path)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: healthcheck ADDRESS PATH");
        return ExitCode::from(2);
    };
    match ask(&address, &path) {
        Ok(answer) if answer.starts_with("HTTP/1.1 200 ") => ExitCode::SUCCESS,
        Ok(answer) => {
            eprintln!("{answer}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{address} does not answer: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The answer to `GET path`, as it was sent.
fn ask(address: &str, path: &str) -> io::Result<String> {
    let address: SocketAddr = address.parse().map_err(io::Error::other)?;
    let mut server = TcpStream::connect_timeout(&address, TIMEOUT)?;
    server.set_read_timeout(Some(TIMEOUT))?;
    server.set_write_timeout(Some(TIMEOUT))?;
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    server.write_all(head.as_bytes())?;
    let mut answer = Vec::new();
    server.take(MAX_BYTES).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
