//! The way to PostgreSQL by TLS: hosts serve where the certificate is right, and say what to
//! do where it is not.

use std::process::Output;
use std::time::Instant;

use super::{PATIENCE, host};
use crate::harness::binary;
use crate::harness::certificates::{Authority, Files, Issued};
use crate::harness::engines::{self, Postgres};
use crate::harness::tls_front::{self, Begins};

/// A password that must be shown nowhere.
const PASSWORD: &str = "Cl0thing-of-the-b0ld";

/// A URL of the loopback.
fn url(host: &str, port: u16, parameters: &str) -> String {
    format!("postgresql://ragtime:{PASSWORD}@{host}:{port}/postgres?{parameters}")
}

/// A port at which a server shows this certificate.
fn front(postgres: &Postgres, issued: &Issued) -> u16 {
    tls_front::before(postgres.door(), issued, Begins::WhenAsked)
}

/// What a command with this URL says, which refuses it at once, and not the password.
fn refused(arguments: &[&str], url: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let mut command = binary();
    command.args(arguments).arg("--data-dir").arg(folder.path());
    command.env("RAGTIME_FLEET__POSTGRES", url);
    // Longer than a test would bear: what time does not mend is not waited for.
    command.env("RAGTIME_FLEET__START_WAIT_MS", "3600000");
    let output = tokio::task::block_in_place(|| command.output().unwrap());
    let Output { status, stdout, stderr } = output;
    assert!(!status.success() && started.elapsed() < PATIENCE);
    let text = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    assert!(!text.contains(PASSWORD), "{text}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_serve_where_the_certificate_is_verified() {
    let authority = Authority::new();
    let issued = authority.server();
    // The authority's certificate, by the setting and by the URL.
    let files = Files::of(&issued);
    let ca = files.write("ca.crt", &authority.pem);
    let ca = ca.to_str().unwrap();
    let (postgres, port) = match Postgres::start_with_tls(&issued, PASSWORD) {
        Ok(own) => own,
        Err(without) => {
            let port = front(&without, &issued);
            (*without, port)
        }
    };
    let schema = engines::schema();
    let by_setting = host(&url("127.0.0.1", port, "sslmode=verify-full"), &schema)
        .set("FLEET__POSTGRES_CA", ca)
        .start();
    let escaped = ca.replace('/', "%2F");
    let by_url = format!("sslmode=verify-full&sslrootcert={escaped}");
    let by_url = host(&url("localhost", port, &by_url), &schema).start();
    by_setting.document("joplin", "The Maple Leaf Rag.").await;
    assert_eq!(by_url.search("maple").await, ["joplin"]);
    for server in [&by_setting, &by_url] {
        assert!(!server.log().join("\n").contains(PASSWORD));
    }
    drop(postgres);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_does_not_start_where_the_certificate_is_wrong_and_says_what_to_do() {
    let (authority, postgres) = (Authority::new(), Postgres::start());
    let files = Files::of(&authority.server());
    let ca = files.write("ca.crt", &authority.pem);
    let trusting = format!("sslmode=verify-full&sslrootcert={}", ca.display());
    let right = front(&postgres, &authority.server());
    let status = ["fleet", "status"];
    // There is no fleet, which is said where TLS is well.
    assert!(refused(&status, &url("localhost", right, &trusting)).contains("has no fleet"));
    let plain = postgres.wire().url().rsplit_once('/').unwrap().0.to_owned();
    let plain: u16 = plain.rsplit_once(':').unwrap().1.parse().unwrap();
    for (port, parameters, found, advice) in [
        (
            front(&postgres, &Authority::new().server()),
            trusting.as_str(),
            "authority that is not trusted",
            "fleet.postgres_ca",
        ),
        (right, "sslmode=verify-full", "authority that is not trusted", "sslrootcert"),
        // `require` verifies too.
        (right, "sslmode=require", "authority that is not trusted", "sslrootcert"),
        (
            front(&postgres, &authority.named("db.example")),
            &trusting,
            "not for the host",
            "name the host",
        ),
        (front(&postgres, &authority.of_days((-9, -1))), &trusting, "has expired", "renew"),
        (plain, &trusting, "does not speak TLS", "ssl = on"),
    ] {
        let text = refused(&status, &url("localhost", port, parameters));
        assert!(text.contains(found) && text.contains(advice), "{parameters}: {text}");
    }
    let serve = ["serve", "--no-model", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    let text = refused(&serve, &url("localhost", right, "sslmode=verify-full"));
    assert!(text.contains("not trusted") && text.contains("fleet.postgres_ca"), "{text}");
    files.write("empty.crt", "");
    let empty = format!("sslrootcert={}", files.path("empty.crt"));
    let text = refused(&status, &url("localhost", right, &empty));
    assert!(text.contains("no certificate in PEM"), "{text}");
}
