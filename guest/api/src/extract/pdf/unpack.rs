//! The bytes of a stream, within bounds. The PDF parser itself unpacks without
//! any, so what may grow beyond them is unpacked here first.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::{DeflateDecoder, ZlibDecoder};
use hayro_syntax::Filter;
use hayro_syntax::object::{Array, Dict, Object, Stream};

use super::super::Unreadable;
use crate::limits;

/// Why a stream has no bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is damaged, or holds an image.
    Broken,
    /// The whole document is refused.
    Refused(Unreadable),
}

/// What a document may still unpack to.
#[derive(Debug)]
pub(super) struct Budget(u64);

impl Default for Budget {
    fn default() -> Self {
        Self(limits::MAX_PDF_UNPACKED_BYTES as u64)
    }
}

const TOO_LARGE: Fault = Fault::Refused(Unreadable::Bound {
    most: limits::MAX_PDF_STREAM_BYTES,
    what: "unpacked bytes in one stream",
});

impl Budget {
    /// The bytes of a stream, all of its filters undone.
    pub(super) fn unpack<'a>(&mut self, stream: &Stream<'a>) -> Result<Cow<'a, [u8]>, Fault> {
        let bytes = unpack(stream, limits::MAX_PDF_STREAM_BYTES)?;
        let left = self.0.checked_sub(bytes.len() as u64);
        self.0 = left.ok_or(Fault::Refused(Unreadable::Bound {
            most: limits::MAX_PDF_UNPACKED_BYTES,
            what: "unpacked bytes",
        }))?;
        Ok(bytes)
    }
}

fn unpack<'a>(stream: &Stream<'a>, most: usize) -> Result<Cow<'a, [u8]>, Fault> {
    let filters = stream.filters();
    if filters.iter().any(|filter| is_image(*filter)) {
        return Err(Fault::Broken);
    }
    let raw = stream.raw_data();
    if largest(raw.len(), &filters) > most {
        match bounded(&raw, &filters, most)? {
            Some(bytes) if !has_predictor(stream.dict()) => return Ok(Cow::Owned(bytes)),
            Some(_) => {}
            // What cannot be measured is damaged as well as large.
            None => return Err(Fault::Broken),
        }
    }
    stream.decoded_data().map_err(|_| Fault::Broken)
}

fn is_image(filter: Filter) -> bool {
    matches!(
        filter,
        Filter::DctDecode | Filter::JpxDecode | Filter::Jbig2Decode | Filter::CcittFaxDecode
    )
}

/// The most that bytes can unpack to.
fn largest(bytes: usize, filters: &[Filter]) -> usize {
    filters.iter().fold(bytes, |bytes, filter| {
        bytes.saturating_mul(match filter {
            // 258 bytes from two bits.
            Filter::FlateDecode => 1_032,
            // The longest entry of the table from nine bits.
            Filter::LzwDecode => 3_641,
            Filter::RunLengthDecode => 64,
            // `z` stands for four bytes.
            Filter::Ascii85Decode => 4,
            _ => 1,
        })
    })
}

fn has_predictor(dict: &Dict<'_>) -> bool {
    let predicts = |params: &Dict<'_>| params.get::<i32>("Predictor").is_some_and(|kind| kind > 1);
    let Some(params) = dict.get::<Object<'_>>("DecodeParms").or_else(|| dict.get("DP")) else {
        return false;
    };
    match params {
        Object::Dict(params) => predicts(&params),
        Object::Array(all) => array_predicts(&all, predicts),
        _ => false,
    }
}

fn array_predicts(all: &Array<'_>, predicts: impl Fn(&Dict<'_>) -> bool) -> bool {
    all.iter::<Object<'_>>().any(|one| one.into_dict().is_some_and(|params| predicts(&params)))
}

/// Undoes filters without a predictor; nothing where the bytes are damaged.
fn bounded(raw: &[u8], filters: &[Filter], most: usize) -> Result<Option<Vec<u8>>, Fault> {
    let mut bytes = Cow::Borrowed(raw);
    for filter in filters {
        let next = match filter {
            Filter::FlateDecode => inflate(&bytes, most),
            Filter::LzwDecode => lzw(&bytes, most),
            Filter::RunLengthDecode => run_length(&bytes, most),
            Filter::Ascii85Decode => ascii_85(&bytes),
            Filter::AsciiHexDecode => ascii_hex(&bytes),
            _ => None,
        };
        let Some(next) = next else { return Ok(None) };
        if next.len() > most {
            return Err(TOO_LARGE);
        }
        bytes = Cow::Owned(next);
    }
    Ok(Some(bytes.into_owned()))
}

/// What a deflated stream holds, up to one byte more than the most. What comes
/// before damage is kept.
pub(super) fn inflate(bytes: &[u8], most: usize) -> Option<Vec<u8>> {
    let mut unpacked = Vec::new();
    let limit = most as u64 + 1;
    let _ = ZlibDecoder::new(bytes).take(limit).read_to_end(&mut unpacked);
    if unpacked.is_empty() {
        // The two bytes of the header may be damaged or missing.
        for skip in [2, 0] {
            let bytes = bytes.get(skip..)?;
            let _ = DeflateDecoder::new(bytes).take(limit).read_to_end(&mut unpacked);
            if !unpacked.is_empty() {
                break;
            }
        }
    }
    (!unpacked.is_empty()).then_some(unpacked)
}

/// LZW as PDF writes it: codes of 9 to 12 bits, the width grows one code early.
fn lzw(bytes: &[u8], most: usize) -> Option<Vec<u8>> {
    const CLEAR: usize = 256;
    const END: usize = 257;
    // Entries are places in what has been unpacked.
    let mut table: Vec<(usize, usize)> = Vec::new();
    let (mut unpacked, mut before) = (Vec::new(), None);
    let (mut bits, mut held, mut width) = (0_u32, 0_u32, 9_u32);
    for byte in bytes {
        (bits, held) = (bits << 8 | u32::from(*byte), held + 8);
        if held < width {
            continue;
        }
        held -= width;
        let code = (bits >> held) as usize & ((1 << width) - 1);
        bits &= (1 << held) - 1;
        let start = unpacked.len();
        match code {
            CLEAR => {
                (width, before) = (9, None);
                table.clear();
                continue;
            }
            END => break,
            _ if code < CLEAR => unpacked.push(u8::try_from(code).ok()?),
            _ => {
                let (from, length) = match table.get(code - 258) {
                    Some(entry) => *entry,
                    None => before.map(|(from, length)| (from, length + 1))?,
                };
                for at in from..from + length {
                    unpacked.push(*unpacked.get(at)?);
                }
            }
        }
        if unpacked.len() > most {
            break;
        }
        if let Some((from, length)) = before
            && table.len() < 4_096 - 258
        {
            table.push((from, length + 1));
        }
        before = Some((start, unpacked.len() - start));
        width = match table.len() + 258 + 2 {
            0..=512 => 9,
            513..=1_024 => 10,
            1_025..=2_048 => 11,
            _ => 12,
        };
    }
    Some(unpacked)
}

fn run_length(bytes: &[u8], most: usize) -> Option<Vec<u8>> {
    let (mut unpacked, mut rest) = (Vec::new(), bytes);
    while let Some((length, tail)) = rest.split_first().filter(|(length, _)| **length != 128) {
        let taken = match usize::from(*length) {
            length @ ..128 => {
                let taken = (length + 1).min(tail.len());
                unpacked.extend_from_slice(tail.get(..taken)?);
                taken
            }
            length => {
                let byte = *tail.first()?;
                unpacked.resize(unpacked.len() + 257 - length, byte);
                1
            }
        };
        rest = tail.get(taken..)?;
        if unpacked.len() > most {
            break;
        }
    }
    Some(unpacked)
}

fn ascii_85(bytes: &[u8]) -> Option<Vec<u8>> {
    let (mut unpacked, mut group, mut held) = (Vec::new(), 0_u32, 0);
    for byte in bytes.iter().filter(|byte| !byte.is_ascii_whitespace()) {
        match byte {
            b'~' => break,
            b'z' if held == 0 => unpacked.extend([0; 4]),
            b'!'..=b'u' => {
                group = group.wrapping_mul(85).wrapping_add(u32::from(byte - b'!'));
                held += 1;
                if held == 5 {
                    unpacked.extend(group.to_be_bytes());
                    (group, held) = (0, 0);
                }
            }
            _ => return None,
        }
    }
    if held > 1 {
        for _ in held..5 {
            group = group.wrapping_mul(85).wrapping_add(84);
        }
        unpacked.extend(group.to_be_bytes().iter().take(held - 1));
    }
    Some(unpacked)
}

fn ascii_hex(bytes: &[u8]) -> Option<Vec<u8>> {
    let digits = bytes.iter().take_while(|byte| **byte != b'>');
    let digits: Option<Vec<u8>> = digits
        .filter(|byte| !byte.is_ascii_whitespace())
        .map(|byte| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    Some(
        digits?
            .chunks(2)
            .map(|pair| {
                pair.iter().fold(0, |all, digit| all << 4 | digit) << (4 * (2 - pair.len()))
            })
            .collect(),
    )
}

/// Refuses a file whose tables of objects unpack beyond bounds: the parser
/// unpacks them while it opens the file. Tables that are encrypted cannot be
/// measured.
pub(super) fn check_tables(file: &[u8]) -> Result<(), Unreadable> {
    let mut left = limits::MAX_PDF_STREAM_BYTES;
    for name in [&b"/ObjStm"[..], b"/XRef"] {
        for at in memchr::memmem::find_iter(file, name) {
            let head = file.get(at..file.len().min(at + 2_048)).unwrap_or_default();
            let Some(start) = memchr::memmem::find(head, b"stream") else { continue };
            let body = file.get(at + start + 6..).unwrap_or_default();
            let skip = body.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count().min(2);
            let body = body.get(skip..).unwrap_or_default();
            let mut reader = ZlibDecoder::new(body).take(left as u64 + 1);
            let read = std::io::copy(&mut reader, &mut std::io::sink()).unwrap_or(0);
            left = left.checked_sub(usize::try_from(read).unwrap_or(usize::MAX)).ok_or(
                Unreadable::Bound {
                    most: limits::MAX_PDF_STREAM_BYTES,
                    what: "unpacked bytes in its tables of objects",
                },
            )?;
        }
    }
    Ok(())
}
