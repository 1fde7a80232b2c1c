//! Texts of any language are found by what a reader of it would type, whatever form
//! the characters have, and their language is detected, set, changed and compared.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::time::Duration;

use crate::harness::{self, Server, Setup};
use reqwest::Method;
use serde_json::{Value, json};

const DOCUMENTS: &[(&str, &str)] = &[
    ("zh", "北京大学是中国的一所著名大学，成立于1898年。校园里有一个很大的湖。"),
    ("ja", "東京タワーは東京都港区にある電波塔です。一九五八年に完成しました。"),
    ("ko", "서울특별시는 대한민국의 수도이며 한강이 도시를 가로질러 흐른다."),
    ("th", "กรุงเทพมหานครเป็นเมืองหลวงของประเทศไทย ตั้งอยู่ริมแม่น้ำเจ้าพระยา"),
    ("lo", "ນະຄອນຫຼວງວຽງຈັນເປັນເມືອງຫຼວງຂອງປະເທດລາວ"),
    ("km", "ភ្នំពេញជារាជធានីនៃប្រទេសកម្ពុជា"),
    ("my", "ရန်ကုန်မြို့သည်မြန်မာနိုင်ငံ၏အကြီးဆုံးမြို့ဖြစ်သည်"),
    ("de", "Die alten H\u{e4}user an der Hauptstra\u{df}e wurden im 19. Jahrhundert gebaut."),
    ("ru", "Старые дома на главной улице были построены в девятнадцатом веке."),
    ("ar", "بُنِيَت البيوت القديمة في الشارع الرئيسي في القرن التاسع عشر."),
    ("el", "Τα παλιά σπίτια στον κεντρικό δρόμο χτίστηκαν τον δέκατο ένατο αιώνα."),
    ("hi", "मुख्य सड़क के पुराने मकान उन्नीसवीं सदी में बनाए गए थे।"),
    (
        "tr",
        "Ana caddedeki eski evler on dokuzuncu y\u{fc}zy\u{131}lda \u{130}stanbul'da yap\u{131}ld\u{131}.",
    ),
    ("vi", "Những ngôi nhà cổ trên phố chính được xây dựng vào thế kỷ mười chín."),
    ("fr-nfd", "L'e\u{301}cole du village a ferme\u{301} ses portes cet e\u{301}te\u{301}."),
    (
        "forms",
        "The o\u{fb03}ce has a co\u{ad}operative \u{ff21}\u{ff22}\u{ff23} and zero\u{200b}width signs.",
    ),
    ("cpp", "C++ is compiled ahead of time."),
    ("csharp", "C# runs on a virtual machine."),
    ("dotnet", "The .NET runtime loads assemblies."),
    ("c", "C has pointers and no classes."),
    ("it", "Our IT department keeps the printers alive."),
    ("hamlet", "To be, or not to be, that is the question."),
    ("part", "Order the gasket NOR.0707-10 from the catalogue."),
    ("code", "The function parseHttpHeader reads one line."),
    ("annual-report-2023.docx", "Revenue grew and costs fell."),
];

/// What is typed, and the document that says it.
const FOUND: &[(&str, &str)] = &[
    ("中国的一所", "zh"),
    ("很大的湖", "zh"),
    ("港区にある", "ja"),
    ("電波塔", "ja"),
    ("대한민국", "ko"),
    ("수도", "ko"),
    ("เมืองหลวงของประเทศไทย", "th"),
    ("แม่น้ำ", "th"),
    ("ເມືອງຫຼວງ", "lo"),
    ("រាជធានី", "km"),
    ("အကြီးဆုံး", "my"),
    ("Haus", "de"),
    ("hauptstrasse", "de"),
    ("alte Ha\u{308}user", "de"),
    ("HAUPTSTRASSE", "de"),
    ("дом улица", "ru"),
    ("البيت القديم", "ar"),
    ("σπιτια", "el"),
    ("मकान", "hi"),
    ("istanbul", "tr"),
    ("\u{130}STANBUL", "tr"),
    ("phố chính", "vi"),
    ("pho chinh", "vi"),
    ("\u{e9}cole", "fr-nfd"),
    ("ecole", "fr-nfd"),
    ("office", "forms"),
    ("cooperative", "forms"),
    ("ABC", "forms"),
    ("zerowidth", "forms"),
    ("C++", "cpp"),
    ("C#", "csharp"),
    (".NET", "dotnet"),
    ("C", "c"),
    ("IT", "it"),
    ("\"to be or not to be\"", "hamlet"),
    ("NOR.0707-10", "part"),
    ("nor070710", "part"),
    ("0707", "part"),
    ("http header", "code"),
    ("annual report 2023", "annual-report-2023.docx"),
];

async fn results(server: &Server, collection: &str, body: Value) -> Vec<Value> {
    let path = format!("/v1/collections/{collection}/search");
    let found = server.post(&path, body).await;
    assert_eq!(found.status, 200, "{found:?}");
    found.body["results"].as_array().unwrap().clone()
}

fn ids(results: &[Value]) -> Vec<&str> {
    results.iter().filter_map(|result| result["document_id"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_is_found_by_what_its_reader_types() {
    let server = Setup::new().start();
    for (id, text) in DOCUMENTS {
        server.document(id, text).await;
    }
    let mut missed = Vec::new();
    for (query, id) in FOUND {
        let found = results(&server, "default", json!({"query": query, "mode": "lexical"})).await;
        if ids(&found).first() != Some(id) {
            missed.push(format!("{query}: {:?} instead of {id}", ids(&found)));
        }
        for result in &found {
            let text = DOCUMENTS.iter().find(|(id, _)| *id == result["document_id"]).unwrap().1;
            assert_eq!(result["text"], text, "a passage is the source, byte for byte");
        }
    }
    assert!(missed.is_empty(), "{missed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered_by_the_sentence_of_its_language() {
    let server = Setup::new().start();
    for (id, text) in DOCUMENTS {
        server.document(id, text).await;
    }
    for (question, quote) in [
        ("北京大学成立于哪一年？", "北京大学是中国的一所著名大学，成立于1898年。"),
        (
            "Wann wurden die H\u{e4}user an der Hauptstra\u{df}e gebaut?",
            "Die alten H\u{e4}user an der Hauptstra\u{df}e wurden im 19. Jahrhundert gebaut.",
        ),
        (
            "Когда были построены старые дома на главной улице?",
            "Старые дома на главной улице были построены в девятнадцатом веке.",
        ),
    ] {
        let answer = server.post("/v1/collections/default/query", json!({"query": question})).await;
        assert_eq!((answer.status, &answer.body["abstained"]), (200, &json!(false)), "{answer:?}");
        let quotes = answer.body["citations"].as_array().unwrap();
        assert!(quotes.iter().any(|one| one["quote"] == quote), "{answer:?}");
    }
}

async fn language(server: &Server, collection: &str, id: &str) -> Value {
    let path = format!("/v1/collections/{collection}/documents/{id}");
    server.get(&path).await.body["language"].clone()
}

/// Asks until the first result is this one; the index is rebuilt in the background.
async fn until_found(server: &Server, collection: &str, query: &str, id: &str) {
    loop {
        let found = results(server, collection, json!({"query": query, "mode": "lexical"})).await;
        if ids(&found).first() == Some(&id) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_language_is_told_set_changed_and_compared() {
    let server = Setup::new().start();
    let made = server.post("/v1/collections", json!({"name": "houses"})).await;
    assert_eq!((made.status, &made.body["language"]), (201, &Value::Null), "{made:?}");
    let put = |id: &'static str, body: Value| {
        let path = format!("/v1/collections/houses/documents/{id}");
        let server = &server;
        async move {
            let put = server.put(&path, body).await;
            assert_eq!(put.status, 201, "{put:?}");
            put.body["language"].clone()
        }
    };
    // No language is detected from a word alone.
    assert_eq!(put("word", json!({"text": "H\u{e4}user"})).await, Value::Null);
    let long = "Das Haus steht am Ende der Stra\u{df}e, und niemand wohnt darin.";
    assert_eq!(put("long", json!({"text": long})).await, "de");
    assert_eq!(put("said", json!({"text": "casas", "language": "es-MX"})).await, "es");
    let wrong = json!({"text": "x", "language": "german"});
    let wrong = server.put("/v1/collections/houses/documents/wrong", wrong).await;
    wrong.assert_problem(422, "validation_failed");

    let patch = |body: Value| {
        let server = &server;
        async move {
            let request = server.request(Method::PATCH, "/v1/collections/houses").json(&body);
            let answer = harness::Answer::of(request).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            answer.body["language"].clone()
        }
    };
    assert_eq!(patch(json!({"language": "de-AT"})).await, "de");
    assert_eq!(language(&server, "houses", "word").await, "de");
    assert_eq!(language(&server, "houses", "said").await, "es", "what came with it stays");
    until_found(&server, "houses", "Hauses H\u{e4}user", "word").await;
    let listed = server.get("/v1/collections").await;
    let listed = listed.body["collections"].as_array().unwrap().clone();
    let of =
        |name: &str| listed.iter().find(|one| one["name"] == name).unwrap()["language"].clone();
    assert_eq!((of("houses"), of("default")), (json!("de"), Value::Null));

    // A query is read in one language; what another spells as the query does is found.
    let filtered = json!({"query": "Haus casas", "mode": "lexical", "filter": {"$language": "es"}});
    assert_eq!(ids(&results(&server, "houses", filtered).await), ["said"]);
    let others = json!({"query": "Haus", "mode": "lexical", "filter": {"$language": {"ne": "de"}}});
    assert!(results(&server, "houses", others).await.is_empty());

    assert_eq!(patch(json!({"language": "und"})).await, Value::Null);
    assert_eq!(language(&server, "houses", "word").await, Value::Null);
    assert_eq!(language(&server, "houses", "long").await, "de");
}

/// What a query says in a text, and how it is asked.
const SHOWN: &[(&str, &str, &[&str])] = &[
    ("\u{5f88}\u{5927}\u{7684}\u{6e56}", "zh", &["\u{5f88}\u{5927}\u{7684}\u{6e56}"]),
    ("แม่น้ำ", "th", &["แม่น้ำ"]),
    ("البيوت", "ar", &["البيوت"]),
    ("дом улица", "ru", &["дома", "улице"]),
    ("Haus", "de", &["H\u{e4}user"]),
    ("annual costs", "annual-report-2023.docx", &["costs"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn scores_are_explained_and_words_shown_in_every_script() {
    let server = Setup::new().start();
    for (id, text) in DOCUMENTS {
        server.document(id, text).await;
    }
    for (query, id, expected) in SHOWN {
        let body = json!({"query": query, "mode": "lexical", "explain": true, "highlight": true});
        let found = results(&server, "default", body).await;
        let first = &found[0];
        assert_eq!(first["document_id"], *id, "{query}: {found:?}");
        let text = first["text"].as_str().unwrap();
        let place = |span: &Value, end: &str| span[end].as_u64().unwrap() as usize;
        let shown = first["highlights"].as_array().unwrap().iter();
        let shown: Vec<_> =
            shown.map(|span| &text[place(span, "start")..place(span, "end")]).collect();
        assert_eq!(shown, *expected, "{query}");
        let lexical = &first["explain"]["lexical"];
        assert_eq!((&lexical["rank"], &lexical["weight"]), (&json!(1), &json!(1.0)), "{first}");
        assert_eq!(
            (&lexical["score"], &first["explain"]["fused"]),
            (&first["score"], &first["score"])
        );
    }
    let plain = results(&server, "default", json!({"query": "Haus"})).await;
    assert!(plain[0].get("highlights").is_none() && plain[0].get("explain").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_to_be_there_or_must_not_is_compared_in_every_script() {
    let server = Setup::new().start();
    for (id, text) in DOCUMENTS {
        server.document(id, text).await;
    }
    for (required, other, id) in [
        ("+很大的湖", "北京 -很大的湖", "zh"),
        ("\"เมืองหลวงของประเทศไทย\"", "ประเทศไทย -แม่น้ำ", "th"),
        ("+البيوت", "القرن -البيوت", "ar"),
        ("\"старые дома\"", "веке -дома", "ru"),
    ] {
        let of = |query: &str| json!({"query": query, "mode": "lexical", "top_k": 50});
        let found = results(&server, "default", of(required)).await;
        assert_eq!(ids(&found), [id], "{required}");
        let found = results(&server, "default", of(other)).await;
        assert!(!ids(&found).contains(&id), "{other}: {:?}", ids(&found));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_comes_with_the_language_that_its_request_names() {
    let server = Setup::new().start();
    let path = "/v1/collections/default/documents";
    let file = |query: &str| {
        let request = server.request(Method::PUT, &format!("{path}/word{query}"));
        request.header("content-type", "text/plain").body("H\u{e4}user")
    };
    let put = harness::Answer::of(file("?language=de-AT")).await;
    assert_eq!((put.status, &put.body["language"]), (201, &json!("de")), "{put:?}");
    let wrong = harness::Answer::of(file("?language=german")).await;
    wrong.assert_problem(422, "validation_failed");
    let form = "--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"huis.txt\"\r\n\
                Content-Type: text/plain\r\n\r\nhuizen\r\n--x--\r\n";
    let sent = server.request(Method::POST, &format!("{path}?language=nl&wait=indexed"));
    let sent = sent.header("content-type", "multipart/form-data; boundary=x").body(form);
    let sent = harness::Answer::of(sent).await;
    assert_eq!((sent.status, &sent.body["indexed"]), (200, &json!(1)), "{sent:?}");
    assert_eq!(language(&server, "default", "huis.txt").await, "nl");
    let batch = json!({"documents": [
        {"id": "own", "text": "casas", "language": "es"}, {"id": "none", "text": "maisons"},
    ]});
    let sent = server.post(&format!("{path}?language=fr&wait=indexed"), batch).await;
    assert_eq!(sent.status, 200, "{sent:?}");
    assert_eq!(language(&server, "default", "own").await, "es", "a text's own word is before it");
    assert_eq!(language(&server, "default", "none").await, "fr");
}
