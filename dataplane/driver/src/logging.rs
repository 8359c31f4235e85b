//! DPDK's log, led into the `log` crate, and kept for the error that it explains.
//!
//! DPDK's functions return a bare number and log the reason. [`explain`] puts both together.

#![expect(unsafe_code, reason = "a callback from C, and its registration")]

use std::cell::RefCell;
use std::ffi::c_char;

use log::{Level, LevelFilter};

/// `RTE_LOG_WARNING` of `rte_log.h`: this and what is more serious (smaller) explains a failure.
const WARNING: u32 = 5;
/// The most lines that are kept to explain one failure.
const KEPT_MAX: usize = 4;

thread_local! {
    /// The warnings that DPDK logged on this thread while [`explain`] runs.
    static KEPT: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Sends DPDK's log here. To be called before the EAL starts. Errors: no memory for the stream.
pub(crate) fn install() -> Result<(), i32> {
    // SAFETY: `sink` is a function of the right signature and lives as long as the process.
    let status = unsafe { dpdk_sys::lt_log_to(Some(sink)) };
    if status < 0 { Err(status) } else { Ok(()) }
}

/// The name that the EAL's `--log-level` has for what passes `filter`. Errors always pass: they
/// explain failures.
pub(crate) fn eal_level(filter: LevelFilter) -> &'static str {
    match filter {
        LevelFilter::Off | LevelFilter::Error => "error",
        // Notices of DPDK are of no use to who runs an appliance.
        LevelFilter::Warn | LevelFilter::Info => "warning",
        LevelFilter::Debug => "info",
        LevelFilter::Trace => "debug",
    }
}

/// Runs `call`; beside its result comes what DPDK warned of on this thread meanwhile.
pub(crate) fn explain<T>(call: impl FnOnce() -> T) -> (T, Option<String>) {
    KEPT.set(Some(Vec::new()));
    let result = call();
    let kept = KEPT.take().unwrap_or_default();
    (result, (!kept.is_empty()).then(|| kept.join("; ")))
}

/// `RTE_LOG_*` (1 emergency ..= 8 debug) as a level of the `log` crate.
fn level_of(level: u32) -> Level {
    match level {
        0..=4 => Level::Error,
        5 => Level::Warn,
        6 | 7 => Level::Debug,
        _ => Level::Trace,
    }
}

/// DPDK writes each message whole, and flushes.
unsafe extern "C" fn sink(level: u32, text: *const c_char, len: usize) {
    // SAFETY: the shim passes the buffer that its stream was asked to write, `len` bytes of it.
    let bytes = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), len) };
    let text = String::from_utf8_lossy(bytes);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        log::log!(target: "dpdk", level_of(level), "{line}");
        if level <= WARNING {
            keep(line);
        }
    }
}

fn keep(line: &str) {
    KEPT.with_borrow_mut(|kept| {
        if let Some(kept) = kept
            && kept.len() < KEPT_MAX
        {
            kept.push(line.trim_end_matches('.').to_owned());
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_of_dpdk_has_one_here() {
        assert_eq!(level_of(1), Level::Error);
        assert_eq!(level_of(4), Level::Error);
        assert_eq!(level_of(5), Level::Warn);
        assert_eq!(level_of(8), Level::Trace);
    }

    #[test]
    fn warnings_are_kept_only_while_a_call_is_explained() {
        keep("before");
        let (result, said) = explain(|| {
            keep("the reason.");
            7
        });
        assert_eq!((result, said.as_deref()), (7, Some("the reason")));
        assert_eq!(explain(|| ()).1, None);
    }
}
