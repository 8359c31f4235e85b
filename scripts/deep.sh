# The part of scripts/test that takes hours: sourced by it.
# shellcheck shell=bash

# Executions that parse and mirror_burst must have withstood together.
fuzz_least=10000000
# Packets that are looked up in every rule set beside its trace.
tuples=100000000
fuzz_folders=(dataplane/engine/fuzz dataplane/traffic/fuzz control/fuzz)

nightly_has() { # COMPONENT
    rustup component list --toolchain nightly 2>/dev/null | grep -q "^$1.*(installed)"
}

# have_nightly COMPONENT…: installs what is missing of it, or says why not.
have_nightly() {
    local component
    command -v rustup >/dev/null || { warn "no rustup, which nightly Rust comes by"; return 1; }
    for component in "$@"; do
        nightly_has "$component" || {
            say "Installing $component of nightly Rust."
            rustup toolchain install nightly --profile minimal --component "$component"
        } || { warn "$component of nightly Rust can't be had"; return 1; }
    done
}

miri() {
    have_nightly miri rust-src || return 1
    # Proptest looks where it runs, which isolation forbids; a few cases each, for Miri is slow.
    MIRIFLAGS=-Zmiri-disable-isolation PROPTEST_CASES=8 cargo +nightly miri test --package engine
}

# Of vectors that this machine may not have, Miri has those that are used.
miri_on_vectors() {
    have_nightly miri rust-src || return 1
    RUSTFLAGS="-Ctarget-feature=+avx2,+bmi1,+bmi2,+avx512f,+avx512bw" MIRIFLAGS=-Zmiri-disable-isolation PROPTEST_CASES=16 \
        cargo +nightly miri test --package engine --lib --target-dir target/vectors -- simd::vectors simd::search
}

have_cargo_fuzz() {
    have_nightly rust-src || return 1
    cargo fuzz --version >/dev/null 2>&1 || {
        say "Installing cargo-fuzz."
        cargo install --locked cargo-fuzz
    } || { warn "cargo-fuzz can't be had"; return 1; }
}

# fuzz FOLDER TARGET OPTION…: prints how many executions it withstood.
fuzz() {
    local folder=$1 target=$2 log status=0
    shift 2
    log=$(mktemp)
    mkdir -p "$folder/corpus/$target" "$folder/seeds/$target"
    (cd "$folder" && cargo +nightly fuzz run --sanitizer none --fuzz-dir . "$target" "corpus/$target" "seeds/$target" -- \
        -verbosity=0 -print_final_stats=1 "$@") >"$log" 2>&1 || status=$?
    if ((status)); then tail -n 60 "$log" >&2; fi
    sed -nE 's/^stat::number_of_executed_units: ([0-9]+)$/\1/p' "$log"
    rm -f "$log"
    return $status
}

# Each target of every folder; a crash of any is a failure.
fuzz_all() {
    local folder target count sum=0 status=0 options
    have_cargo_fuzz || return 1
    for folder in "${fuzz_folders[@]}"; do
        [[ -d $folder ]] || continue
        for target in $(cd "$folder" && cargo +nightly fuzz list --fuzz-dir .); do
            options=(-max_total_time=120)
            # By the count, not by the clock: slow machines shall try as much.
            case $target in
                parse | mirror_burst) options=("-runs=$((fuzz_least / 2))") ;;
            esac
            count=$(fuzz "$folder" "$target" "${options[@]}") || status=1
            say "$target: ${count:-0} executions"
            case $target in
                parse | mirror_burst) sum=$((sum + ${count:-0})) ;;
            esac
        done
    done
    say "parse and mirror_burst together: $sum executions"
    if ((sum < fuzz_least)); then
        warn "fewer than $fuzz_least"
        status=1
    fi
    return $status
}

# Each prints what the wire carried meanwhile.
wire_first() {
    local status=0 blocked test=(cargo test --release --package driver --test wire_first -- --nocapture --test-threads 1)
    for blocked in "600 100" "60000 100"; do
        env LINETAP_TEST_PATIENCE=9000 LINETAP_BLOCKED_MS="${blocked% *}" LINETAP_BLOCKED_TIMES="${blocked#* }" \
            "${test[@]}" || status=1
    done
    return $status
}

deep_tests() {
    local of_miri
    of_miri=$(mktemp -d)
    # Not by both at once; who can't go without will say so.
    have_nightly miri rust-src || true
    # Miri and fuzzing keep one core busy each.
    keep "$of_miri" miri &
    step "fuzzing" fuzz_all
    wait
    tests "Miri" said "$of_miri"
    rm -rf "$of_miri"
    tests "Miri on the widest vectors" miri_on_vectors
    tests "rule sets" env LINETAP_TUPLES="$tuples" cargo test --release --package benches --test rulesets -- --nocapture
    tests "filter sets of ten thousand rules" cargo test --release --package control --lib -- --ignored --nocapture
    tests "a minute of changes" env LINETAP_HITLESS_SECONDS=60 cargo test --release --package driver --test hitless -- --nocapture
    tests "a tool that stops a hundred times, also for a minute each" wire_first
    tests "replay of ten gigabytes" env LINETAP_CAPTURE_MB=10240 cargo test --release --package driver --test lab -- \
        --nocapture replay::memory_does_not_grow
    tests "soak between rings" env LINETAP_SOAK_SECONDS=1800 LINETAP_TEST_PATIENCE=2400 \
        cargo test --release --package driver --test soak -- --nocapture
    tests "a thousand changes and as many ends as they see" env LINETAP_CRASH_CHANGES=1000 \
        cargo test --package control --test api -- --nocapture daemon::crash::
    tests "a thousand changes by the API" env LINETAP_API_TIMES=1000 cargo test --package tests --test live -- --nocapture api::
    step "release build" cargo build --quiet --release --workspace --bins
    tests "soak" cargo test --release --package tests --test live -- --ignored --nocapture
}
