//! Where settings come from, and how later sources override earlier ones key by key.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::error::{Error, ErrorKind, Result, fail};
use crate::settings::Settings;

/// The environment variables that set keys begin so; `__` separates table and key.
const PREFIX: &str = "DCMSFS_";
const SYSTEM: &str = "/etc/dcmsfs/config.toml";

/// Everything that settings are read from.
#[derive(Debug, Default)]
pub struct Sources {
    /// One file to read in place of the usual ones.
    pub file: Option<PathBuf>,
    /// The user's home, for `~/.config`.
    pub home: PathBuf,
    /// The process's environment.
    pub environment: Vec<(String, String)>,
    /// Options, as dotted key and value.
    pub options: Vec<(&'static str, Value)>,
}

/// Reads all sources and checks the outcome.
///
/// # Errors
/// `Configuration`, naming the file and line, the variable or the option.
pub fn load(sources: &Sources) -> Result<Settings> {
    let mut merged = Table::new();
    for (path, required) in files(sources) {
        if let Some(table) = read(&path, required)? {
            merge(&mut merged, table);
        }
    }
    for (name, value) in &sources.environment {
        if let Some(key) = name.strip_prefix(PREFIX) {
            let path: Vec<String> = key.split("__").map(str::to_ascii_lowercase).collect();
            let value = typed(&path, value)
                .ok_or_else(|| wrong(format!("{name}: there is no setting `{}`", path.join("."))))?;
            let mut table = Table::new();
            set(&mut table, &path, value);
            check(&table, name)?;
            merge(&mut merged, table);
        }
    }
    for (key, value) in &sources.options {
        let path: Vec<String> = key.split('.').map(str::to_owned).collect();
        set(&mut merged, &path, value.clone());
    }
    let settings: Settings = Value::Table(merged)
        .try_into()
        .map_err(|error: toml::de::Error| wrong(error.message().to_owned()))?;
    settings.check()?;
    Ok(settings)
}

/// The files in order; only one that was named by hand must exist.
fn files(sources: &Sources) -> Vec<(PathBuf, bool)> {
    match &sources.file {
        Some(file) => vec![(file.clone(), true)],
        None => vec![(SYSTEM.into(), false), (sources.home.join(".config/dcmsfs/config.toml"), false)],
    }
}

fn read(path: &Path, required: bool) -> Result<Option<Table>> {
    let shown = path.display();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => return Ok(None),
        Err(error) => return fail(ErrorKind::Configuration, format!("cannot read {shown}: {error}")),
    };
    // Read as settings first, for errors that know the line; then as a table, to merge.
    let located = |error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map(|before| before.matches('\n').count() + 1);
        let line = line.map_or(String::new(), |line| format!(", line {line}"));
        wrong(format!("{shown}{line}: {}", error.message().replace('\n', " ")))
    };
    toml::from_str::<Settings>(&text).map_err(located)?;
    toml::from_str::<Table>(&text).map_err(located).map(Some)
}

fn check(table: &Table, name: &str) -> Result<()> {
    let checked: std::result::Result<Settings, toml::de::Error> = Value::Table(table.clone()).try_into();
    checked.map(|_| ()).map_err(|error| wrong(format!("{name}: {}", error.message())))
}

/// Later values win; tables are merged, lists replaced.
fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(held)), Value::Table(later)) => merge(held, later),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

fn set(table: &mut Table, path: &[String], value: Value) {
    let Some((first, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        table.insert(first.clone(), value);
        return;
    }
    let below = table.entry(first.clone()).or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(below) = below {
        set(below, rest, value);
    }
}

/// The text of a variable as the type that the setting's default has.
fn typed(path: &[String], text: &str) -> Option<Value> {
    let mut default = Value::try_from(Settings::default()).ok()?;
    for key in path {
        default = default.as_table_mut()?.remove(key)?;
    }
    Some(match default {
        Value::Integer(_) => text.trim().parse().map_or_else(|_| Value::String(text.into()), Value::Integer),
        Value::Boolean(_) => text.trim().parse().map_or_else(|_| Value::String(text.into()), Value::Boolean),
        Value::Array(_) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Value::Array(items.map(|item| Value::String(item.into())).collect())
        }
        Value::Table(_) => return None,
        _ => Value::String(text.into()),
    })
}

fn wrong(message: String) -> Error {
    Error::new(ErrorKind::Configuration, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(file: &str, environment: &[(&str, &str)]) -> (tempfile::TempDir, Sources) {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("config.toml");
        std::fs::write(&path, file).unwrap();
        let environment = environment.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let sources =
            Sources { file: Some(path), home: home.path().into(), environment, options: Vec::new() };
        (home, sources)
    }

    #[test]
    fn later_sources_win_key_by_key() {
        let (_home, mut sources) = sources(
            "[cache_a]\ndownloads = 1\nurl = \"https://a.example/\"\n[cache_b]\nrequests = 3\n",
            &[
                ("DCMSFS_CACHE_A__URL", "https://b.example/"),
                ("DCMSFS_CACHE_B__STORES", "x/y.zarr, z.zarr"),
                ("PATH", "/bin"),
            ],
        );
        sources.options = vec![("cache_b.requests", Value::Integer(5))];
        let settings = load(&sources).unwrap();
        assert_eq!((settings.cache_a.downloads, settings.cache_b.requests), (1, 5));
        assert_eq!(settings.cache_a.url, "https://b.example/");
        assert_eq!(settings.cache_b.stores, ["x/y.zarr", "z.zarr"]);
    }

    #[test]
    fn wrong_keys_are_named_with_file_and_line() {
        let cases = [
            ("[cache_a]\n\nulr = \"x\"\n", "line 3", "ulr"),
            ("[cache_a]\ndownloads = \"two\"\n", "line 2", "string"),
            ("[mount]\nattr_ttl = \"soon\"\n", "attr_ttl", "1h"),
            ("cache_a = 3\n", "line 1", "cache_a"),
            ("[[cache_a\n", "line 1", ""),
        ];
        for (file, one, two) in cases {
            let (_home, sources) = sources(file, &[]);
            let error = load(&sources).unwrap_err();
            assert!(error.message().contains(one) && error.message().contains(two), "{file}: {error}");
        }
    }

    #[test]
    fn wrong_variables_are_named() {
        for (name, value) in
            [("DCMSFS_CACHE_A__ULR", "x"), ("DCMSFS_CACHE_A__DOWNLOADS", "two"), ("DCMSFS_MOUNT", "x")]
        {
            let (_home, sources) = sources("", &[(name, value)]);
            let error = load(&sources).unwrap_err();
            assert!(error.message().contains(name), "{error}");
        }
    }

    #[test]
    fn a_file_named_by_hand_must_exist() {
        let sources = Sources { file: Some("/nowhere/config.toml".into()), ..Sources::default() };
        assert!(load(&sources).unwrap_err().message().contains("/nowhere/config.toml"));
    }
}
