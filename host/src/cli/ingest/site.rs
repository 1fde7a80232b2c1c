//! Pages of a site: one that is named, or those of a sitemap. A visit keeps to
//! `robots.txt`, to one host, and to its bounds.

mod address;
mod fetch;
pub mod settings;
mod sitemap;

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::Path;

use ragtime_policy::digest::{hex, sha256};
use reqwest::Url;
use sha2::{Digest, Sha256};

use super::document::Document;
use super::feed::ledger::{Ledger, Print};
use super::feed::pass::{Pass, Report, is_intact};
use super::feed::settings::Feed;
use super::files::{self, Sent};
use super::{Delivery, NO_METADATA, Progress, make};
use crate::cli::{CliError, Context, list, out};
use fetch::{Fetched, Fetcher, Page, Refusal};
use settings::SiteArgs;

/// Characters of an id that the server takes.
const MAX_ID_CHARS: usize = 256;
/// The largest page: what the server takes as a body.
const MAX_PAGE_BYTES: usize = 32 * 1024 * 1024;
/// Sitemaps within sitemaps: the protocol has one level of index, and some sites two.
const MAX_SITEMAP_DEPTH: u32 = 3;
/// Pages of other hosts and the like that are named; a sitemap may have thousands.
const MAX_NAMED: usize = 5;

/// A site that is being visited.
pub struct Site {
    start: Url,
    fetcher: Fetcher,
    max_pages: usize,
}

impl Site {
    /// A visit that begins at `start`.
    pub fn new(mut start: Url, args: &SiteArgs) -> Result<Self, CliError> {
        start.set_fragment(None);
        let fetcher = Fetcher::new(&start, args)?;
        Ok(Self { start, fetcher, max_pages: args.max_pages })
    }

    /// The pages of a sitemap and of those that it leads to.
    async fn pages(
        &mut self,
        first: Vec<u8>,
        round: &mut Round,
        progress: &mut Progress,
    ) -> Vec<Url> {
        let (mut pages, mut known) = (Vec::new(), HashSet::from([self.start.clone()]));
        let mut sitemaps = VecDeque::from([(first, 0)]);
        let mut waiting = VecDeque::new();
        loop {
            let Some((bytes, depth)) = sitemaps.pop_front() else {
                let Some((url, depth)) = waiting.pop_front() else { return pages };
                match self.fetcher.sitemap(&url).await {
                    Ok(bytes) => sitemaps.push_back((bytes, depth)),
                    Err(refusal) => {
                        round.cut_short = true;
                        progress.failed.push(format!("{url}: {refusal}"));
                    }
                }
                continue;
            };
            let read = match sitemap::read(&bytes) {
                Ok(read) => read,
                Err(reason) => {
                    round.cut_short = true;
                    progress.failed.push(format!("a sitemap of {}: {reason}", self.start));
                    continue;
                }
            };
            for url in read.pages {
                if !self.fetcher.is_of_site(&url) {
                    round.pass_over("of another host than the sitemap", &url);
                } else if pages.len() >= self.max_pages {
                    round.cut_short = true;
                    round.pass_over("beyond --max-pages", &url);
                } else if known.insert(url.clone()) {
                    pages.push(url);
                }
            }
            for url in read.sitemaps {
                if depth >= MAX_SITEMAP_DEPTH || !self.fetcher.is_of_site(&url) {
                    round.cut_short = true;
                    round.pass_over("sitemaps of another host, or nested too deep", &url);
                } else if known.insert(url.clone()) {
                    waiting.push_back((url, depth + 1));
                }
            }
        }
    }
}

/// What a visit works with.
pub struct Visit<'a> {
    pub feed: &'a Feed,
    pub ledger: &'a mut Ledger,
    pub known: &'a Option<HashMap<String, String>>,
    pub pass: Pass,
    pub report: &'a mut Report,
}

/// Where a visit is.
#[derive(Default)]
struct Round {
    /// Pages that were there.
    seen: u64,
    /// Whether something was not looked at, so that what is gone is not known.
    cut_short: bool,
    passed_over: HashMap<&'static str, (u64, Vec<String>)>,
}

impl Round {
    fn pass_over(&mut self, reason: &'static str, url: &Url) {
        let (count, names) = self.passed_over.entry(reason).or_default();
        *count += 1;
        if names.len() < MAX_NAMED {
            names.push(url.to_string());
        }
    }

    fn print(&self) {
        for (reason, (count, names)) in &self.passed_over {
            let more = if *count > names.len() as u64 { ", …" } else { "" };
            out::note(&format!("skipped {count} {reason}: {}{more}", names.join(", ")));
        }
    }
}

impl Visit<'_> {
    /// Fetches what is new or has changed and sends it; how many pages there are.
    pub async fn site(
        &mut self,
        mut site: Site,
        wait: bool,
        progress: &mut Progress,
        context: &Context,
    ) -> Result<u64, CliError> {
        let mut round = Round::default();
        let delivery = Delivery { wait, ..self.feed.delivery() };
        if !self.pass.rehearsed {
            make(&self.feed.collection, self.feed.shape.language.as_deref(), context).await?;
        }
        let start = site.start.clone();
        let first = self.page(&mut site, &start, &delivery, &mut round, progress, context).await?;
        let pages = match first {
            Some(sitemap) => site.pages(sitemap, &mut round, progress).await,
            None => Vec::new(),
        };
        for url in pages {
            if site.fetcher.is_spent() {
                break;
            }
            self.page(&mut site, &url, &delivery, &mut round, progress, context).await?;
        }
        if round.cut_short {
            self.ledger.see_pages()?;
            out::note("not all of the site could be looked at: nothing of it counts as gone");
        }
        round.print();
        Ok(round.seen)
    }

    /// Looks at a page and sends it if it changed. Gives the bytes back where it is the
    /// start and a sitemap.
    async fn page(
        &mut self,
        site: &mut Site,
        url: &Url,
        delivery: &Delivery<'_>,
        round: &mut Round,
        progress: &mut Progress,
        context: &Context,
    ) -> Result<Option<Vec<u8>>, CliError> {
        let source = url.as_str();
        let before = self.before(source)?;
        let fetched = match site.fetcher.page(url, before.as_ref()).await {
            Ok(fetched) => fetched,
            Err(refusal) => {
                // It may well be there, and what it leads to.
                self.ledger.see(source)?;
                round.seen += 1;
                round.cut_short |= *url == site.start || refusal.ends_visit();
                match refusal {
                    Refusal::Robots => round.pass_over("that robots.txt forbids", url),
                    refusal => progress.failed.push(format!("{url}: {refusal}")),
                }
                return Ok(None);
            }
        };
        let page = match fetched {
            // What is gone is not seen. Of a start that was no page nothing shows that the
            // pages that it led to are gone too.
            Fetched::Gone => {
                if *url == site.start && self.ledger.print(source)?.is_none() {
                    round.cut_short = true;
                    progress.failed.push(format!("{url}: there is no such page"));
                }
                return Ok(None);
            }
            Fetched::Unchanged => {
                self.ledger.see(source)?;
                round.seen += 1;
                self.report.unchanged();
                return Ok(None);
            }
            Fetched::Page(page) if *url == site.start && sitemap::is_one(&page.bytes) => {
                return Ok(Some(page.bytes));
            }
            Fetched::Page(page) => page,
        };
        self.ledger.see(source)?;
        round.seen += 1;
        if page.bytes.len() > MAX_PAGE_BYTES {
            progress.failed.push(format!("{url}: it has more than {MAX_PAGE_BYTES} bytes"));
            return Ok(None);
        }
        let Some(media_type) = media_type(&page, url) else {
            round.pass_over("of no kind that can be read", url);
            return Ok(None);
        };
        let print = self.print(&page);
        if before.is_some_and(|before| before.sha256 == print.sha256) {
            self.ledger.touch(source, &print)?;
            self.report.unchanged();
            return Ok(None);
        }
        let id = id_of(&self.feed.shape.id(source));
        self.report.sent(id.clone());
        if self.pass.rehearsed {
            return Ok(None);
        }
        let sent = match delivery.shape.has_metadata().then(|| text(&page, &media_type)).flatten() {
            Some((text, media_type)) => {
                let document = Document::of_file(source.to_owned(), text, media_type);
                files::put_text(document, &id, delivery, context).await?
            }
            None => {
                if delivery.shape.has_metadata() {
                    progress.warnings.push(format!("{id}: {NO_METADATA}"));
                }
                files::put(&id, page.bytes, &media_type, delivery, context).await?
            }
        };
        self.sent(source, &id, &print, sent, delivery, progress)?;
        Ok(None)
    }

    /// What is known of a page, if the server still has it and nothing else is added to
    /// it now.
    fn before(&mut self, source: &str) -> Result<Option<Print>, CliError> {
        let is_intact = is_intact(self.ledger, self.known, source)?;
        let before = self.ledger.print(source)?.filter(|_| is_intact);
        Ok(before.filter(|before| before.quick == self.feed.shape.print()))
    }

    fn print(&self, page: &Page) -> Print {
        Print {
            quick: self.feed.shape.print(),
            sha256: sha256(&page.bytes),
            etag: page.etag.clone(),
            modified: page.modified.clone(),
        }
    }

    fn sent(
        &mut self,
        source: &str,
        id: &str,
        print: &Print,
        sent: Sent,
        delivery: &Delivery<'_>,
        progress: &mut Progress,
    ) -> Result<(), CliError> {
        let document = match sent {
            Sent::Failed(reason) => {
                progress.failed.push(reason);
                return Ok(());
            }
            Sent::Document(answer) | Sent::Job(answer) => answer,
        };
        progress.warned(list(&document, "warnings").iter().map(|one| (id, one)));
        match delivery.wait {
            true => progress.indexed += 1,
            false => progress.pending += 1,
        }
        self.ledger.taken(source, id)?;
        self.ledger.done(source, print)
    }
}

/// What a page is sent as; none if the server reads no such thing. Where the site does
/// not say what it is, its name does.
fn media_type(page: &Page, url: &Url) -> Option<String> {
    let essence = page.media_type.split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    if essence.is_empty() || essence == "application/octet-stream" {
        return files::media_type_of(Path::new(url.path())).map(str::to_owned);
    }
    if essence == "application/xhtml+xml" {
        return Some(page.media_type.replacen("application/xhtml+xml", "text/html", 1));
    }
    files::is_read(&essence).then(|| page.media_type.clone())
}

/// The text of a page and what it is, where it is a text in UTF-8.
fn text(page: &Page, media_type: &str) -> Option<(String, &'static str)> {
    let (essence, parameters) = media_type.split_once(';').unwrap_or((media_type, ""));
    let kinds = ["text/html", "text/plain", "text/markdown"];
    let kind = kinds.into_iter().find(|kind| essence.trim().eq_ignore_ascii_case(kind))?;
    let parameters = parameters.to_ascii_lowercase();
    let is_utf8 = !parameters.contains("charset") || parameters.contains("utf-8");
    let text = String::from_utf8(page.bytes.clone()).ok().filter(|_| is_utf8)?;
    Some((text, kind))
}

/// The URL, as far as an id goes; then a hash stands for the rest.
fn id_of(url: &str) -> String {
    if url.chars().count() <= MAX_ID_CHARS {
        return url.to_owned();
    }
    let hash = hex(Sha256::digest(url).get(..8).unwrap_or_default());
    let kept: String = url.chars().take(MAX_ID_CHARS - hash.len() - 1).collect();
    format!("{kept}~{hash}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_url_and_never_too_long() {
        assert_eq!(id_of("https://a.example/b"), "https://a.example/b");
        let long = |end: &str| id_of(&format!("https://a.example/{}{end}", "x".repeat(300)));
        assert_eq!(long("1").chars().count(), MAX_ID_CHARS);
        assert_ne!(long("1"), long("2"));
    }

    #[test]
    fn a_page_is_what_its_site_says_or_its_name() {
        let found = |media_type: &str, path: &str| {
            let page = Page { media_type: media_type.into(), ..Page::default() };
            media_type_of(&page, path)
        };
        fn media_type_of(page: &Page, path: &str) -> Option<String> {
            media_type(page, &Url::parse(&format!("https://a.example{path}")).unwrap())
        }
        assert_eq!(found("text/html; charset=latin1", "/").unwrap(), "text/html; charset=latin1");
        assert_eq!(found("application/xhtml+xml", "/").unwrap(), "text/html");
        assert_eq!(found("application/octet-stream", "/a.pdf").unwrap(), "application/pdf");
        assert_eq!(found("", "/a.md").unwrap(), "text/markdown");
        assert_eq!(found("image/png", "/a.pdf"), None);
    }
}
