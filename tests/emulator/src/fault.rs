//! Rules that break single requests.
//!
//! # Grammar
//!
//! ```text
//! rule    = [METHOD] PATH { condition } "->" effect { "+" effect }
//! PATH    = text compared with path and query as sent; with `*` a pattern over the whole of it,
//!           without `*` a part of it; `host=foreign` below selects the other listener
//! condition =
//!     nth=N            only the N-th matching request (from 1)
//!     first=N          the first N
//!     after=N          all but the first N
//!     every=N          each N-th
//!     range=any|none   with or without a Range header
//!     range=A-B        whose Range starts at A..=B
//!     host=foreign     requests to the foreign listener (otherwise: to the services)
//! effect =
//!     status code=N [retry-after=TEXT] [body=TEXT]   this answer instead
//!     delay for=T                silence before the headers
//!     reset after=K              TCP reset after K bytes of body
//!     close after=K              orderly end after K bytes of the announced body
//!     stall after=K for=T        K bytes, silence for T, then the rest
//!     drip rate=N                N bytes per second
//!     length add=N               Content-Length wrong by N (may be negative)
//!     chunked                    no Content-Length
//!     flip at=OFFSET [count=N]   wrong bytes from this offset of the object (default: 1 byte)
//!     content-range shift=N      Content-Range wrong by N, the right bytes
//!     shift-range by=N           another range than asked for, with a matching Content-Range
//!     multipart                  the range as multipart/byteranges
//!     whole                      Range ignored
//!     html                       a captive portal's page with 200 instead
//!     change [longer=N]          the object changes now: other bytes and ETag, N bytes longer
//!     redirect to=URL|foreign [code=N]   (default code: 302)
//!     gzip                       the body compressed, although not asked for
//!     header name=NAME value=TEXT        one header set
//!     remove-header name=NAME
//!     raw text=TEXT              these bytes instead of an answer, then the end (\r \n \\ understood)
//! T       = number with ms, s or m;  K, N = number with optional k, M, G (1024);  TEXT = word or "quoted"
//! ```
//!
//! Example: `POST /stac/download* nth=2 -> reset after=64k`. Several rules may apply to one request; their
//! effects are combined in the order in which the rules were added.

pub(crate) mod apply;
mod grammar;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::journal::Host;
use crate::request::Request;

pub use grammar::ParseError;

/// Which requests to break, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The method; `None`: any.
    pub method: Option<String>,
    /// A part of path and query, or a pattern with `*` for the whole.
    pub path: String,
    /// The listener.
    pub host: Host,
    /// Which of the matching requests.
    pub nth: Nth,
    /// What the `Range` header must be like.
    pub range: RangeCondition,
    /// What happens.
    pub effects: Vec<Effect>,
}

/// Which of the matching requests a rule breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nth {
    /// All.
    All,
    /// The n-th, counted from 1.
    Only(u64),
    /// The first n.
    First(u64),
    /// All after the first n.
    After(u64),
    /// Each n-th.
    Every(u64),
}

/// What a `Range` header must be like for a rule to match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeCondition {
    /// Not looked at.
    Ignored,
    /// Present.
    Present,
    /// Missing.
    Missing,
    /// Present, and its start lies between these two, inclusive.
    Starts(u64, u64),
}

/// One way to break an answer. See the grammar for what each does.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the grammar in the module's header describes each with its parameters")]
pub enum Effect {
    Status { code: u16, retry_after: Option<String>, body: Option<String> },
    Delay { time: Duration },
    Reset { after: u64 },
    Close { after: u64 },
    Stall { after: u64, time: Duration },
    Drip { rate: u64 },
    Length { add: i64 },
    Chunked,
    Flip { at: u64, count: u64 },
    ContentRange { shift: i64 },
    ShiftRange { by: i64 },
    Multipart,
    Whole,
    Html,
    Change { longer: i64 },
    Redirect { to: String, code: u16 },
    Gzip,
    Header { name: String, value: String },
    RemoveHeader { name: String },
    Raw { text: Vec<u8> },
}

/// The rules of an emulator.
#[derive(Debug, Default)]
pub struct Faults {
    rules: Mutex<Vec<Armed>>,
    next: AtomicU64,
}

#[derive(Debug)]
struct Armed {
    id: RuleId,
    text: String,
    rule: Rule,
    seen: u64,
    hits: u64,
}

/// Names a rule that was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleId(u64);

impl Faults {
    /// Adds a rule written in the grammar of this module.
    ///
    /// # Errors
    /// If the text is not a rule.
    pub fn add(&self, text: &str) -> Result<RuleId, ParseError> {
        Ok(self.arm(text.trim().to_owned(), text.parse()?))
    }

    /// Adds a rule.
    pub fn add_rule(&self, rule: Rule) -> RuleId {
        self.arm(format!("{rule:?}"), rule)
    }

    fn arm(&self, text: String, rule: Rule) -> RuleId {
        let id = RuleId(self.next.fetch_add(1, Ordering::Relaxed));
        self.rules.lock().push(Armed { id, text, rule, seen: 0, hits: 0 });
        id
    }

    /// Removes one rule.
    pub fn remove(&self, id: RuleId) {
        self.rules.lock().retain(|armed| armed.id != id);
    }

    /// Removes all rules.
    pub fn clear(&self) {
        self.rules.lock().clear();
    }

    /// How many requests a rule has broken.
    pub fn hits(&self, id: RuleId) -> u64 {
        self.rules.lock().iter().find(|armed| armed.id == id).map_or(0, |armed| armed.hits)
    }

    /// How many requests all present rules have broken.
    pub fn total_hits(&self) -> u64 {
        self.rules.lock().iter().map(|armed| armed.hits).sum()
    }

    /// The effects on this request, which is counted, and the texts of the rules that have them.
    pub(crate) fn strike(&self, request: &Request) -> (Vec<Effect>, Option<String>) {
        let mut rules = self.rules.lock();
        if rules.is_empty() {
            return (Vec::new(), None);
        }
        let target = request.target();
        let (mut effects, mut texts) = (Vec::new(), Vec::new());
        for armed in rules.iter_mut().filter(|armed| armed.rule.matches(request, &target)) {
            armed.seen += 1;
            if armed.rule.nth.selects(armed.seen) {
                armed.hits += 1;
                effects.extend(armed.rule.effects.iter().cloned());
                texts.push(armed.text.clone());
            }
        }
        let texts = (!texts.is_empty()).then(|| texts.join("; "));
        (effects, texts)
    }
}

impl Rule {
    fn matches(&self, request: &Request, target: &str) -> bool {
        let range = request.header(hyper::header::RANGE);
        self.host == request.host
            && !request.path.starts_with("/_emulator")
            && self.method.as_ref().is_none_or(|method| *method == request.method)
            && if self.path.contains('*') { glob(&self.path, target) } else { target.contains(&self.path) }
            && match self.range {
                RangeCondition::Ignored => true,
                RangeCondition::Present => range.is_some(),
                RangeCondition::Missing => range.is_none(),
                RangeCondition::Starts(first, last) => range
                    .and_then(|range| range.strip_prefix("bytes=")?.split('-').next()?.parse().ok())
                    .is_some_and(|start: u64| (first..=last).contains(&start)),
            }
    }
}

impl Nth {
    fn selects(self, number: u64) -> bool {
        match self {
            Nth::All => true,
            Nth::Only(n) => number == n,
            Nth::First(n) => number <= n,
            Nth::After(n) => number > n,
            Nth::Every(n) => n > 0 && number.is_multiple_of(n),
        }
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Whether `text` is matched by `pattern`, in which `*` stands for anything.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_match_anything() {
        assert!(glob("/stac/download*", "/stac/download?filename=a/b"));
        assert!(glob("*B02*10m.jp2", "/x/B02_10m.jp2"));
        assert!(glob("/a*b*c", "/abc"));
        assert!(!glob("/a*b*c", "/acb"));
        assert!(!glob("/stac*x", "/stac/y"));
    }

    #[test]
    fn numbers_select() {
        let chosen = |nth: Nth| (1..=6).filter(|number| nth.selects(*number)).collect::<Vec<u64>>();
        assert_eq!(chosen(Nth::Only(2)), [2]);
        assert_eq!(chosen(Nth::First(2)), [1, 2]);
        assert_eq!(chosen(Nth::After(4)), [5, 6]);
        assert_eq!(chosen(Nth::Every(3)), [3, 6]);
        assert!(chosen(Nth::Every(0)).is_empty());
    }
}
