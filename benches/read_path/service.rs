//! The stand-in of the services in a process of its own, and what it counted.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use dcms_emulator::{DataSet, Emulator, Network, Options, Scale, accounts};
use serde_json::{Value, json};

use crate::Result;

/// How fast the network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// As fast as the loopback.
    None,
    /// 10 ms for each request, no other limit.
    TenMs,
    /// A round trip of 20 ms, no other limit.
    TwentyMs,
    /// A round trip of 30 ms, slow start, 60 MB/s for a connection, 120 MB/s for all.
    Wan,
}

impl Profile {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Profile::None => "none",
            Profile::TenMs => "10ms",
            Profile::TwentyMs => "20ms",
            Profile::Wan => "wan",
        }
    }

    fn network(self) -> Network {
        let unlimited = Network::default();
        match self {
            Profile::None => unlimited,
            Profile::TenMs => Network { latency_ms: 10, ..unlimited },
            Profile::TwentyMs => Network { rtt_ms: 20, ..unlimited },
            Profile::Wan => Network {
                rtt_ms: 30,
                rate_per_connection: Some(60_000_000),
                rate_total: Some(120_000_000),
                slow_start: true,
                ..unlimited
            },
        }
    }
}

/// What the stand-in counted during one measurement. Logins are left out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) requests: u64,
    pub(crate) bytes: u64,
    /// The most downloads at once.
    pub(crate) downloads: u64,
    /// The most answers with chunks at once.
    pub(crate) chunks: u64,
    pub(crate) heads: u64,
    /// Pages of listings.
    pub(crate) pages: u64,
    /// Downloads of files that do not exist.
    pub(crate) missing: u64,
    /// Downloads refused because two were running.
    pub(crate) refused: u64,
}

/// The running stand-in.
pub(crate) struct Service {
    child: Child,
    pub(crate) url: String,
    pub(crate) token: String,
    pub(crate) stores: Value,
}

impl Service {
    /// Starts it with the data of a directory, and for all other collections 2,000 products a day over 50 days.
    pub(crate) fn start(data: &Path) -> Result<Service> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child =
            command.arg("serve").arg(data).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no output of the stand-in")?).read_line(&mut line)?;
        let told: Value = serde_json::from_str(&line)?;
        let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
        let mut service =
            Service { child, url: text("url"), token: String::new(), stores: told["stores"].clone() };
        service.change(&json!({ "login": { "access_lifetime": 100_000 } }))?;
        let answer: Value = serde_json::from_slice(&service.control("POST", "token", "")?)?;
        answer["access_token"].as_str().unwrap_or_default().clone_into(&mut service.token);
        Ok(service)
    }

    /// The network from the next connection on.
    pub(crate) fn network(&self, profile: Profile) -> Result<()> {
        self.control("POST", "network", &serde_json::to_string(&profile.network())?).map(drop)
    }

    /// Changes how the services answer.
    pub(crate) fn change(&self, behaviour: &Value) -> Result<()> {
        self.control("POST", "behaviour", &behaviour.to_string()).map(drop)
    }

    /// Counts from zero.
    pub(crate) fn reset(&self) -> Result<()> {
        self.control("DELETE", "journal", "").map(drop)
    }

    /// What was counted since the reset.
    pub(crate) fn counts(&self) -> Result<Counts> {
        let journal: Value = serde_json::from_slice(&self.control("GET", "journal", "")?)?;
        let totals = &journal["totals"];
        let of = |endpoint: &str, field: &str| totals[endpoint][field].as_u64().unwrap_or(0);
        let mut counts = Counts {
            downloads: of("download", "peak"),
            chunks: of("zarr-chunk", "peak"),
            pages: of("search", "requests"),
            refused: journal["refused"].as_u64().unwrap_or(0),
            ..Counts::default()
        };
        let endpoints = [
            "catalogue",
            "collections",
            "item",
            "search",
            "download",
            "zarr-metadata",
            "zarr-chunk",
            "unknown",
        ];
        for endpoint in endpoints {
            counts.requests += of(endpoint, "requests");
            counts.bytes += of(endpoint, "bytes");
        }
        for entry in journal["entries"].as_array().into_iter().flatten() {
            counts.heads += u64::from(entry["method"] == "HEAD");
            counts.missing += u64::from(entry["endpoint"] == "download" && entry["status"] == 404);
        }
        Ok(counts)
    }

    /// The address that some of the stand-in's files have for programs that take no query.
    pub(crate) fn plain_url(&self, path: &str) -> String {
        // COLLECTION/PRODUCT/FILE is served by the day in the product's name.
        let (collection, rest) = path.split_once('/').unwrap_or((path, ""));
        let product = rest.split('/').next().unwrap_or(rest);
        let day = product.split('_').find(|part| part.len() == 15 && part.as_bytes()[8] == b'T');
        let day = day.map(|day| format!("{}/{}/{}", &day[..4], &day[4..6], &day[6..8])).unwrap_or_default();
        // Products of one file have no folder.
        let rest = match rest.split_once('/') {
            _ if collection != "SENTINEL-5P" => rest,
            Some((_, file)) => file,
            None => return format!("{}/plain/{collection}/{day}", self.url),
        };
        format!("{}/plain/{collection}/{day}/{rest}", self.url)
    }

    fn control(&self, method: &str, path: &str, body: &str) -> Result<Vec<u8>> {
        let address = self.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address)?;
        write!(
            stream,
            "{method} /_emulator/{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let end =
            answer.windows(4).position(|window| window == b"\r\n\r\n").ok_or("no answer of the stand-in")?;
        if !answer.starts_with(b"HTTP/1.1 200") {
            return Err(format!("{path}: {}", String::from_utf8_lossy(&answer)).into());
        }
        Ok(answer.split_off(end + 4))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Runs the stand-in in this process until standard input ends.
pub(crate) fn serve(files: &Path) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let scale = Scale { items_per_day: 2000, days: 50, ..Scale::default() };
    let options = Options {
        data: DataSet::Synthetic(scale),
        files: Some(fs::canonicalize(files)?),
        ..Options::default()
    };
    let emulator = runtime.block_on(Emulator::start(options))?;
    println!("{}", json!({ "url": emulator.url(), "stores": emulator.stores() }));
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// User and password of the stand-in.
pub(crate) fn account() -> (&'static str, &'static str) {
    (accounts::USER, accounts::PASSWORD)
}

/// The password with which Zarr programs read the stand-in's stores, for the user `anonymous`.
pub(crate) fn offline_token() -> &'static str {
    accounts::OFFLINE_TOKEN
}
