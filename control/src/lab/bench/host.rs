//! The machine on which a benchmark runs, as far as results depend on it.

use std::fs;
use std::path::Path;
use std::thread;

use nix::sys::utsname::uname;
use serde::{Deserialize, Serialize};

/// Arguments of the kernel that make it faster, slower or quieter: beginnings of their names.
const TUNING: [&str; 16] = [
    "amd_",
    "clocksource",
    "default_hugepagesz",
    "hugepage",
    "idle",
    "intel_",
    "iommu",
    "isolcpus",
    "mitigations",
    "nohz",
    "nosmt",
    "preempt",
    "processor.",
    "rcu_nocb",
    "transparent_hugepage",
    "tsc",
];

/// The machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// The kernel's release.
    pub kernel: String,
    /// The processor's name.
    pub cpu: String,
    /// Cores that this process may run on.
    pub cores: usize,
    /// Memory, in MiB.
    pub memory_mib: u64,
    /// Hugepages that there are, with their size: `64 × 2048 kB`.
    pub hugepages: String,
    /// What the kernel was started with, as far as results depend on it.
    pub kernel_arguments: String,
    /// A hypervisor is below.
    pub is_virtual: bool,
}

impl Host {
    /// This one. What can't be known is empty.
    pub fn here() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let (cpu, memory) = (text("/proc/cpuinfo"), text("/proc/meminfo"));
        let of_memory = |key: &str| field(&memory, key).unwrap_or_default().to_owned();
        let system = uname().ok();
        let word = |of: Option<&std::ffi::OsStr>| {
            of.map(|it| it.to_string_lossy().into_owned()).unwrap_or_default()
        };
        let kib: u64 =
            of_memory("MemTotal").split(' ').next().and_then(|it| it.parse().ok()).unwrap_or(0);
        Self {
            name: word(system.as_ref().map(nix::sys::utsname::UtsName::nodename)),
            kernel: word(system.as_ref().map(nix::sys::utsname::UtsName::release)),
            cpu: field(&cpu, "model name").unwrap_or_default().to_owned(),
            cores: thread::available_parallelism().map_or(1, Into::into),
            memory_mib: kib / 1024,
            hugepages: format!("{} × {}", of_memory("HugePages_Total"), of_memory("Hugepagesize")),
            kernel_arguments: tuning(&text("/proc/cmdline")),
            is_virtual: field(&cpu, "flags")
                .is_some_and(|it| it.split(' ').any(|flag| flag == "hypervisor")),
        }
    }
}

/// Of a command line of the kernel, what is of [`TUNING`].
fn tuning(command_line: &str) -> String {
    let is_tuning = |it: &&str| TUNING.iter().any(|name| it.starts_with(name));
    command_line.split_whitespace().filter(is_tuning).collect::<Vec<_>>().join(" ")
}

/// The value behind `key:` in a file of /proc.
fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim())
    })
}

/// Mb/s of the wire behind a DPDK device, `None` where there is no wire: what virtual devices say of their speed
/// means nothing.
pub fn wire_speed_mbps(device: &str, told_mbps: u32) -> Option<u32> {
    let told = (told_mbps > 0).then_some(told_mbps);
    if let Some(interface) = device.split(',').find_map(|it| it.strip_prefix("iface=")) {
        let dir = Path::new("/sys/class/net").join(interface);
        // Interfaces without a device are the kernel's own: veth, tap, bridges.
        let speed =
            fs::read_to_string(dir.join("speed")).ok().filter(|_| dir.join("device").exists());
        return speed.and_then(|it| it.trim().parse().ok()).filter(|&mbps| mbps > 0);
    }
    told.filter(|_| !device.starts_with("net_") && !device.starts_with("eth_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_is_known() {
        let host = Host::here();
        assert!(!host.kernel.is_empty() && host.cores > 0 && host.memory_mib > 0, "{host:?}");
        assert!(!host.hugepages.starts_with(' '), "{host:?}");
    }

    #[test]
    fn of_the_kernels_arguments_those_are_kept_that_matter() {
        let line = "root=/dev/sda1 isolcpus=1-3 quiet nohz_full=1-3 secret=x mitigations=off\n";
        assert_eq!(tuning(line), "isolcpus=1-3 nohz_full=1-3 mitigations=off");
    }

    #[test]
    fn only_wires_have_a_speed() {
        assert_eq!(wire_speed_mbps("0000:3b:00.0", 25_000), Some(25_000));
        assert_eq!(wire_speed_mbps("0000:3b:00.0", 0), None);
        assert_eq!(wire_speed_mbps("net_memif0,role=client", 100_000), None);
        assert_eq!(wire_speed_mbps("net_af_packet0,iface=lo", 10_000), None);
        assert_eq!(field("a\t: 1 2\nb: 3", "a"), Some("1 2"));
    }
}
