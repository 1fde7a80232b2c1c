//! Every parser of untrusted bytes, on noise and on sound input gone bad.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::io::{Cursor, Write};
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;
use ragtime_api::extract::MediaType;
use ragtime_parsers::TARGETS;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const PDF: &[u8] = include_bytes!("../../data/wings.pdf");
const DOCX: &[u8] = include_bytes!("../../data/wings.docx");

const OLD_WORKBOOK: &[u8] = include_bytes!("../../fuzz/corpus/office/book.xls");

const MARKUP: &str = "# Wings\n\n<h1>Lift</h1><table><tr><td>a</table>\n\n| a | b |\n|---|---|\n\
    | 1 | 2 |\n\n```rust\nfn a() {}\n```\n\n- <li>one &amp; [two](http://x)\n\n<pre>three</pre>";

const WORD: &str = "<w:document xmlns:w=\"w\"><w:body><w:p><w:pPr><w:pStyle w:val=\"Heading1\"/></w:pPr><w:r>\
    <w:t>On wings &#38; lift</w:t></w:r></w:p><w:tbl><w:tr><w:tc><w:p><w:r><w:t>a</w:t></w:r></w:p>\
    </w:tc></w:tr></w:tbl><w:br w:type=\"page\"/></w:body></w:document>";

const BODIES: [&str; 6] = [
    r#"{"query":"lift","top_k":3,"mode":"hybrid","filter":{"and":[{"year":{"gte":1960}}]}}"#,
    r#"{"documents":[{"id":"a","text":"one","metadata":{"a":{"b":[1,2.5e9,null]}}},{"text":"\u00e9"}]}"#,
    r#"{"name":"n","scopes":["read"],"collections":["a"],"rate_per_minute":60,"burst":5}"#,
    r#"{"model":"ragtime/default","messages":[{"role":"user","content":[{"type":"text","text":"q"}]}]}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","arguments":{"query":"q"}}}"#,
    r#"{"model":"m","input":["a","b"],"encoding_format":"base64"}"#,
];

const BATCHES: [&str; 2] = [
    "id,title,text,year\na,\"On \"\"wings\"\"\",\"Two\nlines\",1958\n..,t,x\nc,,y,1\n",
    "{\"id\":\"a\",\"text\":\"one\"}\n{\"text\":2}\n\n{\"id\":\"b\",\"text\":\"two\"}\n",
];

const ANSWERS: [&str; 4] = [
    "data: {\"choices\":[{\"delta\":{\"content\":\"A steady march [1].\"}}]}\n\ndata: [DONE]\n\n",
    r#"{"data":[{"index":1,"embedding":[0,2]},{"index":0,"embedding":[3,4]}]}"#,
    r#"{"and":[{"year":{"gte":1950,"lt":1960}},{"not":{"a.b":{"in":["x",null]}}}]}"#,
    "\"steady march\" +left -\"right hand\" -40 C++",
];

/// One thing done to bytes, at a place.
#[derive(Debug, Clone)]
enum Damage {
    Replace(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize),
    Cut(Index),
}

fn damage() -> impl Strategy<Value = Vec<Damage>> {
    let one = prop_oneof![
        6 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Replace(at, byte)),
        3 => (any::<Index>(), prop::collection::vec(any::<u8>(), 1..9))
            .prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        3 => (any::<Index>(), 1_usize..40).prop_map(|(at, count)| Damage::Remove(at, count)),
        3 => (any::<Index>(), 1_usize..200).prop_map(|(at, count)| Damage::Repeat(at, count)),
        1 => any::<Index>().prop_map(Damage::Cut),
    ];
    prop::collection::vec(one, 0..12)
}

fn damaged(sound: &[u8], damage: &[Damage]) -> Vec<u8> {
    let mut bytes = sound.to_vec();
    for one in damage {
        let place = |at: &Index| at.index(bytes.len().max(1)).min(bytes.len());
        let range = |at: &Index, count: usize| place(at)..(place(at) + count).min(bytes.len());
        match one {
            Damage::Replace(at, byte) => {
                let range = range(at, 1);
                bytes[range].fill(*byte);
            }
            Damage::Insert(at, more) => {
                let at = place(at);
                drop(bytes.splice(at..at, more.iter().copied()));
            }
            Damage::Remove(at, count) => {
                let range = range(at, *count);
                drop(bytes.drain(range));
            }
            Damage::Repeat(at, count) => {
                let range = range(at, *count);
                let (end, part) = (range.end, bytes[range].to_vec());
                drop(bytes.splice(end..end, part));
            }
            Damage::Cut(at) => {
                let at = place(at);
                bytes.truncate(at);
            }
        }
    }
    bytes
}

/// A DOCX around these bytes, sound but for them.
fn docx_around(xml: &[u8]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for name in ["word/document.xml", "word/styles.xml", "docProps/core.xml"] {
        archive.start_file(name, stored).unwrap();
        archive.write_all(xml).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn every_parser(bytes: &[u8]) {
    TARGETS.iter().for_each(|(_, target)| target(bytes));
}

fn parse(target: &str, bytes: &[u8]) {
    ragtime_parsers::target(target).unwrap()(bytes);
}

#[test]
fn sound_input_is_read() {
    use ragtime_api::extract::extract;
    assert!(extract(PDF, MediaType::Pdf).is_ok());
    assert!(extract(DOCX, MediaType::Docx).is_ok());
    let word = extract(&docx_around(WORD.as_bytes()), MediaType::Docx).unwrap();
    assert!(word.text.contains("On wings & lift"));
    let book = extract(OLD_WORKBOOK, MediaType::Xls).unwrap();
    assert!(book.text.contains("Norhaven | 2023-03-16 | 41"), "{}", book.text);
    assert!(ragtime_api::resource::search::read(BODIES[0].as_bytes()).is_ok());
    assert!(ragtime_api::resource::documents::read_batch(BODIES[1].as_bytes()).is_ok());
    assert!(ragtime_api::records::read(BATCHES[0].as_bytes(), None).is_ok());
}

#[test]
fn the_corpus_breaks_no_parser() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    for (name, target) in TARGETS {
        let files: Vec<_> = std::fs::read_dir(corpus.join(name)).unwrap().collect();
        assert!(!files.is_empty(), "{name} has nothing to start from");
        files.into_iter().for_each(|file| target(&std::fs::read(file.unwrap().path()).unwrap()));
    }
    let fuzzers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/targets");
    let mut fuzzed: Vec<_> =
        std::fs::read_dir(fuzzers).unwrap().map(|file| file.unwrap().file_name()).collect();
    fuzzed.sort();
    assert_eq!(
        fuzzed,
        TARGETS
            .iter()
            .map(|(name, _)| format!("{name}.rs").into())
            .collect::<Vec<std::ffi::OsString>>()
    );
}

proptest! {
    // A failure prints its input; there is no file of them to keep.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(192) })]

    #[test]
    fn noise_breaks_no_parser(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        every_parser(&bytes);
    }

    #[test]
    fn damaged_files_break_no_parser(damage in damage()) {
        parse("pdf", &damaged(PDF, &damage));
        parse("docx", &damaged(DOCX, &damage));
        parse("office", &damaged(OLD_WORKBOOK, &damage));
        let xml = docx_around(&damaged(WORD.as_bytes(), &damage));
        parse("docx", &xml);
    }

    #[test]
    fn damaged_texts_break_no_parser(damage in damage()) {
        every_parser(&damaged(MARKUP.as_bytes(), &damage));
        BODIES.iter().for_each(|body| parse("body", &damaged(body.as_bytes(), &damage)));
        BATCHES.iter().for_each(|body| parse("batch", &damaged(body.as_bytes(), &damage)));
        ANSWERS.iter().for_each(|body| every_parser(&damaged(body.as_bytes(), &damage)));
        parse("headers", &damaged(b"Bearer rt_a_b\nrt_a_b", &damage));
        let query = damaged(b"limit=10&cursor=ZG9jOmE%3D&wait=indexed", &damage);
        parse("url", &query);
    }
}
