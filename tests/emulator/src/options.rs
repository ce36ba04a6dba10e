//! What an emulator is started with: its data, its network, its address. None of it changes afterwards;
//! what may change is in [`crate::Behaviour`].

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::Network;

/// How to start an [`crate::Emulator`].
#[derive(Clone, Debug)]
pub struct Options {
    /// The products and stores that exist.
    pub data: DataSet,
    /// Added to every request before anything of the answer is sent.
    pub latency: Duration,
    /// Bytes per second of one connection, shared by the requests on it. `None`: unlimited.
    pub rate_per_connection: Option<u64>,
    /// Bytes per second of all connections together. `None`: unlimited.
    pub rate_total: Option<u64>,
    /// Of a round trip: a request costs one, the first of a connection two more.
    pub rtt: Duration,
    /// Connections start slowly; see [`crate::Network::slow_start`].
    pub slow_start: bool,
    /// A directory whose `products/COLLECTION/PRODUCT/` replace the products of those collections, and whose
    /// `stores/…/NAME.zarr/` are more stores. All of it is read into memory at the start.
    pub files: Option<PathBuf>,
    /// Where the services listen. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the "foreign host" listens. Port 0 takes a free one.
    pub foreign_listen: SocketAddr,
    /// How the services answer at first.
    pub behaviour: crate::Behaviour,
}

impl Default for Options {
    fn default() -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Options {
            data: DataSet::Demo,
            latency: Duration::ZERO,
            rate_per_connection: None,
            rate_total: None,
            rtt: Duration::ZERO,
            slow_start: false,
            files: None,
            listen: any,
            foreign_listen: any,
            behaviour: crate::Behaviour::default(),
        }
    }
}

impl Options {
    /// The network at the start.
    pub(crate) fn network(&self) -> Network {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Network {
            latency_ms: milliseconds(self.latency),
            rtt_ms: milliseconds(self.rtt),
            rate_per_connection: self.rate_per_connection,
            rate_total: self.rate_total,
            slow_start: self.slow_start,
        }
    }
}

/// The products and stores of an emulator.
#[derive(Clone, Debug, PartialEq)]
pub enum DataSet {
    /// A few small real products, opened by GDAL and netCDF4, and small real Zarr stores.
    Demo,
    /// Products computed from arithmetic, in any number, and the Zarr stores of the demo plus a huge one.
    Synthetic(Scale),
}

/// The size of a synthetic data set.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    /// Products per day and collection (mosaics: per quarter).
    pub items_per_day: u64,
    /// Days that hold products, counted from [`Scale::first_day`].
    pub days: u64,
    /// The first day with products, `YYYY-MM-DD`.
    pub first_day: String,
    /// Divides the sizes of all product files; 1 keeps the sizes of real products.
    pub shrink: u64,
    /// Shape of the array in the huge store.
    pub zarr_shape: [u64; 3],
    /// Chunk shape of the array in the huge store.
    pub zarr_chunks: [u64; 3],
    /// Share of chunks of the huge store that exist, in percent.
    pub zarr_density: u8,
    /// Length of the chunk objects of the huge store. `None`: as long as the decoded chunk, which makes the
    /// store readable by Zarr programs; any other length does not.
    pub zarr_chunk_bytes: Option<u64>,
}

impl Default for Scale {
    fn default() -> Self {
        Scale {
            items_per_day: 100,
            days: 30,
            first_day: "2024-09-01".to_owned(),
            shrink: 1,
            zarr_shape: [175_320, 4096, 8193],
            zarr_chunks: [48, 512, 512],
            zarr_density: 90,
            zarr_chunk_bytes: None,
        }
    }
}
