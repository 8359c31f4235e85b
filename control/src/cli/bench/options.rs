//! The options of `linetap bench` that say what is measured, with which frames and how precisely.

use std::path::PathBuf;

use clap::Args;
use traffic::setup::PortSetup;
use traffic::trial::Spread;

use crate::cli::arguments::Arguments;
use crate::fault::{did_you_mean, quoted};
use crate::lab::bench::outcome::{Method, Settings, Traffic};
use crate::lab::bench::rate::Load;
use crate::lab::bench::sizes::{self, FrameSizes};
use crate::lab::units::{COUNT_FORM, TIME_FORM, count, time_ns};

/// What is measured where nobody says.
const METHODS_DEFAULT: [Method; 2] = [Method::Mlr, Method::Latency];
const SIZES_DEFAULT: &str = "64,imix,1518";
const FLOWS_DEFAULT: u32 = 1000;
const FLOWS_MAX: u64 = 1 << 20;
const TRIALS_MAX: u64 = 10_000;
/// What Ethernet and one tag take of a frame, with the checksum.
const ETHERNET_BYTES: u32 = 18;
const TAG_BYTES: u32 = 4;
/// VXLAN over IPv4.
const VXLAN_BYTES: u32 = 50;
/// How a load is written.
const LOAD_FORM: &str =
    "frames per second (1.5Mpps), bits per second on the wire (10Gbps) or a percentage (90%)";

/// What, with which frames, how.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// What to measure: mlr (NDR and PDR, RFC 9971), throughput, loss, latency (RFC 2544), back-to-back (RFC
    /// 9004), soak, reconfiguration; several with commas [default: mlr,latency].
    #[arg(long = "method", value_name = "LIST", help_heading = "What is measured")]
    methods: Option<String>,
    /// The highest load: 14.88Mpps, 10Gbps (on the wire) or a percentage of the line rate [default: what the
    /// wire carries, or what the generator can send].
    #[arg(long, value_name = "LOAD", help_heading = "What is measured")]
    max_load: Option<String>,
    /// The load of soak and reconfiguration; a percentage is one of the throughput [default: 100%].
    #[arg(long, value_name = "LOAD", help_heading = "What is measured")]
    load: Option<String>,
    /// How long each trial is, and the whole soak [default: 1s for mlr, 60s for soak, else 10s].
    #[arg(long, value_name = "TIME", help_heading = "What is measured")]
    duration: Option<String>,
    /// Trials that decide about a load (mlr, 21), trials at a load (latency, 1), searches (back-to-back, 50).
    #[arg(long, value_name = "NUMBER", help_heading = "What is measured")]
    trials: Option<String>,
    /// How far a result may be from the lowest load that is too high [default: 0.5%].
    #[arg(long, value_name = "PERCENT", help_heading = "What is measured")]
    precision: Option<String>,
    /// How long stragglers are awaited after each trial [default: 100ms].
    #[arg(long, value_name = "TIME", help_heading = "What is measured")]
    wait: Option<String>,
    /// Durations and repetitions as the RFCs ask for: 60 s for throughput and loss, 20 times 120 s for latency, 2 s
    /// of waiting. Takes hours.
    #[arg(long, help_heading = "What is measured")]
    rfc: bool,

    /// Frame sizes with the checksum, a series of trials for each: bytes, imix (7 of 64, 4 of 570, 1 of 1518),
    /// imix(abbccz) as in RFC 6985 (a 64, b 128, c 256, d 512, e 1024, f 1280, g 1518, h 2112, i 9000, j 16000, z the
    /// MTU; own ones: imix(7a4Bg,B=570)), or rfc2544 for its seven [default: 64,imix,1518].
    #[arg(long, value_name = "LIST", help_heading = "Frames")]
    sizes: Option<String>,
    /// Flows [default: 1000].
    #[arg(long, value_name = "NUMBER", help_heading = "Frames")]
    flows: Option<String>,
    /// How frames are spread over flows: round-robin, uniform (at random), or zipf:1.1 [default: round-robin].
    #[arg(long, value_name = "HOW", help_heading = "Frames")]
    distribution: Option<String>,
    /// IPv6 instead of IPv4.
    #[arg(long, help_heading = "Frames")]
    v6: bool,
    /// With an 802.1Q tag of this VLAN.
    #[arg(long, value_name = "VLAN", help_heading = "Frames")]
    vlan: Option<String>,
    /// In VXLAN of this network: frames are 50 bytes longer.
    #[arg(long, value_name = "VNI", help_heading = "Frames")]
    pub(super) vxlan: Option<String>,
    /// Frames of a capture, over and over, instead of made ones.
    #[arg(long, value_name = "FILE", help_heading = "Frames")]
    pub(super) capture: Option<PathBuf>,
    /// Which pseudo-random order and payload [default: 1].
    #[arg(long, value_name = "NUMBER", help_heading = "Frames")]
    seed: Option<String>,
}

impl Options {
    /// What they say; what is wrong is noted in `arguments`.
    pub(super) fn settings(&self, ports: &[PortSetup], arguments: &mut Arguments) -> Settings {
        let load = |text: &str| text.parse::<Load>().ok();
        let load_max = arguments.read("--max-load", self.max_load.as_ref(), load, LOAD_FORM);
        let held = arguments.read("--load", self.load.as_ref(), load, LOAD_FORM);
        let time = |option, text: Option<&String>, arguments: &mut Arguments| {
            arguments.read(option, text, time_ns, TIME_FORM).map(seconds)
        };
        let duration = time("--duration", self.duration.as_ref(), arguments);
        let wait = time("--wait", self.wait.as_ref(), arguments);
        let in_range = |text: &str| count(text).filter(|count| (1..=TRIALS_MAX).contains(count));
        let form = "a whole number from 1 to 10k";
        let trials = arguments.read("--trials", self.trials.as_ref(), in_range, form);
        let trials = trials.map(|it| it as u32);
        let form = "a percentage from 0.01% to 20%";
        let precision = arguments.read("--precision", self.precision.as_ref(), precision, form);
        if self.rfc {
            let own =
                [("--duration", self.duration.is_some()), ("--trials", self.trials.is_some())];
            for (option, _) in own.iter().filter(|(_, is_given)| *is_given) {
                arguments.fault(format!("{option} contradicts --rfc; keep one of them"));
            }
        }
        let or = |rfc: f64, short: f64| duration.unwrap_or(if self.rfc { rfc } else { short });
        let times = |rfc: u32, few: u32| trials.unwrap_or(if self.rfc { rfc } else { few });
        let methods = self.methods(arguments);
        let holds = methods.iter().any(|it| matches!(it, Method::Soak | Method::Reconfiguration));
        if self.load.is_some() && !holds {
            arguments.fault(
                "--load is for --method soak and reconfiguration; add one of them, or say --max-load",
            );
        }
        Settings {
            methods,
            traffic: self.traffic(ports, arguments),
            load_max,
            load: held.unwrap_or(Load::Part(1.0)),
            precision: precision.unwrap_or(0.005),
            mlr_s: or(1.0, 1.0),
            mlr_trials: times(21, 21),
            throughput_s: or(60.0, 10.0),
            loss_s: or(60.0, 10.0),
            latency_s: or(120.0, 10.0),
            latency_trials: times(20, 1),
            bursts: times(50, 50),
            soak_s: or(1800.0, 60.0),
            reconfiguration_s: or(10.0, 10.0),
            wait_s: wait.unwrap_or(if self.rfc { 2.0 } else { 0.1 }),
        }
    }

    /// In the order in which they are run, with what they need.
    fn methods(&self, arguments: &mut Arguments) -> Vec<Method> {
        let Some(text) = &self.methods else { return METHODS_DEFAULT.to_vec() };
        let mut asked = Vec::new();
        for name in text.split(',').map(str::trim) {
            if let Some(method) = Method::ALL.into_iter().find(|method| method.name() == name) {
                asked.push(method);
            } else {
                let names = Method::ALL.map(Method::name);
                let hint = did_you_mean(name, names);
                let (name, names) = (quoted(name), names.join(", "));
                arguments
                    .fault(format!("--method: there is no {name}; name some of {names}{hint}"));
            }
        }
        let has_rate = asked.iter().any(|it| matches!(it, Method::Mlr | Method::Throughput));
        if !has_rate && asked.iter().any(|it| it.needs_rate()) {
            asked.push(Method::Mlr);
        }
        Method::ALL.into_iter().filter(|method| asked.contains(method)).collect()
    }

    fn traffic(&self, ports: &[PortSetup], arguments: &mut Arguments) -> Traffic {
        let form = format!("a number of flows from 1 to {FLOWS_MAX}");
        let in_range = |text: &str| count(text).filter(|count| (1..=FLOWS_MAX).contains(count));
        let flows = arguments.read("--flows", self.flows.as_ref(), in_range, &form);
        let form = "round-robin, uniform or zipf:1.1 (above 0, at most 10)";
        let spread = arguments.read("--distribution", self.distribution.as_ref(), spread, form);
        let id = |text: &str| text.parse::<u16>().ok().filter(|id| (1..=4094).contains(id));
        let vlan = arguments.read("--vlan", self.vlan.as_ref(), id, "a VLAN from 1 to 4094");
        let network = |text: &str| text.parse::<u32>().ok().filter(|&vni| vni < 1 << 24);
        let form = "a network from 0 to 16777215";
        let vni = arguments.read("--vxlan", self.vxlan.as_ref(), network, form);
        let number = |text: &str| text.parse::<u64>().ok();
        let seed = arguments.read("--seed", self.seed.as_ref(), number, COUNT_FORM);
        let made = [
            ("--sizes", self.sizes.is_some()),
            ("--flows", self.flows.is_some()),
            ("--distribution", self.distribution.is_some()),
            ("--v6", self.v6),
            ("--vlan", self.vlan.is_some()),
            ("--vxlan", self.vxlan.is_some()),
        ];
        if let Some(file) = &self.capture {
            for (option, _) in made.iter().filter(|(_, is_given)| *is_given) {
                arguments.fault(format!(
                    "{option} is of made frames, --capture has its own; keep one of them"
                ));
            }
            if !file.is_file() {
                arguments.fault(format!(
                    "--capture {}: there is no such file; name a pcap or pcapng file",
                    file.display()
                ));
            }
        }
        let around = u32::from(vlan.is_some()) * TAG_BYTES + u32::from(vni.is_some()) * VXLAN_BYTES;
        let sizes =
            if self.capture.is_some() { Vec::new() } else { self.sizes(ports, around, arguments) };
        Traffic {
            sizes,
            // The other process has another working directory, perhaps.
            capture: self
                .capture
                .as_ref()
                .map(|it| it.canonicalize().unwrap_or_else(|_| it.clone())),
            flows: flows.map_or(FLOWS_DEFAULT, |it| it as u32),
            spread: spread.unwrap_or(Spread::RoundRobin),
            is_v6: self.v6,
            vlan,
            vni,
            seed: seed.unwrap_or(1),
        }
    }

    /// The sizes, which must fit the ports.
    fn sizes(
        &self,
        ports: &[PortSetup],
        around: u32,
        arguments: &mut Arguments,
    ) -> Vec<FrameSizes> {
        let text = self.sizes.as_deref().unwrap_or(SIZES_DEFAULT);
        let narrowest = ports.iter().min_by_key(|port| port.mtu);
        let mtu = narrowest.map_or(1500, |port| port.mtu);
        let found = sizes::parse(text, mtu).unwrap_or_else(|faults| {
            for fault in faults {
                arguments.fault(format!("--sizes: {fault}"));
            }
            Vec::new()
        });
        // A tag is part of the frame's size but not of the packet's; VXLAN is of neither.
        let tag = if around % VXLAN_BYTES == TAG_BYTES { TAG_BYTES } else { 0 };
        for it in &found {
            let packet = u32::from(it.largest()) + (around - tag) - ETHERNET_BYTES;
            let Some(port) = narrowest.filter(|port| packet > u32::from(port.mtu) + tag) else {
                continue;
            };
            arguments.fault(format!(
                "--sizes {}: port {} carries packets of {} bytes at most, these are up to {}; see --mtu, or give \
                 smaller sizes",
                it.name,
                port.name,
                port.mtu,
                packet - tag
            ));
        }
        found
    }
}

#[expect(clippy::cast_precision_loss, reason = "nanoseconds of centuries are no trial")]
fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

/// `0.5%` as a part.
fn precision(text: &str) -> Option<f64> {
    let percent: f64 = text.strip_suffix('%').unwrap_or(text).trim().parse().ok()?;
    (0.01..=20.0).contains(&percent).then_some(percent / 100.0)
}

fn spread(text: &str) -> Option<Spread> {
    match text {
        "round-robin" => Some(Spread::RoundRobin),
        "uniform" => Some(Spread::Uniform),
        _ => {
            let exponent: f64 = text.strip_prefix("zipf:")?.parse().ok()?;
            (exponent > 0.0 && exponent <= 10.0).then_some(Spread::Zipf { exponent })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn read(words: &str, mtu: u16) -> Result<Settings, String> {
        let words = ["bench"].into_iter().chain(words.split_whitespace());
        let options = Line::try_parse_from(words).unwrap().options;
        let port = PortSetup { name: "lan".into(), device: "net_null0".into(), mtu, mac: None };
        let mut arguments = Arguments::default();
        let settings = options.settings(&[port], &mut arguments);
        arguments.done().map_err(|faults| faults.to_string()).map(|()| settings)
    }

    #[test]
    fn without_options_ndr_pdr_and_latency_are_measured() {
        let settings = read("", 1500).unwrap();
        assert_eq!(settings.methods, [Method::Mlr, Method::Latency]);
        let names: Vec<&str> = settings.traffic.sizes.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["64", "imix", "1518"]);
        assert_eq!((settings.mlr_s, settings.mlr_trials), (1.0, 21));
        assert_eq!((settings.load_max, settings.load), (None, Load::Part(1.0)));
    }

    #[test]
    fn methods_are_run_in_their_order_with_what_they_need() {
        let methods = |words: &str| read(words, 1500).unwrap().methods;
        assert_eq!(methods("--method latency"), [Method::Mlr, Method::Latency]);
        assert_eq!(methods("--method soak,throughput"), [Method::Throughput, Method::Soak]);
        assert_eq!(methods("--method loss"), [Method::Loss]);
    }

    #[test]
    fn the_rfcs_durations_are_asked_for_in_a_word() {
        let settings = read("--rfc --precision 1%", 1500).unwrap();
        assert_eq!((settings.throughput_s, settings.latency_s), (60.0, 120.0));
        assert_eq!((settings.latency_trials, settings.wait_s), (20, 2.0));
        assert!((settings.precision - 0.01).abs() < 1e-12);
    }

    #[test]
    fn a_load_is_for_what_holds_one() {
        assert!(read("--load 50% --method soak", 1500).is_ok());
        assert!(read("--load 50%", 1500).unwrap_err().contains("--load is for --method soak"));
    }

    #[test]
    fn sizes_must_fit_the_ports() {
        assert!(read("--sizes 1518", 1500).is_ok());
        // A tag is part of the frame, VXLAN is around it.
        assert!(read("--sizes 1522 --vlan 7", 1500).is_ok());
        assert!(read("--sizes 1522", 1500).is_err());
        assert!(read("--sizes 1468 --vxlan 7", 1500).is_ok());
        assert!(read("--sizes 1469 --vxlan 7", 1500).is_err());
        assert_eq!(read("--sizes imix(z)", 9000).unwrap().traffic.sizes[0].sizes, [9018]);
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let words = "--method mlr,latenci --max-load 10 --load 0% --duration 0s --trials 0 --precision 0 --rfc --sizes \
                     63,9018 --flows 0 --distribution zipf:0 --vlan 4095 --vxlan x --seed -1 --capture /no/file";
        let words = words.replace("--seed -1", "--seed=-1");
        insta::assert_snapshot!(read(&words, 1500).unwrap_err());
    }
}
