//! The URL by which clients know the server, where a proxy gives it another than
//! its own.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config;

/// Gives the URL to the handler. A handler that ignores the URL answers with links that
/// begin at the root, as without a proxy.
const HEADER: HeaderName = HeaderName::from_static("ragtime-public-url");

/// What the handler gets.
pub struct PublicUrl(Option<HeaderValue>);

impl PublicUrl {
    /// As the settings say.
    pub fn new(url: Option<&config::PublicUrl>) -> Self {
        Self(url.and_then(|url| HeaderValue::from_str(url.as_str()).ok()))
    }

    /// Puts the URL into the headers of a request. What the client said there is
    /// dropped: it would stand in the links of an answer that a proxy may keep.
    pub fn set_header(&self, headers: &mut HeaderMap) {
        match &self.0 {
            Some(url) => {
                headers.insert(HEADER, url.clone());
            }
            None => {
                headers.remove(HEADER);
            }
        }
    }
}
