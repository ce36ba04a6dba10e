//! The textual form of a [`Rule`]: words, `name=value` pairs, an arrow, effects.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{Effect, Nth, RangeCondition, Rule};
use crate::journal::Host;

/// Why a text is not a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError(String);

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a fault rule: {}", self.0)
    }
}

impl std::error::Error for ParseError {}

fn error<T>(message: impl Into<String>) -> Result<T, ParseError> {
    Err(ParseError(message.into()))
}

impl FromStr for Rule {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Rule, ParseError> {
        let words = split(text)?;
        let Some(arrow) = words.iter().position(|word| word == "->") else { return error("no `->`") };
        let (condition, effects) = (&words[..arrow], &words[arrow + 1..]);
        let mut rule = Rule {
            method: None,
            path: String::new(),
            host: Host::Services,
            nth: Nth::All,
            range: RangeCondition::Ignored,
            effects: Vec::new(),
        };
        for (place, word) in condition.iter().enumerate() {
            let setting = word.split_once('=').filter(|_| place > 0 && !rule.path.is_empty());
            match setting {
                Some(("nth", value)) => rule.nth = Nth::Only(number(value)?),
                Some(("first", value)) => rule.nth = Nth::First(number(value)?),
                Some(("after", value)) => rule.nth = Nth::After(number(value)?),
                Some(("every", value)) => rule.nth = Nth::Every(number(value)?),
                Some(("range", value)) => rule.range = range(value)?,
                Some(("host", "foreign")) => rule.host = Host::Foreign,
                Some((name, _)) => return error(format!("unknown condition `{name}`")),
                None if place == 0 && word.bytes().all(|byte| byte.is_ascii_uppercase()) => {
                    rule.method = Some(word.clone());
                }
                None if rule.path.is_empty() => rule.path = word.clone(),
                None => return error(format!("unexpected `{word}`")),
            }
        }
        if rule.path.is_empty() {
            return error("no path");
        }
        for words in effects.split(|word| word == "+") {
            rule.effects.push(effect(words)?);
        }
        Ok(rule)
    }
}

fn range(value: &str) -> Result<RangeCondition, ParseError> {
    Ok(match value {
        "any" => RangeCondition::Present,
        "none" => RangeCondition::Missing,
        _ => match value.split_once('-') {
            Some((first, last)) => RangeCondition::Starts(number(first)?, number(last)?),
            None => return error(format!("range `{value}`: any, none or A-B expected")),
        },
    })
}

/// The parameters of one effect. Taking one out marks it as understood.
struct Parameters<'a> {
    effect: &'a str,
    pairs: Vec<(&'a str, &'a str)>,
}

impl<'a> Parameters<'a> {
    fn optional(&mut self, name: &str) -> Option<&'a str> {
        let at = self.pairs.iter().position(|(key, _)| *key == name)?;
        Some(self.pairs.swap_remove(at).1)
    }

    fn required(&mut self, name: &str) -> Result<&'a str, ParseError> {
        let effect = self.effect;
        self.optional(name).map_or_else(|| error(format!("`{effect}` needs `{name}=`")), Ok)
    }

    fn number(&mut self, name: &str) -> Result<u64, ParseError> {
        number(self.required(name)?)
    }

    fn signed(&mut self, name: &str) -> Result<i64, ParseError> {
        signed(self.required(name)?)
    }
}

fn effect(words: &[String]) -> Result<Effect, ParseError> {
    let Some((name, rest)) = words.split_first() else { return error("no effect") };
    let mut pairs = Vec::new();
    for word in rest {
        match word.split_once('=') {
            Some(pair) => pairs.push(pair),
            None => return error(format!("`{name}`: unexpected `{word}`")),
        }
    }
    let mut given = Parameters { effect: name, pairs };
    let effect = match name.as_str() {
        "status" => Effect::Status {
            code: status(given.required("code")?)?,
            retry_after: given.optional("retry-after").map(str::to_owned),
            body: given.optional("body").map(str::to_owned),
        },
        "delay" => Effect::Delay { time: time(given.required("for")?)? },
        "reset" => Effect::Reset { after: given.number("after")? },
        "close" => Effect::Close { after: given.number("after")? },
        "stall" => Effect::Stall { after: given.number("after")?, time: time(given.required("for")?)? },
        "drip" => Effect::Drip { rate: given.number("rate")? },
        "length" => Effect::Length { add: given.signed("add")? },
        "chunked" => Effect::Chunked,
        "flip" => {
            Effect::Flip { at: given.number("at")?, count: given.optional("count").map_or(Ok(1), number)? }
        }
        "content-range" => Effect::ContentRange { shift: given.signed("shift")? },
        "shift-range" => Effect::ShiftRange { by: given.signed("by")? },
        "multipart" => Effect::Multipart,
        "whole" => Effect::Whole,
        "html" => Effect::Html,
        "change" => Effect::Change { longer: given.optional("longer").map_or(Ok(0), signed)? },
        "redirect" => Effect::Redirect {
            to: given.required("to")?.to_owned(),
            code: given.optional("code").map_or(Ok(302), status)?,
        },
        "gzip" => Effect::Gzip,
        "header" => Effect::Header {
            name: given.required("name")?.to_owned(),
            value: given.required("value")?.to_owned(),
        },
        "remove-header" => Effect::RemoveHeader { name: given.required("name")?.to_owned() },
        "raw" => Effect::Raw { text: unescape(given.required("text")?) },
        _ => return error(format!("unknown effect `{name}`")),
    };
    match given.pairs.first() {
        Some((key, _)) => error(format!("`{name}` has no `{key}`")),
        None => Ok(effect),
    }
}

/// Cuts at spaces, but not inside double quotes, which are removed.
fn split(text: &str) -> Result<Vec<String>, ParseError> {
    let (mut words, mut word, mut quoted, mut started) = (Vec::new(), String::new(), false, false);
    for letter in text.chars() {
        match letter {
            '"' => {
                quoted = !quoted;
                started = true;
            }
            letter if letter.is_whitespace() && !quoted => {
                if started {
                    words.push(std::mem::take(&mut word));
                }
                started = false;
            }
            letter => {
                word.push(letter);
                started = true;
            }
        }
    }
    if quoted {
        return error("a quote is not closed");
    }
    if started {
        words.push(word);
    }
    Ok(words)
}

fn number(text: &str) -> Result<u64, ParseError> {
    let (digits, unit) = match text.char_indices().next_back() {
        Some((at, 'k')) => (&text[..at], 1 << 10),
        Some((at, 'M')) => (&text[..at], 1 << 20),
        Some((at, 'G')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    number.map_or_else(|| error(format!("`{text}` is not a number")), Ok)
}

fn signed(text: &str) -> Result<i64, ParseError> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    match i64::try_from(number(digits)?) {
        Ok(number) => Ok(sign * number),
        Err(_) => error(format!("`{text}` is too large")),
    }
}

fn status(text: &str) -> Result<u16, ParseError> {
    match text.parse() {
        Ok(code @ 200..=599) => Ok(code),
        _ => error(format!("`{text}` is not a status")),
    }
}

fn time(text: &str) -> Result<Duration, ParseError> {
    let (digits, unit) = if let Some(digits) = text.strip_suffix("ms") {
        (digits, 0.001)
    } else if let Some(digits) = text.strip_suffix('s') {
        (digits, 1.0)
    } else if let Some(digits) = text.strip_suffix('m') {
        (digits, 60.0)
    } else {
        return error(format!("`{text}`: a time needs a unit (ms, s, m)"));
    };
    let seconds = digits.parse::<f64>().ok().map(|number| Duration::try_from_secs_f64(number * unit));
    match seconds {
        Some(Ok(time)) => Ok(time),
        _ => error(format!("`{text}` is not a time")),
    }
}

fn unescape(text: &str) -> Vec<u8> {
    text.replace("\\r", "\r").replace("\\n", "\n").replace("\\\\", "\\").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Rule {
        text.parse().unwrap()
    }

    #[test]
    fn the_example_of_the_header() {
        let rule = rule("POST /stac/download* nth=2 -> reset after=64k");
        assert_eq!(rule.method.as_deref(), Some("POST"));
        assert_eq!(rule.path, "/stac/download*");
        assert_eq!(rule.nth, Nth::Only(2));
        assert_eq!(rule.effects, [Effect::Reset { after: 65536 }]);
    }

    #[test]
    fn conditions_effects_and_quotes() {
        let rule =
            rule(r#"filename=a range=0-10 -> chunked + status code=503 retry-after=7 body="try later""#);
        assert_eq!(rule.path, "filename=a");
        assert_eq!(rule.range, RangeCondition::Starts(0, 10));
        let status =
            Effect::Status { code: 503, retry_after: Some("7".into()), body: Some("try later".into()) };
        assert_eq!(rule.effects, [Effect::Chunked, status]);
        assert_eq!(
            self::rule("* -> stall after=1 for=250ms").effects,
            [Effect::Stall { after: 1, time: Duration::from_millis(250) }]
        );
        assert_eq!(self::rule("* -> length add=-5").effects, [Effect::Length { add: -5 }]);
    }

    #[test]
    fn mistakes_are_named() {
        for (text, reason) in [
            ("GET /x", "`->`"),
            ("GET -> html", "no path"),
            ("/x -> explode", "unknown effect"),
            ("/x -> reset", "needs `after=`"),
            ("/x -> html at=1", "has no `at`"),
            ("/x nth=b -> html", "not a number"),
            ("/x when=1 -> html", "unknown condition"),
            ("/x -> delay for=3", "unit"),
            ("/x ->", "no effect"),
            ("/x -> status code=99", "not a status"),
            ("/x \"y -> html", "quote"),
        ] {
            let error = text.parse::<Rule>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
