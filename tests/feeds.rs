//! Sources that are followed: folders and sites, once or on and on, and what is deleted.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use crate::harness::site::{Reply, Site};
use crate::harness::{ADMIN, Server, Setup, binary};
use serde_json::{Value, json};

/// How long a state may take to come about on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server, a folder to feed from, and the state of feeds.
struct Fixture {
    server: Server,
    folder: tempfile::TempDir,
    state: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = || tempfile::tempdir().unwrap();
        Self { server: Setup::new().start(), folder: folder(), state: folder() }
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.folder.path().join(name)).unwrap();
    }

    fn path(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = binary();
        command.arg("ingest").args(arguments).env("RAGTIME_SERVER", &self.server.url);
        command.env("RAGTIME_KEY", ADMIN).env("RAGTIME_STATE_DIR", self.state.path());
        command
    }

    fn ingest(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What became of a feed, as `--json` reports it.
    fn report(&self, arguments: &[&str]) -> Value {
        let done = self.ingest(&[arguments, &["--json"]].concat());
        assert!(done.status.success(), "{}", said(&done));
        serde_json::from_slice(&done.stdout).unwrap()
    }

    /// The mirror of the folder.
    fn mirror(&self) -> Value {
        self.report(&[self.path(), "--delete-missing"])
    }

    async fn ids(&self, collection: &str) -> Vec<String> {
        let path = format!("/v1/collections/{collection}/documents?limit=1000");
        let page = self.server.get(&path).await;
        let documents = page.body["documents"].as_array().into_iter().flatten();
        documents.map(|one| one["id"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until the collection has these documents.
    async fn until(&self, expected: &[&str]) {
        let started = Instant::now();
        loop {
            let ids = self.ids("default").await;
            if ids == expected {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{ids:?} and not {expected:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn text(&self, id: &str) -> String {
        let path = format!("/v1/collections/default/documents/{id}");
        self.server.get(&path).await.body["text"].as_str().unwrap_or_default().to_owned()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_sends_what_changed_and_deletes_what_is_gone() {
    let fixture = Fixture::new();
    fixture.write("a.md", "# A\n\nalpha");
    fixture.write("sub/b.txt", "beta");
    fixture.write(
        "rows.ndjson",
        "{\"id\":\"r1\",\"text\":\"one\"}\n{\"id\":\"r2\",\"text\":\"two\"}\n",
    );
    fixture.server.document("others", "put by hand").await;
    let first = fixture.mirror();
    assert_eq!(strings(&first["sent"]), ["a.md", "rows.ndjson", "sub/b.txt"]);
    let again = fixture.mirror();
    assert_eq!((strings(&again["sent"]).len(), &again["unchanged"]), (0, &json!(3)), "{again}");
    // Touched and not changed, changed, gone, new; and a record that is gone.
    fixture.write("a.md", "# A\n\nalpha");
    fixture.remove("sub/b.txt");
    fixture.write("sub/c.txt", "gamma");
    fixture.write("rows.ndjson", "{\"id\":\"r2\",\"text\":\"two and more\"}\n");
    let arguments = [fixture.path(), "--delete-missing", "--dry-run"];
    let rehearsed = said(&fixture.ingest(&arguments));
    for line in ["would send rows.ndjson\n", "would send sub/c.txt\n", "would delete sub/b.txt\n"] {
        assert!(rehearsed.contains(line), "{rehearsed}");
    }
    assert_eq!(fixture.ids("default").await, ["a.md", "others", "r1", "r2", "sub/b.txt"]);
    let changed = fixture.mirror();
    assert_eq!(strings(&changed["sent"]), ["rows.ndjson", "sub/c.txt"]);
    assert_eq!(strings(&changed["deleted"]), ["r1", "sub/b.txt"]);
    assert_eq!(fixture.ids("default").await, ["a.md", "others", "r2", "sub/c.txt"]);
    assert_eq!(fixture.text("r2").await, "two and more");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_wrote_is_never_deleted() {
    let fixture = Fixture::new();
    fixture.write("a.txt", "alpha");
    fixture.write("b.txt", "beta");
    fixture.mirror();
    fixture.server.document("a.txt", "written by somebody else").await;
    fixture.remove("a.txt");
    let done = fixture.ingest(&[fixture.path(), "--delete-missing"]);
    assert!(said(&done).contains("kept: a.txt: somebody else has written it"), "{}", said(&done));
    assert_eq!(fixture.text("a.txt").await, "written by somebody else");
    // Another feed of another folder has its own.
    let other = tempfile::tempdir().unwrap();
    std::fs::write(other.path().join("c.txt"), "gamma").unwrap();
    fixture.report(&[other.path().to_str().unwrap(), "--delete-missing"]);
    fixture.mirror();
    assert_eq!(fixture.ids("default").await, ["a.txt", "b.txt", "c.txt"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_empty_or_gone_deletes_nothing_unasked() {
    let fixture = Fixture::new();
    for number in 0..30 {
        fixture.write(&format!("{number}.txt"), &format!("text {number}"));
    }
    fixture.mirror();
    for number in 0..20 {
        fixture.remove(&format!("{number}.txt"));
    }
    let refused = fixture.ingest(&[fixture.path(), "--delete-missing"]);
    assert!(said(&refused).contains("20 of 30 documents would go"), "{}", said(&refused));
    for number in 20..30 {
        fixture.remove(&format!("{number}.txt"));
    }
    let refused = fixture.ingest(&[fixture.path(), "--delete-missing"]);
    assert!(said(&refused).contains("the source is empty"), "{}", said(&refused));
    let gone = fixture.ingest(&[&format!("{}/nowhere", fixture.path()), "--delete-missing"]);
    assert_eq!(gone.status.code(), Some(1));
    assert_eq!(fixture.ids("default").await.len(), 30);
    fixture.report(&[fixture.path(), "--delete-missing", "--max-delete", "100"]);
    assert!(fixture.ids("default").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_lost_is_sent_again() {
    let fixture = Fixture::new();
    fixture.write("a.txt", "alpha");
    fixture.write("b.txt", "beta");
    fixture.mirror();
    assert_eq!(fixture.server.delete("/v1/collections/default/documents/a.txt").await.status, 204);
    assert_eq!(strings(&fixture.mirror()["sent"]), ["a.txt"]);
    assert_eq!(fixture.ids("default").await, ["a.txt", "b.txt"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_that_was_killed_goes_on() {
    let fixture = Fixture::new();
    for number in 0..2_000 {
        fixture.write(&format!("{number:04}.txt"), &format!("text number {number}"));
    }
    let mut child = fixture
        .command(&[fixture.path(), "--delete-missing"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while fixture.ids("default").await.len() < 800 {
        assert!(started.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    fixture.remove("0000.txt");
    let rest = fixture.mirror();
    let sent = strings(&rest["sent"]).len();
    assert!(sent < 2_000 && rest["unchanged"].as_u64().unwrap() > 0, "{sent}");
    let path = "/v1/collections/default";
    assert_eq!(fixture.server.get(path).await.body["documents"], 1_999);
    assert!(strings(&rest["deleted"]).contains(&"0000.txt"));
}

/// A command that watches until it is dropped.
struct Watching(Child);

impl Watching {
    fn start(fixture: &Fixture, arguments: &[&str]) -> Self {
        let all = [arguments, &["--watch", "--delete-missing", "--settle-ms", "100"]].concat();
        let mut child = fixture.command(&all).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.starts_with("watching")), "it ended before it watched");
        std::thread::spawn(move || lines.for_each(drop));
        Self(child)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_folder_is_followed_through_all_that_happens_to_it() {
    let fixture = Fixture::new();
    fixture.write("a.txt", "alpha");
    let mut watching = Watching::start(&fixture, &[fixture.path()]);
    fixture.until(&["a.txt"]).await;
    fixture.write("new/deep/b.txt", "beta");
    fixture.until(&["a.txt", "new/deep/b.txt"]).await;
    let path = |name: &str| fixture.folder.path().join(name);
    std::fs::rename(path("a.txt"), path("renamed.txt")).unwrap();
    fixture.until(&["new/deep/b.txt", "renamed.txt"]).await;
    // A folder that moves takes its files along.
    std::fs::rename(path("new"), path("moved")).unwrap();
    fixture.until(&["moved/deep/b.txt", "renamed.txt"]).await;
    // As editors save: a new file in the place of the old one.
    std::fs::write(path(".tmp"), "alpha, rewritten").unwrap();
    std::fs::rename(path(".tmp"), path("renamed.txt")).unwrap();
    let started = Instant::now();
    while fixture.text("renamed.txt").await != "alpha, rewritten" {
        assert!(started.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    fixture.remove("moved/deep/b.txt");
    fixture.until(&["renamed.txt"]).await;
    let pid = watching.0.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(watching.0.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_still_written_is_sent_once_it_is_whole() {
    use std::io::Write;
    let fixture = Fixture::new();
    fixture.write("a.txt", "alpha");
    let all = [fixture.path(), "--watch", "--settle-ms", "1500"];
    let _watching = Watching(fixture.command(&all).stderr(Stdio::null()).spawn().unwrap());
    fixture.until(&["a.txt"]).await;
    let mut file = std::fs::File::create(fixture.folder.path().join("b.txt")).unwrap();
    for part in 0..20 {
        writeln!(file, "part {part}").unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(file);
    fixture.until(&["a.txt", "b.txt"]).await;
    assert!(fixture.text("b.txt").await.contains("part 19"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_folder_waits_for_a_server_that_is_away() {
    let mut fixture = Fixture::new();
    fixture.write("a.txt", "alpha");
    let address = fixture.server.url.trim_start_matches("http://").to_owned();
    let _watching = Watching::start(&fixture, &[fixture.path()]);
    fixture.until(&["a.txt"]).await;
    assert!(fixture.server.terminate().success());
    fixture.write("b.txt", "beta");
    fixture.server = Setup::again(&fixture.server).listen(&address).start();
    fixture.until(&["a.txt", "b.txt"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_says_what_goes_where() {
    let fixture = Fixture::new();
    let site = Site::start().await;
    site.page("/about", Reply::html("<p>The site is about lighthouses.</p>"));
    fixture.write("handbook/a.md", "# A\n\nalpha");
    fixture.write("handbook/b.txt", "left out");
    fixture.write("logs/c.txt", "gamma");
    let manifest = format!(
        "[[feed]]\nname = 'handbook'\nsources = ['handbook', '{}/about']\ncollection = 'manuals'\n\
         id_prefix = 'hb:'\nlanguage = 'en'\ninclude = ['*.md']\ndelete_missing = true\n\
         metadata = {{ team = 'ops' }}\n\n[[feed]]\nname = 'logs'\nsources = ['logs']\n",
        site.url
    );
    fixture.write("feeds.toml", &manifest);
    let path = fixture.folder.path().join("feeds.toml");
    let arguments = ["--manifest", path.to_str().unwrap(), "--allow-private", "--delay-ms", "0"];
    let done = fixture.ingest(&arguments);
    assert!(done.status.success(), "{}", said(&done));
    let about = format!("hb:{}/about", site.url);
    assert_eq!(fixture.ids("manuals").await, ["hb:a.md", about.as_str()]);
    assert_eq!(fixture.ids("default").await, ["c.txt"]);
    let document = fixture.server.get("/v1/collections/manuals/documents/hb:a.md").await;
    assert_eq!(document.body["metadata"], json!({"team": "ops"}));
    assert_eq!(document.body["language"], "en");
    std::fs::remove_file(fixture.folder.path().join("handbook/a.md")).unwrap();
    assert!(fixture.ingest(&arguments).status.success());
    assert_eq!(fixture.ids("manuals").await, [about.as_str()]);
    fixture.write("feeds.toml", &manifest.replace("collection", "colection"));
    let wrong = fixture.ingest(&arguments);
    assert!(
        said(&wrong).contains("colection") && wrong.status.code() == Some(1),
        "{}",
        said(&wrong)
    );
}

/// A site with a sitemap of two pages.
async fn site_of_two() -> Site {
    let site = Site::start().await;
    site.page(
        "/one",
        Reply::html("<title>One</title><p>The first page.</p>").with("etag", "\"1\""),
    );
    site.page("/two", Reply::html("<title>Two</title><p>The second page.</p>"));
    site.sitemap("/sitemap.xml", &["/one", "/two", "/two#part"]);
    site
}

fn at(site: &Site, arguments: &[&str]) -> Vec<String> {
    let fixed = ["--allow-private", "--delay-ms", "0", "--delete-missing"];
    let arguments = arguments.iter().chain(&fixed).map(|one| (*one).to_owned());
    [format!("{}/sitemap.xml", site.url)].into_iter().chain(arguments).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_of_a_sitemap_are_fetched_once_and_then_asked_for_changes() {
    let (fixture, site) = (Fixture::new(), site_of_two().await);
    let visit = |arguments: &[&str]| {
        let all = at(&site, arguments);
        fixture.report(&all.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let id = |path: &str| format!("{}{path}", site.url);
    assert_eq!(strings(&visit(&[])["sent"]), [id("/one"), id("/two")]);
    assert_eq!(fixture.server.search("second").await, [id("/two")]);
    let asked = ["404 /robots.txt", "200 /sitemap.xml", "200 /one", "200 /two"];
    assert_eq!(site.take_asked(), asked);
    let again = visit(&[]);
    assert_eq!((strings(&again["sent"]).len(), &again["unchanged"]), (0, &json!(2)));
    assert!(site.take_asked().contains(&"304 /one".to_owned()));
    // A page that fails is not gone; one that is not there any more is.
    site.page("/one", Reply::status(500));
    site.sitemap("/sitemap.xml", &["/one"]);
    let all = at(&site, &[]);
    let failed = fixture.ingest(&all.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(failed.status.code(), Some(3), "{}", said(&failed));
    assert_eq!(fixture.ids("default").await, [id("/one")]);
    site.remove("/one");
    site.page("/three", Reply::html("<p>The third page.</p>"));
    site.sitemap("/sitemap.xml", &["/one", "/three"]);
    let changed = visit(&[]);
    assert_eq!(strings(&changed["deleted"]), [id("/one")]);
    assert_eq!(fixture.ids("default").await, [id("/three")]);
    // A sitemap that cannot be read says nothing of its pages.
    site.page("/sitemap.xml", Reply::status(503));
    let all = at(&site, &[]);
    let away = fixture.ingest(&all.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(!away.status.success());
    assert_eq!(fixture.ids("default").await, [id("/three")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visit_keeps_to_robots_txt_its_host_and_its_bounds() {
    let (fixture, site) = (Fixture::new(), site_of_two().await);
    let other = Site::start().await;
    other.page("/secret", Reply::html("<p>secret</p>"));
    site.page("/robots.txt", Reply::of("text/plain", "User-agent: *\nDisallow: /two\n"));
    site.page("/away", Reply::status(302).with("location", format!("{}/secret", other.url)));
    site.page("/round", Reply::status(302).with("location", "/round"));
    site.page("/photo", Reply::of("image/png", "no text"));
    let large = vec![b'x'; 33 * 1024 * 1024];
    site.page("/large", Reply::of("text/plain", large));
    site.sitemap("/sitemap.xml", &["/one", "/two", "/away", "/round", "/photo"]);
    let all = at(&site, &[]);
    let arguments: Vec<_> = all.iter().map(String::as_str).collect();
    let done = fixture.ingest(&arguments);
    let text = said(&done);
    assert_eq!(done.status.code(), Some(3), "{text}");
    for part in [
        "skipped 1 that robots.txt forbids",
        "it leads to another host",
        "it leads on more than 5 times",
        "skipped 1 of no kind that can be read",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(other.take_asked().is_empty());
    assert!(!site.take_asked().contains(&"200 /two".to_owned()));
    assert_eq!(fixture.ids("default").await, [format!("{}/one", site.url)]);
    let cut = fixture.ingest(&[&arguments[..], &["--max-pages", "1", "--feed", "cut"]].concat());
    assert!(said(&cut).contains("beyond --max-pages"), "{}", said(&cut));
    site.sitemap("/sitemap.xml", &["/large", "/one"]);
    let cut = fixture.ingest(&[&arguments[..], &["--max-site-bytes", "100000"]].concat());
    assert!(said(&cut).contains("reached --max-site-bytes"), "{}", said(&cut));
    assert_eq!(fixture.ids("default").await, [format!("{}/one", site.url)]);
    // A site that cannot say what it forbids is not visited.
    site.page("/robots.txt", Reply::status(500));
    site.take_asked();
    assert!(!fixture.ingest(&arguments).status.success());
    assert_eq!(site.take_asked(), ["500 /robots.txt"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_of_this_machine_is_not_fetched_from_unasked() {
    let (fixture, site) = (Fixture::new(), site_of_two().await);
    let port = site.url.rsplit(':').next().unwrap();
    for host in ["127.0.0.1", "localhost", "[::1]", "2130706433", "0.0.0.0"] {
        let refused = fixture.ingest(&[&format!("http://{host}:{port}/one")]);
        assert!(!refused.status.success(), "{host}");
        assert!(said(&refused).contains("--allow-private"), "{host}: {}", said(&refused));
    }
    assert!(site.take_asked().is_empty());
    let allowed = fixture.ingest(&[&format!("http://localhost:{port}/one"), "--allow-private"]);
    assert!(allowed.status.success(), "{}", said(&allowed));
}

#[tokio::test(flavor = "multi_thread")]
async fn sitemaps_are_read_packed_and_nested_and_a_busy_site_is_waited_for() {
    use std::io::Write;
    let (fixture, site) = (Fixture::new(), site_of_two().await);
    let xml = format!("<urlset><url><loc>{}/one</loc></url></urlset>", site.url);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(xml.as_bytes()).unwrap();
    site.page("/packed.xml.gz", Reply::of("application/gzip", packed.finish().unwrap()));
    let entry = format!("<sitemap><loc>{}/packed.xml.gz</loc></sitemap>", site.url);
    let index = format!("<sitemapindex>{entry}</sitemapindex>");
    site.page("/sitemap.xml", Reply::of("application/xml", index));
    site.page("/robots.txt", Reply::status(503).with("retry-after", "1"));
    let all = at(&site, &[]);
    let mut child = fixture.command(&all.iter().map(String::as_str).collect::<Vec<_>>());
    let mut child = child.stderr(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    let mut asked = Vec::new();
    while !asked.contains(&"503 /robots.txt".to_owned()) {
        assert!(started.elapsed() < PATIENCE);
        asked.extend(site.take_asked());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    site.remove("/robots.txt");
    assert!(child.wait().unwrap().success());
    assert_eq!(fixture.ids("default").await, [format!("{}/one", site.url)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_of_feeds_is_nobody_elses() {
    use std::os::unix::fs::PermissionsExt;
    let fixture = Fixture::new();
    fixture.write("a.txt", "alpha");
    fixture.mirror();
    let files = std::fs::read_dir(fixture.state.path()).unwrap().map(Result::unwrap);
    let files: Vec<_> = files.map(|file| file.path()).collect();
    assert!(!files.is_empty());
    for file in files {
        assert_eq!(mode(&file) & 0o077, 0, "{}", file.display());
    }
    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode()
    }
}
