//! Fetching from one site: politely, within bounds, and from public addresses only.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{
    CONTENT_TYPE, ETAG, HeaderMap, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
    LOCATION, RETRY_AFTER,
};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};
use robotxt::{AccessResult, Robots};
use tokio::time::Instant;

use super::settings::SiteArgs;
use super::{address, sitemap};
use crate::cli::CliError;
use crate::cli::context::cause;
use crate::cli::ingest::feed::ledger::Print;

/// What `robots.txt` calls us.
const AGENT: &str = "ragtime";
/// How the crawler names itself to servers.
const USER_AGENT: &str = concat!("ragtime/", env!("CARGO_PKG_VERSION"));
/// Redirects that are followed: RFC 9309 asks for five where `robots.txt` is concerned.
const MAX_REDIRECTS: usize = 5;
/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest wait that is taken at a site's word, as `Crawl-delay` or `Retry-After`.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// Times that a site may ask to come back later.
const MAX_RETRIES: usize = 3;

/// A page as it was fetched.
#[derive(Debug, Default)]
pub struct Page {
    /// `Content-Type`, or nothing.
    pub media_type: String,
    /// `ETag`.
    pub etag: Option<String>,
    /// `Last-Modified`.
    pub modified: Option<String>,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// What became of a request.
pub enum Fetched {
    /// It is there.
    Page(Page),
    /// It is as it was.
    Unchanged,
    /// There is no such page (any more).
    Gone,
}

/// Why a page was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// `robots.txt` forbids it.
    #[error("robots.txt forbids it")]
    Robots,
    /// It is of another host.
    #[error("it leads to another host, {0}; name that one to fetch from there")]
    OtherHost(Url),
    /// It leads to a private network.
    #[error(transparent)]
    Private(#[from] address::Private),
    /// It leads on and on.
    #[error("it leads on more than {MAX_REDIRECTS} times")]
    Redirects,
    /// It is too large.
    #[error("it has more than {0} bytes")]
    TooLarge(u64),
    /// The site answers something else.
    #[error("the site answers {0}")]
    Status(StatusCode),
    /// The site is out of reach.
    #[error("{0}")]
    Unreachable(String),
    /// The visit has reached a bound.
    #[error("the visit has reached --{0}")]
    Spent(&'static str),
}

impl Refusal {
    /// Whether it says nothing of the page but that the site could not be looked at.
    pub fn ends_visit(&self) -> bool {
        match self {
            Self::Spent(_) => true,
            Self::Robots
            | Self::OtherHost(_)
            | Self::Private(_)
            | Self::Redirects
            | Self::TooLarge(_)
            | Self::Status(_)
            | Self::Unreachable(_) => false,
        }
    }
}

/// Fetches from one site.
pub struct Fetcher {
    client: Client,
    start: Url,
    /// By scheme, host and port.
    robots: HashMap<String, Robots>,
    delay: Duration,
    next: Instant,
    deadline: Instant,
    bytes_left: u64,
    allow_private: bool,
    spent: Option<&'static str>,
}

impl Fetcher {
    /// For the site of `start`.
    pub fn new(start: &Url, args: &SiteArgs) -> Result<Self, CliError> {
        let mut client = Client::builder()
            .user_agent(USER_AGENT)
            .timeout(REQUEST_TIMEOUT)
            .redirect(Policy::none())
            // A proxy would look names up itself, where private addresses are not seen.
            .no_proxy();
        if !args.allow_private {
            client = client.dns_resolver(Arc::new(address::PublicOnly));
        }
        if start.scheme() == "http" {
            // Plain HTTP works without the system's certificates.
            client = client.tls_certs_only([]);
        }
        let client = client
            .build()
            .map_err(|error| CliError::new(format!("TLS cannot be set up: {error}")))?;
        Ok(Self {
            client,
            start: start.clone(),
            robots: HashMap::new(),
            delay: Duration::from_millis(args.delay_ms),
            next: Instant::now(),
            deadline: Instant::now() + Duration::from_secs(args.max_site_seconds),
            bytes_left: args.max_site_bytes,
            allow_private: args.allow_private,
            spent: None,
        })
    }

    /// Whether the visit has reached a bound.
    pub fn is_spent(&self) -> bool {
        self.spent.is_some()
    }

    /// Whether a URL is of the site: of the same host, at the same port or with TLS.
    pub fn is_of_site(&self, url: &Url) -> bool {
        let default = |url: &Url| url.port().is_none();
        matches!(url.scheme(), "http" | "https")
            && url.host() == self.start.host()
            && (url.port_or_known_default() == self.start.port_or_known_default()
                || (default(url) && default(&self.start)))
    }

    /// A page, if it is not as it was known.
    pub async fn page(&mut self, url: &Url, known: Option<&Print>) -> Result<Fetched, Refusal> {
        let mut headers = HeaderMap::new();
        let mut ask = |name: HeaderName, value: Option<&String>| {
            if let Some(value) = value.and_then(|value| value.parse().ok()) {
                headers.insert(name, value);
            }
        };
        ask(IF_NONE_MATCH, known.and_then(|known| known.etag.as_ref()));
        ask(IF_MODIFIED_SINCE, known.and_then(|known| known.modified.as_ref()));
        let response = self.get(url, headers, true).await?;
        match response.status() {
            StatusCode::NOT_MODIFIED if known.is_some() => Ok(Fetched::Unchanged),
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(Fetched::Gone),
            status if status.is_success() => {
                let header = |name: HeaderName| {
                    let value = response.headers().get(name)?;
                    value.to_str().ok().map(str::to_owned)
                };
                let page = Page {
                    media_type: header(CONTENT_TYPE).unwrap_or_default(),
                    etag: header(ETAG),
                    modified: header(LAST_MODIFIED),
                    bytes: Vec::new(),
                };
                let bytes = self.body(response, sitemap::MAX_BYTES).await?;
                Ok(Fetched::Page(Page { bytes, ..page }))
            }
            status => Err(Refusal::Status(status)),
        }
    }

    /// A sitemap, as it is.
    pub async fn sitemap(&mut self, url: &Url) -> Result<Vec<u8>, Refusal> {
        let response = self.get(url, HeaderMap::new(), true).await?;
        match response.status() {
            status if status.is_success() => self.body(response, sitemap::MAX_BYTES).await,
            status => Err(Refusal::Status(status)),
        }
    }

    /// The response to a request, wherever on the site it leads.
    async fn get(
        &mut self,
        url: &Url,
        headers: HeaderMap,
        by_robots: bool,
    ) -> Result<Response, Refusal> {
        let mut url = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            if !self.is_of_site(&url) {
                return Err(Refusal::OtherHost(url));
            }
            if !self.allow_private {
                address::check(&url)?;
            }
            if by_robots && !self.may_fetch(&url).await? {
                return Err(Refusal::Robots);
            }
            let response = self.patiently(&url, &headers).await?;
            let status = response.status();
            if !status.is_redirection() || status == StatusCode::NOT_MODIFIED {
                return Ok(response);
            }
            let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
            url = to.and_then(|to| url.join(to).ok()).ok_or(Refusal::Status(status))?;
        }
        Err(Refusal::Redirects)
    }

    /// Whether `robots.txt` lets us, which RFC 9309 says for each way of not having it.
    async fn may_fetch(&mut self, url: &Url) -> Result<bool, Refusal> {
        let origin = url.origin().ascii_serialization();
        if !self.robots.contains_key(&origin) {
            let robots = self.fetch_robots(url).await?;
            let delay = robots.crawl_delay().unwrap_or_default().min(MAX_WAIT);
            self.delay = self.delay.max(delay);
            self.robots.insert(origin.clone(), robots);
        }
        Ok(self.robots.get(&origin).is_some_and(|robots| robots.is_url_allowed(url)))
    }

    async fn fetch_robots(&mut self, url: &Url) -> Result<Robots, Refusal> {
        let place = robotxt::robots_url(url)
            .map_err(|error| Refusal::Unreachable(format!("robots.txt: {error}")))?;
        let response = match Box::pin(self.get(&place, HeaderMap::new(), false)).await {
            Ok(response) => response,
            Err(Refusal::Redirects | Refusal::OtherHost(_)) => {
                return Ok(Robots::from_access(AccessResult::TooManyRedirects, AGENT));
            }
            Err(refusal) => return Err(refusal),
        };
        match response.status() {
            status if status.is_success() => {
                let text = self.body_up_to(response, robotxt::BYTE_LIMIT as u64 + 1).await?;
                Ok(Robots::from_access(AccessResult::Successful(&text), AGENT))
            }
            status if status.is_client_error() => {
                Ok(Robots::from_access(AccessResult::Unavailable, AGENT))
            }
            // A site that cannot say what it forbids is not visited.
            status => Err(Refusal::Unreachable(format!("robots.txt: the site answers {status}"))),
        }
    }

    /// Sends a request in its turn, and again when the site asks to come back later.
    async fn patiently(&mut self, url: &Url, headers: &HeaderMap) -> Result<Response, Refusal> {
        for _ in 0..MAX_RETRIES {
            let response = self.once(url, headers).await?;
            let Some(wait) = later(&response) else { return Ok(response) };
            tokio::time::sleep(wait.min(MAX_WAIT)).await;
        }
        self.once(url, headers).await
    }

    async fn once(&mut self, url: &Url, headers: &HeaderMap) -> Result<Response, Refusal> {
        if Instant::now() >= self.deadline {
            return Err(self.spend("max-site-seconds"));
        }
        tokio::time::sleep_until(self.next).await;
        self.next = Instant::now() + self.delay;
        let request = self.client.get(url.clone()).headers(headers.clone());
        request.send().await.map_err(|error| Refusal::Unreachable(cause(&error)))
    }

    async fn body(&mut self, response: Response, limit: u64) -> Result<Vec<u8>, Refusal> {
        let bytes = self.body_up_to(response, limit + 1).await?;
        if bytes.len() as u64 > limit { Err(Refusal::TooLarge(limit)) } else { Ok(bytes) }
    }

    /// The body, of which no more is read than this.
    async fn body_up_to(&mut self, mut response: Response, most: u64) -> Result<Vec<u8>, Refusal> {
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < most {
            let chunk = response.chunk().await;
            let Some(chunk) = chunk.map_err(|error| Refusal::Unreachable(cause(&error)))? else {
                break;
            };
            match self.bytes_left.checked_sub(chunk.len() as u64) {
                Some(left) => self.bytes_left = left,
                None => return Err(self.spend("max-site-bytes")),
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    fn spend(&mut self, bound: &'static str) -> Refusal {
        self.spent = Some(bound);
        Refusal::Spent(bound)
    }
}

/// How long a site asks to wait, if it does.
fn later(response: &Response) -> Option<Duration> {
    let status = response.status();
    if status != StatusCode::TOO_MANY_REQUESTS && status != StatusCode::SERVICE_UNAVAILABLE {
        return None;
    }
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}
