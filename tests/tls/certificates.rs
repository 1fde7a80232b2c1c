//! Certificates that are replaced, refused, expired, or asked of clients.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_replaced_without_a_dropped_connection() {
    let authority = Authority::new();
    let files = Files::of(&authority.server());
    let server = Arc::new(secured(&authority, &files).start());
    server.document("a", "The quay is old.").await;
    // Requests are in flight all the time, on connections that stay and on new ones.
    let (over, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients = (0..6).map(|number| {
        let builder = trusting(&authority);
        let client = match number % 3 {
            0 => builder,
            1 => builder.http1_only(),
            _ => builder.pool_max_idle_per_host(0).http1_only(),
        };
        let client = client.build().unwrap();
        let (server, over, done) = (Arc::clone(&server), Arc::clone(&over), Arc::clone(&done));
        tokio::spawn(async move {
            while !over.load(Relaxed) {
                let url = format!("{}/v1/collections/default/search", server.url);
                let request = client.post(url).bearer_auth(ADMIN).json(&json!({"query": "quay"}));
                let answer = request.send().await.expect("a request met the replacement");
                assert_eq!(answer.status(), 200);
                answer.bytes().await.unwrap();
                done.fetch_add(1, Relaxed);
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    let mut kept = open(&server.url, &authority, &["http/1.1"]).await;
    for round in 0..5 {
        let before = done.load(Relaxed);
        let next = authority.server();
        files.replace(&next);
        until_shown(&server.url, &authority, &next).await;
        until_shown(&server.admin_url, &authority, &next).await;
        kept.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        assert!(first(&mut kept).await.starts_with("HTTP/1.1 200"), "round {round}");
        while done.load(Relaxed) < before + 20 {
            tokio::task::yield_now().await;
        }
    }
    over.store(true, Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    server.logged(&["a certificate was replaced", "CN=localhost"]).await;
    until_metric(&server, "ragtime_tls_reloads_total{listener=\"server\",outcome=\"taken\"} 5")
        .await;
    harness::survived(
        "Certificates replaced under load",
        "new connections get the new one, others go on",
        "nothing",
    );
}

#[tokio::test]
async fn a_replacement_that_cannot_be_used_is_refused_and_the_old_one_goes_on() {
    let authority = Authority::new();
    let used = authority.server();
    let files = Files::of(&used);
    let server = secured(&authority, &files).start();
    let ready = "\"name\":\"certificate/server\",\"state\":\"ready\"";
    let degraded = "\"name\":\"certificate/server\",\"state\":\"degraded\"";
    let refused =
        |value: u8| format!("ragtime_tls_certificate_refused{{listener=\"server\"}} {value}");
    assert!(server.get("/readyz").await.text.contains(ready));
    let (other, expired) = (authority.server(), authority.of_days((-9, -1)));
    let early = authority.of_days((1, 9));
    let half = used.certificate[..used.certificate.len() / 2].to_owned();
    for (certificate, key, why) in [
        (&used.certificate, &other.key, "is not that of the certificate"),
        (&"nonsense".to_owned(), &used.key, "holds no certificate in PEM"),
        (&used.certificate, &"nonsense".to_owned(), "holds no private key in PEM"),
        (&half, &used.key, "is damaged"),
        (&expired.certificate, &expired.key, "it has expired at"),
        (&early.certificate, &early.key, "it is not valid before"),
    ] {
        files.write("tls.key", key);
        files.write("tls.crt", certificate);
        server.logged(&["cannot be used; the one before goes on", why]).await;
        until_metric(&server, &refused(1)).await;
        let answer = server.get("/readyz").await;
        // Clients lose nothing, so nobody has to pass the server by.
        assert!(answer.status == 200 && answer.text.contains(degraded), "{answer:?}");
        assert_eq!(shown(&server.url, &authority).await.as_ref(), Some(&used.der));
    }
    std::fs::remove_file(files.path("tls.key")).unwrap();
    server.logged(&["cannot be used; the one before goes on", "cannot be read"]).await;
    assert_eq!(shown(&server.url, &authority).await.as_ref(), Some(&used.der));
    // What was in use comes back, and then what is new.
    files.replace(&used);
    server.logged(&["the files hold the certificate that is in use again", "server"]).await;
    until_metric(&server, &refused(0)).await;
    assert!(server.get("/readyz").await.text.contains(ready));
    files.replace(&other);
    until_shown(&server.url, &authority, &other).await;
    harness::survived(
        "A broken, foreign or expired certificate in the place of a good one",
        "the good one goes on; log, metrics and readiness tell",
        "nothing",
    );
}

fn client_of(authority: &Authority, issued: &Issued) -> Client {
    let identity = [issued.certificate.as_bytes(), issued.key.as_bytes()].concat();
    trusting(authority).identity(Identity::from_pem(&identity).unwrap()).build().unwrap()
}

#[tokio::test]
async fn the_admin_api_asks_for_a_certificate_of_its_own_authority() {
    let (authority, operators, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let files = Files::of(&authority.server());
    let ca = files.write("operators.crt", &operators.pem);
    let server =
        secured(&authority, &files).set("ADMIN__TLS__CLIENT_CA_FILE", ca.to_str().unwrap()).start();
    let metrics = format!("{}/metrics", server.admin_url);
    let ask = async |client: Client| client.get(&metrics).bearer_auth(ADMIN).send().await;
    // The key alone is not enough, nor is a certificate of another.
    assert!(ask(trusting(&authority).build().unwrap()).await.is_err());
    assert!(ask(client_of(&authority, &strangers.client())).await.is_err());
    assert!(ask(client_of(&authority, &operators.server())).await.is_err());
    let operator = operators.client();
    let accepted = ask(client_of(&authority, &operator)).await.unwrap();
    assert_eq!(accepted.status(), 200);
    // The certificate alone is not enough either.
    let keyless = client_of(&authority, &operator).get(&metrics).send().await.unwrap();
    assert_eq!(keyless.status(), 401);
    // The API beside it asks for none.
    assert_eq!(server.get("/livez").await.status, 200);

    let certificate = files.write("operator.crt", &operator.certificate);
    let key = files.write("operator.key", &operator.key);
    let authority_file = files.write("ca.crt", &authority.pem);
    let list = || {
        let mut command = binary();
        command
            .args(["guest", "list"])
            .env("RAGTIME_ADMIN", &server.admin_url)
            .env("RAGTIME_KEY", ADMIN)
            .env("RAGTIME_CA", &authority_file);
        command
    };
    let refused = list().output().unwrap();
    assert!(said(&refused).contains("--client-certificate FILE"), "{refused:?}");
    let listed = list()
        .env("RAGTIME_CLIENT_CERTIFICATE", &certificate)
        .env("RAGTIME_CLIENT_KEY", &key)
        .output()
        .unwrap();
    assert!(listed.status.success() && said(&listed).contains("active"), "{listed:?}");
    let certificate = certificate.to_str().unwrap();
    let head = format!("Authorization: Bearer {ADMIN}");
    let by_curl = curl(&[
        "--cacert",
        authority_file.to_str().unwrap(),
        "--cert",
        certificate,
        "--key",
        key.to_str().unwrap(),
        "-H",
        &head,
        &metrics,
    ])
    .await;
    let failures = "ragtime_tls_handshake_failures_total{listener=\"admin\",reason=\"failed\"} ";
    let text = said(&by_curl);
    let counted = text.lines().find_map(|line| line.strip_prefix(failures)).unwrap();
    assert!(counted.parse::<u32>().unwrap() >= 4, "{counted}");

    // Another authority of clients is taken into use as a certificate is.
    files.write("operators.crt", &strangers.pem);
    let began = Instant::now();
    let stranger = strangers.client();
    while ask(client_of(&authority, &stranger)).await.is_err() {
        assert!(began.elapsed() < PATIENCE, "the other authority is not taken into use");
    }
    assert!(ask(client_of(&authority, &operator)).await.is_err());
    harness::survived(
        "The admin API with a key and without a client certificate, or one of another authority",
        "the handshake fails, where `admin.tls.client_ca_file` is set",
        "nothing",
    );
}

#[tokio::test]
async fn a_certificate_that_is_an_authoritys_own_is_refused_with_what_to_do() {
    let own = Authority::of_itself();
    let files = Files::of(&own);
    let server = on("ADMIN", Setup::new(), &files).start();
    let refused = binary()
        .args(["guest", "list"])
        .env("RAGTIME_ADMIN", &server.admin_url)
        .env("RAGTIME_KEY", ADMIN)
        .env("RAGTIME_CA", files.path("tls.crt"))
        .output()
        .unwrap();
    assert!(said(&refused).contains("CA:FALSE"), "{refused:?}");
}

/// What a server says that does not start.
fn start_fails(settings: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut command = binary();
    command.args(["serve", "--no-model", "--listen", "127.0.0.1:0", "--data-dir"]);
    command.arg(folder.path()).env("RAGTIME_ADMIN__LISTEN", "127.0.0.1:0");
    for (name, value) in settings {
        command.env(format!("RAGTIME_{name}"), value);
    }
    let ended = command.output().unwrap();
    assert!(!ended.status.success());
    // Nothing is begun before the certificates have been read.
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    said(&ended)
}

#[test]
fn a_start_that_cannot_speak_tls_fails_and_says_why() {
    let authority = Authority::new();
    let (used, other) = (authority.server(), authority.server());
    let files = Files::of(&used);
    let (certificate, key) = (files.path("tls.crt"), files.path("tls.key"));
    let (certificate, key) = (certificate.as_str(), key.as_str());
    // For as long as the test is.
    let write = |name: &str, text: &str| -> &'static str {
        files.write(name, text).to_str().unwrap().to_owned().leak()
    };
    let foreign = write("other.key", &other.key);
    let empty = write("empty", "");
    let large = write("large", &"x".repeat(1024 * 1024 + 1));
    let locked = write("locked.key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n");
    let reversed = write("reversed.crt", &[other.certificate.clone(), used.certificate].concat());
    let broken =
        write("broken.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----");
    for (certificate, key, why, hint) in [
        (certificate, "", "[server.tls] cannot be used: key_file", "folder in which"),
        (
            certificate,
            "/nowhere/tls.key",
            "tls.key cannot be read: No such file",
            "be able to read",
        ),
        ("/nowhere/tls.crt", key, "certificate_file /nowhere/tls.crt cannot be read", "relative"),
        (certificate, foreign, "is not that of the certificate in", "openssl pkey"),
        (reversed, key, "is that of another certificate of", "put the server's own"),
        (empty, key, "holds no certificate in PEM", "BEGIN CERTIFICATE"),
        (certificate, empty, "holds no private key in PEM", "BEGIN PRIVATE KEY"),
        (certificate, locked, "holds an encrypted key", "without a passphrase"),
        (broken, key, "broken.crt is damaged", "PEM"),
        (large, key, "is larger than 1 MiB", "PEM"),
    ] {
        let text = start_fails(&[
            ("SERVER__TLS__CERTIFICATE_FILE", certificate),
            ("SERVER__TLS__KEY_FILE", key),
        ]);
        assert!(text.contains("error: ") && text.contains(why), "{why}: {text}");
        assert!(text.contains("hint: ") && text.contains(hint), "{hint}: {text}");
    }
    for (settings, why) in [
        (
            &[("ADMIN__TLS__CERTIFICATE_FILE", certificate)][..],
            "[admin.tls] cannot be used: key_file",
        ),
        (&[("ADMIN__TLS__KEY_FILE", key)][..], "certificate_file is not set"),
        (&[("ADMIN__TLS__CLIENT_CA_FILE", certificate)][..], "takes certificate_file and key_file"),
        (
            &[
                ("ADMIN__TLS__CERTIFICATE_FILE", certificate),
                ("ADMIN__TLS__KEY_FILE", key),
                ("ADMIN__TLS__CLIENT_CA_FILE", empty),
            ][..],
            "client_ca_file",
        ),
    ] {
        let text = start_fails(settings);
        assert!(text.contains(why) && text.contains("hint: "), "{why}: {text}");
    }
}

#[tokio::test]
async fn an_expired_certificate_starts_and_is_told_of() {
    let authority = Authority::new();
    // A server that did not start would be of less use still to who has to renew it.
    for (days, line, readiness) in [
        (
            (-90, -1),
            "the certificate has expired: clients refuse it",
            "the certificate has expired",
        ),
        ((1, 90), "the certificate is not valid yet", "the certificate is not valid yet"),
        ((-89, 1), "the certificate ends soon: renew it", "\"state\":\"ready\""),
    ] {
        let issued = authority.of_days(days);
        let files = Files::of(&issued);
        let server = on("SERVER", Setup::new(), &files).start();
        server.logged(&[line]).await;
        let unchecked = Client::builder().tls_danger_accept_invalid_certs(true).build().unwrap();
        let ready = unchecked.get(format!("{}/readyz", server.url)).send().await.unwrap();
        assert_eq!(ready.status(), 200);
        let text = ready.text().await.unwrap();
        assert!(text.contains(readiness), "{readiness}: {text}");
        // One that is valid replaces it.
        let next = authority.server();
        files.replace(&next);
        until_shown(&server.url, &authority, &next).await;
    }
}

#[tokio::test]
async fn a_key_that_everybody_can_read_is_told_of() {
    use std::os::unix::fs::PermissionsExt;
    let authority = Authority::new();
    let files = Files::of(&authority.server());
    let open_to_all = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(files.path("tls.key"), open_to_all).unwrap();
    let server = secured(&authority, &files).start();
    server.logged(&["every user of this machine can read the key", "tls.key"]).await;
    let expiry = "ragtime_tls_certificate_expiry_timestamp_seconds{listener=\"server\"} ";
    let metrics = Answer::read(server.admin(Method::GET, "/metrics").send().await.unwrap()).await;
    let line = metrics.text.lines().find_map(|line| line.strip_prefix(expiry)).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let days = (line.parse::<u64>().unwrap() - now.as_secs()) / (24 * 3600);
    assert!((88..=89).contains(&days), "{days}");
}
