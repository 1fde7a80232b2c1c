//! One message of JSON-RPC 2.0.

use std::borrow::Cow;

use serde_json::{Number, Value};

use super::{ErrorKind, RpcError, Version};
use crate::json::{self, Json};
use crate::limits;

/// Members of an object as they were sent.
type Members<'a> = Vec<(Cow<'a, str>, Json<'a>)>;

/// What a client sends.
#[derive(Debug, PartialEq)]
pub enum Message<'a> {
    /// Wants an answer.
    Request(Request<'a>),
    /// Wants none: a notification, or an answer to a request that this server
    /// never made.
    Notice,
}

/// What wants an answer.
#[derive(Debug, PartialEq)]
pub struct Request<'a> {
    /// A string or a whole number.
    pub id: Value,
    /// What to do.
    pub method: String,
    /// With what.
    pub params: Members<'a>,
}

impl<'a> Message<'a> {
    /// Reads one message.
    ///
    /// # Errors
    ///
    /// `Parse` or `InvalidRequest`.
    pub fn read(body: &'a [u8]) -> Result<Self, RpcError> {
        Self::of(parse(body)?)
    }

    fn of(json: Json<'a>) -> Result<Self, RpcError> {
        let invalid = |detail: &str| RpcError::new(ErrorKind::InvalidRequest, detail);
        if let Some(name) = json.repeated() {
            return Err(invalid(&format!("`{name}` is given twice in one object")));
        }
        let Json::Object(mut members) = json else {
            return Err(invalid("a message is one object; only 2025-03-26 has batches"));
        };
        if take(&mut members, "jsonrpc") != Some(Json::String("2.0".into())) {
            return Err(invalid("`jsonrpc` must be \"2.0\""));
        }
        let Some(method) = take(&mut members, "method") else {
            let answers = members.iter().any(|(name, _)| name == "result" || name == "error");
            return if answers { Ok(Self::Notice) } else { Err(invalid("`method` is missing")) };
        };
        let Json::String(method) = method else {
            return Err(invalid("`method` must be a string"));
        };
        let params = match take(&mut members, "params") {
            None => Vec::new(),
            Some(Json::Object(params)) => params,
            Some(_) => return Err(invalid("`params` must be an object")),
        };
        let id = match take(&mut members, "id") {
            None => return Ok(Self::Notice),
            Some(Json::String(id)) => Value::String(id.into_owned()),
            Some(Json::Number(id)) if is_whole(&id) => Value::Number(id),
            Some(_) => return Err(invalid("`id` must be a string or a whole number")),
        };
        Ok(Self::Request(Request { id, method: method.into_owned(), params }))
    }
}

/// The body of a request: a message, or in some versions several.
#[derive(Debug, PartialEq)]
pub struct Sent<'a> {
    /// In order.
    pub messages: Vec<Result<Message<'a>, RpcError>>,
    /// Whether they came as an array, as the answers then do.
    pub batch: bool,
}

impl<'a> Sent<'a> {
    /// Reads a body.
    pub fn read(body: &'a [u8], version: Version) -> Self {
        let one = |message| Self { messages: vec![message], batch: false };
        match parse(body) {
            Ok(Json::Array(items)) if version.has_batches() => {
                let most = limits::MAX_MCP_BATCH;
                if !(1..=most).contains(&items.len()) {
                    let detail = format!("a batch has 1 to {most} messages");
                    return one(Err(RpcError::new(ErrorKind::InvalidRequest, detail)));
                }
                let messages: Vec<_> = items.into_iter().map(Message::of).collect();
                if messages.iter().all(Result::is_err) {
                    let detail = "a batch has one message at least that is one of JSON-RPC 2.0";
                    return one(Err(RpcError::new(ErrorKind::InvalidRequest, detail)));
                }
                Self { messages, batch: true }
            }
            Ok(json) => one(Message::of(json)),
            Err(error) => one(Err(error)),
        }
    }
}

fn parse(body: &[u8]) -> Result<Json<'_>, RpcError> {
    json::utf8(body).and_then(json::parse).map_err(|problem| {
        RpcError::new(ErrorKind::Parse, problem.detail.unwrap_or_else(|| "no JSON".to_owned()))
    })
}

impl<'a> Request<'a> {
    /// A parameter that is a string.
    pub fn text(&self, name: &str) -> Option<&str> {
        text(&self.params, name)
    }

    /// A member of `_meta`.
    pub(super) fn meta(&self, name: &str) -> Option<&Json<'a>> {
        match get(&self.params, "_meta")? {
            Json::Object(meta) => get(meta, name),
            _ => None,
        }
    }

    /// Takes a parameter.
    pub(super) fn take(&mut self, name: &str) -> Option<Json<'a>> {
        take(&mut self.params, name)
    }
}

/// In JSON `6.0` and `4e16` are whole numbers too.
fn is_whole(number: &Number) -> bool {
    number.is_i64()
        || number.is_u64()
        || number.as_f64().is_some_and(|number| number.fract() == 0.0)
}

fn get<'m, 'a>(members: &'m Members<'a>, name: &str) -> Option<&'m Json<'a>> {
    members.iter().find_map(|(known, value)| (known == name).then_some(value))
}

fn text<'m>(members: &'m Members<'_>, name: &str) -> Option<&'m str> {
    match get(members, name)? {
        Json::String(text) => Some(text),
        _ => None,
    }
}

fn take<'a>(members: &mut Members<'a>, name: &str) -> Option<Json<'a>> {
    let index = members.iter().position(|(known, _)| known == name)?;
    Some(members.swap_remove(index).1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_request_has_an_id_and_a_notice_none() {
        let body =
            br#"{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"search"}}"#;
        let Message::Request(request) = Message::read(body).unwrap() else { unreachable!() };
        assert_eq!((request.method.as_str(), request.text("name")), ("tools/call", Some("search")));
        let notice = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        assert_eq!(Message::read(notice).unwrap(), Message::Notice);
        let answer = br#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
        assert_eq!(Message::read(answer).unwrap(), Message::Notice);
    }

    #[test]
    fn a_batch_is_read_where_the_version_has_them() {
        let body =
            br#"[{"jsonrpc":"2.0","id":1,"method":"ping"},7,{"jsonrpc":"2.0","method":"n"}]"#;
        let sent = Sent::read(body, Version::March2025);
        assert!(sent.batch && sent.messages.len() == 3);
        assert!(matches!(sent.messages.as_slice(), [Ok(_), Err(_), Ok(Message::Notice)]));
        let sent = Sent::read(body, Version::June2025);
        assert!(!sent.batch && matches!(sent.messages.as_slice(), [Err(_)]));
        for none in [b"[]".as_slice(), b"[null,null]", b"[7]"] {
            let sent = Sent::read(none, Version::March2025);
            assert!(!sent.batch && matches!(sent.messages.as_slice(), [Err(_)]));
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let kind = |body: &str| Message::read(body.as_bytes()).unwrap_err().kind;
        assert_eq!(kind("{"), ErrorKind::Parse);
        for body in [
            "[]",
            r#"{"id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#,
        ] {
            assert_eq!(kind(body), ErrorKind::InvalidRequest, "{body}");
        }
    }
}
