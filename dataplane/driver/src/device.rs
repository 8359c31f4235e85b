//! What the appliance file calls `device`: a PCI address or DPDK device arguments.

use std::fmt::{Display, Write as _};

use crate::error::DriverError;

/// A device, named as DPDK names it, with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    name: String,
    arguments: Vec<(String, String)>,
    is_pci: bool,
}

impl Device {
    /// Reads `text`, the `device` of `port`. Errors: the text has neither shape.
    pub fn parse(port: &str, text: &str) -> Result<Self, DriverError> {
        let wrong = || DriverError::NoDevice { port: port.to_owned(), device: text.to_owned() };
        let mut parts = text.trim().split(',');
        let first = parts.next().unwrap_or_default().trim();
        let pci = pci_address(first);
        let is_pci = pci.is_some();
        // Every virtual network device of DPDK is called net_…, and eth_… in older spellings.
        let is_vdev = first.starts_with("net_") || first.starts_with("eth_");
        let name = match pci {
            Some(address) => address,
            None if is_vdev => first.to_owned(),
            None => return Err(wrong()),
        };
        let mut arguments = Vec::new();
        for part in parts {
            let (key, value) = part.split_once('=').ok_or_else(wrong)?;
            arguments.push((key.trim().to_owned(), value.trim().to_owned()));
        }
        Ok(Self { name, arguments, is_pci })
    }

    /// The name under which DPDK knows it: the full PCI address, or the first word.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// True for a PCI address.
    pub fn is_pci(&self) -> bool {
        self.is_pci
    }

    /// True when the driver's name is `driver`, e.g. `af_packet` for `net_af_packet0`.
    pub fn is(&self, driver: &str) -> bool {
        let bare = self.name.strip_prefix("net_").or_else(|| self.name.strip_prefix("eth_"));
        !self.is_pci && bare.is_some_and(|bare| bare.starts_with(driver))
    }

    /// The value of an argument.
    pub fn argument(&self, key: &str) -> Option<&str> {
        self.arguments.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// How often an argument is given.
    pub fn count(&self, key: &str) -> usize {
        self.arguments.iter().filter(|(name, _)| name == key).count()
    }

    /// Adds an argument unless it is there.
    pub fn set_default(&mut self, key: &str, value: impl Display) {
        if self.argument(key).is_none() {
            self.arguments.push((key.to_owned(), value.to_string()));
        }
    }

    /// The device arguments for DPDK.
    pub fn to_arguments(&self) -> String {
        let mut text = self.name.clone();
        for (key, value) in &self.arguments {
            // Writing to a `String` never fails.
            let _ = write!(text, ",{key}={value}");
        }
        text
    }
}

/// The full form of a PCI address (`3b:00.0` is in domain 0000), or `None` for another text.
fn pci_address(text: &str) -> Option<String> {
    let (rest, function) = text.rsplit_once('.')?;
    let mut fields: Vec<&str> = rest.split(':').collect();
    if fields.len() == 2 {
        fields.insert(0, "0000");
    }
    let [domain, bus, device] = fields[..] else { return None };
    let hex = |text: &str, len: usize| {
        text.len() == len && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let fits = hex(domain, 4) && hex(bus, 2) && hex(device, 2) && hex(function, 1);
    fits.then(|| format!("{domain}:{bus}:{device}.{function}").to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pci_address_is_completed_and_keeps_its_arguments() {
        let device = Device::parse("lan", "3B:00.1,promisc=1").unwrap();
        assert!(device.is_pci());
        assert_eq!(device.name(), "0000:3b:00.1");
        assert_eq!(device.to_arguments(), "0000:3b:00.1,promisc=1");
    }

    #[test]
    fn a_virtual_device_knows_its_driver_and_arguments() {
        let mut device = Device::parse("lan", "net_af_packet7,iface=lan0,framesz=4096").unwrap();
        assert!(device.is("af_packet"));
        assert!(!device.is("af_xdp"));
        assert_eq!(device.argument("iface"), Some("lan0"));
        device.set_default("framesz", 2048);
        device.set_default("qpairs", 2);
        assert_eq!(device.to_arguments(), "net_af_packet7,iface=lan0,framesz=4096,qpairs=2");
    }

    #[test]
    fn other_texts_are_refused_with_port_and_remedy() {
        for text in ["", "lan0", "3b:00", "zz:00.0", "0000:3b:00.10", "net_null0,size"] {
            let error = Device::parse("lan", text).unwrap_err().to_string();
            assert!(error.contains("`lan`") && error.contains("PCI address"), "{text}: {error}");
        }
    }
}
