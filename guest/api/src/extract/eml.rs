//! `message/rfc822`: a message, its headers as metadata, its attachments after
//! its body.

use mail_parser::{Address, Message, MessageParser, MimeHeaders, PartType};
use serde_json::Value;

use super::builder::Builder;
use super::{
    BlockKind, Extracted, Hints, MediaType, Unreadable, Warning, WarningCode, detect, extract_with,
    html, plain,
};
use crate::limits;

const DAMAGED: Unreadable = Unreadable::Damaged("EML");

/// A file that came with a message.
#[derive(Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Its file name; `attachment-1` for one without.
    pub name: String,
    /// The type that the message says it has.
    pub media_type: Option<MediaType>,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// The title is the subject.
pub(super) fn extract(source: &[u8], hints: &Hints) -> Result<Extracted, Unreadable> {
    let message = parse(source)?;
    let mut builder = Builder::default();
    body(&message, &mut builder, hints)?;
    if !hints.attachments_apart {
        for attachment in files(&message)? {
            attached(&attachment, hints, &mut builder);
            if builder.len() > limits::MAX_TEXT_BYTES {
                return Err(Unreadable::TooLong);
            }
        }
    }
    let subject =
        message.subject().map(|subject| subject.split_whitespace().collect::<Vec<_>>().join(" "));
    let mut extracted = builder.finish(subject.filter(|subject| !subject.is_empty()));
    for (name, address) in [("from", message.from()), ("to", message.to()), ("cc", message.cc())] {
        if let Some(said) = address.map(addresses).filter(|said| !said.is_empty()) {
            extracted.metadata.insert(name.to_owned(), Value::String(said));
        }
    }
    let date = message.date().map(mail_parser::DateTime::to_rfc3339);
    for (name, value) in [("date", date), ("message_id", message.message_id().map(str::to_owned))] {
        if let Some(value) = value {
            extracted.metadata.insert(name.to_owned(), Value::String(value));
        }
    }
    Ok(extracted)
}

/// The files that came with a message, at most [`limits::MAX_ATTACHMENTS`].
///
/// # Errors
///
/// It is no message, or has more of them.
pub fn attachments(source: &[u8]) -> Result<Vec<Attachment>, Unreadable> {
    files(&parse(source)?)
}

fn parse(source: &[u8]) -> Result<Message<'_>, Unreadable> {
    let message = MessageParser::default().parse(source).ok_or(DAMAGED)?;
    if message.headers().is_empty() { Err(DAMAGED) } else { Ok(message) }
}

fn body(message: &Message<'_>, builder: &mut Builder, hints: &Hints) -> Result<(), Unreadable> {
    // Of parts that say the same, the plain one is what its writer wrote.
    for part in message.text_bodies() {
        match &part.body {
            PartType::Text(text) => builder.append(&plain::extract(text)),
            PartType::Html(page) => builder.append(&html::extract(page, hints.keep_boilerplate)?),
            _ => {}
        }
    }
    Ok(())
}

fn files(message: &Message<'_>) -> Result<Vec<Attachment>, Unreadable> {
    if message.attachment_count() > limits::MAX_ATTACHMENTS {
        return Err(Unreadable::bound("attachments", limits::MAX_ATTACHMENTS));
    }
    let mut files = Vec::new();
    for (number, part) in (1_u32..).zip(message.attachments()) {
        let declared = part.content_type().map(|kind| match kind.subtype() {
            Some(subtype) => format!("{}/{subtype}", kind.ctype()),
            None => kind.ctype().to_owned(),
        });
        let bytes = match &part.body {
            PartType::Message(inner) => inner.raw_message().to_vec(),
            _ => part.contents().to_vec(),
        };
        let name = part.attachment_name().map(|name| name.replace(char::is_control, " "));
        let name = name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
        let name = name.unwrap_or_else(|| format!("attachment-{number}"));
        let message = matches!(part.body, PartType::Message(_)).then_some(MediaType::Eml);
        let media_type = message
            .or_else(|| MediaType::of_file(&name))
            .or_else(|| MediaType::of(declared.unwrap_or_default().as_bytes()));
        files.push(Attachment { name, media_type, bytes });
    }
    Ok(files)
}

/// Adds the text of a file under its name.
fn attached(attachment: &Attachment, hints: &Hints, builder: &mut Builder) {
    let name = &attachment.name;
    let inner = Hints { charset: None, nesting: hints.nesting + 1, ..hints.clone() };
    let read = match hints.nesting < limits::MAX_MESSAGE_DEPTH {
        true => detect(&attachment.bytes, attachment.media_type)
            .and_then(|media_type| extract_with(&attachment.bytes, media_type, &inner)),
        false => Err(Unreadable::bound("messages within messages", limits::MAX_MESSAGE_DEPTH)),
    };
    let left_out =
        |why: String| Warning::new(WarningCode::AttachmentLeftOut, format!("{name} {why}"));
    match read {
        Ok(text) if text.text.trim().is_empty() => {
            builder.warn(left_out("holds no text".to_owned()));
        }
        Ok(text) => {
            builder.block(BlockKind::Heading(1), name);
            builder.append(&text);
        }
        Err(unreadable) => builder.warn(left_out(unreadable.to_string())),
    }
}

fn addresses(address: &Address<'_>) -> String {
    let one = |one: &mail_parser::Addr<'_>| match (&one.name, &one.address) {
        (Some(name), Some(address)) => format!("{name} <{address}>"),
        (name, address) => name.as_deref().or(address.as_deref()).unwrap_or_default().to_owned(),
    };
    address.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    const MESSAGE: &str = "From: Ann <ann@x.org>\r\nTo: b@x.org\r\nSubject: =?utf-8?q?K=C3=A4se?=\r\n\
        Date: Tue, 5 Mar 2024 10:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=X\r\n\r\n\
        --X\r\nContent-Type: multipart/alternative; boundary=Y\r\n\r\n\
        --Y\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nZw=F6lf Kronen.\r\n\
        --Y\r\nContent-Type: text/html\r\n\r\n<p>Zwoelf</p>\r\n--Y--\r\n\
        --X\r\nContent-Type: text/csv\r\nContent-Disposition: attachment; filename*=UTF-8''geb%C3%BChr.csv\r\n\r\nport;fee\r\nA;4\r\n\
        --X\r\nContent-Type: image/png\r\nContent-Disposition: attachment; filename=a.png\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n--X--\r\n";

    #[test]
    fn a_message_is_its_body_and_its_files() {
        let extracted = extract(MESSAGE.as_bytes(), &Hints::default()).unwrap();
        assert_eq!(extracted.title.as_deref(), Some("Käse"));
        assert_eq!(extracted.text, "Zwölf Kronen.\n\ngebühr.csv\n\nport | fee\nA | 4");
        assert_eq!(extracted.metadata["from"], "Ann <ann@x.org>");
        assert_eq!(extracted.metadata["date"], "2024-03-05T10:00:00Z");
        assert_eq!(extracted.warnings[0].code, WarningCode::AttachmentLeftOut);
        let apart = Hints { attachments_apart: true, ..Hints::default() };
        assert_eq!(extract(MESSAGE.as_bytes(), &apart).unwrap().text, "Zwölf Kronen.");
        let names: Vec<_> =
            attachments(MESSAGE.as_bytes()).unwrap().into_iter().map(|one| one.name).collect();
        assert_eq!(names, ["gebühr.csv", "a.png"]);
    }

    #[test]
    fn messages_within_messages_are_bounded() {
        let mut message = "From: a@x\r\nSubject: inner\r\n\r\ndeepest words".to_owned();
        for _ in 0..50 {
            message = format!(
                "From: a@x\r\nSubject: s\r\nContent-Type: message/rfc822\r\nContent-Disposition: attachment\r\n\r\n{message}"
            );
        }
        let _ = extract(message.as_bytes(), &Hints::default());
    }
}
