//! Searches in the configuration: what restricts the mount, and saved views.

use crate::catalog::expression::Expression;
use crate::error::{Error, ErrorKind, Result, fail};
use crate::settings::{CacheA, Settings, View};

/// The name of the root that views search if they name none.
pub const CACHE_A: &str = "cache-a";

impl CacheA {
    /// What all that is shown has to meet.
    ///
    /// # Errors
    /// `Configuration`, naming the key.
    pub fn restriction(&self) -> Result<Expression> {
        let cloud = self.cloud_cover.trim();
        // A bare number is the most that is wanted.
        let cloud =
            if cloud.starts_with(|c: char| c.is_ascii_digit()) { format!("<={cloud}") } else { cloud.into() };
        let parts = [
            ("cache_a.bbox", "bbox=", self.bbox.trim()),
            ("cache_a.datetime", "date=", self.datetime.trim()),
            ("cache_a.cloud_cover", "cloud", &cloud),
        ];
        let mut restriction = Expression::default();
        for (key, begin, value) in parts.into_iter().filter(|(_, _, value)| !value.is_empty()) {
            let one =
                Expression::parse(&format!("{begin}{value}")).map_err(|error| wrong(key, value, &error))?;
            restriction = restriction.and(&one);
        }
        Ok(restriction)
    }
}

impl View {
    /// What it searches for; `name` is for messages.
    ///
    /// # Errors
    /// `Configuration`, naming the key.
    pub fn expression(&self, name: &str) -> Result<Expression> {
        let key = format!("view.{name}.search");
        Expression::parse(&self.search).map_err(|error| wrong(&key, &self.search, &error))
    }
}

impl Settings {
    /// Checks all searches.
    pub(super) fn check_searches(&self) -> Result<()> {
        self.cache_a.restriction()?;
        for (name, view) in &self.view {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
                let rule = "letters, digits, `-`, `_` and `.` only";
                return fail(ErrorKind::Configuration, format!("view name {name:?}: {rule}"));
            }
            view.expression(name)?;
            let known = match view.catalog.as_str() {
                "" | CACHE_A => !self.cache_a.url.is_empty(),
                catalog => self.catalog.iter().any(|known| known.name == catalog),
            };
            if !known {
                let catalog = if view.catalog.is_empty() { CACHE_A } else { &view.catalog };
                let hint = "name one of the `[[catalog]]` entries, or cache-a where it has an address";
                let message = format!("`view.{name}.catalog`: there is no catalogue {catalog}: {hint}");
                return fail(ErrorKind::Configuration, message);
            }
        }
        Ok(())
    }
}

fn wrong(key: &str, value: &str, error: &Error) -> Error {
    Error::new(ErrorKind::Configuration, format!("`{key} = {value:?}`: {}", error.message()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_searches_name_their_key() {
        let restricted = |bbox: &str, datetime: &str, cloud: &str| {
            let [bbox, datetime, cloud_cover] = [bbox, datetime, cloud].map(str::to_owned);
            CacheA { bbox, datetime, cloud_cover, ..CacheA::default() }.restriction()
        };
        assert_eq!(restricted("", "", "").unwrap(), Expression::default());
        assert_eq!(
            restricted("6:45:8:47", "2024", "<20").unwrap(),
            Expression::parse("bbox=6:45:8:47,date=2024,cloud<20").unwrap()
        );
        assert_eq!(restricted("", "", "20").unwrap(), Expression::parse("cloud<=20").unwrap());
        for (bbox, datetime, cloud, key) in [
            ("6", "", "", "cache_a.bbox"),
            ("", "x", "", "cache_a.datetime"),
            ("", "", "few", "cache_a.cloud_cover"),
        ] {
            assert!(restricted(bbox, datetime, cloud).unwrap_err().message().contains(key));
        }
        let mut settings = Settings::default();
        let view = |collection: &str, search: &str, catalog: &str| {
            let [collection, search, catalog] = [collection, search, catalog].map(str::to_owned);
            View { collection, search, catalog }
        };
        settings.view.insert("alps".into(), view("SENTINEL-2", "cloud<x", ""));
        assert!(settings.check().unwrap_err().message().contains("view.alps.search"));
        settings.view = [("a/b".to_owned(), view("x", "cloud<1", ""))].into();
        assert!(settings.check().unwrap_err().message().contains("a/b"));
        settings.view = [("v".to_owned(), view("x", "cloud<1", "mine"))].into();
        assert!(settings.check().unwrap_err().message().contains("no catalogue mine"));
        let url = "https://stac.example.org/".to_owned();
        settings.catalog = vec![crate::settings::Catalog { name: "mine".into(), url, downloads: 2 }];
        settings.check().unwrap();
        settings.view.insert("w".into(), view("x", "cloud<1", "cache-a"));
        settings.check().unwrap();
        settings.cache_a.url = String::new();
        assert!(settings.check().unwrap_err().message().contains("view.w.catalog"));
    }
}
