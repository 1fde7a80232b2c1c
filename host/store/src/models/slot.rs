//! The tables of a collection's vectors.

/// One of the two tables of a collection's vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    First,
    Second,
}

impl Slot {
    /// Both.
    pub(crate) const BOTH: [Self; 2] = [Self::First, Self::Second];

    pub(super) fn number(self) -> i64 {
        match self {
            Self::First => 0,
            Self::Second => 1,
        }
    }

    pub(super) fn of(number: i64) -> Self {
        if number == 0 { Self::First } else { Self::Second }
    }

    /// The other one.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }

    /// The table of vectors.
    pub(crate) fn vectors(self) -> &'static str {
        match self {
            Self::First => "vectors",
            Self::Second => "vectors_1",
        }
    }

    /// The table of chunks at which the model has failed.
    pub(crate) fn unembedded(self) -> &'static str {
        match self {
            Self::First => "unembedded",
            Self::Second => "unembedded_1",
        }
    }
}
