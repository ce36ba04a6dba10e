//! The Military Grid Reference System as Sentinel-2 uses it: 100 km squares by name, and their boxes.
//!
//! A tile is a UTM zone (1–60), a latitude band (C–X without I and O), a column letter and a row letter.
//! The letters repeat every 2000 km, so the band decides which of the squares is meant. Zones 31–37 are
//! irregular in the bands V (Norway) and X (Svalbard). Source: NGA.STND.0037 (universal grids).
//!
//! Sentinel-2 tiles are 109.8 km wide and reach over the square's east and south side by 9.8 km (Sentinel-2
//! product specification; for example 01KAB covers easting 99 960–209 760, northing 8 090 200–8 200 000).

pub mod mercator;
pub mod tile;

pub use tile::{Bbox, Tile, bands, squares, zones};
