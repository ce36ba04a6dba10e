//! What a search asks for, read from a query or a JSON body. Anything malformed is refused.

use serde_json::Value;

use super::filter::Filter;
use crate::data::parse_time;
use crate::emulator::Shared;
use crate::request::{Request, field};

/// A search.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    /// Empty: all.
    pub(crate) collections: Vec<String>,
    /// Empty: all.
    pub(crate) ids: Vec<String>,
    /// West, south, east, north.
    pub(crate) bbox: Option<[f64; 4]>,
    /// The first and the last millisecond.
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) filter: Option<Filter>,
    pub(crate) limit: u64,
    /// Where to go on.
    pub(crate) token: Option<Token>,
    /// The number of the page, for services that count them.
    pub(crate) page: u64,
    /// What was asked, to be repeated in the link to the next page.
    pub(crate) asked: Asked,
}

/// The parameters as they came.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    Query(Vec<(String, String)>),
    Body(Value),
}

/// Where a search goes on: page number, collection, and number in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) page: u64,
    pub(crate) collection: usize,
    pub(crate) number: u64,
}

impl Token {
    pub(crate) fn text(self) -> String {
        format!("next:p{}c{}n{}", self.page, self.collection, self.number)
    }

    fn read(text: &str) -> Option<Token> {
        let (page, rest) = text.strip_prefix("next:p")?.split_once('c')?;
        let (collection, number) = rest.split_once('n')?;
        // The number may be followed by padding, which makes tokens grow.
        let number = number.trim_end_matches('_');
        Some(Token {
            page: page.parse().ok()?,
            collection: collection.parse().ok()?,
            number: number.parse().ok()?,
        })
    }
}

impl Query {
    /// Reads a request. `within` is the collection of its address, if that has one.
    pub(crate) fn read(shared: &Shared, request: &Request, within: Option<String>) -> Result<Query, String> {
        let behaviour = shared.behaviour.read().stac.clone();
        let asked = if request.method == "POST" {
            let body = if request.body.is_empty() { b"{}".as_slice() } else { &request.body };
            let body: Value = serde_json::from_slice(body).map_err(|error| format!("body: {error}"))?;
            if !body.is_object() {
                return Err("body: an object is expected".to_owned());
            }
            Asked::Body(body)
        } else {
            Asked::Query(request.parameters())
        };
        let limit = match asked.one("limit")? {
            None => behaviour.default_limit,
            Some(text) => match text.parse::<u64>() {
                Ok(limit) if limit > 0 => limit,
                _ => return Err(format!("limit: `{text}` is not a positive number")),
            },
        };
        let (from, to) = match asked.one("datetime")? {
            Some(text) => interval(&text, behaviour.half_open)?,
            None => (i64::MIN, i64::MAX),
        };
        let token = match asked.one("token")? {
            Some(text) => Some(Token::read(&text).ok_or_else(|| "token: not one of ours".to_owned())?),
            None => None,
        };
        let page = match asked.one("page")? {
            Some(text) => text.parse().map_err(|_| format!("page: `{text}` is not a number"))?,
            None => 1,
        };
        let bbox = asked.bbox()?;
        if bbox.is_some() && asked.has("intersects") {
            return Err("bbox and intersects exclude each other".to_owned());
        }
        Ok(Query {
            collections: within.map_or_else(|| asked.list("collections"), |id| vec![id]),
            ids: if behaviour.ids { asked.list("ids") } else { Vec::new() },
            bbox: bbox.filter(|_| behaviour.bbox),
            from,
            to,
            filter: if behaviour.filter { asked.filter()? } else { None },
            limit: limit.min(behaviour.max_limit),
            token,
            page,
            asked,
        })
    }
}

impl Asked {
    fn has(&self, name: &str) -> bool {
        match self {
            Asked::Query(fields) => field(fields, name).is_some(),
            Asked::Body(body) => !body[name].is_null(),
        }
    }

    /// A parameter that is a text or a number.
    fn one(&self, name: &str) -> Result<Option<String>, String> {
        match self {
            Asked::Query(fields) => Ok(field(fields, name).map(str::to_owned)),
            Asked::Body(body) => match &body[name] {
                Value::Null => Ok(None),
                Value::String(text) => Ok(Some(text.clone())),
                Value::Number(number) => Ok(Some(number.to_string())),
                _ => Err(format!("{name}: a text or a number is expected")),
            },
        }
    }

    /// A parameter that is a list of texts.
    fn list(&self, name: &str) -> Vec<String> {
        match self {
            Asked::Query(fields) => field(fields, name)
                .map(|text| text.split(',').filter(|id| !id.is_empty()).map(str::to_owned).collect())
                .unwrap_or_default(),
            Asked::Body(body) => body[name]
                .as_array()
                .map(|list| list.iter().filter_map(|id| id.as_str().map(str::to_owned)).collect())
                .unwrap_or_default(),
        }
    }

    fn bbox(&self) -> Result<Option<[f64; 4]>, String> {
        let wrong = || "bbox: 4 or 6 numbers are expected, west, south, east, north".to_owned();
        let numbers = match self {
            Asked::Query(fields) => {
                let Some(text) = field(fields, "bbox") else { return Ok(None) };
                text.split(',')
                    .map(|number| number.trim().parse::<f64>().map_err(|_| wrong()))
                    .collect::<Result<Vec<f64>, String>>()
            }
            Asked::Body(body) => {
                let Some(list) = body["bbox"].as_array() else { return Ok(None) };
                list.iter()
                    .map(|number| number.as_f64().ok_or_else(wrong))
                    .collect::<Result<Vec<f64>, String>>()
            }
        };
        let numbers = numbers?;
        let bbox = match numbers.as_slice() {
            [west, south, east, north] | [west, south, _, east, north, _] => [*west, *south, *east, *north],
            _ => return Err(wrong()),
        };
        let inside = bbox[1] <= bbox[3] && bbox[1] >= -90.0 && bbox[3] <= 90.0;
        let inside = inside && bbox[0].abs() <= 180.0 && bbox[2].abs() <= 180.0;
        if inside { Ok(Some(bbox)) } else { Err(wrong()) }
    }

    fn filter(&self) -> Result<Option<Filter>, String> {
        match self {
            Asked::Query(fields) => field(fields, "filter").map(Filter::text).transpose(),
            Asked::Body(body) => match &body["filter"] {
                Value::Null => Ok(None),
                Value::String(text) => Filter::text(text).map(Some),
                value => Filter::json(value).map(Some),
            },
        }
    }
}

/// The first and the last millisecond of an instant or an interval, either side of which may be open.
fn interval(text: &str, half_open: bool) -> Result<(i64, i64), String> {
    let wrong = || format!("datetime: `{text}` is neither an RFC 3339 time nor an interval of two");
    let time = |text: &str| parse_time(text).ok_or_else(wrong);
    let Some((from, to)) = text.split_once('/') else {
        let instant = time(text)?;
        return Ok((instant, instant));
    };
    let open = |text: &str| text.is_empty() || text == "..";
    if open(from) && open(to) {
        return Err(wrong());
    }
    let begin = if open(from) { i64::MIN } else { time(from)? };
    let end = if open(to) { i64::MAX } else { time(to)? - i64::from(half_open) };
    if begin > end.saturating_add(i64::from(half_open)) { Err(wrong()) } else { Ok((begin, end)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals() {
        let day = 86_400_000;
        let first = parse_time("2024-09-24T00:00:00Z").unwrap();
        assert_eq!(interval("2024-09-24T00:00:00Z", false), Ok((first, first)));
        assert_eq!(interval("2024-09-24T00:00:00Z/2024-09-25T00:00:00Z", false), Ok((first, first + day)));
        assert_eq!(interval("2024-09-24T00:00:00Z/2024-09-25T00:00:00Z", true), Ok((first, first + day - 1)));
        assert_eq!(interval("2024-09-24T00:00:00+00:00/..", false), Ok((first, i64::MAX)));
        assert_eq!(interval("/2024-09-24T00:00:00Z", false), Ok((i64::MIN, first)));
        for text in ["", "today", "2024-09-24", "../..", "/", "2024-09-25T00:00:00Z/2024-09-24T00:00:00Z"] {
            assert!(interval(text, false).is_err(), "{text}");
        }
    }

    #[test]
    fn tokens() {
        let token = Token { page: 2, collection: 1, number: 77 };
        assert_eq!(Token::read(&token.text()), Some(token));
        assert_eq!(Token::read(&(token.text() + "___")), Some(token));
        assert_eq!(Token::read("next:p1c"), None);
    }
}
