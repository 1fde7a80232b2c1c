//! How the texts of a collection are cut into chunks, and how a text was cut.

/// Lengths in tokens of the embedding model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunking {
    /// What a chunk aims at.
    pub tokens: u32,
    /// The most that a chunk repeats of the one before.
    pub overlap: u32,
}

/// The most tokens that a chunk may aim at: beyond, no model in use sees it all.
pub const MAX_TOKENS: u32 = 8_192;

impl Default for Chunking {
    /// 200 leaves room for title and headings in the 256 tokens that the
    /// embedding model sees; 30 are one or two sentences.
    fn default() -> Self {
        Self { tokens: 200, overlap: 30 }
    }
}

impl Chunking {
    /// Says what is wrong with it, fit for the client.
    pub fn check(self) -> Result<(), String> {
        match self.tokens {
            1..=MAX_TOKENS if self.overlap < self.tokens => Ok(()),
            _ => Err(format!("a chunk has 1 to {MAX_TOKENS} tokens and repeats fewer than it has")),
        }
    }
}

/// How a text was cut: to which lengths, and by whose tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChunkingSpec {
    /// The lengths.
    pub chunking: Chunking,
    /// The model whose tokens were counted; none when they were estimated.
    pub model: Option<String>,
}

impl ChunkingSpec {
    /// As it is kept: `200/30/all-MiniLM-L6-v2`.
    pub fn label(&self) -> String {
        format!("{}{}", self.lengths(), self.model.as_deref().unwrap_or_default())
    }

    /// What the label begins with, whoever counted.
    pub fn lengths(&self) -> String {
        format!("{}/{}/", self.chunking.tokens, self.chunking.overlap)
    }

    /// Whether a text with this label is as good as cut this way. Tokens that a
    /// model counted are good while no model is there to count them.
    pub fn is_met_by(&self, label: &str) -> bool {
        match self.model {
            Some(_) => label == self.label(),
            None => label.starts_with(&self.lengths()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_counts_better_than_an_estimate_and_lengths_must_fit() {
        let chunking = Chunking::default();
        let estimated = ChunkingSpec { chunking, model: None };
        let counted = ChunkingSpec { chunking, model: Some("m".into()) };
        assert!(estimated.is_met_by(&counted.label()) && estimated.is_met_by(&estimated.label()));
        assert!(counted.is_met_by(&counted.label()) && !counted.is_met_by(&estimated.label()));
        let shorter = ChunkingSpec { chunking: Chunking { tokens: 20, overlap: 3 }, model: None };
        assert!(!shorter.is_met_by(&estimated.label()));
    }

    #[test]
    fn a_chunk_repeats_less_than_it_has() {
        assert!(Chunking::default().check().is_ok());
        for (tokens, overlap) in [(0, 0), (10, 10), (MAX_TOKENS + 1, 0)] {
            assert!(Chunking { tokens, overlap }.check().is_err());
        }
    }
}
