//! What several tests need: a sound pair of files, and the faults of a changed one.

#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail like tests"
)]

pub(crate) mod linetapd;
pub(crate) mod process;
pub(crate) mod stand_in;

use control::config::Mode;
use control::load::{Loaded, Sources, from_texts};

/// An appliance file of one link and one tool.
pub(crate) const CONFIG: &str = r#"
[[port]]
name = "lan"
device = "net_null0"
[[port]]
name = "wan"
device = "net_null1"
[[port]]
name = "tool"
device = "net_null2"
address = ["192.0.2.1/24", "2001:db8::1/64"]
gateway = ["192.0.2.254"]
[[link]]
name = "wire"
ports = ["lan", "wan"]
[[interface]]
id = "eni-a"
port = "lan"
[[interface]]
id = "eni-b"
port = "wan"
[[tool]]
id = "eni-tool"
port = "tool"
address = "192.0.2.10"
[[tool]]
id = "arn:nlb"
port = "tool"
members = [{ address = "192.0.2.11" }, { address = "2001:db8::11" }]
"#;

/// A template of one session with one rule.
pub(crate) const TEMPLATE: &str = r"
Parameters:
  Vni: {Type: Number, Default: 7}
Resources:
  F:
    Type: AWS::EC2::TrafficMirrorFilter
  R:
    Type: AWS::EC2::TrafficMirrorFilterRule
    Properties:
      TrafficMirrorFilterId: !Ref F
      TrafficDirection: egress
      RuleNumber: 10
      RuleAction: accept
      SourceCidrBlock: 10.0.0.0/8
      DestinationCidrBlock: 0.0.0.0/0
      Protocol: 6
      DestinationPortRange: {FromPort: 80, ToPort: 443}
  T:
    Type: AWS::EC2::TrafficMirrorTarget
    Properties:
      NetworkInterfaceId: eni-tool
  S:
    Type: AWS::EC2::TrafficMirrorSession
    Properties:
      NetworkInterfaceId: eni-a
      TrafficMirrorTargetId: !Ref T
      TrafficMirrorFilterId: !Ref F
      SessionNumber: 1
      VirtualNetworkId: !Ref Vni
";

/// Files named `c` and `t`.
pub(crate) fn sources(mode: Mode) -> Sources {
    Sources { config: "c".into(), template: "t".into(), parameters: Vec::new(), mode }
}

/// Both texts, read for a live appliance.
pub(crate) fn load(config: &str, template: &str) -> Result<Loaded, Vec<String>> {
    load_in(Mode::Online, config, template)
}

/// Both texts.
pub(crate) fn load_in(mode: Mode, config: &str, template: &str) -> Result<Loaded, Vec<String>> {
    from_texts(config, template, &sources(mode), 1)
        .map_err(|faults| faults.0.iter().map(ToString::to_string).collect())
}

/// A text with one passage exchanged, which must be there.
pub(crate) fn with(text: &str, passage: &str, replacement: &str) -> String {
    assert!(text.contains(passage), "no passage {passage:?}");
    text.replacen(passage, replacement, 1)
}

/// The only fault of a changed appliance file, without its place.
pub(crate) fn config_fault(passage: &str, replacement: &str) -> String {
    only(load(&with(CONFIG, passage, replacement), TEMPLATE), "c")
}

/// The only fault of a changed template, without its place.
pub(crate) fn template_fault(passage: &str, replacement: &str) -> String {
    only(load(CONFIG, &with(TEMPLATE, passage, replacement)), "t")
}

fn only(loaded: Result<Loaded, Vec<String>>, file: &str) -> String {
    let faults = loaded.expect_err("a fault was expected");
    let [fault] = faults.as_slice() else { panic!("one fault was expected: {faults:#?}") };
    let (place, message) = fault.split_once(": ").expect("place: message");
    assert_eq!(place.split(':').next(), Some(file));
    message.to_owned()
}

/// [`CONFIG`] with a load balancer, `arn:nlb`, of these tools on addresses of the loopback interface,
/// all of which are asked at one port, ten times a second.
pub(crate) fn checked_config(members: &[&str], port: u16) -> String {
    let config = with(CONFIG, "\"192.0.2.1/24\", \"2001:db8::1/64\"", "\"127.0.0.1/8\"");
    let config = with(&config, "gateway = [\"192.0.2.254\"]\n", "");
    let config = with(&config, "address = \"192.0.2.10\"", "address = \"127.0.0.10\"");
    let members: Vec<_> = members.iter().map(|it| format!("{{ address = \"{it}\" }}")).collect();
    let checked = format!(
        "members = [{}]\nall_down = \"skip\"\nhealth_check = {{ protocol = \"tcp\", port = {port}, \
         interval = 0.1, timeout = 0.1, healthy_threshold = 2, unhealthy_threshold = 2 }}",
        members.join(", ")
    );
    let passage = "members = [{ address = \"192.0.2.11\" }, { address = \"2001:db8::11\" }]";
    with(&config, passage, &checked)
}

/// [`TEMPLATE`] with that load balancer as its target.
pub(crate) fn checked_template() -> String {
    with(TEMPLATE, "NetworkInterfaceId: eni-tool", "NetworkLoadBalancerArn: arn:nlb")
}
