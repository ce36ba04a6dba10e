//! `mount.dcmsfs`, called by mount(8).
fn main() {}
