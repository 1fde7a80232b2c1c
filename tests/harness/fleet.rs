//! Several hosts as one server: each connection comes to the next of them, and what they
//! share is one PostgreSQL and one Valkey for the process of the tests.

use std::fs;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use super::engines;
use super::valkey;

const HANDLER: &str = "handler.file counts for the first host of a new fleet alone";
const BACKUP: &str = "the backups of a fleet are PostgreSQL's own";
const COPY: &str = "it changes the copy of one host, which is rebuilt or put right by the log";
const METRIC: &str = "each host has metrics of its own requests";
const BREAKER: &str = "each host finds out by itself that a model is down";

/// The tests of the common suite that do not run on a fleet, and why. Each has
/// `#[cfg_attr(fleet, ignore)]`; `tests/both.rs` holds the two against each other.
pub const CANNOT: &[(&str, &str)] = &[
    ("chunking::a_handler_that_fails_at_cutting_holds_up_nothing", HANDLER),
    ("durability::a_backup_made_while_serving_comes_back_with_handler_and_keys", BACKUP),
    ("durability::a_check_is_clean_after_use_and_says_what_is_not", COPY),
    ("generator::the_share_of_supported_statements_is_a_metric", METRIC),
    ("generator::without_a_fallback_a_model_that_is_down_is_a_503_and_is_left_alone", BREAKER),
    ("rights::an_admin_key_that_an_older_version_limited_to_collections_is_no_admin", COPY),
];

/// How many. Each request comes to another host than the one before it, which is what a
/// third would show too; `tests/fleet.rs` has three.
const HOSTS: usize = 2;

/// How long a host may wait for what it lacks, in milliseconds: on a busy machine.
const PATIENCE_MS: &str = "60000";

/// The data folders of the hosts.
pub fn folders(dir: &Path) -> Vec<PathBuf> {
    (0..HOSTS).map(|number| dir.join(format!("host-{number}"))).collect()
}

/// The settings that the hosts of this folder share, at each of their starts.
pub fn settings(dir: &Path) -> Vec<(String, String)> {
    let place = dir.join("fleet");
    if !place.exists() {
        folders(dir).iter().for_each(|folder| fs::create_dir_all(folder).unwrap());
        let (schema, budgets) = (engines::schema(), valkey::shared());
        fs::write(&place, format!("{schema}\n{budgets}")).unwrap();
    }
    let place = fs::read_to_string(place).unwrap();
    let (schema, budgets) = place.split_once('\n').unwrap();
    let database = engines::shared();
    let settings = [
        ("POSTGRES", database.as_str()),
        ("SCHEMA", schema),
        ("REDIS", budgets),
        ("WAIT_MS", PATIENCE_MS),
        ("REDIS_TIMEOUT_MS", PATIENCE_MS),
    ];
    settings.map(|(name, value)| (format!("RAGTIME_FLEET__{name}"), value.to_owned())).into()
}

/// An address whose connections come to the servers at these URLs in turn.
pub fn turns<'a>(urls: impl Iterator<Item = &'a str>) -> String {
    let addresses: Vec<_> = urls.map(|url| url.trim_start_matches("http://").to_owned()).collect();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let clients = listener.incoming().map_while(Result::ok);
        for (client, address) in clients.zip(addresses.iter().cycle()) {
            // A client of a server that is dead finds its connection closed.
            let Ok(server) = TcpStream::connect(address) else { continue };
            let (back, forth) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || carry(client, forth));
            std::thread::spawn(move || carry(server, back));
        }
    });
    url
}

/// Carries what comes from one to the other. A side that has said all is done with speaking,
/// and one that takes nothing more ends both ways.
fn carry(mut from: TcpStream, mut to: TcpStream) {
    let _ = match std::io::copy(&mut from, &mut to) {
        Ok(_) => to.shutdown(Shutdown::Write),
        Err(_) => from.shutdown(Shutdown::Both).and(to.shutdown(Shutdown::Both)),
    };
}
