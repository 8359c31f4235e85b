//! What the API does, over a store in memory and a stand-in for the data plane.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::bench::{ALICE, BOB, Bench, CONFIG, Shared, TEMPLATES, ground, text, texts};
use control::ec2::Access;
use control::model::{Destination, Filter, Kind, Model, Notes, Object, Rule, Session, Target};
use control::service::Ground;
use control::store::{Memory, Record, Store, place};
use engine::rule::{Direction, RuleAction};
use engine::units::Vni;

const NLB: &str =
    "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/net/nlb/0123456789abcdef";
const RULE: &str = "RuleAction=accept&SourceCidrBlock=0.0.0.0/0&DestinationCidrBlock=10.1.2.3/8";

fn filter(bench: &Bench) -> String {
    bench.made(ALICE, "CreateTrafficMirrorFilter", "trafficMirrorFilterId")
}

fn target(bench: &Bench) -> String {
    let query = "CreateTrafficMirrorTarget&NetworkInterfaceId=eni-0f6f2c3b1aEXAMPLE";
    bench.made(ALICE, query, "trafficMirrorTargetId")
}

fn rule(bench: &Bench, filter: &str, more: &str) -> String {
    let query =
        format!("CreateTrafficMirrorFilterRule&TrafficMirrorFilterId={filter}&{RULE}&{more}");
    bench.made(ALICE, &query, "trafficMirrorFilterRuleId")
}

fn session_query(filter: &str, target: &str, more: &str) -> String {
    format!(
        "CreateTrafficMirrorSession&NetworkInterfaceId=eni-1&TrafficMirrorFilterId={filter}&\
         TrafficMirrorTargetId={target}&{more}"
    )
}

fn session(bench: &Bench, filter: &str, target: &str, more: &str) -> String {
    bench.made(ALICE, &session_query(filter, target, more), "trafficMirrorSessionId")
}

#[test]
fn objects_have_ids_like_those_of_ec2_and_are_in_force_when_they_are_told() {
    let bench = Bench::new();
    let (filter, target) = (filter(&bench), target(&bench));
    let rule = rule(&bench, &filter, "TrafficDirection=egress&RuleNumber=5");
    let session = session(&bench, &filter, &target, "SessionNumber=1");
    let ids = [(&filter, "tmf-"), (&rule, "tmfr-"), (&target, "tmt-"), (&session, "tms-")];
    for (id, start) in ids {
        let digits = id.strip_prefix(start).unwrap();
        assert!(digits.len() == 17 && digits.bytes().all(|it| b"0123456789abcdef".contains(&it)));
    }
    let snapshot = bench.dataplane.in_force();
    assert_eq!(snapshot.sessions[0].id, session);
    assert_eq!(snapshot.rules[0].destination.to_string(), "10.0.0.0/8", "host bits are cleared");
    assert_eq!(bench.dataplane.taken(), 4);

    let shown = bench.done(ALICE, "DescribeTrafficMirrorFilters");
    assert_eq!(text(&shown, "trafficMirrorFilterRuleId"), rule);
    assert!(shown.contains("<ingressFilterRuleSet/>") && shown.contains("<tagSet/>"));
    assert!(shown.contains("<networkServiceSet/>") && !shown.contains("<protocol"));
    let shown = bench.done(ALICE, "DescribeTrafficMirrorSessions");
    assert!(!shown.contains("packetLength"), "an interface gets whole packets: {shown}");
    assert!(text(&shown, "virtualNetworkId").parse::<u32>().unwrap() >= 65_536);
}

#[test]
fn what_is_in_use_is_not_deleted_and_rules_go_with_their_filter() {
    let bench = Bench::new();
    let (filter, target) = (filter(&bench), target(&bench));
    rule(&bench, &filter, "TrafficDirection=egress&RuleNumber=5");
    let session = session(&bench, &filter, &target, "SessionNumber=1");
    let delete_filter = format!("DeleteTrafficMirrorFilter&TrafficMirrorFilterId={filter}");
    let delete_target = format!("DeleteTrafficMirrorTarget&TrafficMirrorTargetId={target}");
    let delete_session = format!("DeleteTrafficMirrorSession&TrafficMirrorSessionId={session}");
    assert_eq!(bench.refused(ALICE, &delete_filter), "400 TrafficMirrorFilterInUse");
    let refused = bench.ask(ALICE, &delete_target);
    assert_eq!(text(&refused.body, "Code"), "TrafficMirrorTargetInUse");
    let message = format!("Cannot delete {target}. Target is in use by {session}");
    assert_eq!(text(&refused.body, "Message"), message);
    assert_eq!(bench.made(ALICE, &delete_session, "trafficMirrorSessionId"), session);
    assert_eq!(bench.made(ALICE, &delete_target, "trafficMirrorTargetId"), target);
    assert_eq!(bench.made(ALICE, &delete_filter, "trafficMirrorFilterId"), filter);
    let snapshot = bench.dataplane.in_force();
    assert_eq!((snapshot.filters.len(), snapshot.rules.len()), (0, 0));
    let again = [
        (&delete_session, "400 InvalidTrafficMirrorSessionId.NotFound"),
        (&delete_target, "400 InvalidTrafficMirrorTargetId.NotFound"),
        (&delete_filter, "400 InvalidTrafficMirrorFilterId.NotFound"),
    ];
    for (query, code) in again {
        assert_eq!(bench.refused(ALICE, query), code);
    }
}

#[test]
fn a_repeated_create_makes_one_object_also_after_a_restart() {
    let bench = Bench::new();
    let query = "CreateTrafficMirrorFilter&ClientToken=t1&Description=a";
    let first = bench.made(ALICE, query, "trafficMirrorFilterId");
    let again = bench.done(ALICE, query);
    assert_eq!(text(&again, "trafficMirrorFilterId"), first);
    assert_eq!(text(&again, "clientToken"), "t1");
    let other = "CreateTrafficMirrorFilter&ClientToken=t1&Description=b";
    assert_eq!(bench.refused(ALICE, other), "400 IdempotentParameterMismatch");
    assert_ne!(bench.made(BOB, query, "trafficMirrorFilterId"), first, "tokens are an account's");
    let bench = Bench::over(bench.store, ground(CONFIG));
    assert_eq!(bench.made(ALICE, query, "trafficMirrorFilterId"), first);
    assert_eq!(bench.refused(ALICE, other), "400 IdempotentParameterMismatch");
    let all = texts(&bench.done(ALICE, "DescribeTrafficMirrorFilters"), "trafficMirrorFilterId");
    assert_eq!(all, [first]);
}

#[test]
fn quotas_have_their_own_codes() {
    let text = format!(
        "{CONFIG}\n[quotas]\nfilters = 2\ntargets = 4\nsessions = 4\ntags_per_resource = 1\nsources_per_target = 1\n"
    );
    let bench = Bench::over(Shared::default(), ground(&text));
    let filter = filter(&bench);
    for number in 1..=10 {
        let direction = if number % 2 == 0 { "ingress" } else { "egress" };
        rule(&bench, &filter, &format!("TrafficDirection={direction}&RuleNumber={number}"));
    }
    let refused = |query: &str| bench.refused(ALICE, query);
    let eleventh = format!(
        "CreateTrafficMirrorFilterRule&TrafficMirrorFilterId={filter}&{RULE}&\
         TrafficDirection=egress&RuleNumber=11"
    );
    assert_eq!(refused(&eleventh), "400 TrafficMirrorFilterRuleLimitExceeded");
    bench.done(ALICE, "CreateTrafficMirrorFilter");
    assert_eq!(refused("CreateTrafficMirrorFilter"), "400 TrafficMirrorFilterLimitExceeded");
    bench.done(BOB, "CreateTrafficMirrorFilter");
    let target = target(&bench);
    let nlb = format!("CreateTrafficMirrorTarget&NetworkLoadBalancerArn={NLB}");
    bench.done(ALICE, &nlb);
    assert_eq!(refused(&nlb), "400 NlbInUseByTrafficMirrorTargetException");
    let one = |number| session_query(&filter, &target, &format!("SessionNumber={number}"));
    for number in 1..=3 {
        bench.done(ALICE, &one(number));
    }
    assert_eq!(refused(&one(4)), "400 TrafficMirrorSessionsPerInterfaceLimitExceeded");
    let elsewhere = one(1).replace("eni-1", "eni-07a17f4d6eEXAMPLE");
    assert_eq!(refused(&elsewhere), "400 TrafficMirrorSourcesPerTargetLimitExceeded");
    let tool2 = "CreateTrafficMirrorTarget&NetworkInterfaceId=eni-tool2";
    let target2 = bench.made(ALICE, tool2, "trafficMirrorTargetId");
    bench.done(ALICE, &elsewhere.replace(&target, &target2));
    let fifth = elsewhere.replace(&target, &target2).replace("SessionNumber=1", "SessionNumber=2");
    assert_eq!(refused(&fifth), "400 TrafficMirrorSessionLimitExceeded");
    let tags = format!("CreateTags&ResourceId.1={filter}&Tag.1.Key=a&Tag.2.Key=b");
    assert_eq!(refused(&tags), "400 TagLimitExceeded");
    bench.done(ALICE, tool2);
    assert_eq!(refused(tool2), "400 TrafficMirrorTargetLimitExceeded");
}

#[test]
fn accounts_see_their_own_and_use_what_is_shared() {
    let bench = Bench::new();
    let (filter, target) = (filter(&bench), target(&bench));
    let describe = "DescribeTrafficMirrorTargets";
    let by_id = format!("{describe}&TrafficMirrorTargetId.1={target}");
    assert_eq!(texts(&bench.done(BOB, describe), "trafficMirrorTargetId"), [""; 0]);
    assert_eq!(bench.refused(BOB, &by_id), "400 InvalidTrafficMirrorTargetId.NotFound");
    let bobs_filter = bench.made(BOB, "CreateTrafficMirrorFilter", "trafficMirrorFilterId");
    let bobs = session_query(&bobs_filter, &target, "SessionNumber=1");
    assert_eq!(bench.refused(BOB, &bobs), "400 InvalidTrafficMirrorTargetId.NotFound");
    let with_filter = bobs.replace(&bobs_filter, &filter);

    let share = |accounts: &str| {
        format!(
            "CreateTags&ResourceId.1={target}&Tag.1.Key=linetap:shared-with&Tag.1.Value={accounts}"
        )
    };
    assert_eq!(bench.refused(ALICE, &share("bob")), "400 InvalidParameterValue");
    assert_eq!(bench.refused(BOB, &share(BOB)), "400 InvalidTrafficMirrorTargetId.NotFound");
    bench.done(ALICE, &share(&format!("333333333333+{BOB}")));
    let shown = bench.done(BOB, &by_id);
    assert_eq!(text(&shown, "ownerId"), ALICE);
    assert!(shown.contains("<tagSet/>"), "the owner's tags are not shown: {shown}");
    assert_eq!(bench.refused(BOB, &share(BOB)), "403 UnauthorizedOperation");
    assert_eq!(bench.refused(BOB, &with_filter), "400 InvalidTrafficMirrorFilterId.NotFound");
    let made = bench.made(BOB, &bobs, "trafficMirrorSessionId");

    let seen = bench.done(ALICE, "DescribeTrafficMirrorSessions");
    assert_eq!(
        (text(&seen, "trafficMirrorSessionId"), text(&seen, "ownerId")),
        (made.clone(), BOB.into())
    );
    let delete = format!("DeleteTrafficMirrorSession&TrafficMirrorSessionId={made}");
    assert_eq!(bench.refused(ALICE, &delete), "403 UnauthorizedOperation");
    let delete_target = format!("DeleteTrafficMirrorTarget&TrafficMirrorTargetId={target}");
    assert_eq!(bench.refused(ALICE, &delete_target), "400 TrafficMirrorTargetInUse");
    bench.done(ALICE, &format!("DeleteTags&ResourceId.1={target}"));
    assert_eq!(
        bench.refused(BOB, &bobs.replace("Number=1", "Number=2")),
        "400 InvalidTrafficMirrorTargetId.NotFound"
    );
    let modify =
        format!("ModifyTrafficMirrorSession&TrafficMirrorSessionId={made}&SessionNumber=7");
    bench.done(BOB, &modify);
    assert_eq!(bench.dataplane.in_force().sessions.len(), 1, "what is there stays");
}

#[test]
fn rules_are_changed_in_place_and_their_fields_removed() {
    let bench = Bench::new();
    let filter = filter(&bench);
    let rule = rule(&bench, &filter, "TrafficDirection=egress&RuleNumber=5&Description=d");
    let other = rule_of(&bench, &filter);
    let modify = |more: &str| {
        format!("ModifyTrafficMirrorFilterRule&TrafficMirrorFilterRuleId={rule}&{more}")
    };
    let ports = "SourcePortRange.FromPort=1&SourcePortRange.ToPort=2&DestinationPortRange.FromPort=0&DestinationPortRange.ToPort=65535";
    assert_eq!(bench.refused(ALICE, &modify(ports)), "400 InvalidParameterCombination");
    bench.done(ALICE, &modify(&format!("{ports}&Protocol=6&RuleNumber=6")));
    let changed = bench.dataplane.in_force().rules[0].clone();
    assert_eq!(
        (changed.id.as_str(), changed.number, changed.protocol),
        (rule.as_str(), 6, Some(6))
    );
    assert_eq!(
        bench.refused(ALICE, &modify("RemoveField.1=protocol")),
        "400 InvalidParameterCombination"
    );
    assert_eq!(
        bench.refused(ALICE, &modify("Protocol=17&RemoveField.1=protocol")),
        "400 InvalidParameterCombination"
    );
    assert_eq!(
        bench.refused(ALICE, &modify("RemoveField.1=protocoll")),
        "400 InvalidParameterValue"
    );
    let all = "RemoveField.1=destination-port-range&RemoveField.2=source-port-range&RemoveField.3=protocol&RemoveField.4=description";
    let shown = bench.done(ALICE, &modify(all));
    for gone in ["protocol", "PortRange", "description", "tagSet"] {
        assert!(!shown.contains(gone), "{gone}: {shown}");
    }
    assert_eq!(
        bench.refused(ALICE, &modify("RuleNumber=9")),
        "400 TrafficMirrorFilterRuleAlreadyExists"
    );
    bench.done(ALICE, &modify("RuleNumber=9&TrafficDirection=ingress"));
    assert_eq!(
        bench.refused(ALICE, &modify("SourceCidrBlock=::/0")),
        "400 InvalidParameterCombination"
    );
    bench.done(ALICE, &modify("SourceCidrBlock=::/0&DestinationCidrBlock=2001:db8::/32"));
    let swapped = "SourcePortRange.FromPort=2&SourcePortRange.ToPort=1&Protocol=17";
    assert_eq!(bench.refused(ALICE, &modify(swapped)), "400 InvalidParameterValue");
    bench.done(ALICE, &format!("DeleteTrafficMirrorFilterRule&TrafficMirrorFilterRuleId={other}"));
    let left = bench
        .done(ALICE, &format!("DescribeTrafficMirrorFilterRules&TrafficMirrorFilterId={filter}"));
    assert_eq!(texts(&left, "trafficMirrorFilterRuleId"), [rule]);
    assert_eq!(
        bench.refused(ALICE, "DescribeTrafficMirrorFilterRules&TrafficMirrorFilterId=tmf-2"),
        "400 InvalidTrafficMirrorFilterId.NotFound"
    );
}

fn rule_of(bench: &Bench, filter: &str) -> String {
    rule(bench, filter, "TrafficDirection=egress&RuleNumber=9")
}

#[test]
fn sessions_are_changed_in_place_and_their_fields_go_back_to_defaults() {
    let bench = Bench::new();
    let (filter, target) = (filter(&bench), target(&bench));
    let nlb = format!("CreateTrafficMirrorTarget&NetworkLoadBalancerArn={NLB}");
    let nlb = bench.made(ALICE, &nlb, "trafficMirrorTargetId");
    let other = session(&bench, &filter, &target, "SessionNumber=2&VirtualNetworkId=7");
    let id =
        session(&bench, &filter, &target, "SessionNumber=1&VirtualNetworkId=7&PacketLength=20000");
    let modify =
        |more: &str| format!("ModifyTrafficMirrorSession&TrafficMirrorSessionId={id}&{more}");
    let to_nlb = format!("TrafficMirrorTargetId={nlb}");
    assert_eq!(
        bench.refused(ALICE, &modify(&to_nlb)),
        "400 InvalidParameterValue",
        "8500 is the most"
    );
    let shown = bench.done(ALICE, &modify(&format!("{to_nlb}&RemoveField.1=packet-length")));
    assert_eq!(text(&shown, "packetLength"), "8500");
    assert_eq!(text(&shown, "trafficMirrorSessionId"), id);
    let shown = bench.done(ALICE, &modify(&format!("TrafficMirrorTargetId={target}&RemoveField.1=packet-length&RemoveField.2=virtual-network-id")));
    assert!(!shown.contains("packetLength"), "{shown}");
    assert_ne!(text(&shown, "virtualNetworkId"), "7");
    assert_eq!(bench.refused(ALICE, &modify("SessionNumber=2")), "400 InvalidParameterValue");
    bench.done(ALICE, &modify("SessionNumber=1"));
    assert_eq!(
        bench.refused(ALICE, &modify("TrafficMirrorFilterId=tmf-2")),
        "400 InvalidTrafficMirrorFilterId.NotFound"
    );
    let numbers: Vec<u16> =
        bench.dataplane.in_force().sessions.iter().map(|it| it.number).collect();
    assert_eq!(numbers, [2, 1], "the order in which they were made");
    assert_eq!(bench.dataplane.in_force().sessions[0].id, other);
}

#[test]
fn what_is_wrong_is_told_with_codes_of_ec2() {
    let bench = Bench::new();
    let (filter, target) = (filter(&bench), target(&bench));
    let rule = |more: &str| {
        format!("CreateTrafficMirrorFilterRule&TrafficMirrorFilterId={filter}&{RULE}&{more}")
    };
    let session = |more: &str| session_query(&filter, &target, more);
    let cases = [
        ("Nonsense".to_owned(), "400 InvalidAction"),
        (String::new(), "400 MissingAction"),
        (rule("TrafficDirection=INGRESS&RuleNumber=1"), "400 InvalidParameterValue"),
        (rule("TrafficDirection=ingress&RuleNumber=0"), "400 InvalidParameterValue"),
        (rule("TrafficDirection=ingress&RuleNumber=32767"), "400 InvalidParameterValue"),
        (rule("TrafficDirection=ingress&RuleNumber=1&Protocol=-1"), "400 InvalidParameterValue"),
        (rule("TrafficDirection=ingress&RuleNumber=1&Protocol=6&SourcePortRange.FromPort=1"), "400 MissingParameter"),
        (rule("TrafficDirection=ingress"), "400 MissingParameter"),
        (session("SessionNumber=1&PacketLength=0"), "400 InvalidParameterValue"),
        (session("SessionNumber=1&VirtualNetworkId=16777216"), "400 InvalidParameterValue"),
        (session("SessionNumber=1").replace("eni-1", "eni-9"), "400 InvalidNetworkInterfaceID.NotFound"),
        (session("SessionNumber=1").replace("eni-1", "i-9"), "400 InvalidNetworkInterfaceId.Malformed"),
        (session("SessionNumber=1&DryRun=maybe"), "400 InvalidParameterValue"),
        ("CreateTrafficMirrorTarget&NetworkInterfaceId=eni-9".into(), "400 InvalidNetworkInterfaceID.NotFound"),
        ("CreateTrafficMirrorTarget&NetworkLoadBalancerArn=arn:x".into(), "400 InvalidNetworkLoadBalancerArn.NotFound"),
        ("CreateTrafficMirrorTarget&NetworkLoadBalancerArn=x".into(), "400 InvalidNetworkLoadBalancerArn.Malformed"),
        ("CreateTrafficMirrorTarget&GatewayLoadBalancerEndpointId=vpce-9".into(), "400 InvalidVpcEndpointId.NotFound"),
        ("CreateTrafficMirrorTarget".into(), "400 MissingParameter"),
        (format!("CreateTrafficMirrorTarget&NetworkInterfaceId=eni-1&NetworkLoadBalancerArn={NLB}"), "400 InvalidParameterCombination"),
        ("CreateTrafficMirrorFilter&TagSpecification.1.ResourceType=vpc".into(), "400 InvalidParameterValue"),
        ("CreateTrafficMirrorFilter&TagSpecification.1.ResourceType=traffic-mirror-filter&TagSpecification.1.Tag.1.Key=aws:x".into(), "400 InvalidParameterValue"),
        ("CreateTags&ResourceId.1=vpc-1&Tag.1.Key=a".into(), "400 InvalidParameterValue"),
        ("CreateTags&ResourceId.1=tms-1&Tag.1.Key=a".into(), "400 InvalidTrafficMirrorSessionId.NotFound"),
        ("DescribeNetworkInterfaces&NetworkInterfaceId.1=eni-9".into(), "400 InvalidNetworkInterfaceID.NotFound"),
    ];
    let before = bench.service.world().unwrap().revision();
    for (query, code) in cases {
        assert_eq!(bench.refused(ALICE, &query), code, "{query}");
    }
    // A tool that takes copies can't be watched, and the other way round.
    let config = format!(
        "{CONFIG}\n[[interface]]\nid = \"eni-tool2\"\nport = \"wan\"\nmac = [\"02:00:00:00:bb:01\"]\n"
    );
    assert_eq!(bench.service.world().unwrap().revision(), before, "nothing was changed");
    let bench = Bench::over(bench.store, ground(&config));
    let tool2 = bench.made(
        ALICE,
        "CreateTrafficMirrorTarget&NetworkInterfaceId=eni-tool2",
        "trafficMirrorTargetId",
    );
    let refused = bench.ask(ALICE, &session("SessionNumber=1").replace("eni-1", "eni-tool2"));
    assert!(refused.body.contains("eni-tool2 receives copies as target"), "{}", refused.body);
    bench.done(ALICE, &format!("DeleteTrafficMirrorTarget&TrafficMirrorTargetId={tool2}"));
    bench.done(ALICE, &session("SessionNumber=1").replace("eni-1", "eni-tool2"));
}

#[test]
fn a_late_data_plane_is_told_and_the_repetition_tells_when_it_has_come() {
    let bench = Bench::new();
    bench.dataplane.excuse(Some("the worker on core 3 is late"));
    let query = "CreateTrafficMirrorFilter&ClientToken=t1";
    let late = bench.ask(ALICE, query);
    assert_eq!((late.status, text(&late.body, "Code").as_str()), (503, "Unavailable"));
    let message = text(&late.body, "Message");
    assert!(message.contains("is stored (revision 1)") && message.contains("core 3"), "{message}");
    assert_eq!(bench.refused(ALICE, query), "503 Unavailable");
    bench.dataplane.excuse(None);
    bench.done(ALICE, query);
    assert_eq!(bench.dataplane.in_force().filters.len(), 1, "one, however often it was asked for");
    bench.done(ALICE, query);
    assert_eq!(bench.dataplane.taken(), 1, "and what is in force is not sent again");
}

#[test]
fn tags_alone_do_not_disturb_the_data_plane() {
    let bench = Bench::new();
    let filter = filter(&bench);
    let taken = bench.dataplane.taken();
    bench.done(ALICE, &format!("CreateTags&ResourceId.1={filter}&Tag.1.Key=a&Tag.1.Value=1"));
    assert_eq!(bench.dataplane.taken(), taken);
}

#[test]
fn a_sessions_tags_say_how_much_it_wants() {
    let bench = Bench::new();
    let (filter, target) = (filter(&bench), target(&bench));
    let tags = "TagSpecification.1.ResourceType=traffic-mirror-session&\
                TagSpecification.1.Tag.1.Key=linetap:sample&TagSpecification.1.Tag.1.Value=";
    let query =
        |value: &str| session_query(&filter, &target, &format!("SessionNumber=1&{tags}{value}"));
    assert_eq!(bench.refused(ALICE, &query("64")), "400 InvalidParameterValue");
    let made = bench.made(ALICE, &query("1/64"), "trafficMirrorSessionId");
    let policing = || {
        let session = bench.dataplane.in_force().sessions[0].clone();
        let rates = session
            .rate_limit
            .map(|it| (it.bytes.map_or(0, u64::from), it.packets.map_or(0, u64::from)));
        (rates, session.sample.map_or(0, u16::from))
    };
    assert_eq!(policing(), (None, 64));
    let set = |id: &str, value: &str| {
        format!("CreateTags&ResourceId.1={id}&Tag.1.Key=linetap:rate-limit&Tag.1.Value={value}")
    };
    bench.done(ALICE, &set(&made, "10MB/s,5kpps"));
    assert_eq!(policing(), (Some((10_000_000, 5000)), 64));
    let taken = bench.dataplane.taken();
    for (id, value) in
        [(&made, "10Mb/s"), (&made, ""), (&made, "0pps"), (&filter, "10MB/s"), (&target, "10MB/s")]
    {
        assert_eq!(bench.refused(ALICE, &set(id, value)), "400 InvalidParameterValue", "{value}");
    }
    assert_eq!((bench.dataplane.taken(), policing()), (taken, (Some((10_000_000, 5000)), 64)));
    let unset = |key: &str| format!("DeleteTags&ResourceId.1={made}&Tag.1.Key={key}");
    bench.done(ALICE, &unset("linetap:rate-limit"));
    assert_eq!(policing(), (None, 64));
    bench.done(ALICE, &format!("DeleteTags&ResourceId.1={made}"));
    assert_eq!(policing(), (None, 0));
}

#[test]
fn sessions_end_with_their_interface_and_rest_without_their_tool() {
    let bench = Bench::new();
    let (filter, target) = (filter(&bench), target(&bench));
    let tool2 = bench.made(
        ALICE,
        "CreateTrafficMirrorTarget&NetworkInterfaceId=eni-tool2",
        "trafficMirrorTargetId",
    );
    let gone = session(&bench, &filter, &target, "SessionNumber=1");
    let query = session_query(&filter, &target, "SessionNumber=1")
        .replace("eni-1", "eni-07a17f4d6eEXAMPLE");
    let rests = bench.made(ALICE, &query, "trafficMirrorSessionId");

    let without = CONFIG.replace("id = \"eni-1\"", "id = \"eni-2\"");
    bench.service.rebase(ground(&without)).unwrap();
    let left = bench.done(ALICE, "DescribeTrafficMirrorSessions");
    assert_eq!(texts(&left, "trafficMirrorSessionId"), std::slice::from_ref(&rests));
    let by_id = format!("DescribeTrafficMirrorSessions&TrafficMirrorSessionId.1={gone}");
    assert_eq!(bench.refused(ALICE, &by_id), "400 InvalidTrafficMirrorSessionId.NotFound");

    let without = without.replace("eni-0f6f2c3b1aEXAMPLE", "eni-tool9");
    bench.service.rebase(ground(&without)).unwrap();
    assert_eq!(bench.dataplane.in_force().sessions.len(), 0, "nothing is sent nowhere");
    let left = bench.done(ALICE, "DescribeTrafficMirrorSessions");
    assert_eq!(texts(&left, "trafficMirrorSessionId"), std::slice::from_ref(&rests));
    let modify =
        format!("ModifyTrafficMirrorSession&TrafficMirrorSessionId={rests}&SessionNumber=5");
    bench.done(ALICE, &modify);
    bench.done(ALICE, &format!("{modify}&TrafficMirrorTargetId={tool2}"));
    assert_eq!(bench.dataplane.in_force().sessions[0].id, rests, "it has another tool now");
    // It is the same after a restart.
    let again = Bench::over(bench.store, ground(&without));
    again.service.ensure_in_force().unwrap();
    assert_eq!(again.dataplane.in_force().sessions[0].id, rests);
}

#[test]
fn objects_of_the_template_are_shown_and_used_but_not_changed() {
    let notes = Notes::default();
    let template = Model {
        filters: vec![Filter { id: "F".into(), ..Filter::default() }],
        targets: vec![Target {
            id: "T".into(),
            destination: Destination::NetworkInterface("eni-tool2".into()),
            notes: notes.clone(),
        }],
        sessions: vec![Session {
            id: "S".into(),
            interface: "eni-1".into(),
            target: "T".into(),
            filter: "F".into(),
            number: 1,
            vni: None,
            packet_length: None,
            notes,
        }],
        ..Model::default()
    };
    let bench = Bench::over(Shared::default(), Ground { template, ..ground(CONFIG) });
    let shown = bench.done(TEMPLATES, "DescribeTrafficMirrorFilters");
    assert_eq!(text(&shown, "trafficMirrorFilterId"), "F");
    assert_eq!(texts(&bench.done(ALICE, "DescribeTrafficMirrorFilters"), "item"), [""; 0]);
    let not_permitted = "400 OperationNotPermitted";
    for query in [
        "DeleteTrafficMirrorSession&TrafficMirrorSessionId=S",
        "ModifyTrafficMirrorSession&TrafficMirrorSessionId=S&SessionNumber=2",
        "ModifyTrafficMirrorFilterNetworkServices&TrafficMirrorFilterId=F&AddNetworkService.1=amazon-dns",
        "CreateTags&ResourceId.1=F&Tag.1.Key=a",
        &format!(
            "CreateTrafficMirrorFilterRule&TrafficMirrorFilterId=F&{RULE}&TrafficDirection=egress&RuleNumber=5"
        ),
    ] {
        assert_eq!(bench.refused(TEMPLATES, query), not_permitted, "{query}");
    }
    assert_eq!(
        bench.refused(TEMPLATES, &session_query("F", "T", "SessionNumber=1")),
        "400 InvalidParameterValue"
    );
    bench.done(TEMPLATES, &session_query("F", "T", "SessionNumber=2"));
    let same = session_query("F", "T", "SessionNumber=3&VirtualNetworkId=1");
    bench.done(TEMPLATES, &same);
    let shown = bench.done(TEMPLATES, "DescribeTrafficMirrorSessions");
    assert_eq!(text(&shown, "virtualNetworkId"), "1");
    let vnis: Vec<u32> =
        bench.dataplane.in_force().sessions.iter().map(|it| it.vni.value()).collect();
    assert!(vnis[0] == 1 && vnis[1] >= 65_536, "the template's are not moved: {vnis:?}");
    let kept = bench.store.0.read().unwrap().records;
    let kinds: Vec<Kind> = kept.iter().map(|record| record.object.kind()).collect();
    assert_eq!(kinds, [Kind::Session; 2], "what the template has is not stored");
}

#[test]
fn tags_are_set_taken_away_and_found() {
    let bench = Bench::new();
    let (filter, target) = (filter(&bench), target(&bench));
    let hostile = "%3C%2FtagSet%3E%26amp%3B%0D%0A%22%27%5D%5D%3E+%F0%9F%A6%80";
    let both = format!("ResourceId.1={filter}&ResourceId.2={target}");
    bench.done(
        ALICE,
        &format!(
            "CreateTags&{both}&Tag.1.Key={hostile}&Tag.1.Value={hostile}&Tag.2.Key=e&Tag.2.Value="
        ),
    );
    let plain = "</tagSet>&amp;\r\n\"']]> 🦀";
    let shown = bench
        .done(ALICE, "DescribeTags&Filter.1.Name=resource-type&Filter.1.Value.1=traffic-mirror-f*");
    assert_eq!(texts(&shown, "key"), [plain, "e"]);
    assert_eq!(texts(&shown, "value"), [plain, ""]);
    assert_eq!(texts(&shown, "resourceId"), [filter.as_str(), filter.as_str()]);
    let count = |query: &str| texts(&bench.done(ALICE, query), "key").len();
    assert_eq!(count("DescribeTags&Filter.1.Name=key&Filter.1.Value.1=e"), 2);
    assert_eq!(
        count(&format!(
            "DescribeTags&Filter.1.Name=tag:{hostile}&Filter.1.Value.1=*&Filter.2.Name=value&Filter.2.Value.1={hostile}"
        )),
        2
    );
    assert_eq!(texts(&bench.done(BOB, "DescribeTags"), "key"), [""; 0]);
    let found =
        bench.done(ALICE, "DescribeTrafficMirrorTargets&Filter.1.Name=tag-key&Filter.1.Value.1=e");
    assert_eq!(text(&found, "trafficMirrorTargetId"), target);

    // One of them is not there: neither is changed.
    assert_eq!(
        bench.refused(
            ALICE,
            &format!("CreateTags&{both}&ResourceId.3=tmf-1&Tag.1.Key=e&Tag.1.Value=2")
        ),
        "400 InvalidTrafficMirrorFilterId.NotFound"
    );
    assert_eq!(count("DescribeTags&Filter.1.Name=value&Filter.1.Value.1=2"), 0);
    bench.done(ALICE, &format!("DeleteTags&{both}&Tag.1.Key=e&Tag.1.Value=other"));
    assert_eq!(count("DescribeTags"), 4, "another value is not meant");
    bench.done(ALICE, &format!("DeleteTags&ResourceId.1={filter}&Tag.1.Key=e&Tag.1.Value="));
    bench.done(ALICE, &format!("DeleteTags&ResourceId.1={target}&Tag.1.Key=e"));
    assert_eq!(count("DescribeTags"), 2);
    bench.done(ALICE, &format!("DeleteTags&{both}"));
    assert_eq!(count("DescribeTags"), 0);
}

#[test]
fn keys_that_only_read_can_not_change_anything() {
    let bench = Bench::new();
    let ask = |query: &str| bench.ask_with(ALICE, Access::ReadOnly, query);
    for query in ["CreateTrafficMirrorFilter", "CreateTrafficMirrorFilter&DryRun=true"] {
        let refused = ask(query);
        assert_eq!(
            (refused.status, text(&refused.body, "Code").as_str()),
            (403, "UnauthorizedOperation")
        );
    }
    assert_eq!(ask("DescribeTrafficMirrorFilters").status, 200);
    assert_eq!(bench.dataplane.taken(), 0);
}

#[test]
fn the_interfaces_of_the_file_are_described() {
    let bench = Bench::new();
    let all = bench.done(ALICE, "DescribeNetworkInterfaces");
    assert_eq!(
        texts(&all, "networkInterfaceId"),
        ["eni-07a17f4d6eEXAMPLE", "eni-0f6f2c3b1aEXAMPLE", "eni-1", "eni-tool2"]
    );
    let by_mac =
        "DescribeNetworkInterfaces&Filter.1.Name=mac-address&Filter.1.Value.1=02:00:00:00:aa:02";
    assert_eq!(bench.made(ALICE, by_mac, "networkInterfaceId"), "eni-1");
    let by_address = "DescribeNetworkInterfaces&Filter.1.Name=addresses.private-ip-address&Filter.1.Value.1=192.0.2.11";
    assert_eq!(bench.made(ALICE, by_address, "networkInterfaceId"), "eni-tool2");
    let elsewhere = "DescribeNetworkInterfaces&Filter.1.Name=vpc-id&Filter.1.Value.1=*";
    assert_eq!(texts(&bench.done(ALICE, elsewhere), "networkInterfaceId"), [""; 0]);
}

/// A store with so many sessions, each on an interface of its own, and the file with those.
fn many(count: usize) -> (Shared, String) {
    let mut config = CONFIG.to_owned();
    let session = |at: usize| Session {
        id: format!("tms-{at:017x}"),
        interface: format!("eni-m{at}"),
        target: "tmt-1".into(),
        filter: "tmf-1".into(),
        number: 1,
        vni: Vni::try_from(100_000 + at as u32).ok(),
        packet_length: None,
        notes: Notes {
            description: Some(format!("number {at}")),
            tags: vec![("Name".into(), "x".into())],
        },
    };
    let target = Target {
        id: "tmt-1".into(),
        destination: Destination::NetworkInterface("eni-tool2".into()),
        notes: Notes::default(),
    };
    let mut objects = vec![
        Object::Filter(Filter { id: "tmf-1".into(), ..Filter::default() }),
        Object::Target(target),
    ];
    for at in 0..count {
        let (high, low) = (at >> 8, at & 255);
        let mac = format!("02:00:01:00:{high:02x}:{low:02x}");
        config += "[[interface]]\nport = \"lan\"\n";
        writeln!(config, "id = \"eni-m{at}\"\nmac = [\"{mac}\"]").unwrap();
        objects.push(Object::Session(session(at)));
    }
    config.push_str("[quotas]\nsources_per_target = 100000\nsessions = 100000\n");
    let records = objects.into_iter().enumerate().map(|(at, object)| Record {
        owner: ALICE.into(),
        created: place(1, at),
        token: None,
        object,
    });
    (Shared(Memory::with(records).into()), config)
}

#[test]
fn ten_thousand_sessions_are_described_page_by_page_in_a_second() {
    let (store, config) = many(10_000);
    let bench = Bench::over(store, ground(&config));
    let start = Instant::now();
    let (mut seen, mut token) = (HashSet::new(), String::new());
    loop {
        let page = bench.done(ALICE, &format!("DescribeTrafficMirrorSessions&MaxResults=1000&Filter.1.Name=description&Filter.1.Value.1=number*{token}"));
        seen.extend(texts(&page, "trafficMirrorSessionId"));
        match texts(&page, "nextToken").pop() {
            Some(next) => token = format!("&NextToken={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 10_000);
    let took = start.elapsed();
    eprintln!("described in {took:?}, with reading the XML");
    assert!(took < Duration::from_secs(20), "{took:?}");
    let start = Instant::now();
    session(&bench, "tmf-1", "tmt-1", "SessionNumber=1");
    eprintln!("created beside them in {:?}", start.elapsed());
}

#[test]
fn a_change_beside_ten_thousand_rules_takes_milliseconds() {
    let config = format!("{CONFIG}\n[quotas]\nrules_per_filter = 100000\n");
    let rule = |at: usize| Rule {
        id: format!("tmfr-{at:017x}"),
        filter: "tmf-1".into(),
        direction: Direction::Egress,
        number: 1 + at as u16,
        action: RuleAction::Accept,
        source: "10.0.0.0/8".parse().unwrap(),
        destination: format!("10.{}.{}.0/24", at >> 8, at & 255).parse().unwrap(),
        protocol: Some(6),
        source_ports: None,
        destination_ports: None,
        notes: Notes::default(),
    };
    let filter = Filter { id: "tmf-1".into(), ..Filter::default() };
    let objects = std::iter::once(Object::Filter(filter));
    let objects = objects.chain((0..10_000).map(|at| Object::Rule(rule(at))));
    let records = objects.enumerate().map(|(at, object)| Record {
        owner: ALICE.into(),
        created: place(1, at),
        token: None,
        object,
    });
    let bench = Bench::over(Shared(Memory::with(records).into()), ground(&config));
    let target = target(&bench);
    let mut times = Vec::new();
    for _ in 0..10 {
        let start = Instant::now();
        let id = session(&bench, "tmf-1", &target, "SessionNumber=1&ClientToken=");
        times.push(start.elapsed());
        bench.done(ALICE, &format!("DeleteTrafficMirrorSession&TrafficMirrorSessionId={id}"));
    }
    times.sort();
    eprintln!("created beside 10,000 rules in {:?} to {:?}", times[0], times[9]);
    assert!(times[5] < Duration::from_millis(500), "{times:?}");
}

#[test]
fn pages_stay_sound_while_objects_come_and_go() {
    let (store, config) = many(12);
    let bench = Bench::over(store, ground(&config));
    let page = |token: &str| {
        bench.done(ALICE, &format!("DescribeTrafficMirrorSessions&MaxResults=5{token}"))
    };
    let first = page("");
    let token = format!("&NextToken={}", text(&first, "nextToken"));
    // The last of the first page goes, one of the next goes, a new one comes.
    for at in [4, 6] {
        bench.done(
            ALICE,
            &format!("DeleteTrafficMirrorSession&TrafficMirrorSessionId=tms-{at:017x}"),
        );
    }
    let new = session(&bench, "tmf-1", "tmt-1", "SessionNumber=1");
    let second = page(&token);
    let third = page(&format!("&NextToken={}", text(&second, "nextToken")));
    let shown: Vec<String> =
        [second, third].iter().flat_map(|it| texts(it, "trafficMirrorSessionId")).collect();
    let mut want: Vec<String> = [5, 7, 8, 9, 10, 11].map(|at| format!("tms-{at:017x}")).to_vec();
    want.push(new);
    assert_eq!(shown, want);
    let other = bench.ask(ALICE, &format!("DescribeTrafficMirrorTargets{token}"));
    assert_eq!(text(&other.body, "Code"), "InvalidNextToken");
}
