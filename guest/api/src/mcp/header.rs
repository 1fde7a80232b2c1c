//! What the headers of a message say: its version, where it comes from, and in
//! 2026-07-28 what the body says again.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::{ErrorKind, Request, RpcError};
use crate::json::Json;

const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// The ways to speak the protocol, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 2024-11-05. Its own transport needs a connection that stays with one
    /// instance; here it is spoken over streamable HTTP.
    November2024,
    /// 2025-03-26: streamable HTTP, and batches.
    March2025,
    /// 2025-06-18: results have structure.
    June2025,
    /// 2025-11-25: the last that begins with `initialize`.
    November2025,
    /// 2026-07-28: each request says all.
    SelfContained,
}

impl Version {
    /// Every version, oldest first.
    pub const ALL: [Self; 5] = [
        Self::November2024,
        Self::March2025,
        Self::June2025,
        Self::November2025,
        Self::SelfContained,
    ];

    /// As it stands on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::November2024 => "2024-11-05",
            Self::March2025 => "2025-03-26",
            Self::June2025 => "2025-06-18",
            Self::November2025 => "2025-11-25",
            Self::SelfContained => "2026-07-28",
        }
    }

    /// The names of every version, oldest first.
    pub fn names() -> [&'static str; 5] {
        Self::ALL.map(Self::name)
    }

    /// The version of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.name() == name)
    }

    /// The version for a client that asks for this one in `initialize`: the same
    /// where it begins so, and the newest that does where it is not known.
    pub fn negotiated(asked: Option<&str>) -> Self {
        asked
            .and_then(Self::parse)
            .filter(|version| version.is_initialized())
            .unwrap_or(Self::November2025)
    }

    /// Whether it begins with `initialize`.
    pub fn is_initialized(self) -> bool {
        self != Self::SelfContained
    }

    /// Whether a body may be an array of messages: only 2025-03-26 and what came
    /// before it know that.
    pub fn has_batches(self) -> bool {
        self <= Self::March2025
    }
}

/// The headers of a message.
#[derive(Debug, Clone, Copy, Default)]
pub struct Headers<'h> {
    /// `MCP-Protocol-Version`
    pub version: Option<&'h str>,
    /// `Mcp-Method`
    pub method: Option<&'h str>,
    /// `Mcp-Name`
    pub name: Option<&'h str>,
}

impl Headers<'_> {
    /// The version that is spoken; without a header the one that had none.
    ///
    /// # Errors
    ///
    /// `UnsupportedVersion`
    pub fn version(&self) -> Result<Version, RpcError> {
        let Some(name) = self.version else { return Ok(Version::March2025) };
        Version::parse(name).ok_or_else(|| RpcError {
            data: Some(json!({"supported": Version::names(), "requested": name})),
            ..RpcError::new(ErrorKind::UnsupportedVersion, "Unsupported protocol version")
        })
    }

    /// Holds the headers of a request that says all against its body, so that
    /// what a proxy decided by the headers holds for the body.
    ///
    /// # Errors
    ///
    /// `InvalidParams` or `HeaderMismatch`.
    pub fn check(&self, request: &Request<'_>) -> Result<(), RpcError> {
        let (version, capabilities) = (request.meta(META_VERSION), request.meta(META_CAPABILITIES));
        let (Some(version), Some(_)) = (version, capabilities) else {
            let detail = format!("`_meta` must have `{META_VERSION}` and `{META_CAPABILITIES}`");
            return Err(RpcError::new(ErrorKind::InvalidParams, detail));
        };
        let mismatch = |header: &str| {
            let detail = format!("the header `{header}` does not match the body");
            Err(RpcError::new(ErrorKind::HeaderMismatch, detail))
        };
        if !matches!((version, self.version), (Json::String(body), Some(header)) if body == header)
        {
            return mismatch("MCP-Protocol-Version");
        }
        if self.method != Some(&request.method) {
            return mismatch("Mcp-Method");
        }
        let named = match request.method.as_str() {
            "tools/call" => request.text("name"),
            "resources/read" => request.text("uri"),
            _ => None,
        };
        if named.is_some() && self.name.and_then(decode).as_deref() != named {
            return mismatch("Mcp-Name");
        }
        Ok(())
    }
}

/// A header's value, which stands as `=?base64?…?=` where it is not plain.
fn decode(value: &str) -> Option<String> {
    match value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
        None => Some(value.to_owned()),
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok(),
    }
}

/// Whether a browser's page may send the message: `Origin` is the server
/// itself. Without the header no browser's page sent it.
///
/// By plain HTTP a name will not do, even where `Host` says the same: whoever
/// owns a name can have it mean this address (DNS rebinding). With TLS the
/// browser has checked whose name it is. Pages of other origins are let in by
/// the host, which knows its settings.
pub fn same_origin(origin: Option<&str>, host: Option<&str>) -> bool {
    let Some(origin) = origin else { return true };
    let checked = origin.strip_prefix("https://");
    let authority = checked.or_else(|| origin.strip_prefix("http://"));
    authority.is_some_and(|authority| {
        let name = name(authority);
        match host {
            Some(host) => {
                let own = host.eq_ignore_ascii_case(authority);
                own && (checked.is_some() || cannot_be_rebound(name))
            }
            None => LOOPBACK.contains(&name),
        }
    })
}

/// An authority without its port.
fn name(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => authority,
    }
}

fn cannot_be_rebound(name: &str) -> bool {
    let literal = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || literal.parse::<std::net::IpAddr>().is_ok()
}

/// Names of this machine.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::mcp::Message;

    fn checked(headers: Headers<'_>, body: &str) -> Option<ErrorKind> {
        let Message::Request(request) = Message::read(body.as_bytes()).unwrap() else {
            unreachable!()
        };
        headers.check(&request).err().map(|error| error.kind)
    }

    #[test]
    fn the_version_is_one_that_was_published() {
        let version = |version| Headers { version, ..Headers::default() }.version();
        assert_eq!(version(None), Ok(Version::March2025));
        for known in Version::ALL {
            assert_eq!(version(Some(known.name())), Ok(known));
        }
        assert_eq!(version(Some("2023-01-01")).unwrap_err().kind, ErrorKind::UnsupportedVersion);
    }

    #[test]
    fn a_client_gets_the_version_that_it_asks_for() {
        for asked in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
            assert_eq!(Version::negotiated(Some(asked)).name(), asked);
        }
        for asked in [None, Some("2026-07-28"), Some("2099-01-01")] {
            assert_eq!(Version::negotiated(asked), Version::November2025);
        }
    }

    #[test]
    fn headers_must_say_what_the_body_says() {
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","_meta":
            {"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
        let right = Headers {
            version: Some("2026-07-28"),
            method: Some("tools/call"),
            name: Some("search"),
        };
        assert_eq!(checked(right, body), None);
        let encoded = Headers { name: Some("=?base64?c2VhcmNo?="), ..right };
        assert_eq!(checked(encoded, body), None);
        for wrong in [
            Headers { version: Some("2025-11-25"), ..right },
            Headers { method: Some("tools/list"), ..right },
            Headers { name: Some("answer"), ..right },
            Headers { name: None, ..right },
        ] {
            assert_eq!(checked(wrong, body), Some(ErrorKind::HeaderMismatch), "{wrong:?}");
        }
        let bare = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search"}}"#;
        assert_eq!(checked(right, bare), Some(ErrorKind::InvalidParams));
    }

    #[test]
    fn a_page_of_another_origin_is_kept_out() {
        assert!(same_origin(None, Some("a:8080")));
        for own in ["localhost:8080", "127.0.0.1:8080", "192.0.2.1", "[::1]:8080", "LocalHost"] {
            assert!(same_origin(Some(&format!("http://{own}")), Some(own)), "{own}");
        }
        for rebound in ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", ""] {
            assert!(!same_origin(Some(&format!("http://{rebound}")), Some(rebound)), "{rebound}");
        }
        assert!(same_origin(Some("https://rag.example"), Some("rag.example")));
        assert!(same_origin(Some("http://127.0.0.1:8080"), None));
        for origin in [
            "http://evil.example",
            "https://evil.example",
            "null",
            "a:8080",
            "http://a:8080.evil.example",
        ] {
            assert!(!same_origin(Some(origin), Some("a:8080")), "{origin}");
        }
        for origin in ["http://evil.example", "http://localhost.evil.example", "http://127.0.0.1.x"]
        {
            assert!(!same_origin(Some(origin), None), "{origin}");
        }
    }
}
