# `make` or `make help` says what there is.

CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_TARGET_DIR

# Whether the demo stays mounted at the end.
KEEP ?= 1
# Of the benchmarks: rounds, and a part of the names of rows (all of them if empty).
ROUNDS ?= 5
ROWS ?=

.PHONY: help demo test bench fmt clippy doc deb deny docs

help:
	@echo 'make demo    build dcmsfs, mount its built-in stand-in and read it with ls, cp, GDAL and xarray'
	@echo '             it stays mounted unless KEEP= is given; MOUNTPOINT=DIR mounts there'
	@echo 'make test    everything that a change must pass; installs what the tests need; best as root'
	@echo 'make bench   dcmsfs beside curl, rclone, GDAL, fsspec and the local disk; ROWS=cp for some, ROUNDS=1 is quick'
	@echo 'make fmt     format the source'
	@echo 'make clippy  lints, for all targets; a warning is an error'
	@echo 'make doc     documentation of the code; a warning is an error'
	@echo 'make deb     the Debian package, in target/debian'
	@echo 'make deny    licences and advisories of all dependencies (needs cargo-deny)'
	@echo 'make docs    the book, in target/book (needs mdbook)'

demo:
	tests/prepare.sh demo
	cargo build --locked --release -p dcmsfs
	KEEP=$(KEEP) tests/demo.sh $(CARGO_TARGET_DIR)/release/dcmsfs

# One profile for all, so that everything is compiled once. The cheap checks come first.
test:
	tests/prepare.sh test
	cargo fmt --all --check
	$(MAKE) clippy doc
	cargo build --locked --workspace
	cargo nextest run --locked --workspace
	if [ "$$(id -u)" -eq 0 ] && command -v dpkg-deb >/dev/null; then \
		packaging/deb/check.sh "$$(packaging/deb/build.sh $(CARGO_TARGET_DIR)/debug)"; \
	else echo 'the package is not checked: that needs root and dpkg'; fi
	tests/clients/run $(CARGO_TARGET_DIR)/debug
	KEEP= tests/demo.sh $(CARGO_TARGET_DIR)/debug/dcmsfs

bench:
	tests/prepare.sh bench
	cargo bench --locked --bench read_path -- --rounds $(ROUNDS) $(if $(ROWS),--only '$(ROWS)') \
		--markdown $(CARGO_TARGET_DIR)/benchmarks.md

fmt:
	cargo fmt --all

clippy:
	cargo clippy --locked --workspace --all-targets -- -D warnings

doc:
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps

deb:
	cargo build --locked --release -p dcmsfs -p mount-helper
	packaging/deb/build.sh

deny:
	cargo deny --locked check

docs:
	@command -v mdbook >/dev/null || { echo 'mdbook is not installed: cargo install --locked mdbook' >&2; exit 2; }
	mdbook build docs --dest-dir $(CARGO_TARGET_DIR)/book
