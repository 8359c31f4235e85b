//! Templates in the forms that people write, and each breach as one fault with its remedy.

use crate::common::{CONFIG, TEMPLATE, load, sources, template_fault, with};
use control::config::Mode;
use control::load::{Loaded, from_texts};
use engine::snapshot::TargetKind;

fn sound(template: &str) -> Loaded {
    let loaded = load(CONFIG, template);
    assert!(loaded.is_ok(), "{:#?}", loaded.err());
    loaded.unwrap()
}

#[test]
fn every_form_of_reference_means_the_same() {
    let expected = sound(TEMPLATE).snapshot;
    for form in [
        "!GetAtt F.Id",
        "!GetAtt [F, Id]",
        "!Sub \"${F}\"",
        "!Sub \"${F.Id}\"",
        "!Sub [\"${X}\", {X: !Ref F}]",
        "{Ref: F}",
        "{\"Fn::GetAtt\": [F, Id]}",
        "{\"Fn::GetAtt\": F.Id}",
        "{\"Fn::Sub\": \"${F}\"}",
        "{\"Fn::Sub\": [\"${X}\", {X: {Ref: F}}]}",
    ] {
        let template = TEMPLATE.replace("!Ref F\n", &format!("{form}\n"));
        assert_ne!(template, TEMPLATE);
        assert_eq!(sound(&template).snapshot, expected, "{form}");
    }
}

#[test]
fn json_means_what_yaml_means() {
    let json = r#"{"Parameters": {"Vni": {"Type": "Number", "Default": "7"}}, "Resources": {
        "F": {"Type": "AWS::EC2::TrafficMirrorFilter"},
        "R": {"Type": "AWS::EC2::TrafficMirrorFilterRule", "Properties": {
            "TrafficMirrorFilterId": {"Ref": "F"}, "TrafficDirection": "egress",
            "RuleNumber": "10", "RuleAction": "accept", "SourceCidrBlock": "10.1.2.3/8",
            "DestinationCidrBlock": "0.0.0.0/0", "Protocol": "6",
            "DestinationPortRange": {"FromPort": "80", "ToPort": 443}}},
        "T": {"Type": "AWS::EC2::TrafficMirrorTarget",
              "Properties": {"NetworkInterfaceId": "eni-tool"}},
        "S": {"Type": "AWS::EC2::TrafficMirrorSession", "Properties": {
            "NetworkInterfaceId": "eni-a", "TrafficMirrorTargetId": {"Fn::GetAtt": ["T", "Id"]},
            "TrafficMirrorFilterId": {"Ref": "F"}, "SessionNumber": "1",
            "VirtualNetworkId": {"Ref": "Vni"}}}}}"#;
    assert_eq!(sound(json).snapshot, sound(TEMPLATE).snapshot);
}

#[test]
fn flow_style_yaml_that_begins_like_json_is_read() {
    assert!(
        sound("{Resources: {F: {Type: AWS::EC2::TrafficMirrorFilter}}}").snapshot.rules.is_empty()
    );
    let faults = load(CONFIG, "{\"Resources\": {}").unwrap_err();
    assert!(faults[0].starts_with("t:1: this is not JSON"), "{faults:?}");
}

#[test]
fn parameters_come_from_the_command_line_or_their_default() {
    let vni = |parameters: &[&str]| {
        let mut sources = sources(Mode::Online);
        sources.parameters = parameters.iter().map(|it| it.parse().unwrap()).collect();
        from_texts(CONFIG, TEMPLATE, &sources, 1).map(|it| it.snapshot.sessions[0].vni.value())
    };
    assert_eq!(vni(&[]), Ok(7));
    assert_eq!(vni(&["Vni=9"]), Ok(9));
    let faults = |parameters| vni(parameters).unwrap_err().to_string();
    assert!(faults(&["Vnii=9"]).contains("no such parameter; did you mean \"Vni\"?"));
    assert!(faults(&["Vni=9", "Vni=9"]).contains("given twice"));
    assert!(faults(&["Vni=x"]).contains("\"x\" is not a number"));
}

#[test]
fn sections_without_a_meaning_here_are_passed_over() {
    let template = with(
        TEMPLATE,
        "Resources:\n  F:\n",
        "AWSTemplateFormatVersion: '2010-09-09'\nDescription: x\nMetadata: {a: !Foo b}\n\
         Outputs: {Id: {Value: !Join [a, [!Ref Nowhere]], Export: {Name: x}}}\n\
         Resources:\n  F:\n    DependsOn: [T]\n    DeletionPolicy: Retain\n    \
         UpdateReplacePolicy: Delete\n    Metadata: {x: y}\n",
    );
    assert_eq!(sound(&template).snapshot, sound(TEMPLATE).snapshot);
}

#[test]
fn absent_vnis_are_the_lowest_free_numbers_in_template_order() {
    let session = |id: &str, eni: &str, number: u16, vni: &str| {
        format!(
            "  {id}:\n    Type: AWS::EC2::TrafficMirrorSession\n    Properties:\n      \
             NetworkInterfaceId: {eni}\n      TrafficMirrorTargetId: !Ref T\n      \
             TrafficMirrorFilterId: !Ref F\n      SessionNumber: {number}\n      {vni}\n"
        )
    };
    let template = with(TEMPLATE, "      VirtualNetworkId: !Ref Vni\n", "")
        + &session("S2", "eni-a", 2, "VirtualNetworkId: 2")
        + &session("S3", "eni-b", 1, "")
        + &session("S4", "eni-b", 2, "VirtualNetworkId: 2");
    let vnis: Vec<u32> =
        sound(&template).snapshot.sessions.iter().map(|session| session.vni.value()).collect();
    assert_eq!(vnis, [1, 2, 3, 2]);
}

#[test]
fn a_load_balancer_keeps_8500_bytes_and_no_more() {
    let balanced =
        with(TEMPLATE, "NetworkInterfaceId: eni-tool", "NetworkLoadBalancerArn: arn:nlb");
    let snapshot = sound(&balanced).snapshot;
    assert_eq!(snapshot.targets[0].kind, TargetKind::LoadBalancer);
    assert_eq!(snapshot.targets[0].members.len(), 2);
    assert_eq!(snapshot.sessions[0].packet_length, Some(8500));
    let long = with(&balanced, "SessionNumber: 1", "SessionNumber: 1\n      PacketLength: 8501");
    assert!(load(CONFIG, &long).unwrap_err()[0].contains("S.PacketLength: 8501 is above 8500"));
    let interface =
        with(TEMPLATE, "SessionNumber: 1", "SessionNumber: 1\n      PacketLength: 8501");
    assert_eq!(sound(&interface).snapshot.sessions[0].packet_length, Some(8501));
}

#[test]
fn host_bits_are_cleared_and_protocol_0_is_a_number() {
    let template = with(TEMPLATE, "10.0.0.0/8", "10.1.2.3/8");
    assert_eq!(sound(&template).snapshot.rules[0].source.to_string(), "10.0.0.0/8");
    let ports = "      DestinationPortRange: {FromPort: 80, ToPort: 443}\n";
    let template = with(&with(TEMPLATE, ports, ""), "Protocol: 6", "Protocol: 0");
    assert_eq!(sound(&template).snapshot.rules[0].protocol, Some(0));
    let template = with(&with(TEMPLATE, ports, ""), "      Protocol: 6\n", "");
    assert_eq!(sound(&template).snapshot.rules[0].protocol, None);
}

/// A passage, what is written instead, and the one fault that it makes.
const BREACHES: &[(&str, &str, &str)] = &[
    (
        "SessionNumber: 1",
        "SessionNumber: 32767",
        "S.SessionNumber: 32767 is out of range; write 1 to 32766",
    ),
    (
        "SessionNumber: 1",
        "SessionNumber: 1.5",
        "S.SessionNumber: \"1.5\" is not a whole number; write 1 to 32766",
    ),
    (
        "SessionNumber: 1",
        "SessonNumber: 1\n      SessionNumber: 1",
        "S.SessonNumber: it is unknown; remove it; did you mean \"SessionNumber\"?",
    ),
    (
        "RuleNumber: 10",
        "RuleNumber: 99999999999999999999",
        "R.RuleNumber: 99999999999999999999 is out of range; write 1 to 32766",
    ),
    ("!Ref Vni", "16777216", "S.VirtualNetworkId: 16777216 is out of range; write 0 to 16777215"),
    (
        "RuleAction: accept",
        "RuleAction: acept",
        "R.RuleAction: \"acept\" is unknown; write accept or reject; did you mean \"accept\"?",
    ),
    ("RuleAction: accept", "", "R.RuleAction: it is missing; add RuleAction: accept"),
    (
        "ToPort: 443",
        "ToPort: 79",
        "R.DestinationPortRange: FromPort 80 is above ToPort 79; exchange them",
    ),
    (
        "Protocol: 6",
        "Protocol: 1",
        "R.DestinationPortRange: ports need TCP or UDP, and this rule is for protocol 1; write Protocol: 6 or Protocol: 17, or remove the ports",
    ),
    (
        "10.0.0.0/8",
        "::/0",
        "R.DestinationCidrBlock: 0.0.0.0/0 and SourceCidrBlock ::/0 are of different families; write both as IPv4 or both as IPv6",
    ),
    (
        "10.0.0.0/8",
        "10.0.0.0",
        "R.SourceCidrBlock: \"10.0.0.0\" is not a CIDR block; write 10.0.0.0/32",
    ),
    (
        "!Ref T",
        "tmt-0123",
        "S.TrafficMirrorTargetId: \"tmt-0123\" is not made by this template; name one of its own with !Ref",
    ),
    (
        "!Ref T",
        "!Ref Q",
        "S.TrafficMirrorTargetId: the template has no parameter or resource \"Q\"; add it",
    ),
    ("!Ref T", "!GetAtt T.Arn", "S.TrafficMirrorTargetId: T has no attribute \"Arn\"; write T.Id"),
    (
        "!Ref T",
        "!Ref R",
        "S.TrafficMirrorTargetId: R is an AWS::EC2::TrafficMirrorFilterRule; name an AWS::EC2::TrafficMirrorTarget",
    ),
    (
        "eni-tool",
        "eni-tol",
        "T.NetworkInterfaceId: no [[tool]] of the appliance file has the id \"eni-tol\"; add it or correct the id; did you mean \"eni-tool\"?",
    ),
    (
        "eni-tool",
        "arn:nlb",
        "T.NetworkInterfaceId: tool \"arn:nlb\" has several members, and an interface is one; name it with NetworkLoadBalancerArn, or give the tool one address",
    ),
    (
        "Ref Vni",
        "ImportValue x",
        "S.VirtualNetworkId: Fn::ImportValue is not supported; write the value itself, Ref, Fn::GetAtt or Fn::Sub",
    ),
    (
        "SessionNumber: 1",
        "SessionNumber: 1\n      Tags: [{Key: 'linetap:rate-limit', Value: 10Mbps}]",
        "S.Tags: \"10Mbps\" is no rate limit; write bytes a second (10MB/s), packets a second (5000pps), or both (10MB/s,5000pps), in whole numbers with k, M, G or nothing",
    ),
    (
        "SessionNumber: 1",
        "SessionNumber: 1\n      Tags: [{Key: 'linetap:sample', Value: 1/0}]",
        "S.Tags: \"1/0\" is no part of all flows; write 1/1 to 1/16384, such as 1/64",
    ),
    (
        "NetworkInterfaceId: eni-tool",
        "NetworkInterfaceId: eni-tool\n      Tags: [{Key: 'linetap:sample', Value: 1/2}]",
        "T.Tags: linetap:sample is a tag of sessions; a target sends nothing",
    ),
    (
        "Resources:",
        "Mappings: {}\nResources:",
        "the section \"Mappings\" is not supported; remove it",
    ),
];

#[test]
fn each_breach_is_told_with_its_remedy() {
    for (passage, replacement, fault) in BREACHES {
        assert_eq!(template_fault(passage, replacement), *fault);
    }
}

#[test]
fn a_target_can_be_no_source() {
    let config = CONFIG.to_owned() + "[[interface]]\nid = \"eni-tool\"\nport = \"lan\"\nvlan = 3\n";
    let config = with(&config, "id = \"eni-a\"\n", "id = \"eni-a\"\nvlan = 2\n");
    let template = with(TEMPLATE, "NetworkInterfaceId: eni-a", "NetworkInterfaceId: eni-tool");
    let faults = load(&config, &template).unwrap_err();
    assert!(faults[0].contains("eni-tool receives copies as target T"), "{faults:?}");
}

#[test]
fn quotas_hold_and_can_be_raised() {
    let rules = (0..11).map(|number| {
        let rule = TEMPLATE.split("  T:").next().unwrap().split("  R:").nth(1).unwrap();
        let direction = if number % 2 == 0 { "ingress" } else { "egress" };
        let rule = rule.replace("RuleNumber: 10", &format!("RuleNumber: {}", 100 + number));
        format!("  R{number}:{}", rule.replace("egress", direction))
    });
    let template = with(TEMPLATE, "  T:\n", &format!("{}  T:\n", rules.collect::<String>()));
    let faults = load(CONFIG, &template).unwrap_err();
    assert_eq!(
        faults,
        [
            "t:5: F: 12 rules are more than the quota of 10; use fewer, or raise rules_per_filter in \
          [quotas]"
        ]
    );
    let raised = CONFIG.to_owned() + "[quotas]\nrules_per_filter = 12\n";
    assert!(load(&raised, &template).is_ok());
    let none = CONFIG.to_owned() + "[quotas]\nsessions_per_source = 0\n";
    assert!(load(&none, TEMPLATE).unwrap_err()[0].contains("raise sessions_per_source"));
}

#[test]
fn hostile_templates_are_faults() {
    let bomb = {
        let mut text = "Metadata:\n  a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..40 {
            let line =
                format!("  a{level}: &a{level} [{}]\n", format!("*a{}, ", level - 1).repeat(9));
            text += &line;
        }
        text
    };
    let nested = format!("Resources: {}", "{a: ".repeat(100_000));
    let substituted = {
        let mut value = "x".to_owned();
        for level in 0..30 {
            value =
                format!("!Sub [\"{}\", {{v{level}: {value}}}]", format!("${{v{level}}}").repeat(9));
        }
        with(TEMPLATE, "!Ref Vni", &value)
    };
    for text in [
        bomb.as_str(),
        &nested,
        &substituted,
        "",
        "Resources:",
        "[]",
        "\u{feff}",
        "&a *a",
        "%YAML 9",
    ] {
        let faults = load(CONFIG, text).unwrap_err();
        assert!(!faults.is_empty() && faults[0].starts_with('t'), "{faults:?}");
    }
}
