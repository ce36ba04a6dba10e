//! Patterns on a tree that counts what is asked of it.

use parking_lot::Mutex;

use super::*;
use crate::namespace::static_tree::StaticDirectory;
use crate::namespace::{Entry, Listing};

/// A directory that notes each question, and may be one that is not to be walked through.
struct Noted {
    name: &'static str,
    inside: StaticDirectory,
    vast: bool,
    hidden: bool,
    notes: Arc<Mutex<Vec<String>>>,
}

impl Directory for Noted {
    fn lookup<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Node>> {
        self.notes.lock().push(format!("{}?{name}", self.name));
        self.inside.lookup(name)
    }

    fn list(&self) -> BoxFuture<'_, Result<Listing>> {
        self.notes.lock().push(format!("{}/", self.name));
        Box::pin(async move {
            let listing = self.inside.list().await?;
            let entries = (0..listing.len()).filter_map(|at| listing.get(at)).filter(|_| !self.hidden);
            Ok(Listing::of(entries.map(|entry| Entry::named(entry.name, entry.kind)).collect()))
        })
    }

    fn is_vast(&self) -> bool {
        self.vast
    }
}

type Notes = Arc<Mutex<Vec<String>>>;

/// `a` is vast and holds the days `1` and `2` with products; `by-id` lists nothing.
fn tree() -> (Arc<dyn Directory>, Notes) {
    let notes: Notes = Arc::default();
    let make = |name, nodes: Vec<(&'static str, Node)>, vast, hidden| {
        let (inside, notes) = (StaticDirectory::of(nodes), Arc::clone(&notes));
        Node::directory(Noted { name, inside, vast, hidden, notes })
    };
    let load: Load = Arc::new(|| Box::pin(async { Ok(bytes::Bytes::new()) }));
    let file = || Node::document(0, Arc::clone(&load), None);
    let product = |name| {
        let images = make("img", vec![("x_B04_10m.jp2", file()), ("x_B08_10m.jp2", file())], false, false);
        make(name, vec![("IMG", images), ("MTD.xml", file())], false, false)
    };
    let one = make("1", vec![("P", product("P")), ("Q", product("Q")), ("P.json", file())], false, false);
    let two = make("2", vec![("P", product("R"))], false, false);
    let days = make("a", vec![("1", one), ("2", two)], true, false);
    let by_id = make("by-id", vec![("P", product("P"))], false, true);
    let inside = StaticDirectory::of([("a", days), ("by-id", by_id), ("README", Node::bytes("x", None))]);
    let root = Noted { name: "root", inside, vast: false, hidden: false, notes: Arc::clone(&notes) };
    (Arc::new(root), notes)
}

async fn paths(pattern: &str) -> (Vec<String>, Vec<String>, Vec<String>) {
    let (root, notes) = tree();
    let found = find(root, &Pattern::parse(pattern).unwrap(), &|_| {}).await;
    let failures = found.failures.iter().map(|(path, error)| format!("{path}: {error}")).collect();
    let notes = notes.lock().clone();
    (found.items.into_iter().map(|(path, _)| path).collect(), failures, notes)
}

#[tokio::test]
async fn what_is_named_is_looked_up_and_not_listed() {
    let (found, failures, notes) = paths("a/1/P/IMG/*_B04_10m.jp2").await;
    assert_eq!((found, failures), (vec!["a/1/P/IMG/x_B04_10m.jp2".into()], Vec::<String>::new()));
    assert_eq!(notes, ["root?a", "a?1", "1?P", "P?IMG", "img/", "img?x_B04_10m.jp2"]);
    let (found, _, notes) = paths("by-id/P/**/*B08*").await;
    assert_eq!(found, ["by-id/P/IMG/x_B08_10m.jp2"]);
    assert!(!notes.contains(&"by-id/".to_owned()), "{notes:?}");
}

#[tokio::test]
async fn any_depth_lists_each_directory_once() {
    let (found, _, notes) = paths("a/1/**/**/*_B0[48]*").await;
    let expected = ["P/IMG/x_B04", "P/IMG/x_B08", "Q/IMG/x_B04", "Q/IMG/x_B08"];
    assert_eq!(found, expected.map(|path| format!("a/1/{path}_10m.jp2")));
    let mut listed: Vec<&String> = notes.iter().filter(|note| note.ends_with('/')).collect();
    assert!(!notes.contains(&"1?P.json".to_owned()), "a file that cannot fit is not looked up: {notes:?}");
    let all = listed.len();
    listed.sort();
    assert_eq!(all, 5, "{listed:?}");
    // Many ways lead to the same files: each is found once.
    let (again_found, _, again) = paths("a/1/**/I*/**/*/**").await;
    assert_eq!(again_found, found);
    assert!(again.iter().filter(|note| note.ends_with('/')).count() <= all, "{again:?}");
}

#[tokio::test]
async fn a_directory_means_all_below_it() {
    let (found, _, _) = paths("a/2").await;
    assert_eq!(found, ["a/2/P/IMG/x_B04_10m.jp2", "a/2/P/IMG/x_B08_10m.jp2", "a/2/P/MTD.xml"]);
    let (found, _, _) = paths("a/1/*.json").await;
    assert_eq!(found, ["a/1/P.json"]);
    let (days, _, _) = paths("a/*/P/MTD.xml").await;
    assert_eq!(days, ["a/1/P/MTD.xml", "a/2/P/MTD.xml"]);
}

#[tokio::test]
async fn an_archive_is_not_walked_through() {
    for pattern in ["a", "a/**/*.jp2", "**/*.jp2", "**"] {
        let (found, failures, notes) = paths(pattern).await;
        assert!(found.iter().all(|path| !path.starts_with("a/")), "{pattern}: {found:?}");
        assert!(failures[0].contains("whole archive"), "{pattern}: {failures:?}");
        assert!(!notes.contains(&"a/".to_owned()), "{pattern}: {notes:?}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    for (pattern, said) in [
        ("a/3/x", "there is no 3 here"),
        ("a/1/P/MTD.xml/x", "MTD.xml is a file"),
        ("a/1/P/*.tif", "no name fits it"),
        ("a/1/P[0:48]", "this is none"),
        ("b", "there is no b here"),
    ] {
        let (found, failures, _) = paths(pattern).await;
        assert!(
            found.is_empty() && failures.len() == 1 && failures[0].contains(said),
            "{pattern}: {failures:?}"
        );
    }
    let (root, _) = tree();
    let found = find(root, &Pattern::parse("README").unwrap(), &|_| {}).await;
    assert_eq!((found.held, found.failures.len()), (1, 0));
}
