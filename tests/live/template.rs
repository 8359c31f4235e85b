//! Mirror templates for the lab's interface and tools.

use std::fmt::Write as _;

/// The tools of the lab's appliance file.
pub(crate) const TOOL_V4: &str = "eni-0b000000000000004";
pub(crate) const TOOL_V6: &str = "eni-0b000000000000006";
/// A load balancer that a test may put into it.
pub(crate) const FLEET: &str =
    "arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/net/fleet/0123456789abcdef";
/// The VNI of the sessions here.
pub(crate) const VNI: u32 = 4711;

/// Everything is mirrored to a tool, in a session `All`.
pub(crate) fn mirror_all(tool: &str) -> String {
    let mut template = head(tool);
    add_accept_all(&mut template);
    template
}

/// Like [`mirror_all`] but for TCP to or from `port`, which the rule `No` or `NoEgress` rejects.
pub(crate) fn mirror_all_but(tool: &str, port: u16) -> String {
    let mut template = head(tool);
    add_rule(
        &mut template,
        "No",
        &format!(
            "TrafficDirection: ingress, RuleNumber: 10, RuleAction: reject, Protocol: 6, \
             SourcePortRange: {{FromPort: {port}, ToPort: {port}}}, \
             SourceCidrBlock: 0.0.0.0/0, DestinationCidrBlock: 0.0.0.0/0"
        ),
    );
    add_rule(
        &mut template,
        "NoEgress",
        &format!(
            "TrafficDirection: egress, RuleNumber: 10, RuleAction: reject, Protocol: 6, \
             DestinationPortRange: {{FromPort: {port}, ToPort: {port}}}, \
             SourceCidrBlock: 0.0.0.0/0, DestinationCidrBlock: 0.0.0.0/0"
        ),
    );
    add_accept_all(&mut template);
    template
}

/// Only what is to or from a resolver is mirrored to a tool, by the network service.
pub(crate) fn mirror_amazon_dns(tool: &str) -> String {
    let filter = "    Type: AWS::EC2::TrafficMirrorFilter\n";
    let with = format!("{filter}    Properties: {{NetworkServices: [amazon-dns]}}\n");
    head(tool).replacen(filter, &with, 1)
}

/// Nothing is mirrored: no session at all.
pub(crate) fn mirror_nothing() -> String {
    "Resources:\n  Filter: {Type: 'AWS::EC2::TrafficMirrorFilter'}\n".to_owned()
}

fn head(tool: &str) -> String {
    let is_balancer = tool.starts_with("arn:");
    let way = if is_balancer { "NetworkLoadBalancerArn" } else { "NetworkInterfaceId" };
    format!(
        "Resources:
  Tool:
    Type: AWS::EC2::TrafficMirrorTarget
    Properties: {{{way}: '{tool}'}}
  Filter:
    Type: AWS::EC2::TrafficMirrorFilter
  All:
    Type: AWS::EC2::TrafficMirrorSession
    Properties:
      NetworkInterfaceId: eni-0a000000000000001
      TrafficMirrorTargetId: !Ref Tool
      TrafficMirrorFilterId: !Ref Filter
      SessionNumber: 1
      VirtualNetworkId: {VNI}
"
    )
}

fn add_accept_all(template: &mut String) {
    for direction in ["ingress", "egress"] {
        for (number, family, all) in [(100, "V4", "0.0.0.0/0"), (101, "V6", "'::/0'")] {
            add_rule(
                template,
                &format!("{direction}{family}"),
                &format!(
                    "TrafficDirection: {direction}, RuleNumber: {number}, RuleAction: accept, \
                     SourceCidrBlock: {all}, DestinationCidrBlock: {all}"
                ),
            );
        }
    }
}

fn add_rule(template: &mut String, id: &str, properties: &str) {
    write!(
        template,
        "  {id}:
    Type: AWS::EC2::TrafficMirrorFilterRule
    Properties: {{TrafficMirrorFilterId: !Ref Filter, {properties}}}
"
    )
    .unwrap();
}
