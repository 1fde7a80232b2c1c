//! Distributed tracing: W3C Trace Context, and spans for the exporter.

use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue};
use ragtime_policy::digest::{hex, push_hex};
use serde_json::Value;

/// The header that carries a trace (W3C Trace Context, section 3.2).
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// A place in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: [u8; 16],
    span_id: [u8; 8],
    /// The caller's span.
    parent: Option<[u8; 8]>,
    sampled: bool,
}

/// What kind of work a span stands for (OTLP `SpanKind`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum SpanKind {
    /// A request that came in.
    Server = 2,
    /// A request that went out.
    Client = 3,
}

/// Work that has ended.
#[derive(Debug)]
pub struct Span {
    /// Where it stands.
    pub context: TraceContext,
    /// What it was, with few different values.
    pub name: String,
    /// What kind of work it was.
    pub kind: SpanKind,
    /// When it began.
    pub started: SystemTime,
    /// When it ended.
    pub ended: SystemTime,
    /// Names of OpenTelemetry's semantic conventions where there are some.
    pub attributes: Vec<(&'static str, Value)>,
    /// Whether it failed.
    pub failed: bool,
}

impl TraceContext {
    /// The client's trace, with a span of our own in it; a new trace when it
    /// sent none that can be read. `ratio` of the new ones are exported.
    pub fn of(headers: &HeaderMap, ratio: f64) -> Self {
        let sent = headers.get(TRACEPARENT).and_then(|value| parse(value.to_str().ok()?));
        match sent {
            Some((trace_id, parent, sampled)) => {
                Self { trace_id, span_id: span_id(), parent: Some(parent), sampled }
            }
            None => {
                let trace_id = uuid::Uuid::new_v4().into_bytes();
                let sampled = is_sampled(&trace_id, ratio);
                Self { trace_id, span_id: span_id(), parent: None, sampled }
            }
        }
    }

    /// A step below this one.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { span_id: span_id(), parent: Some(self.span_id), ..*self }
    }

    /// Whether its spans are exported.
    pub fn is_sampled(&self) -> bool {
        self.sampled
    }

    /// 32 hexadecimal digits.
    pub fn trace_id(&self) -> String {
        hex(&self.trace_id)
    }

    /// 16 hexadecimal digits.
    pub fn span_id(&self) -> String {
        hex(&self.span_id)
    }

    /// 16 hexadecimal digits, if there is a caller's span.
    pub fn parent_id(&self) -> Option<String> {
        self.parent.map(|id| hex(&id))
    }

    /// What to send on.
    pub fn traceparent(&self) -> HeaderValue {
        let mut text = String::with_capacity(TRACEPARENT_BYTES);
        text.push_str("00-");
        push_hex(&mut text, &self.trace_id);
        text.push('-');
        push_hex(&mut text, &self.span_id);
        text.push('-');
        push_hex(&mut text, &[u8::from(self.sampled)]);
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
    }
}

fn span_id() -> [u8; 8] {
    // The first half of a random UUID: 60 random bits, and never all zero.
    uuid::Uuid::new_v4().as_u64_pair().0.to_be_bytes()
}

/// The lower half of the trace id as a number below `ratio`, as
/// OpenTelemetry's `TraceIdRatioBased` sampler does it, so that all services
/// choose the same traces.
fn is_sampled(trace_id: &[u8; 16], ratio: f64) -> bool {
    let low = (u128::from_be_bytes(*trace_id) & u128::from(u64::MAX)) as u64;
    // One bit less: the variant of a UUID is in the first two of these.
    ratio >= 1.0 || ((low << 2) as f64) < ratio * u64::MAX as f64
}

/// Trace id, span id, and whether it is sampled. Versions after 00 may have
/// more fields (section 3.2.4).
fn parse(text: &str) -> Option<([u8; 16], [u8; 8], bool)> {
    let mut fields = text.split('-');
    let version = fields.next()?;
    let (trace, span, flags) = (fields.next()?, fields.next()?, fields.next()?);
    let known = bytes::<1>(version)? != [0xff] && (version != "00" || fields.next().is_none());
    let (trace, span, [flags]) = (bytes(trace)?, bytes(span)?, bytes::<1>(flags)?);
    (known && trace != [0; 16] && span != [0; 8]).then_some((trace, span, flags & 1 == 1))
}

/// Lower-case hexadecimal digits only.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N
        || digits.iter().any(|digit| !matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    {
        return None;
    }
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(out)
}

/// Version, trace id, span id and flags, with what stands between them.
const TRACEPARENT_BYTES: usize = 55;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn of(value: &str, ratio: f64) -> TraceContext {
        let headers = HeaderMap::from_iter([(TRACEPARENT, HeaderValue::from_str(value).unwrap())]);
        TraceContext::of(&headers, ratio)
    }

    #[test]
    fn a_clients_trace_goes_on() {
        let context = of(SENT, 0.0);
        assert_eq!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.parent_id().unwrap(), "00f067aa0ba902b7");
        assert!(context.is_sampled());
        let sent_on = context.traceparent().to_str().unwrap().to_owned();
        assert_eq!(of(&sent_on, 0.0).trace_id, context.trace_id);
        assert_eq!(of(&sent_on, 0.0).parent, Some(context.span_id));
    }

    #[test]
    fn what_cannot_be_read_begins_a_new_trace() {
        let long = format!("{SENT}-00");
        for bad in [
            "",
            "00",
            &SENT.to_uppercase(),
            &SENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &SENT.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &SENT.replacen("00", "ff", 1),
            &long,
        ] {
            let context = of(bad, 1.0);
            assert_eq!(context.parent, None, "{bad}");
            assert_ne!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        }
        assert!(of(&long.replacen("00", "01", 1), 0.0).parent.is_some());
    }

    #[test]
    fn about_the_asked_share_is_sampled() {
        let sampled = |ratio| {
            (0..2_000).filter(|_| TraceContext::of(&HeaderMap::new(), ratio).is_sampled()).count()
        };
        assert_eq!((sampled(0.0), sampled(1.0)), (0, 2_000));
        assert!((350..650).contains(&sampled(0.25)));
    }
}
