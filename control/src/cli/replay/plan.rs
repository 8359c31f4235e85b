//! From arguments to what a replay shall be.

use std::path::{Path, PathBuf};

use clap::Args;
use engine::units::Mac;
use ipnet::IpNet;
use traffic::replay::{Joining, Layer, Reading, ReplayPlan, Split, SplitBy, Timing};

use super::Replay;
use crate::cli::arguments::Arguments;
use crate::cli::devices::Found;
use crate::lab::units::{AMOUNT_FORM, COUNT_FORM, TIME_FORM, amount, count, time_ns};

/// Bytes of a frame beside its IP packet: addresses, type.
const ETHERNET_LEN: u32 = 14;

/// When frames are sent.
#[derive(Debug, Args)]
#[command(next_help_heading = "Timing")]
pub(super) struct TimingArguments {
    /// So many times as fast as captured, such as 2.5x [default: 1x].
    #[arg(long, value_name = "TIMES")]
    speed: Option<String>,
    /// So many frames a second, evenly, such as 100k.
    #[arg(long, value_name = "RATE")]
    pps: Option<String>,
    /// So many bits a second, such as 1G.
    #[arg(long, value_name = "RATE")]
    bps: Option<String>,
    /// What --bps counts: l1, with preamble, checksum and gap, as wires do [default], or l2, frames alone.
    #[arg(long, value_name = "LAYER")]
    layer: Option<String>,
    /// As fast as the port takes them.
    #[arg(long)]
    top: bool,
    /// Cut longer silences of the captures to this, such as 1s.
    #[arg(long, value_name = "TIME")]
    gap_max: Option<String>,
}

/// When it ends.
#[derive(Debug, Args)]
#[command(next_help_heading = "End")]
pub(super) struct EndArguments {
    /// Send all of it so often, or forever [default: 1].
    #[arg(long = "loop", value_name = "N")]
    loops: Option<String>,
    /// End after this time, such as 10s, at the latest.
    #[arg(long, value_name = "TIME")]
    duration: Option<String>,
    /// End after so many frames at the latest.
    #[arg(long, value_name = "N")]
    limit: Option<String>,
}

/// What is done about captures that can't be sent as they are.
#[derive(Debug, Args)]
#[command(next_help_heading = "Faulty captures")]
pub(super) struct ReadingArguments {
    /// Of a damaged capture, send what comes before the damage; otherwise nothing is sent.
    #[arg(long)]
    until_damage: bool,
    /// Leave out, and count, frames that the port can't send; otherwise nothing is sent.
    #[arg(long)]
    leave_out: bool,
    /// Begin without reading the files through: what is wrong is found on the way.
    #[arg(long)]
    skip_scan: bool,
}

impl Replay {
    /// What is asked for. What is wrong is noted, with something else in its place.
    pub(super) fn plan(
        &self,
        files: Vec<PathBuf>,
        found: &Found,
        arguments: &mut Arguments,
    ) -> ReplayPlan {
        for file in self.files.iter().filter(|file| file.as_path() != Path::new("-")) {
            if let Err(error) = std::fs::metadata(file) {
                let name = file.display();
                arguments.fault(format!("{name}: it can't be read: {error}; name a capture"));
            }
        }
        let ends = &self.ends;
        let joining = if self.concatenate { Joining::Concatenated } else { Joining::Merged };
        let time = |option, text: &Option<String>, arguments: &mut Arguments| {
            arguments.read(option, text.as_ref(), time_ns, TIME_FORM)
        };
        let form = format!("forever, or {COUNT_FORM}");
        let loops = arguments.read("--loop", ends.loops.as_ref(), loops, &form);
        let mtu = found.ports.iter().map(|port| u32::from(port.mtu)).min();
        ReplayPlan {
            files,
            joining,
            timing: self.timing.read(arguments),
            loops: loops.unwrap_or(Some(1)),
            duration_ns: time("--duration", &ends.duration, arguments),
            limit: arguments.read("--limit", ends.limit.as_ref(), count, COUNT_FORM),
            gap_max_ns: time("--gap-max", &self.timing.gap_max, arguments),
            port: 0,
            split: self.split(arguments),
            rewrites: self.rewrites.read(self.port2.is_some(), arguments),
            reading: Reading {
                until_damage: self.reading.until_damage,
                leave_out: self.reading.leave_out,
                frame_len_max: mtu.map(|mtu| mtu + ETHERNET_LEN),
                skip_scan: self.reading.skip_scan,
            },
        }
    }

    fn split(&self, arguments: &mut Arguments) -> Option<Split> {
        match (&self.port2, &self.split) {
            (Some(_), None) => {
                arguments.fault("--port2: whose frames leave by it is not said; add --split");
            }
            (None, Some(_)) => {
                arguments.fault("--split: there is one port only; add --port2, or leave it out");
            }
            _ => {}
        }
        let form = "client=10.0.0.0/8, client-mac=02:00:00:00:00:01, ports, first-speaker or cache=FILE; several \
                    networks or addresses with commas between";
        let by = arguments.read("--split", self.split.as_ref(), split_by, form)?;
        if let SplitBy::Cache(file) = &by
            && let Err(error) = std::fs::metadata(file)
        {
            arguments.fault(format!("--split cache={}: it can't be read: {error}", file.display()));
        }
        Some(Split { port: 1, by })
    }
}

impl TimingArguments {
    fn read(&self, arguments: &mut Arguments) -> Timing {
        let speed = |text: &str| amount(text.strip_suffix('x').unwrap_or(text));
        let form = "how many times as fast, like 2.5x or 0.1x";
        let speed = arguments.read("--speed", self.speed.as_ref(), speed, form);
        let pps = arguments.read("--pps", self.pps.as_ref(), amount, AMOUNT_FORM);
        let bps = arguments.read("--bps", self.bps.as_ref(), amount, AMOUNT_FORM);
        let layer = arguments.read("--layer", self.layer.as_ref(), layer, "l1 or l2");
        if self.layer.is_some() && self.bps.is_none() {
            arguments.fault("--layer: it says what --bps counts; add --bps, or leave it out");
        }
        arguments.only_one(&[
            ("--speed", self.speed.is_some()),
            ("--pps", self.pps.is_some()),
            ("--bps", self.bps.is_some()),
            ("--top", self.top),
        ]);
        match (pps, bps) {
            _ if self.top => Timing::Top,
            (Some(per_second), _) => Timing::Packets { per_second },
            (None, Some(per_second)) => {
                Timing::Bits { per_second, layer: layer.unwrap_or(Layer::L1) }
            }
            (None, None) => Timing::Original { speed: speed.unwrap_or(1.0) },
        }
    }
}

/// How often: `Some(None)` is for ever.
#[expect(clippy::option_option, reason = "text or none, end or none")]
fn loops(text: &str) -> Option<Option<u64>> {
    if text == "forever" { Some(None) } else { count(text).map(Some) }
}

fn layer(text: &str) -> Option<Layer> {
    match text {
        "l1" | "L1" => Some(Layer::L1),
        "l2" | "L2" => Some(Layer::L2),
        _ => None,
    }
}

fn split_by(text: &str) -> Option<SplitBy> {
    match text.split_once('=') {
        None if text == "ports" => Some(SplitBy::Ports),
        None if text == "first-speaker" => Some(SplitBy::FirstSpeaker),
        Some(("client", networks)) => {
            networks.split(',').map(network).collect::<Option<_>>().map(SplitBy::ClientAddresses)
        }
        Some(("client-mac", macs)) => {
            let macs = macs.split(',').map(|mac| mac.parse::<Mac>().ok());
            macs.collect::<Option<_>>().map(SplitBy::ClientMacs)
        }
        Some(("cache", file)) if !file.is_empty() => Some(SplitBy::Cache(file.into())),
        _ => None,
    }
}

/// A network, or a single address.
pub(super) fn network(text: &str) -> Option<IpNet> {
    let network: Option<IpNet> = text.parse().ok();
    network
        .map(|it| it.trunc())
        .or_else(|| Some(IpNet::from(text.parse::<std::net::IpAddr>().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_are_of_five_kinds() {
        let nets = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(
            split_by("client=10.1.2.3/8,fd00::1"),
            Some(SplitBy::ClientAddresses(nets(&["10.0.0.0/8", "fd00::1/128"])))
        );
        let mac = Mac([2, 0, 0, 0, 0, 1]);
        assert_eq!(split_by("client-mac=02:00:00:00:00:01"), Some(SplitBy::ClientMacs(vec![mac])));
        assert_eq!(split_by("ports"), Some(SplitBy::Ports));
        assert_eq!(split_by("first-speaker"), Some(SplitBy::FirstSpeaker));
        assert_eq!(split_by("cache=a=b"), Some(SplitBy::Cache("a=b".into())));
        for odd in
            ["", "client", "client=", "client=10.0.0.0/8,", "client-mac=1", "cache=", "ports=1"]
        {
            assert_eq!(split_by(odd), None, "{odd}");
        }
    }

    #[test]
    fn loops_are_counted_or_endless() {
        assert_eq!(
            (loops("forever"), loops("1k"), loops("0")),
            (Some(None), Some(Some(1000)), None)
        );
    }
}
