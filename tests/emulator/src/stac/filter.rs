//! The part of CQL2 that the service documents: comparisons of a property with a value, joined by `AND`.

use serde_json::Value;

/// A condition on the properties of an item.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Filter {
    terms: Vec<Term>,
}

#[derive(Clone, Debug, PartialEq)]
struct Term {
    property: String,
    operator: &'static str,
    value: Value,
}

/// The longer ones first, so that `<=` is not read as `<`.
const OPERATORS: [&str; 6] = ["<=", ">=", "<>", "<", ">", "="];

impl Filter {
    /// Reads CQL2 text.
    pub(crate) fn text(text: &str) -> Result<Filter, String> {
        let terms = text.replace(" and ", " AND ");
        let terms = terms.split(" AND ").map(term).collect::<Result<Vec<Term>, String>>()?;
        Ok(Filter { terms })
    }

    /// Reads CQL2 JSON.
    pub(crate) fn json(value: &Value) -> Result<Filter, String> {
        let wrong = || "filter: not understood".to_owned();
        let operator = value["op"].as_str().ok_or_else(wrong)?;
        let arguments = value["args"].as_array().ok_or_else(wrong)?;
        if operator == "and" {
            let parts = arguments.iter().map(Filter::json).collect::<Result<Vec<Filter>, String>>()?;
            return Ok(Filter { terms: parts.into_iter().flat_map(|part| part.terms).collect() });
        }
        let operator = OPERATORS.into_iter().find(|known| *known == operator).ok_or_else(wrong)?;
        let [property, value] = arguments.as_slice() else { return Err(wrong()) };
        let property = property["property"].as_str().ok_or_else(wrong)?.to_owned();
        Ok(Filter { terms: vec![Term { property, operator, value: value.clone() }] })
    }

    /// Whether an item with these properties is wanted. A property that is missing compares as false.
    pub(crate) fn accepts(&self, properties: &Value) -> bool {
        self.terms.iter().all(|term| term.accepts(&properties[&term.property]))
    }
}

impl Term {
    fn accepts(&self, found: &Value) -> bool {
        let order = match (found, &self.value) {
            (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()),
            (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
            _ => None,
        };
        order.is_some_and(|order| match self.operator {
            "<=" => order.is_le(),
            ">=" => order.is_ge(),
            "<>" => order.is_ne(),
            "<" => order.is_lt(),
            ">" => order.is_gt(),
            _ => order.is_eq(),
        })
    }
}

fn term(text: &str) -> Result<Term, String> {
    let wrong = || format!("filter: `{text}` is not a comparison");
    let (at, operator) = OPERATORS
        .into_iter()
        .filter_map(|operator| Some((text.find(operator)?, operator)))
        .min_by_key(|(at, operator)| (*at, std::cmp::Reverse(operator.len())))
        .ok_or_else(wrong)?;
    let property = text[..at].trim().trim_matches('"');
    let value = text[at + operator.len()..].trim();
    let letter = |letter: char| letter.is_ascii_alphanumeric() || ":_-.".contains(letter);
    if property.is_empty() || !property.chars().all(letter) {
        return Err(wrong());
    }
    let value = match value.strip_prefix('\'').and_then(|value| value.strip_suffix('\'')) {
        Some(text) => Value::from(text),
        None => Value::from(value.parse::<f64>().map_err(|_| wrong())?),
    };
    Ok(Term { property: property.to_owned(), operator, value })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn comparisons() {
        let item = json!({ "eo:cloud_cover": 20.0, "platformName": "SENTINEL-2" });
        for (text, accepted) in [
            ("eo:cloud_cover<20", false),
            ("eo:cloud_cover <= 20", true),
            ("eo:cloud_cover=20", true),
            ("eo:cloud_cover > 19.5 AND eo:cloud_cover < 21", true),
            ("eo:cloud_cover>=20.5", false),
            ("eo:cloud_cover<>20", false),
            ("platformName='SENTINEL-2'", true),
            ("missing<5", false),
        ] {
            assert_eq!(Filter::text(text).unwrap().accepts(&item), accepted, "{text}");
        }
        let json = json!({ "op": "<", "args": [{ "property": "eo:cloud_cover" }, 30] });
        assert!(Filter::json(&json).unwrap().accepts(&item));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "cloud", "eo:cloud_cover<", "eo:cloud_cover<many", "<20", "a b<20"] {
            assert!(Filter::text(text).is_err(), "{text}");
        }
    }
}
