//! Which ports the lab's tools work with, and which cores poll: the options that these have in common.

use std::path::{Path, PathBuf};

use clap::Args;
use engine::snapshot::{MemorySpec, PortSpec};
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;
use traffic::setup::{PortSetup, Setup};

use super::arguments::Arguments;
use crate::config::{self, Appliance, Mode};
use crate::fault::{FaultSink, did_you_mean, either};
use crate::lab::interfaces::{Interface, interfaces};
use crate::link::Dataplane;
use crate::load;

/// DPDK's drivers over interfaces of the kernel.
const DRIVERS: [&str; 2] = ["af_packet", "af_xdp"];
/// What a device is taken to carry that nobody says anything about.
const MTU_DEFAULT: u16 = 1500;
/// The largest MTU whose frames fit one buffer.
const MTU_MAX: u16 = 64_000;

/// What ports are, and cores.
#[derive(Debug, Args)]
pub(super) struct Devices {
    /// Ports are named as in this appliance file, which must not be in use.
    #[arg(long, value_name = "FILE", help_heading = "Ports and cores")]
    pub(super) config: Option<PathBuf>,
    /// How interfaces of the kernel are opened: `af_packet` or `af_xdp` [default: `af_packet`].
    #[arg(long, value_name = "NAME", help_heading = "Ports and cores")]
    driver: Option<String>,
    /// The largest IP packet of the ports [default: that of the interface or of the appliance file, else 1500].
    #[arg(long, value_name = "BYTES", help_heading = "Ports and cores")]
    mtu: Option<String>,
    /// The cores that poll, such as 1 or 2,4-6 [default: the last one that this process may run on].
    #[arg(long, value_name = "LIST", help_heading = "Ports and cores")]
    pub(super) cores: Option<String>,
}

/// What shall be opened.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// In the order in which they were asked for.
    pub(super) ports: Vec<PortSetup>,
    /// At least one.
    pub(super) cores: Vec<u16>,
    /// What a person should know before, a sentence each.
    pub(super) notes: Vec<String>,
}

impl Found {
    /// What to open, with so many buffers for frames that are sent.
    pub(super) fn setup(&self, frames: u32) -> Setup {
        let (ports, cores) = (self.ports.clone(), self.cores.clone());
        Setup { ports, cores, memory: MemorySpec::Auto, frames, timed: false }
    }
}

/// What ports are for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Uses {
    /// Frames are sent by them.
    pub(super) send: bool,
    /// What they receive counts.
    pub(super) receive: bool,
}

/// The names of ports are looked up here.
struct Directory<'a> {
    appliance: Option<&'a Appliance>,
    /// The running appliance: its process, and its ports.
    running: Option<(u32, Vec<String>)>,
    interfaces: Vec<Interface>,
    driver: &'a str,
    mtu: Option<u16>,
    uses: Uses,
}

impl Devices {
    /// Finds the ports of these names, each with the option that gives it: a `[[port]]` of the appliance file where
    /// there is one, else an interface of the kernel, a PCI address or DPDK device arguments. What is wrong is noted in `arguments`.
    pub(super) fn find(
        &self,
        names: &[(&str, &str)],
        uses: Uses,
        arguments: &mut Arguments,
    ) -> Found {
        let driver = arguments.read("--driver", self.driver.as_ref(), driver, &either(&DRIVERS));
        let is_mtu = |text: &str| text.parse().ok().filter(|mtu| (68..=MTU_MAX).contains(mtu));
        let mtu = arguments.read("--mtu", self.mtu.as_ref(), is_mtu, "68 to 64000");
        let mut found = Found { cores: self.cores(arguments), ..Found::default() };
        if found.cores.is_empty() {
            let (cores, note) = default_core();
            found.cores = cores;
            found.notes.extend(note);
        }
        let appliance = match self.config.as_deref().map(appliance) {
            Some(Err(faults)) => {
                for fault in faults {
                    arguments.fault(fault);
                }
                return found;
            }
            Some(Ok(appliance)) => Some(appliance),
            None => None,
        };
        let directory = Directory {
            running: appliance.as_ref().and_then(running),
            appliance: appliance.as_ref(),
            interfaces: interfaces(),
            driver: driver.unwrap_or(DRIVERS[0]),
            mtu,
            uses,
        };
        for (place, &(option, name)) in names.iter().enumerate() {
            match directory.port(place, name, &mut found.notes) {
                Ok(port) => found.ports.push(port),
                Err(why) => arguments.fault(format!("{option} {name}: {why}")),
            }
        }
        for (at, port) in found.ports.iter().enumerate() {
            if found.ports.iter().take(at).any(|other| other.device_key() == port.device_key()) {
                let name = &port.name;
                arguments.fault(format!("port {name} is named twice; each can be one only"));
            }
        }
        found
    }

    fn cores(&self, arguments: &mut Arguments) -> Vec<u16> {
        let form = "cores by number, each once, like 1 or 2,4-6";
        let cores = arguments.read("--cores", self.cores.as_ref(), cores, form).unwrap_or_default();
        for core in cores.iter().filter(|core| !has_core(**core)) {
            arguments.fault(format!(
                "--cores: this machine has no core {core}; lscpu tells which it has"
            ));
        }
        cores
    }
}

impl Directory<'_> {
    /// The port of a name. Errors: why there is none, and the remedy.
    fn port(&self, place: usize, name: &str, notes: &mut Vec<String>) -> Result<PortSetup, String> {
        if let Some(appliance) = self.appliance {
            return self.of_appliance(appliance, name);
        }
        if let Some(interface) = self.interfaces.iter().find(|it| it.name == name) {
            return self.of_kernel(place, interface, notes);
        }
        let is_device = is_pci(name) || name.starts_with("net_") || name.starts_with("eth_");
        if is_device {
            let mtu = self.mtu.unwrap_or(MTU_DEFAULT);
            let (name, device) = (short(name), name.to_owned());
            return Ok(PortSetup { name, device, mtu, mac: None });
        }
        let known = self.interfaces.iter().map(|it| it.name.as_str());
        let hint = did_you_mean(name, known);
        Err(format!(
            "there is no such interface here; name one of `ip link`, a PCI address like 0000:3b:00.0, or \
             DPDK device arguments like net_memif0,role=client{hint}"
        ))
    }

    fn of_appliance(&self, appliance: &Appliance, name: &str) -> Result<PortSetup, String> {
        let Some(spec) = appliance.ports.iter().find(|port| port.name == name) else {
            let hint = did_you_mean(name, appliance.ports.iter().map(|port| port.name.as_str()));
            let known: Vec<&str> = appliance.ports.iter().map(|it| it.name.as_str()).collect();
            let known = either(&known);
            return Err(format!("the appliance file has no such port; name {known}{hint}"));
        };
        if let Some((pid, _)) =
            self.running.as_ref().filter(|(_, ports)| ports.contains(&spec.name))
        {
            return Err(format!(
                "the running appliance, process {pid}, has this port; stop `linetap up`, or name another port"
            ));
        }
        let PortSpec { name, device, mtu, mac, .. } = spec.clone();
        let device = device.ok_or("the appliance file names no device for it; add device")?;
        Ok(PortSetup { name, device, mtu: self.mtu.unwrap_or(mtu), mac })
    }

    fn of_kernel(
        &self,
        place: usize,
        interface: &Interface,
        notes: &mut Vec<String>,
    ) -> Result<PortSetup, String> {
        let name = &interface.name;
        if !interface.is_ethernet {
            return Err("it carries no Ethernet frames; name an interface that does".to_owned());
        }
        if !interface.is_up {
            return Err(format!("it is down; switch it on: ip link set {name} up"));
        }
        if !interface.has_carrier {
            notes.push(format!("port {name}: it has no carrier: nothing will leave or come"));
        }
        let offloads = if self.uses.receive { interface.receive_offloads() } else { Vec::new() };
        if !offloads.is_empty() {
            let off: Vec<String> = offloads.iter().map(|it| format!("{it} off")).collect();
            notes.push(format!(
                "port {name}: the kernel may merge frames before they are seen; switch that off: ethtool -K \
                 {name} {}",
                off.join(" ")
            ));
        }
        let own = interface.mtu().and_then(|mtu| u16::try_from(mtu).ok()).unwrap_or(MTU_MAX);
        if let Some(mtu) = self.mtu.filter(|mtu| *mtu > own && self.uses.send) {
            return Err(format!(
                "its MTU is {own}: the kernel would drop what is longer, and not say so; \
                 ip link set {name} mtu {mtu}, or leave --mtu out"
            ));
        }
        let device = format!("net_{}{place},iface={name}", self.driver);
        Ok(PortSetup {
            name: name.clone(),
            device,
            mtu: self.mtu.unwrap_or(own.min(MTU_MAX)),
            mac: None,
        })
    }
}

/// What tells one device from another.
trait DeviceKey {
    fn device_key(&self) -> &str;
}

impl DeviceKey for PortSetup {
    /// Of an interface its name; else the device's.
    fn device_key(&self) -> &str {
        let interface = self.device.split(',').find_map(|it| it.strip_prefix("iface="));
        interface.unwrap_or_else(|| self.device.split(',').next().unwrap_or_default())
    }
}

/// The appliance file. Errors: its faults.
fn appliance(file: &Path) -> Result<Appliance, Vec<String>> {
    let words = |faults: Vec<crate::fault::Fault>| faults.iter().map(ToString::to_string).collect();
    let text = load::read_config(file).map_err(|faults| words(faults.0))?;
    let sink = FaultSink::new(file.display().to_string());
    let appliance = config::read(&text, Mode::Online, &sink);
    if sink.is_empty() { Ok(appliance) } else { Err(words(sink.into_faults())) }
}

/// The process of the appliance that runs by this file, and its ports.
fn running(appliance: &Appliance) -> Option<(u32, Vec<String>)> {
    let mut dataplane = Dataplane::connect(&appliance.socket()).ok()?;
    let pid = dataplane.pid;
    let report = dataplane.report().ok()?;
    Some((pid, report.ports.into_iter().map(|port| port.name).collect()))
}

/// One of [`DRIVERS`], also by DPDK's name for it.
fn driver(text: &str) -> Option<&'static str> {
    let bare = text.strip_prefix("net_").unwrap_or(text);
    DRIVERS.into_iter().find(|driver| *driver == bare)
}

/// `0000:3b:00.0` or `3b:00.0`, with arguments behind it perhaps.
fn is_pci(text: &str) -> bool {
    let address = text.split(',').next().unwrap_or_default();
    let Some((rest, function)) = address.rsplit_once('.') else { return false };
    let hex = |it: &str, len| it.len() == len && it.bytes().all(|byte| byte.is_ascii_hexdigit());
    let fields: Vec<&str> = rest.split(':').collect();
    if match fields.as_slice() {
        [domain, bus, device] => hex(domain, 4) && hex(bus, 2) && hex(device, 2),
        [bus, device] => hex(bus, 2) && hex(device, 2),
        _ => false,
    } {
        hex(function, 1)
    } else {
        false
    }
}

/// A device's name without its arguments.
fn short(device: &str) -> String {
    device.split(',').next().unwrap_or(device).trim().to_owned()
}

/// `1`, `2,4-6`: each once.
pub(super) fn cores(text: &str) -> Option<Vec<u16>> {
    const CORES_MAX: usize = 1024;
    let mut cores: Vec<u16> = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let is_number = |it: &str| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit());
        let range = (is_number(first) && is_number(last)).then_some((first, last))?;
        let (first, last): (u16, u16) = (range.0.parse().ok()?, range.1.parse().ok()?);
        for core in first..=last {
            if cores.contains(&core) || cores.len() == CORES_MAX {
                return None;
            }
            cores.push(core);
        }
        if first > last {
            return None;
        }
    }
    Some(cores)
}

/// Whether the machine has a core, be it one that this process keeps off.
fn has_core(core: u16) -> bool {
    Path::new("/sys/devices/system/cpu").join(format!("cpu{core}")).exists()
}

/// The cores that this process may run on.
pub(super) fn cores_allowed() -> Vec<u16> {
    let set = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
    let may = |core: &u16| set.is_set(usize::from(*core)).unwrap_or(false);
    let count = u16::try_from(CpuSet::count()).unwrap_or(u16::MAX);
    (0..count).filter(may).collect()
}

/// The last core that this process may run on; with a note when there is no other.
fn default_core() -> (Vec<u16>, Option<String>) {
    let mut cores = cores_allowed().into_iter();
    let first = cores.next().unwrap_or(0);
    match cores.last() {
        Some(last) => (vec![last], None),
        None => (
            vec![first],
            Some(format!(
                "this process may run on core {first} alone: what else does so will be seen in the times; see --cores"
            )),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_that_is_not_there_is_known() {
        assert!(has_core(0) && !has_core(60_000));
    }

    #[test]
    fn cores_are_lists_and_ranges_each_once() {
        assert_eq!(cores("1"), Some(vec![1]));
        assert_eq!(cores("2,4-6"), Some(vec![2, 4, 5, 6]));
        for odd in ["", "1,", "1,1", "3-1", "1-3,2", "a", "-1", "+1", "70000", "0-65535"] {
            assert_eq!(cores(odd), None, "{odd}");
        }
    }

    #[test]
    fn an_interface_sends_no_more_than_its_mtu() {
        let loopback = interfaces().into_iter().find(|it| it.name == "lo").unwrap();
        let own = u16::try_from(loopback.mtu().unwrap()).unwrap_or(MTU_MAX);
        let port = |mtu: u16, send| {
            let uses = Uses { send, receive: true };
            let interfaces = vec![Interface { name: "lo".into(), ..loopback.clone() }];
            let (appliance, running, driver) = (None, None, DRIVERS[0]);
            Directory { appliance, running, interfaces, driver, mtu: Some(mtu), uses }.port(
                0,
                "lo",
                &mut Vec::new(),
            )
        };
        assert_eq!(port(own - 1, true).unwrap().mtu, own - 1);
        // Loopback has so large an MTU that only more than its own is refused.
        if let Some(more) = own.checked_add(1) {
            let error = port(more, true).unwrap_err();
            assert!(error.contains("the kernel would drop"), "{error}");
            assert_eq!(port(more, false).unwrap().mtu, more);
        }
    }

    #[test]
    fn pci_addresses_are_known_by_their_shape() {
        assert!(is_pci("0000:3b:00.0") && is_pci("3b:00.1,promisc=1"));
        for odd in ["lan0", "3b:00", "0000:3b:00.", "eth0.100", "zz:00.0", "1:2:3:4.5"] {
            assert!(!is_pci(odd), "{odd}");
        }
    }

    #[test]
    fn the_same_device_twice_is_seen() {
        let port = |device: &str| PortSetup {
            name: String::new(),
            device: device.into(),
            mtu: 0,
            mac: None,
        };
        assert_eq!(
            port("net_af_packet0,iface=lan0").device_key(),
            port("net_af_xdp1,iface=lan0").device_key()
        );
        assert_ne!(
            port("net_memif0,role=client").device_key(),
            port("net_memif1,role=client").device_key()
        );
    }
}
