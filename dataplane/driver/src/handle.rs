//! An open port, as long as anything needs it.

#![expect(unsafe_code, reason = "closing ports")]

use std::ffi::c_int;

use crate::borrowed::Borrowed;
use crate::error::{DriverError, words};
use crate::logging::explain;

/// An open port of DPDK: closed, and its device given back, on drop.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) name: String,
    pub(crate) port: u16,
    pub(crate) device: *mut dpdk_sys::rte_device,
    /// The interface of the kernel below, if there is one: put back on drop.
    pub(crate) below: Option<Borrowed>,
}

// SAFETY: beside what may go anywhere, a pointer that only `drop` uses; DPDK keeps ports in process
// memory that no thread owns.
unsafe impl Send for Handle {}
// SAFETY: as above; shared references leave the pointer alone.
unsafe impl Sync for Handle {}

impl Handle {
    /// Puts a failed call in words; `Ok` with its status otherwise.
    pub(crate) fn call(
        &self,
        call: &'static str,
        run: impl FnOnce() -> c_int,
    ) -> Result<c_int, DriverError> {
        let (status, said) = explain(run);
        if status >= 0 {
            return Ok(status);
        }
        let cause = match said {
            Some(said) => format!("{} ({said})", words(status)),
            None => words(status),
        };
        Err(DriverError::Call { port: self.name.clone(), call, cause })
    }

    /// Runs what may change the interface of the kernel below.
    pub(crate) fn changing<T>(&self, run: impl FnOnce() -> T) -> T {
        match &self.below {
            Some(below) => below.changing(run),
            None => run(),
        }
    }

    pub(crate) fn info(&self) -> Result<dpdk_sys::rte_eth_dev_info, DriverError> {
        let mut info = dpdk_sys::rte_eth_dev_info::default();
        self.call("rte_eth_dev_info_get", || {
            // SAFETY: the port is open; `info` is written.
            unsafe { dpdk_sys::rte_eth_dev_info_get(self.port, &raw mut info) }
        })?;
        Ok(info)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Stopping a port that does not run does nothing.
        let stopped = self.call("rte_eth_dev_stop", || {
            // SAFETY: the port is open, and no queue handle is left to poll it.
            unsafe { dpdk_sys::rte_eth_dev_stop(self.port) }
        });
        let closed = self.call("rte_eth_dev_close", || {
            // SAFETY: as above; `self` is the last handle.
            unsafe { dpdk_sys::rte_eth_dev_close(self.port) }
        });
        let removed = self.call("rte_dev_remove", || {
            if self.device.is_null() {
                // DPDK did not say which device it is; the end of the process removes it.
                return 0;
            }
            // SAFETY: the device was probed for this port and its ethernet port is closed.
            unsafe { dpdk_sys::rte_dev_remove(self.device) }
        });
        for error in [stopped, closed, removed].into_iter().filter_map(Result::err) {
            log::warn!("{error}");
        }
        // Last: a program or a ring of the driver may forbid what was allowed before it.
        if let Some(below) = &self.below {
            below.put_back(&self.name);
        }
    }
}
