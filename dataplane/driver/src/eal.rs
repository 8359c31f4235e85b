//! DPDK's environment: started once, by the one who holds the token.

#![expect(unsafe_code, reason = "starting DPDK and lending it threads")]

use core::cell::Cell;
use core::marker::PhantomData;
use std::ffi::{CString, c_char, c_int};
use std::sync::atomic::{AtomicBool, Ordering};

use core_affinity::CoreId;
use nix::sched::{CpuSet, sched_getaffinity};
use nix::sys::prctl::set_timerslack;
use nix::unistd::Pid;

use crate::clock::Moment;
use crate::error::{DriverError, words};
use crate::logging;
use crate::memory::Memory;

/// What DPDK starts with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EalConfig {
    /// The PCI devices that will be attached, by full address; all others are left alone.
    pub pci: Vec<String>,
    /// Where packet memory comes from.
    pub memory: Memory,
}

/// The proof that DPDK runs. It can't be copied, and DPDK runs until the process ends: buffers and
/// queues do not hold it.
///
/// Thread: the one that configures ports; DPDK's configuration calls are for one thread at a time.
#[derive(Debug)]
pub struct Eal {
    memory: Memory,
    lost_pools: Cell<usize>,
    _one_thread: PhantomData<Cell<()>>,
}

impl Eal {
    /// Starts DPDK. Errors: it runs already; it refuses (the reason is what it logged).
    ///
    /// The calling thread and those that it starts later keep the cores they may run on: DPDK would
    /// pin the caller to one, and every later thread would inherit that.
    pub fn start(config: &EalConfig) -> Result<Self, DriverError> {
        static STARTED: AtomicBool = AtomicBool::new(false);
        if STARTED.swap(true, Ordering::SeqCst) {
            return Err(DriverError::Twice);
        }
        let arguments = arguments(config, &allowed_cores());
        let refused = |cause| DriverError::Eal { cause, arguments: arguments.join(" ") };
        logging::install().map_err(|errno| refused(words(errno)))?;
        let began = Moment::now();
        let (status, said) = logging::explain(|| start(&arguments));
        if status < 0 {
            // SAFETY: reads a number of the calling thread.
            let errno = unsafe { dpdk_sys::lt_errno() };
            return Err(refused(said.unwrap_or_else(|| words(errno))));
        }
        began.measure();
        Ok(Self { memory: config.memory, lost_pools: Cell::new(0), _one_thread: PhantomData })
    }

    /// Where packet memory comes from.
    pub fn memory(&self) -> Memory {
        self.memory
    }

    /// Pools that nobody uses and that can't be given back: their memory is gone until the process
    /// ends.
    pub fn lost_pools(&self) -> usize {
        self.lost_pools.get()
    }

    /// Counts such a pool.
    pub fn lose_pool(&self) {
        self.lost_pools.set(self.lost_pools.get() + 1);
    }

    /// The version, e.g. `DPDK 22.11.3`.
    pub fn version() -> String {
        // SAFETY: may be called at any time.
        let text = unsafe { dpdk_sys::rte_version() };
        // SAFETY: a C string that is never freed.
        let text = unsafe { std::ffi::CStr::from_ptr(text) };
        text.to_string_lossy().into_owned()
    }
}

fn start(arguments: &[String]) -> c_int {
    let strings: Vec<CString> =
        arguments.iter().map(|text| CString::new(text.as_str()).unwrap_or_default()).collect();
    // DPDK permutes the array and keeps pointers into it: it lives as long as the process.
    let strings = Vec::leak(strings);
    let mut argv: Vec<*mut c_char> = strings.iter().map(|text| text.as_ptr().cast_mut()).collect();
    argv.push(core::ptr::null_mut());
    let argc = c_int::try_from(arguments.len()).unwrap_or(0);
    // SAFETY: `argv` holds `argc` C strings and a null; the caller starts DPDK once.
    unsafe { dpdk_sys::rte_eal_init(argc, Vec::leak(argv).as_mut_ptr()) }
}

/// The command line for `rte_eal_init`.
fn arguments(config: &EalConfig, cores: &[usize]) -> Vec<String> {
    let cores: Vec<String> = cores.iter().map(ToString::to_string).collect();
    let mut all = vec![
        "linetap".to_owned(),
        // One lcore, the caller, free to run on every core that it may run on.
        format!("--lcores=0@({})", cores.join(",")),
        "--no-telemetry".to_owned(),
        "--iova-mode=va".to_owned(),
        format!("--log-level=*:{}", logging::eal_level(log::max_level())),
    ];
    match config.memory {
        // No files are left behind and any user may start it.
        Memory::Hugepages => all.push("--in-memory".to_owned()),
        // 22.11 counts ordinary pages as legacy memory, which it refuses to combine with
        // --in-memory; without shared configuration there are no files either.
        Memory::Pages { mib } => {
            all.extend(["--no-huge", "--no-shconf", "-m"].map(str::to_owned));
            all.push(mib.to_string());
        }
    }
    if config.pci.is_empty() {
        all.push("--no-pci".to_owned());
    }
    for address in &config.pci {
        all.push(format!("--allow={address}"));
    }
    all
}

/// The cores that the calling thread may run on.
fn allowed_cores() -> Vec<usize> {
    let set = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
    (0..CpuSet::count()).filter(|core| set.is_set(*core).unwrap_or(false)).collect()
}

/// A thread that DPDK knows, with pool caches of its own; it is forgotten on drop.
#[must_use = "dropping it takes the thread's pool caches away"]
#[derive(Debug)]
pub struct WorkerThread {
    _this_thread: PhantomData<*const ()>,
}

impl WorkerThread {
    /// Pins the calling thread to `core` and makes it one of DPDK's. Errors: there is no such core,
    /// DPDK does not run, or it has as many threads as it can have (128).
    pub fn enter(core: u16) -> Result<Self, DriverError> {
        let refused = |cause| DriverError::Worker { core, cause };
        if !core_affinity::set_for_current(CoreId { id: core.into() }) {
            return Err(refused(
                "this process can't run on it; see [dataplane] workers".to_owned(),
            ));
        }
        // The kernel would let sleeps last 50 microseconds longer, to save wake-ups.
        if let Err(error) = set_timerslack(1) {
            log::debug!("timer slack stays as it is: {error}");
        }
        Self::register().map_err(refused)
    }

    /// Makes the calling thread one of DPDK's and leaves it on the cores that it may run on. Errors: a sentence's end,
    /// as [`WorkerThread::enter`].
    pub fn register() -> Result<Self, String> {
        // SAFETY: may be called by any thread at any time; it fails before DPDK runs.
        if unsafe { dpdk_sys::rte_thread_register() } != 0 {
            // SAFETY: reads a number of the calling thread.
            return Err(words(unsafe { dpdk_sys::lt_errno() }));
        }
        Ok(Self { _this_thread: PhantomData })
    }
}

impl Drop for WorkerThread {
    fn drop(&mut self) {
        // SAFETY: this thread registered itself (the type is not `Send`). Its pool caches stay in
        // the pools and are taken over by the next thread that gets the number.
        unsafe { dpdk_sys::rte_thread_unregister() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pci_is_off_unless_a_device_is_named() {
        let mut config = EalConfig { pci: vec![], memory: Memory::Pages { mib: 64 } };
        let line = arguments(&config, &[0, 3]).join(" ");
        assert!(line.contains("--no-pci") && line.contains("--lcores=0@(0,3)"), "{line}");
        assert!(line.contains("--no-huge") && line.contains("-m 64"), "{line}");
        config = EalConfig { pci: vec!["0000:3b:00.0".to_owned()], memory: Memory::Hugepages };
        let line = arguments(&config, &[0]).join(" ");
        assert!(!line.contains("--no-pci") && line.contains("--allow=0000:3b:00.0"), "{line}");
        assert!(line.contains("--in-memory") && !line.contains("--no-huge"), "{line}");
    }
}
