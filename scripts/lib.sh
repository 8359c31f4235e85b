# Shared by the scripts of this folder: sourced, never run.
# shellcheck shell=bash

say() { printf '%s\n' "$*"; }
warn() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() {
    warn "$*"
    exit 1
}

# need_root WHY: stops unless the script runs as root.
need_root() {
    [[ $EUID -eq 0 ]] || die "needs root: $1. Run it again as root, e.g. with sudo."
}

# need_tools WHAT TOOL…: stops when a program is missing.
need_tools() {
    local what=$1 tool missing=()
    shift
    for tool in "$@"; do
        command -v "$tool" >/dev/null || missing+=("$tool")
    done
    [[ ${#missing[@]} -eq 0 ]] ||
        die "$what needs ${missing[*]}, not found in PATH. Run scripts/setup${SETUP_OPTION:+ $SETUP_OPTION} first."
}

# A process is remembered as "pid starttime": a pid alone may have been given to somebody else
# since.
start_time() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# remember PIDFILE PID
remember() {
    mkdir -p "$(dirname "$1")"
    printf '%s %s\n' "$2" "$(start_time "$2")" >"$1"
}

# is_running PIDFILE: the very process that was remembered still runs.
is_running() {
    local pid started
    read -r pid started 2>/dev/null <"$1" || return 1
    [[ -n $started && $(start_time "$pid") == "$started" ]]
}

# end_process PIDFILE: asks, waits up to ten seconds, then insists; forgets it.
end_process() {
    local pid _ n
    if is_running "$1"; then
        read -r pid _ <"$1"
        kill -TERM "$pid" 2>/dev/null || true
        for ((n = 0; n < 100; n++)); do
            is_running "$1" || break
            sleep 0.1
        done
        if is_running "$1"; then
            warn "process $pid did not end when asked: killed"
            kill -KILL "$pid" 2>/dev/null || true
        fi
    fi
    rm -f "$1"
}

# Under sudo, root's PATH lacks the toolchain of the person who called: rustup keeps it at home.
use_rust_of_sudo_user() {
    local home
    if command -v cargo >/dev/null || [[ -z ${SUDO_USER:-} ]]; then return; fi
    home=$(getent passwd "$SUDO_USER" | cut -d: -f6)
    if [[ -x $home/.cargo/bin/cargo ]]; then
        export PATH=$home/.cargo/bin:$PATH RUSTUP_HOME=${RUSTUP_HOME:-$home/.rustup}
    fi
}

# give_back TREE: what root made in somebody's tree is theirs again; their next cargo would fail at it.
give_back() {
    [[ $EUID -eq 0 && $(stat -c %u "$1") != 0 ]] || return 0
    find "$1" -xdev -uid 0 -exec chown --no-dereference --reference="$1" {} + ||
        warn "not all that root made in $1 could be given back to its owner"
}
