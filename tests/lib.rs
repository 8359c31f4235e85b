//! End-to-end tests of linetap. Each file beside this one is a test of its own; see `Cargo.toml`.
