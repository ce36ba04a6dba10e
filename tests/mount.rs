//! The program on real mounts, against the stand-in of the services. Each test has a mount, a service and a
//! home of its own; the program runs as a process of its own, as users run it.
//!
//! A test's comment says which promise of `docs/semantics.md` it holds.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests wait for other processes by the clock, and a panic is how they fail"
)]

mod mount {
    mod ahead;
    mod budgets;
    mod cache;
    mod changes;
    mod checksums;
    mod directories;
    mod doors;
    mod faults;
    mod harness;
    mod kernel;
    mod killing;
    mod layouts;
    mod life;
    mod login;
    mod mosaics;
    mod passthrough;
    mod places;
    mod reading;
    mod rolling;
    mod secrets;
    mod shelf;
    mod slots;
    mod stores;
    mod strides;
    mod sys;
    mod tls;
    mod tokens;
    mod tree;
    mod views;
    mod warm;
    mod zarr;
}
