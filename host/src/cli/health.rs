//! `ragtime health`: whether the server with these settings is ready, for the health
//! check of a container, which may have neither a shell nor another client.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use reqwest::{Client, StatusCode};

use super::{CliError, Trust};
use crate::config::Settings;
use crate::tls::Listener;

/// How long the server may take. Below the 5 s after which a check is commonly ended
/// without a word.
const TIMEOUT: Duration = Duration::from_secs(4);
/// Characters of an answer that are shown. `/readyz` gives its reasons in less than that.
const MAX_SHOWN_CHARS: usize = 4_096;

/// What is asked.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What is asked: /readyz, or /livez for whether it answers at all
    #[arg(value_name = "PATH", default_value = "/readyz")]
    path: String,
    #[command(flatten)]
    trust: Trust,
}

/// Asks the server on this machine. Says nothing where all is well.
pub async fn run(args: &Args, settings: &Settings) -> Result<(), CliError> {
    let address = reached_at(settings.server.listen);
    let has_tls = Listener::Server.settings(settings).certificate_file.is_some();
    let scheme = if has_tls { "https" } else { "http" };
    let failed = |error: reqwest::Error| {
        CliError::new(format!("{address} does not answer: {}", super::context::cause(&error)))
    };
    let client = client(&args.trust)?.build().map_err(failed)?;
    let answer = client.get(format!("{scheme}://{address}{}", args.path)).send().await;
    let answer = answer.map_err(failed)?;
    let status = answer.status();
    let text = answer.text().await.map_err(failed)?;
    match status {
        StatusCode::OK => Ok(()),
        status => {
            let shown: String = text.chars().take(MAX_SHOWN_CHARS).collect();
            Err(CliError::new(format!("{address} answered {status}: {shown}")))
        }
    }
}

fn client(trust: &Trust) -> Result<reqwest::ClientBuilder, CliError> {
    // The server is reached by an address of its own machine, which its certificate has
    // no reason to name, and nothing is said that others must not hear.
    let unchecked = !trust.has_ca();
    let client = Client::builder().timeout(TIMEOUT).no_proxy();
    Ok(trust.apply(client)?.tls_danger_accept_invalid_certs(unchecked))
}

/// Where a server that listens there is reached from its own machine.
fn reached_at(listen: SocketAddr) -> SocketAddr {
    let loopback = match listen.ip() {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    let everywhere = listen.ip().is_unspecified();
    SocketAddr::new(if everywhere { loopback } else { listen.ip() }, listen.port())
}
