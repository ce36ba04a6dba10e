//! Embedded rasters.
