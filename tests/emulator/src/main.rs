//! The emulator as a program: flags in, one line of JSON with the addresses out, then it runs until it is
//! told to stop.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use dcms_emulator::{DataSet, Emulator, Options, Scale, accounts};
use tokio::signal::unix::{SignalKind, signal};

/// Stands in for the services of the DestinE Data Cache.
#[derive(Debug, Parser)]
#[command(version)]
struct Flags {
    /// The products and stores that exist
    #[arg(long, value_enum, default_value = "demo")]
    data: Data,
    /// Products per day and collection (synthetic data)
    #[arg(long, default_value_t = 100)]
    items_per_day: u64,
    /// Days with products (synthetic data)
    #[arg(long, default_value_t = 30)]
    days: u64,
    /// The first day with products (synthetic data)
    #[arg(long, default_value = "2024-09-01")]
    first_day: String,
    /// Divide the sizes of product files by this (synthetic data)
    #[arg(long, default_value_t = 1)]
    shrink: u64,
    /// Length of the chunks of the huge store; the default makes it readable (synthetic data)
    #[arg(long)]
    chunk_bytes: Option<u64>,
    /// Share of the huge store's chunks that exist, in percent (synthetic data)
    #[arg(long, default_value_t = 90)]
    density: u8,
    /// Milliseconds added to every request
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
    /// Bytes per second of one connection
    #[arg(long)]
    rate_per_connection: Option<u64>,
    /// Bytes per second of all connections
    #[arg(long)]
    rate_total: Option<u64>,
    /// Milliseconds of a round trip: a request costs one, the first of a connection two more
    #[arg(long, default_value_t = 0)]
    rtt_ms: u64,
    /// Connections start slowly, as TCP does
    #[arg(long)]
    slow_start: bool,
    /// Serve what is in products/COLLECTION/PRODUCT and stores/COLLECTION/NAME.zarr of this directory
    #[arg(long, value_name = "DIR")]
    files: Option<PathBuf>,
    /// Where the services listen
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where the foreign host listens
    #[arg(long, default_value = "127.0.0.1:0")]
    foreign_listen: SocketAddr,
    /// A fault rule; may be given several times
    #[arg(long = "fault", value_name = "RULE")]
    faults: Vec<String>,
    /// Switches to change, as JSON, for example '{"download":{"range":false}}'
    #[arg(long, value_name = "JSON")]
    behaviour: Option<String>,
    /// Where to write the journal at the end
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Data {
    Demo,
    Synthetic,
}

impl Flags {
    fn options(&self) -> Result<Options, String> {
        let data = match self.data {
            Data::Demo => DataSet::Demo,
            Data::Synthetic => DataSet::Synthetic(Scale {
                items_per_day: self.items_per_day,
                days: self.days,
                first_day: self.first_day.clone(),
                shrink: self.shrink,
                zarr_density: self.density,
                zarr_chunk_bytes: self.chunk_bytes,
                ..Scale::default()
            }),
        };
        let behaviour = match &self.behaviour {
            Some(text) => serde_json::from_str(text).map_err(|error| format!("--behaviour: {error}"))?,
            None => dcms_emulator::Behaviour::default(),
        };
        Ok(Options {
            data,
            latency: Duration::from_millis(self.latency_ms),
            rate_per_connection: self.rate_per_connection,
            rate_total: self.rate_total,
            rtt: Duration::from_millis(self.rtt_ms),
            slow_start: self.slow_start,
            files: self.files.clone(),
            listen: self.listen,
            foreign_listen: self.foreign_listen,
            behaviour,
        })
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Flags::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("dcms-emulator: {message}");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: &Flags) -> Result<(), String> {
    let text = |error: std::io::Error| error.to_string();
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate()).map_err(text)?, signal(SignalKind::interrupt()).map_err(text)?);
    let emulator = Emulator::start(flags.options()?).await.map_err(text)?;
    for rule in &flags.faults {
        emulator.faults().add(rule).map_err(|error| format!("{rule}: {error}"))?;
    }
    let line = serde_json::json!({
        "url": emulator.url(),
        "foreign": emulator.foreign_url(),
        "stac": emulator.stac_url(),
        "download": emulator.download_url(),
        "cache_b": emulator.cache_b_url(),
        "identity": emulator.identity_url(),
        "user": accounts::USER,
        "password": accounts::PASSWORD,
        "offline_token": accounts::OFFLINE_TOKEN,
        "stores": emulator.stores(),
    });
    {
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{line}").and_then(|()| stdout.flush()).map_err(text)?;
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    if let Some(path) = &flags.journal {
        let journal = serde_json::to_vec_pretty(&emulator.journal().snapshot());
        let journal = journal.map_err(|error| error.to_string())?;
        std::fs::write(path, journal).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}
