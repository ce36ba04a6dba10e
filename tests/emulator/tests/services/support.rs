//! A client without manners: no redirects, no retries, no interpretation.

use std::collections::HashMap;

use dcms_emulator::{Behaviour, DataSet, Emulator, Options, Scale};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;

/// An emulator and a client for it.
pub(crate) struct Bench {
    pub(crate) emulator: Emulator,
    pub(crate) client: Client,
    pub(crate) token: String,
}

/// An answer, read completely.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Bench {
    pub(crate) async fn demo() -> Bench {
        Bench::with(Options::default()).await
    }

    pub(crate) async fn synthetic(items_per_day: u64, days: u64) -> Bench {
        let scale = Scale { items_per_day, days, shrink: 1000, ..Scale::default() };
        Bench::with(Options { data: DataSet::Synthetic(scale), ..Options::default() }).await
    }

    pub(crate) async fn with(options: Options) -> Bench {
        let emulator = Emulator::start(options).await.unwrap();
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .gzip(false)
            .build()
            .unwrap();
        let token = emulator.access_token();
        Bench { emulator, client, token }
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Behaviour)) {
        self.emulator.change(change);
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = if path.starts_with("http") { path.to_owned() } else { self.emulator.url() + path };
        self.client.request(method, url)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        read(self.request(Method::GET, path).send().await.unwrap()).await.unwrap()
    }

    pub(crate) async fn json(&self, path: &str) -> Value {
        self.get(path).await.json()
    }

    /// A request for a download, with the good token.
    pub(crate) fn ask(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, &format!("/stac/download?filename={path}")).bearer_auth(&self.token)
    }

    pub(crate) async fn download(&self, path: &str) -> Answer {
        read(self.ask(path).send().await.unwrap()).await.unwrap()
    }

    /// The path and size of some small file of the demo.
    pub(crate) fn small_file(&self) -> (String, u64) {
        self.file_like("_B02_10m.jp2")
    }

    pub(crate) fn file_like(&self, part: &str) -> (String, u64) {
        let id = "S2A_MSIL2A_20240924T101031_N0511_R026_T32TQM_20240924T161048";
        self.emulator.files("SENTINEL-2", id).into_iter().find(|(path, _)| path.contains(part)).unwrap()
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// Reads an answer to its end.
pub(crate) async fn read(response: Response) -> reqwest::Result<Answer> {
    let headers = response.headers().iter();
    let headers =
        headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    #[allow(clippy::disallowed_methods, reason = "the emulator's bodies are bounded by its data")]
    let (status, body) = (response.status().as_u16(), response.bytes().await?.to_vec());
    Ok(Answer { status, headers, body })
}

/// The identifiers of a page's items.
pub(crate) fn ids(page: &Value) -> Vec<String> {
    let features = page["features"].as_array().unwrap();
    features.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

/// The link to the next page.
pub(crate) fn next(page: &Value) -> Option<Value> {
    page["links"].as_array().unwrap().iter().find(|link| link["rel"] == "next").cloned()
}
