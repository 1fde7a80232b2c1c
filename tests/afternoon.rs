//! A new user's afternoon, from a binary to a second server, by the commands that the
//! pages show. `cargo install` is its long form.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::{Cursor, Write};
use std::path::Path;
use std::process::{Command, Output};

use crate::harness::{self, ADMIN, Server, Setup, binary};
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;

/// Documents of each of the ten kinds.
const EACH: usize = 100;

/// A shell of somebody with a key.
struct Shell<'a> {
    server: &'a Server,
    key: &'a str,
}

impl Shell<'_> {
    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = binary();
        command.args(arguments).env("RAGTIME_KEY", self.key);
        command.env("RAGTIME_SERVER", &self.server.url);
        command.env("RAGTIME_ADMIN", &self.server.admin_url);
        command.output().unwrap()
    }

    /// What a command prints that has to succeed.
    fn does(&self, arguments: &[&str]) -> String {
        let done = self.run(arguments);
        assert!(done.status.success(), "{arguments:?}: {}", said(&done));
        String::from_utf8(done.stdout).unwrap()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A file of the harbour's papers: its name, and what is in it.
fn paper(kind: usize, number: usize) -> (String, Vec<u8>) {
    let text = format!("Berth {number} of quay {kind} is {} metres long.", 40 + number);
    let (end, bytes) = match kind {
        0 => ("txt", text.into_bytes()),
        1 => ("md", format!("# Berth {number}\n\n{text}").into_bytes()),
        2 => ("html", format!("<title>Berth {number}</title><p>{text}</p>").into_bytes()),
        3 => ("json", json!({"berth": number, "note": text}).to_string().into_bytes()),
        4 => ("rtf", format!("{{\\rtf1\\ansi {text}}}").into_bytes()),
        5 => ("eml", message(number, &text)),
        6 => ("docx", docx(&text)),
        7 => ("odt", odt(&text)),
        8 => ("epub", epub(number, &text)),
        _ => ("pptx", pptx(&text)),
    };
    (format!("quay-{kind}/berth-{number}.{end}"), bytes)
}

fn message(number: usize, text: &str) -> Vec<u8> {
    format!("From: harbour@example.org\r\nSubject: Berth {number}\r\n\r\n{text}\r\n").into_bytes()
}

fn packed(files: &[(&str, String)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn docx(text: &str) -> Vec<u8> {
    let word = "http://schemas.openxmlformats.org/wordprocessingml/2006/main";
    let body = format!("<w:body><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:body>");
    let document = format!("<w:document xmlns:w=\"{word}\">{body}</w:document>");
    packed(&[("[Content_Types].xml", "<Types/>".into()), ("word/document.xml", document)])
}

fn odt(text: &str) -> Vec<u8> {
    let names = "xmlns:office=\"urn:oasis:names:tc:opendocument:xmlns:office:1.0\" \
                 xmlns:text=\"urn:oasis:names:tc:opendocument:xmlns:text:1.0\"";
    let body =
        format!("<office:body><office:text><text:p>{text}</text:p></office:text></office:body>");
    let content = format!("<office:document-content {names}>{body}</office:document-content>");
    let kind = "application/vnd.oasis.opendocument.text".to_owned();
    packed(&[("mimetype", kind), ("content.xml", content)])
}

fn epub(number: usize, text: &str) -> Vec<u8> {
    let container = "<container xmlns=\"urn:oasis:names:tc:opendocument:xmlns:container\">\
        <rootfiles><rootfile full-path=\"book.opf\" \
        media-type=\"application/oebps-package+xml\"/></rootfiles></container>";
    let package = format!(
        "<package xmlns=\"http://www.idpf.org/2007/opf\"><metadata \
         xmlns:dc=\"http://purl.org/dc/elements/1.1/\"><dc:title>Berth {number}</dc:title>\
         </metadata><manifest><item id=\"a\" href=\"a.xhtml\" \
         media-type=\"application/xhtml+xml\"/></manifest><spine><itemref idref=\"a\"/></spine>\
         </package>"
    );
    let chapter =
        format!("<html xmlns=\"http://www.w3.org/1999/xhtml\"><body><p>{text}</p></body></html>");
    packed(&[
        ("mimetype", "application/epub+zip".into()),
        ("META-INF/container.xml", container.into()),
        ("book.opf", package),
        ("a.xhtml", chapter),
    ])
}

fn pptx(text: &str) -> Vec<u8> {
    let office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let drawing = "http://schemas.openxmlformats.org/drawingml/2006/main";
    let slides = "http://schemas.openxmlformats.org/presentationml/2006/main";
    let presentation = format!(
        "<p:presentation xmlns:p=\"{slides}\" xmlns:r=\"{office}\"><p:sldIdLst>\
         <p:sldId id=\"256\" r:id=\"rId1\"/></p:sldIdLst></p:presentation>"
    );
    let relations = format!(
        "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">\
         <Relationship Id=\"rId1\" Type=\"{office}/slide\" Target=\"slides/slide1.xml\"/>\
         </Relationships>"
    );
    let slide = format!(
        "<p:sld xmlns:p=\"{slides}\" xmlns:a=\"{drawing}\"><p:cSld><p:spTree><p:sp><p:txBody>\
         <a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:txBody></p:sp></p:spTree></p:cSld></p:sld>"
    );
    packed(&[
        ("[Content_Types].xml", "<Types/>".into()),
        ("ppt/presentation.xml", presentation),
        ("ppt/_rels/presentation.xml.rels", relations),
        ("ppt/slides/slide1.xml", slide),
    ])
}

fn papers(folder: &Path) {
    for (kind, number) in (0..10).flat_map(|kind| (0..EACH).map(move |number| (kind, number))) {
        let (name, bytes) = paper(kind, number);
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// What a gate measures a handler on.
fn questions(folder: &Path) {
    std::fs::create_dir_all(folder.join("qrels")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    write(
        "corpus.jsonl",
        "{\"_id\":\"a\",\"title\":\"\",\"text\":\"the quay is long\"}\n\
         {\"_id\":\"b\",\"title\":\"\",\"text\":\"the crane is tall\"}\n",
    );
    write(
        "queries.jsonl",
        "{\"_id\":\"1\",\"text\":\"quay\"}\n{\"_id\":\"2\",\"text\":\"crane\"}\n",
    );
    write("qrels/test.tsv", "query-id\tcorpus-id\tscore\n1\ta\t1\n2\tb\t1\n");
}

/// The document that a question of one kind is about, as a command finds it.
fn finds(shell: &Shell<'_>, kind: usize) {
    let question = format!("\"berth 42 of quay {kind}\"");
    let found = shell.does(&["search", &question, "--collection", "harbour", "--json"]);
    let found: Value = serde_json::from_str(&found).unwrap();
    let id = found["results"][0]["document_id"].as_str().unwrap_or_default();
    assert!(id.starts_with(&format!("quay-{kind}/berth-42.")), "{kind}: {found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_afternoon_from_the_binary_to_a_second_server() {
    let version = binary().arg("--version").output().unwrap();
    assert!(said(&version).starts_with("ragtime "), "{version:?}");
    let work = tempfile::tempdir().unwrap();
    let mut server = Setup::new().start();
    let admin = Shell { server: &server, key: ADMIN };

    // Two keys: one that puts documents in, one that asks.
    let keys = [&["read", "write"][..], &["read"]].map(|scopes| {
        let scopes = scopes.iter().flat_map(|scope| ["--scope", scope]);
        let make = ["keys", "create", "--name", "harbour"].into_iter().chain(scopes);
        admin.does(&make.collect::<Vec<_>>()).trim().to_owned()
    });
    let [writer, reader] = keys.each_ref().map(|key| Shell { server: &server, key });

    // A thousand papers of ten kinds.
    let (folder, beir) = (work.path().join("papers"), work.path().join("questions"));
    papers(&folder);
    let fed = writer.run(&["ingest", folder.to_str().unwrap(), "--collection", "harbour"]);
    assert!(said(&fed).contains("1000 documents searchable, 0 failed"), "{}", said(&fed));
    (0..10).for_each(|kind| finds(&reader, kind));
    let refused = reader.run(&["ingest", folder.to_str().unwrap(), "--collection", "harbour"]);
    assert!(said(&refused).contains("scope_required"), "{}", said(&refused));
    let asked =
        reader.does(&["query", "How long is berth 7 of quay 1?", "--collection", "harbour"]);
    assert!(asked.contains("47 metres"), "{asked}");

    // Another handler, let in by a gate.
    questions(&beir);
    let handler = work.path().join("mine.wasm");
    std::fs::write(&handler, harness::variant(&harness::built_in(), "mine")).unwrap();
    let gate = ["--eval", beir.to_str().unwrap()];
    admin.does(&[&["guest", "swap", handler.to_str().unwrap()], &gate[..]].concat());
    assert!(admin.does(&["guest", "list"]).contains("mine.wasm"));

    // A backup, rehearsed, and restored elsewhere.
    let backup = work.path().join("backup");
    let on = |data: &Path, arguments: &[&str]| {
        let mut command = binary();
        let done = command.args(arguments).arg("--data-dir").arg(data).output().unwrap();
        assert!(done.status.success(), "{}", said(&done));
        said(&done)
    };
    on(server.dir.path(), &["backup", backup.to_str().unwrap()]);
    let elsewhere = Setup::new();
    harness::compiled::lend(elsewhere.folder());
    let check = ["restore", "--check", "--no-model", backup.to_str().unwrap()];
    let rehearsed = on(elsewhere.folder(), &check);
    assert!(rehearsed.contains("1000 texts"), "{rehearsed}");
    on(elsewhere.folder(), &["restore", backup.to_str().unwrap()]);
    assert!(server.terminate().success());
    let second = elsewhere.start();
    let [writer, reader] = keys.each_ref().map(|key| Shell { server: &second, key });
    // The index is rebuilt in the background, and a new document comes after it.
    let note = work.path().join("note.txt");
    std::fs::write(&note, "The second server is on the hill.").unwrap();
    writer.does(&["ingest", note.to_str().unwrap(), "--collection", "harbour"]);
    (0..10).for_each(|kind| finds(&reader, kind));
    let admin = Shell { server: &second, key: ADMIN };
    assert!(admin.does(&["guest", "list"]).contains("mine.wasm"), "the handler came along");
}

/// `cargo install` makes a binary that runs: some minutes, so it is a long form.
#[test]
#[ignore]
fn cargo_install_makes_a_binary_that_runs() {
    let root = tempfile::tempdir().unwrap();
    let target = harness::root().join("target/install");
    let installed = Command::new(env!("CARGO"))
        .args(["install", "--locked", "--path", "host", "--root"])
        .arg(root.path())
        .current_dir(harness::root())
        .env("CARGO_TARGET_DIR", target)
        .output()
        .unwrap();
    assert!(installed.status.success(), "{}", said(&installed));
    let version = Command::new(root.path().join("bin/ragtime")).arg("--version").output().unwrap();
    assert!(said(&version).starts_with("ragtime "), "{version:?}");
}
