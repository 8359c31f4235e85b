//! `linetap explain`: why a packet is mirrored, or not.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};
use engine::rule::Direction;
use engine::sim::CaptureReader;
use engine::snapshot::Snapshot;
use engine::units::PortIndex;
use serde_json::json;
use traffic::compressed;

use super::mirror::{PortFile, argument_fault};
use super::{Failure, Files};
use crate::config::{Appliance, Mode};
use crate::explain::{Explainer, Explanation, Packet, to_json, to_text};
use crate::fault::{Fault, Faults, did_you_mean, quoted};
use crate::load::load_with;
use crate::model::Listing;

/// The command line of `linetap explain`.
#[derive(Debug, Args)]
pub(super) struct Explain {
    #[command(flatten)]
    files: Files,
    /// Explain a packet, such as `tcp 10.0.0.1:1234 > 10.0.0.2:443`; behind the addresses may stand
    /// `fragment` (a later one, without ports) and `length N` (bytes of its frame).
    #[arg(long = "packet", value_name = "PACKET")]
    packets: Vec<String>,
    /// Only as this interface sees the packet.
    #[arg(long, value_name = "ID")]
    interface: Option<String>,
    /// Only in this direction.
    #[arg(long, value_enum)]
    direction: Option<Way>,
    /// Explain frames of a capture that a port received (pcap or pcapng, also gzip or zstd); the
    /// port may be left out when only one receives.
    #[arg(long, value_name = "[PORT=]FILE")]
    read: Option<String>,
    /// The number of a frame, from 1, as Wireshark counts.
    #[arg(long = "frame", value_name = "N")]
    frames: Vec<u64>,
    /// Print a JSON document.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Way {
    Ingress,
    Egress,
}

impl From<Way> for Direction {
    fn from(way: Way) -> Self {
        match way {
            Way::Ingress => Self::Ingress,
            Way::Egress => Self::Egress,
        }
    }
}

/// A capture, and the port that received it.
#[derive(Debug)]
struct Capture {
    port: PortIndex,
    file: PathBuf,
}

impl Explain {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let (packets, mut faults) = self.packets();
        faults.extend(self.misfits());
        let (sources, Faults(of_parameters)) = self.files.sources(Mode::Offline);
        faults.extend(of_parameters);
        let mut capture = None;
        let loaded = load_with(&sources, 1, |appliance| {
            let mut faults = self.unknown_interface(appliance);
            match self.read.as_deref().map(|read| find_capture(read, appliance)).transpose() {
                Ok(found) => capture = found,
                Err(fault) => faults.extend(fault),
            }
            faults
        });
        let snapshot = Faults(faults).and(loaded)?.snapshot;
        let mut explainer = Explainer::new(snapshot).map_err(Faults::of_arguments)?;
        let explanations = match &capture {
            Some(capture) => self.of_frames(capture, &mut explainer)?,
            None => packets.iter().map(|packet| self.of_packet(packet, &mut explainer)).collect(),
        };
        let text = self.render(&explanations, explainer.snapshot());
        let printed = io::stdout().lock().write_all(text.as_bytes());
        Ok(printed.context("the explanation can't be printed")?)
    }

    /// The packets that can be read, and what is wrong with the others.
    fn packets(&self) -> (Vec<Packet>, Vec<Fault>) {
        let (mut packets, mut faults) = (Vec::new(), Vec::new());
        for text in &self.packets {
            match text.parse() {
                Ok(packet) => packets.push(packet),
                Err(why) => {
                    faults.push(argument_fault(format!("--packet {}: {why}", quoted(text))));
                }
            }
        }
        (packets, faults)
    }

    /// Arguments that don't fit together.
    fn misfits(&self) -> Vec<Fault> {
        let (has_packets, has_read) = (!self.packets.is_empty(), self.read.is_some());
        let is_narrowed = self.interface.is_some() || self.direction.is_some();
        let misfits = [
            (
                !has_packets && !has_read,
                "nothing is asked about; give --packet, or --read and --frame",
            ),
            (has_packets && has_read, "--packet and --read are two questions; ask one at a time"),
            (has_read && self.frames.is_empty(), "--read: which frame? give --frame N, from 1"),
            (!has_read && !self.frames.is_empty(), "--frame: of which capture? give --read too"),
            (self.frames.contains(&0), "--frame 0: frames are counted from 1"),
            (
                has_read && is_narrowed,
                "--interface and --direction are for --packet; a frame itself tells whose it is",
            ),
        ];
        let found = misfits.into_iter().filter(|(is_misfit, _)| *is_misfit);
        found.map(|(_, message)| argument_fault(message.to_owned())).collect()
    }

    fn unknown_interface(&self, appliance: &Appliance) -> Vec<Fault> {
        let ids: Vec<&str> = appliance.interfaces.iter().map(|it| it.id.as_str()).collect();
        let is_unknown = |id: &&String| {
            !ids.contains(&id.as_str()) && !appliance.incomplete.contains(&Listing::Interfaces)
        };
        let unknown = self.interface.iter().filter(is_unknown).map(|id| {
            let hint = did_you_mean(id, ids.iter().copied());
            argument_fault(format!(
                "--interface {id}: the appliance file has no such [[interface]]; name one of its \
                 own{hint}"
            ))
        });
        unknown.collect()
    }

    fn of_packet(&self, packet: &Packet, explainer: &mut Explainer) -> Explanation {
        explainer.packet(packet, |interface, direction| {
            self.interface.as_ref().is_none_or(|id| id == interface)
                && self.direction.is_none_or(|way| Direction::from(way) == direction)
        })
    }

    /// The frames that are asked for, in this order.
    fn of_frames(
        &self,
        capture: &Capture,
        explainer: &mut Explainer,
    ) -> anyhow::Result<Vec<Explanation>> {
        let Capture { port, file } = capture;
        let frames = read_frames(file, &self.frames)?;
        let port_name = explainer.snapshot().ports[port.at()].name.clone();
        let mut explanations = Vec::new();
        for number in &self.frames {
            let Some(bytes) = frames.get(number) else { continue };
            let subject = format!("frame {number} of {}, received on {port_name}", file.display());
            explanations.push(explainer.frame(subject, *port, bytes));
        }
        Ok(explanations)
    }

    fn render(&self, explanations: &[Explanation], snapshot: &Snapshot) -> String {
        if self.json {
            let list: Vec<_> = explanations.iter().map(|it| to_json(it, snapshot)).collect();
            return format!("{:#}\n", json!({ "explanations": list }));
        }
        let texts: Vec<String> = explanations.iter().map(|it| to_text(it, snapshot)).collect();
        texts.join("\n")
    }
}

/// The capture of `--read`, and its port. Errors: what is wrong with it; nothing, when that may be
/// what is wrong with the appliance file.
fn find_capture(read: &str, appliance: &Appliance) -> Result<Capture, Option<Fault>> {
    let names = || appliance.ports.iter().map(|port| port.name.as_str());
    let fault = |message: String| {
        let is_known = !appliance.incomplete.contains(&Listing::Ports);
        Err(is_known.then(|| argument_fault(message)))
    };
    if read.contains('=') {
        let PortFile { port, file } = match read.parse() {
            Ok(port_file) => port_file,
            Err(why) => return Err(Some(argument_fault(format!("--read {read}: {why}")))),
        };
        let Some(at) = names().position(|name| name == port) else {
            let (hint, port) = (did_you_mean(&port, names()), quoted(&port));
            return fault(format!(
                "--read {read}: the appliance file has no port {port}; name one of its own{hint}"
            ));
        };
        return Ok(Capture { port: PortIndex(at as u16), file });
    }
    let wired = appliance.links.iter().flat_map(|link| link.ports);
    let receiving: Vec<PortIndex> = wired.chain(appliance.spans.iter().copied()).collect();
    match receiving.as_slice() {
        [port] => Ok(Capture { port: *port, file: read.into() }),
        ports => {
            let name = |port: &PortIndex| appliance.ports.get(port.at()).map(|it| it.name.as_str());
            let names: Vec<&str> = ports.iter().filter_map(name).collect();
            let first = names.first().copied().unwrap_or("PORT");
            fault(format!(
                "--read {read}: by which port did it come in, {}? write --read {first}={read}",
                crate::fault::either(&names)
            ))
        }
    }
}

/// Frames of a capture by their numbers, from 1. Errors: it can't be read as far as the last of them.
fn read_frames(file: &Path, numbers: &[u64]) -> anyhow::Result<BTreeMap<u64, Vec<u8>>> {
    let name = file.display();
    let content = compressed::open(file).with_context(|| format!("{name}: it can't be read"))?;
    let mut reader = CaptureReader::new(content);
    let last = numbers.iter().copied().max().unwrap_or(0);
    let mut frames = BTreeMap::new();
    for number in 1..=last {
        if !reader.advance().with_context(|| name.to_string())? {
            let count = number - 1;
            return Err(anyhow!("{name}: there is no frame {last}; it has {count}"));
        }
        if numbers.contains(&number) {
            frames.insert(number, reader.frame().to_vec());
        }
    }
    Ok(frames)
}
