//! Numbers as a cell shows them (ECMA-376 part 1, section 18.8.31).

/// Digits after the point that a number without a format shows at most: a cell
/// holds 15 significant digits.
const SIGNIFICANT: usize = 15;

/// The most decimal places of a format.
const MAX_PLACES: usize = 30;

/// A number as the format shows it. What a format says of colour, width and
/// condition is not for a text.
pub(super) fn shown(value: f64, format: &str) -> String {
    let sections: Vec<&str> = sections(format);
    let (section, magnitude) = match (sections.as_slice(), value) {
        ([_, negative, ..], value) if value < 0.0 => (*negative, -value),
        ([_, _, zero, ..], 0.0) => (*zero, value),
        ([first, ..], value) => (*first, value),
        ([], value) => ("", value),
    };
    let plain = section.trim().is_empty() || section.to_ascii_lowercase().contains("general");
    let pattern = Pattern::read(section);
    let literal = pattern.digits.is_empty() && !pattern.before.trim().is_empty();
    if !plain && literal && sections.len() > 1 {
        return pattern.before.trim().to_owned();
    }
    if plain || pattern.digits.is_empty() || section.contains('?') || section.contains('@') {
        return general(value);
    }
    pattern.write(magnitude)
}

fn sections(format: &str) -> Vec<&str> {
    let (mut parts, mut start, mut quoted) = (Vec::new(), 0, false);
    for (at, char) in format.char_indices() {
        match char {
            '"' => quoted = !quoted,
            ';' if !quoted => {
                parts.push(format.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(format.get(start..).unwrap_or_default());
    parts
}

/// As it is, without the error of its binary form.
fn general(value: f64) -> String {
    if !value.is_finite() {
        return String::new();
    }
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-9..1e15).contains(&magnitude) {
        return format!("{value:E}");
    }
    let whole = if magnitude < 1.0 { 1 } else { magnitude.log10() as usize + 1 };
    let text = format!("{value:.*}", SIGNIFICANT.saturating_sub(whole));
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[derive(Debug, Default)]
struct Pattern {
    before: String,
    /// `0`, `#`, `.`, `,` as they come.
    digits: String,
    after: String,
    percent: bool,
    scientific: bool,
}

impl Pattern {
    fn read(section: &str) -> Self {
        let mut pattern = Self::default();
        let mut chars = section.chars().peekable();
        while let Some(char) = chars.next() {
            match char {
                '0' | '#' | '.' | ',' if !pattern.scientific => {
                    pattern.digits.push(char);
                }
                '0' | '#' => {}
                'E' | 'e' if matches!(chars.peek(), Some('+' | '-')) => {
                    chars.next();
                    pattern.scientific = true;
                }
                '%' => {
                    pattern.percent = true;
                    pattern.literal('%');
                }
                '"' => {
                    for char in chars.by_ref().take_while(|char| *char != '"') {
                        pattern.literal(char);
                    }
                }
                '\\' => {
                    if let Some(char) = chars.next() {
                        pattern.literal(char);
                    }
                }
                // A character's width, or filling.
                '_' | '*' => drop(chars.next()),
                '[' => {
                    let inner: String = chars.by_ref().take_while(|char| *char != ']').collect();
                    let sign = inner.strip_prefix('$').and_then(|sign| sign.split('-').next());
                    sign.unwrap_or_default().chars().for_each(|char| pattern.literal(char));
                }
                char => pattern.literal(char),
            }
        }
        pattern
    }

    fn literal(&mut self, char: char) {
        let part = if self.digits.is_empty() { &mut self.before } else { &mut self.after };
        part.push(char);
    }

    fn write(&self, value: f64) -> String {
        // Each comma after the last digit divides by a thousand.
        let digits = self.digits.trim_end_matches(',');
        let (whole, places) = digits.split_once('.').unwrap_or((digits, ""));
        let scale =
            self.digits.len() - digits.len() + whole.len() - whole.trim_end_matches(',').len();
        let grouped = whole.trim_end_matches(',').contains(',');
        let most = places.chars().filter(|char| matches!(char, '0' | '#')).count().min(MAX_PLACES);
        let least = places.chars().filter(|char| *char == '0').count().min(MAX_PLACES);
        let value = if self.percent { value * 100.0 } else { value } / 1_000_f64.powi(scale as i32);
        if self.scientific {
            return format!("{}{value:.most$E}{}", self.before, self.after).trim().to_owned();
        }
        // Half away from zero, as in a cell, whatever the binary form is.
        let nudged = value + value.signum() * value.abs() * f64::EPSILON;
        let text = format!("{:.most$}", nudged.abs());
        let (digits, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let kept = fraction.trim_end_matches('0').len().max(least).min(fraction.len());
        let fraction = fraction.get(..kept).unwrap_or_default();
        let zeros = whole.chars().filter(|char| *char == '0').count();
        let digits = match digits {
            "0" if zeros == 0 && !fraction.is_empty() => "",
            digits => digits,
        };
        let padded = format!("{digits:0>zeros$}");
        let digits = if grouped { groups(&padded) } else { padded };
        let sign = if value < 0.0 && text.bytes().any(|byte| matches!(byte, b'1'..=b'9')) {
            "-"
        } else {
            ""
        };
        let point = if fraction.is_empty() { "" } else { "." };
        let text = format!("{sign}{}{digits}{point}{fraction}{}", self.before, self.after);
        text.trim().to_owned()
    }
}

fn groups(digits: &str) -> String {
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_as_its_cell_shows_it() {
        for (value, format, text) in [
            (0.1 + 0.2, "", "0.3"),
            (41_200.0, "General", "41200"),
            (0.125, "0.0%", "12.5%"),
            (0.5, "0%", "50%"),
            (1_234_567.891, "#,##0.00", "1,234,567.89"),
            (-1_234.5, "#,##0.00;(#,##0.00)", "(1,234.50)"),
            (12.0, "\"EUR\" 0.00", "EUR 12.00"),
            (12.0, "#,##0.00\\ [$€-407]", "12.00 €"),
            (7.0, "000", "007"),
            (1_500_000.0, "0.0,,\"M\"", "1.5M"),
            (2.675, "0.00", "2.68"),
            (0.0, "0;-0;\"none\"", "none"),
            (12_345.678, "0.00E+00", "1.23E4"),
            (-3.0, "0.00", "-3.00"),
            (1e20, "", "1E20"),
            (0.5, "# ?/?", "0.5"),
        ] {
            assert_eq!(shown(value, format), text, "{value} as {format}");
        }
    }
}
