//! Annotations and the values of form fields (ISO 32000-2, 12.5 and 12.7).

use hayro_syntax::object::{Array, Dict, Name, Object, Stream, String as Bytes};

use super::geometry::{Affine, Glyph};
use super::strings;
use super::unicode::tidy;
use crate::limits;

const HIDDEN: u32 = 1 << 1;
const NO_VIEW: u32 = 1 << 5;
const MULTILINE: u32 = 1 << 12;
const PASSWORD: u32 = 1 << 13;
const PUSH_BUTTON: u32 = 1 << 16;

/// Whether a viewer shows an annotation with the page. A note that opens in a
/// window of its own is no part of it.
pub(super) fn is_shown(annotation: &Dict<'_>) -> bool {
    let flags = annotation.get::<u32>("F").unwrap_or(0);
    let kind = annotation.get::<Name<'_>>("Subtype");
    flags & (HIDDEN | NO_VIEW) == 0 && kind.is_none_or(|kind| kind.as_str() != "Popup")
}

fn is_field(annotation: &Dict<'_>) -> bool {
    annotation.get::<Name<'_>>("Subtype").is_some_and(|kind| kind.as_str() == "Widget")
}

/// How low and how high a form field reaches, if the annotation is one.
pub(super) fn field(annotation: &Dict<'_>) -> Option<(f64, f64)> {
    let [_, low, _, high] = rectangle(annotation).filter(|_| is_field(annotation))?;
    Some((low, high))
}

/// The normal appearance, in the state that the annotation is in.
pub(super) fn appearance<'a>(annotation: &Dict<'a>) -> Option<Stream<'a>> {
    match annotation.get::<Dict<'_>>("AP")?.get::<Object<'_>>("N")? {
        Object::Stream(stream) => Some(stream),
        Object::Dict(states) => {
            let state = annotation.get::<Name<'_>>("AS")?;
            states.get::<Stream<'_>>(state)
        }
        _ => None,
    }
}

/// From the space of an appearance to that of the page: its box comes to fill
/// the rectangle of the annotation (ISO 32000-2, 12.5.5, algorithm 1).
pub(super) fn placed(
    annotation: &Dict<'_>,
    stream: &Stream<'_>,
    matrix: &Affine,
) -> Option<Affine> {
    let [x0, y0, x1, y1] = rectangle(annotation)?;
    let own = stream.dict().get::<[f64; 4]>("BBox")?;
    let [left, bottom, right, top] = matrix.around(own);
    let scale = |to: f64, from: f64| if from.abs() > 1e-9 { to / from } else { 1.0 };
    let (sx, sy) = (scale(x1 - x0, right - left), scale(y1 - y0, top - bottom));
    let fit = Affine::new([sx, 0.0, 0.0, sy, x0 - sx * left, y0 - sy * bottom]);
    Some(fit.after(matrix))
}

fn rectangle(annotation: &Dict<'_>) -> Option<[f64; 4]> {
    let [a, b, c, d] = annotation.get::<[f64; 4]>("Rect")?;
    Some([a.min(c), b.min(d), a.max(c), b.max(d)])
}

/// What an annotation says that has no appearance: a field its value, free text
/// its contents. One glyph stands for each line.
pub(super) fn value(annotation: &Dict<'_>, shows: &mut u32) -> Vec<Glyph> {
    let field = field(annotation);
    let kind = annotation.get::<Name<'_>>("Subtype");
    let text = if field.is_some() {
        field_value(annotation)
    } else if kind.is_some_and(|kind| kind.as_str() == "FreeText") {
        annotation.get::<Bytes<'_>>("Contents").map(|text| strings::text(text.as_bytes()))
    } else {
        None
    };
    let (Some(text), Some([x0, y0, x1, y1])) = (text, rectangle(annotation)) else {
        return Vec::new();
    };
    let flags = inherited::<u32>(annotation, "Ff").unwrap_or(0);
    let size = size(annotation).unwrap_or_else(|| (0.7 * (y1 - y0)).clamp(4.0, 12.0));
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let single = lines.len() == 1 && flags & MULTILINE == 0;
    let first = if single { (y0 + y1) / 2.0 - 0.35 * size } else { y1 - size };
    let glyph = |(at, line): (usize, &str)| {
        *shows += 1;
        Some(Glyph {
            text: tidy(line)?,
            x: x0 + 2.0,
            y: first - 1.15 * size * at as f64,
            dx: 1.0,
            dy: 0.0,
            size,
            advance: (0.5 * size * line.chars().count() as f64).min(x1 - x0).max(0.0),
            show: *shows,
            bold: false,
            field,
        })
    };
    lines.into_iter().enumerate().filter_map(glyph).collect()
}

/// The size that the default appearance names: `/Helv 12 Tf`; 0 stands for a
/// size that fits.
fn size(annotation: &Dict<'_>) -> Option<f64> {
    let appearance = inherited::<Bytes<'_>>(annotation, "DA")?;
    let appearance = String::from_utf8_lossy(appearance.as_bytes()).into_owned();
    let words: Vec<&str> = appearance.split_ascii_whitespace().collect();
    let at = words.iter().position(|word| *word == "Tf")?;
    let size: f64 = words.get(at.checked_sub(1)?)?.parse().ok()?;
    Some(size).filter(|size| (1.0..200.0).contains(size))
}

fn field_value(field: &Dict<'_>) -> Option<String> {
    let flags = inherited::<u32>(field, "Ff").unwrap_or(0);
    let value = inherited::<Object<'_>>(field, "V");
    match inherited::<Name<'_>>(field, "FT")?.as_str() {
        "Tx" if flags & PASSWORD == 0 => plain(&value?),
        "Ch" => {
            let chosen = match value? {
                Object::Array(all) => {
                    all.iter::<Object<'_>>().filter_map(|one| plain(&one)).collect()
                }
                one => vec![plain(&one)?],
            };
            let labels: Vec<String> = chosen.iter().map(|one| label(field, one)).collect();
            Some(labels.join(", "))
        }
        "Btn" if flags & PUSH_BUTTON == 0 => {
            let own = field.get::<Name<'_>>("AS");
            let state = own.or_else(|| value.and_then(Object::into_name))?;
            (state.as_str() != "Off").then(|| "☑".to_owned())
        }
        _ => None,
    }
}

fn plain(value: &Object<'_>) -> Option<String> {
    match value {
        Object::String(text) => Some(strings::text(text.as_bytes())),
        Object::Name(name) => Some(name.as_str().to_owned()),
        _ => None,
    }
}

/// What a choice is called on the page: options may be pairs of value and label.
fn label(field: &Dict<'_>, value: &str) -> String {
    let options = inherited::<Array<'_>>(field, "Opt");
    let pairs = options.iter().flat_map(|options| options.iter::<Array<'_>>());
    for pair in pairs.take(limits::MAX_PDF_ANNOTATIONS) {
        let mut pair = pair.iter::<Object<'_>>().filter_map(|part| plain(&part));
        if pair.next().is_some_and(|export| export == value) {
            return pair.next().unwrap_or_else(|| value.to_owned());
        }
    }
    value.to_owned()
}

/// An entry of a field or of the nearest field above that has it.
fn inherited<'a, T: TryFrom<Object<'a>>>(field: &Dict<'a>, key: &str) -> Option<T> {
    let mut field = field.clone();
    for _ in 0..limits::MAX_PDF_DEPTH {
        if let Some(found) = field.get::<Object<'_>>(key) {
            return T::try_from(found).ok();
        }
        field = field.get::<Dict<'_>>("Parent")?;
    }
    None
}
