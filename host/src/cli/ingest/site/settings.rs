//! How sites are visited, as arguments say it.

/// How sites are visited.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Sites")]
pub struct SiteArgs {
    /// Pages of one site that are fetched at most
    #[arg(long, value_name = "COUNT", default_value_t = 1_000)]
    pub max_pages: usize,
    /// Bytes that are fetched from one site at most
    #[arg(long, value_name = "BYTES", default_value_t = 1024 * 1024 * 1024)]
    pub max_site_bytes: u64,
    /// Seconds that one site is visited at most
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600)]
    pub max_site_seconds: u64,
    /// Milliseconds from one request to the next; a longer Crawl-delay of robots.txt is kept
    #[arg(long, value_name = "MS", default_value_t = 500)]
    pub delay_ms: u64,
    /// Fetch from this machine and from private networks too
    #[arg(long)]
    pub allow_private: bool,
}
