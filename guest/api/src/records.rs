//! `text/csv` (RFC 4180): a document for each record.

use serde_json::{Map, Value};

use crate::extract::{self, Hints, MediaType};
use crate::json::Fault;
use crate::limits;
use crate::problem::Problem;
use crate::resource::documents::{Batch, NewDocument, Rejected};
use crate::resource::rules;

/// Reads records under a header line. The columns `id` (or `_id`), `title` and
/// `text` are what they say. The others become metadata: numbers and booleans
/// as such, so that filters compare them. Without a column `text`, the text is
/// the record itself, a line for each column. A record that cannot be taken is
/// rejected and the others go on.
///
/// # Errors
///
/// `validation_failed` when it cannot be decoded, there is no header line, or too
/// many columns or records.
pub fn read(body: &[u8], charset: Option<&str>) -> Result<Batch, Problem> {
    let text = extract::decoded(body, charset, MediaType::Csv)
        .map_err(|unreadable| fault(unreadable.to_string()))?;
    let (delimiter, text) = extract::delimiter_of(&text);
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).delimiter(delimiter).from_reader(text.as_bytes());
    let columns = match reader.headers() {
        Ok(header) => columns(header),
        Err(_) => return Err(fault("must begin with a line of column names")),
    };
    if let [odd] = columns.as_slice()
        && !odd.chars().all(|char| char.is_alphanumeric() || " _-.".contains(char))
    {
        return Err(fault("must have columns parted by a comma, a semicolon, a tab or a bar"));
    }
    if columns.len() > limits::MAX_COLUMNS {
        return Err(fault(format!("must have at most {} columns", limits::MAX_COLUMNS)));
    }
    let mut batch = Batch::default();
    for (position, record) in (0_u32..).zip(reader.records()) {
        if position as usize >= limits::MAX_BATCH_DOCUMENTS {
            return Err(fault(format!(
                "must have at most {} records",
                limits::MAX_BATCH_DOCUMENTS
            )));
        }
        let taken = match &record {
            Ok(record) => document(&columns, record),
            Err(_) => Err((None, "is not a record that can be read".to_owned())),
        };
        match taken {
            Ok(document) => batch.documents.push((position, document)),
            Err((id, reason)) => batch.rejected.push(Rejected { position, id, reason }),
        }
    }
    match batch.documents.len() + batch.rejected.len() {
        0 => Err(fault("must have a record below its column names")),
        _ => Ok(batch),
    }
}

/// The names of columns. Those that mean something do so in any case, and those
/// of one name are distinguished by a number.
fn columns(header: &csv::StringRecord) -> Vec<String> {
    let mut columns: Vec<String> = Vec::with_capacity(header.len());
    for name in header {
        let name = name.trim();
        let known = ["id", "_id", "title", "text"];
        let known = known.into_iter().find(|known| known.eq_ignore_ascii_case(name));
        let name = known.unwrap_or(name);
        let mut unique = name.to_owned();
        let mut number = 1_usize;
        while columns.contains(&unique) {
            number += 1;
            unique = format!("{name}_{number}");
        }
        columns.push(unique);
        if columns.len() > limits::MAX_COLUMNS {
            break;
        }
    }
    columns
}

fn fault(detail: impl Into<String>) -> Problem {
    Problem::invalid(vec![Fault::at("#", detail)])
}

fn document(
    columns: &[String],
    record: &csv::StringRecord,
) -> Result<NewDocument, (Option<String>, String)> {
    let cells: Vec<_> = columns
        .iter()
        .map(String::as_str)
        .zip(record)
        .filter(|(_, cell)| !cell.trim().is_empty())
        .collect();
    let cell = |name: &str| cells.iter().find(|(column, _)| *column == name).map(|(_, cell)| *cell);
    let id = cell("id").or_else(|| cell("_id")).map(|id| id.trim().to_owned());
    let valid = |name: &str, broken: Result<(), String>| {
        broken.map_err(|detail| (None, format!("the column {name} {detail}")))
    };
    if let Some(id) = &id {
        valid("id", rules::document_id(id))?;
    }
    let refused = |reason: String| (id.clone(), reason);
    let title = cell("title").map(str::to_owned);
    if let Some(title) = &title {
        valid("title", rules::title(title)).map_err(|(_, reason)| refused(reason))?;
    }
    if record.len() > columns.len() {
        return Err(refused("has more cells than there are columns".into()));
    }
    let text = match cell("text") {
        Some(text) => text.to_owned(),
        None if columns.iter().any(|column| column == "text") => {
            return Err(refused("the column text is empty".into()));
        }
        None => cells.iter().map(|(column, cell)| format!("{column}: {cell}\n")).collect(),
    };
    valid("text", rules::text(&text)).map_err(|(_, reason)| refused(reason))?;
    let metadata: Map<String, Value> = cells
        .iter()
        .filter(|(column, _)| !["id", "_id", "title", "text"].contains(column))
        .map(|(column, cell)| ((*column).to_owned(), value(cell)))
        .collect();
    let metadata = Value::from(metadata).to_string();
    if metadata.len() > limits::MAX_METADATA_BYTES {
        let most = limits::MAX_METADATA_BYTES;
        return Err(refused(format!("its other columns must be at most {most} bytes")));
    }
    let source = text.into_bytes();
    Ok(NewDocument {
        id,
        title,
        source,
        media_type: MediaType::Plain,
        metadata,
        file_name: None,
        hints: Hints::default(),
        language: None,
    })
}

/// A number or boolean, where the cell is written as JSON would have it.
fn value(cell: &str) -> Value {
    match serde_json::from_str(cell) {
        Ok(value @ (Value::Number(_) | Value::Bool(_))) if crate::json::encode(&value) == cell => {
            value
        }
        _ => cell.into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn columns_become_what_they_are_called_and_the_rest_metadata() {
        let csv =
            "id,title,text,year,code,open\na,\"On \"\"wings\"\"\",\"Two\nlines\",1958,007,true\n";
        let batch = read(csv.as_bytes(), None).unwrap();
        let (position, document) = &batch.documents[0];
        assert_eq!((*position, document.id.as_deref()), (0, Some("a")));
        assert_eq!(document.title.as_deref(), Some("On \"wings\""));
        assert_eq!(document.source, b"Two\nlines");
        assert_eq!(document.metadata, r#"{"code":"007","open":true,"year":1958}"#);
    }

    #[test]
    fn without_a_text_the_record_is_the_text() {
        let batch = read("name,city\nScott,Texarkana\n".as_bytes(), None).unwrap();
        assert_eq!(batch.documents[0].1.source, b"name: Scott\ncity: Texarkana\n");
        assert_eq!(batch.documents[0].1.id, None);
    }

    #[test]
    fn a_bad_record_does_not_stop_the_others() {
        let batch = read(b"id,text\na,one\n..,two\nc,\nd,four,five\ne,six\n", None).unwrap();
        let taken: Vec<_> = batch.documents.iter().map(|(position, _)| *position).collect();
        assert_eq!(taken, [0, 4]);
        let reasons: Vec<_> = batch.rejected.iter().map(|one| one.reason.as_str()).collect();
        assert!(reasons[0].starts_with("the column id "), "{reasons:?}");
        assert_eq!(
            reasons[1..],
            ["the column text is empty", "has more cells than there are columns"]
        );
        assert_eq!(batch.rejected[1].id.as_deref(), Some("c"));
    }

    #[test]
    fn what_has_no_records_is_refused() {
        for body in [&b""[..], b"id,text\n", b"\xff\x00\x00\x01"] {
            assert!(read(body, None).is_err());
        }
    }

    #[test]
    fn columns_are_found_whatever_parts_them_and_in_any_case() {
        let batch =
            read(b"sep=;\nID;Title;Text;note;note\nU1;Anker;Er wiegt 900;a;b\n", None).unwrap();
        let document = &batch.documents[0].1;
        assert_eq!(
            (document.id.as_deref(), document.source.as_slice()),
            (Some("U1"), &b"Er wiegt 900"[..])
        );
        assert_eq!(document.metadata, r#"{"note":"a","note_2":"b"}"#);
        assert!(read(b"id#title#text\n1#a#b\n", None).is_err());
        let latin =
            read(b"id,text\n1,Der K\xe4se f\xfcr M\xfcller kostet zw\xf6lf Kronen.\n", None)
                .unwrap();
        assert!(String::from_utf8_lossy(&latin.documents[0].1.source).contains("Käse"));
        assert!(read(b"\xef\xbb\xbfid,text\nb1,x\n", None).unwrap().documents[0].1.id.is_some());
    }
}
