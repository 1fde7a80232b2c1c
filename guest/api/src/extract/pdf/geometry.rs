//! Places on a page.

/// An affine map as PDF writes it: `x' = a x + c y + e`, `y' = b x + d y + f`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Affine {
    pub(super) a: f64,
    pub(super) b: f64,
    pub(super) c: f64,
    pub(super) d: f64,
    pub(super) e: f64,
    pub(super) f: f64,
}

impl Affine {
    pub(super) const IDENTITY: Self = Self::new([1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);

    pub(super) const fn new([a, b, c, d, e, f]: [f64; 6]) -> Self {
        Self { a, b, c, d, e, f }
    }

    pub(super) const fn shift(x: f64, y: f64) -> Self {
        Self::new([1.0, 0.0, 0.0, 1.0, x, y])
    }

    /// First `inner`, then this map.
    pub(super) fn after(&self, inner: &Self) -> Self {
        let (a, b) = self.turn(inner.a, inner.b);
        let (c, d) = self.turn(inner.c, inner.d);
        let (e, f) = self.place(inner.e, inner.f);
        Self { a, b, c, d, e, f }
    }

    /// Where a point comes to lie.
    pub(super) fn place(&self, x: f64, y: f64) -> (f64, f64) {
        let (x, y) = self.turn(x, y);
        (x + self.e, y + self.f)
    }

    /// What becomes of a distance.
    pub(super) fn turn(&self, x: f64, y: f64) -> (f64, f64) {
        (self.a * x + self.c * y, self.b * x + self.d * y)
    }

    /// The smallest upright box around a box after the map, as `[x0, y0, x1, y1]`.
    pub(super) fn around(&self, [x0, y0, x1, y1]: [f64; 4]) -> [f64; 4] {
        let corners = [(x0, y0), (x1, y0), (x0, y1), (x1, y1)].map(|(x, y)| self.place(x, y));
        let mut around = [f64::MAX, f64::MAX, f64::MIN, f64::MIN];
        for (x, y) in corners {
            let [left, bottom, right, top] = around;
            around = [left.min(x), bottom.min(y), right.max(x), top.max(y)];
        }
        around
    }
}

/// What a glyph says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Text {
    Char(char),
    /// Two characters or more.
    Str(Box<str>),
}

impl Text {
    /// The text, unless there is none.
    pub(super) fn of(text: &str) -> Option<Self> {
        let mut chars = text.chars();
        let first = chars.next()?;
        Some(if chars.next().is_none() { Self::Char(first) } else { Self::Str(text.into()) })
    }

    pub(super) fn first(&self) -> char {
        match self {
            Self::Char(char) => *char,
            Self::Str(text) => text.chars().next().unwrap_or(' '),
        }
    }

    pub(super) fn last(&self) -> char {
        match self {
            Self::Char(char) => *char,
            Self::Str(text) => text.chars().next_back().unwrap_or(' '),
        }
    }

    pub(super) fn push_to(&self, to: &mut String) {
        match self {
            Self::Char(char) => to.push(*char),
            Self::Str(text) => to.push_str(text),
        }
    }

    pub(super) fn is_blank(&self) -> bool {
        match self {
            Self::Char(char) => char.is_whitespace(),
            Self::Str(text) => text.trim().is_empty(),
        }
    }
}

/// A glyph where it stands on its page. Lengths are in points of the page's own
/// space, in which y grows upwards.
#[derive(Debug, Clone)]
pub(super) struct Glyph {
    pub(super) text: Text,
    pub(super) x: f64,
    pub(super) y: f64,
    /// The direction of the baseline, of unit length.
    pub(super) dx: f64,
    pub(super) dy: f64,
    /// The height of the em box.
    pub(super) size: f64,
    /// How far the pen moves along the baseline, without extra spacing.
    pub(super) advance: f64,
    /// The operator that showed it: glyphs of one string share theirs.
    pub(super) show: u32,
    pub(super) bold: bool,
    /// How low and how high the form field reaches whose value it is: it is read
    /// with the line that the field stands on.
    pub(super) field: Option<(f64, f64)>,
}

impl Glyph {
    /// How far along the baseline it begins.
    pub(super) fn along(&self) -> f64 {
        self.x * self.dx + self.y * self.dy
    }

    /// How far down the baseline is, at right angles to it.
    pub(super) fn down(&self) -> f64 {
        self.x * self.dy - self.y * self.dx
    }

    pub(super) fn end(&self) -> f64 {
        self.along() + self.advance
    }

    /// Whether two baselines point the same way, up to about ten degrees.
    pub(super) fn is_parallel(&self, other: &Self) -> bool {
        self.dx * other.dx + self.dy * other.dy >= 0.98
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn affine() -> impl Strategy<Value = Affine> {
        prop::array::uniform6(-100.0..100.0_f64).prop_map(Affine::new)
    }

    proptest! {
        #[test]
        fn maps_compose(outer in affine(), inner in affine(), x in -9.0..9.0_f64, y in -9.0..9.0_f64) {
            let (ix, iy) = inner.place(x, y);
            let (expected, found) = (outer.place(ix, iy), outer.after(&inner).place(x, y));
            prop_assert!((expected.0 - found.0).abs() < 1e-6 && (expected.1 - found.1).abs() < 1e-6);
        }

        #[test]
        fn a_box_holds_all_of_its_corners(map in affine(), x in 0.0..1.0_f64, y in 0.0..1.0_f64) {
            let [left, bottom, right, top] = map.around([0.0, 0.0, 1.0, 1.0]);
            let (x, y) = map.place(x, y);
            prop_assert!(left - 1e-6 <= x && x <= right + 1e-6 && bottom - 1e-6 <= y && y <= top + 1e-6);
        }
    }

    #[test]
    fn a_glyph_knows_its_place_along_and_across_its_own_baseline() {
        let mut glyph = Glyph {
            text: Text::Char('a'),
            x: 10.0,
            y: 700.0,
            dx: 1.0,
            dy: 0.0,
            size: 12.0,
            advance: 6.0,
            show: 0,
            bold: false,
            field: None,
        };
        assert_eq!((glyph.along(), glyph.end(), glyph.down()), (10.0, 16.0, -700.0));
        (glyph.dx, glyph.dy) = (0.0, 1.0);
        assert_eq!((glyph.along(), glyph.down()), (700.0, 10.0));
    }
}
