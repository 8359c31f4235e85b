//! A `linetap-traffic` to talk to.

use std::fs;
use std::io::BufReader;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};
use std::time::Duration;

use traffic::link::{self, Event, Request};

use crate::device_under_test::prefer;

/// An answer that has not come by then does not come.
const PATIENCE: Duration = Duration::from_mins(1);

/// The process; it does not outlive its test.
pub(crate) struct Process {
    child: Child,
    stream: Option<BufReader<UnixStream>>,
}

impl Process {
    pub(crate) fn start() -> Self {
        let (near, far) = UnixStream::pair().unwrap();
        near.set_read_timeout(Some(PATIENCE)).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_linetap-traffic"))
            .stdin(OwnedFd::from(far))
            .spawn()
            .unwrap();
        Self { child, stream: Some(BufReader::new(near)) }
    }

    /// Its workers get their cores before others do.
    pub(crate) fn prefer(&self) {
        prefer(&self.child);
    }

    /// The most memory that it has held so far, in bytes.
    pub(crate) fn memory_peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    pub(crate) fn tell(&mut self, request: &Request) {
        link::write(self.stream.as_ref().unwrap().get_ref(), request).unwrap();
    }

    pub(crate) fn hear(&mut self) -> Event {
        let event = link::read(self.stream.as_mut().unwrap()).unwrap();
        event.unwrap_or_else(|| panic!("the process has ended"))
    }

    pub(crate) fn ask(&mut self, request: &Request) -> Event {
        self.tell(request);
        self.hear()
    }

    /// Says no more; the process ends, and well.
    pub(crate) fn finish(mut self) {
        drop(self.stream.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
