//! Conditions on any property of an item. They are checked here only: no service promises to search by them.

use std::fmt;

use serde_json::Value;

use super::super::lenient::instant;
use super::super::stac::{Comparison, Item};

/// A property and what it has to be.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Attribute {
    pub(super) name: String,
    pub(super) comparison: Comparison,
    pub(super) value: String,
}

impl Attribute {
    /// Whether a value can be compared by size: it is a number or a time.
    pub(super) fn has_order(value: &str) -> bool {
        number(value).is_some() || instant(value).is_some()
    }

    fn holds(&self, found: &str) -> bool {
        if let (Some(found), Some(value)) = (number(found), number(&self.value)) {
            return self.comparison.holds(found, value);
        }
        if self.comparison == Comparison::Equal {
            return found == self.value || is_among(&self.value, found);
        }
        match (instant(found), instant(&self.value)) {
            (Some(found), Some(value)) => self.comparison.holds(found, value),
            _ => false,
        }
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}{}{:?}", self.name, self.comparison, self.value)
    }
}

/// Whether an item has all these attributes: of several values for one name any, of several bounds each.
pub(super) fn all_hold(attributes: &[Attribute], item: &Item) -> bool {
    if attributes.is_empty() {
        return true;
    }
    let properties = item.attributes();
    let found =
        |name: &str| properties.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    attributes.iter().all(|attribute| {
        let Some(value) = found(&attribute.name) else { return false };
        let same = |other: &&Attribute| other.name == attribute.name && other.comparison == Comparison::Equal;
        match attribute.comparison {
            Comparison::Equal => attributes.iter().filter(same).any(|other| other.holds(value)),
            _ => attribute.holds(value),
        }
    })
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

/// Whether a property that is a list has this text in it.
fn is_among(wanted: &str, list: &str) -> bool {
    if !list.starts_with('[') {
        return false;
    }
    let values: Vec<Value> = serde_json::from_str(list).unwrap_or_default();
    values.iter().any(|value| value.as_str() == Some(wanted))
}
