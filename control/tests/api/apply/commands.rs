//! The commands against a running `linetapd`.

use super::site::Site;
use crate::common::{TEMPLATE, with};

#[test]
fn a_template_is_applied_changed_and_exported() {
    let site = Site::start("", None);
    site.dataplane.next_snapshot();
    site.put("web.yaml", TEMPLATE);
    let shown = site.said(&["apply", "web.yaml", "--dry-run"]);
    assert!(shown.ends_with("stack web: 4 to create, 0 to modify, 0 to replace, 0 to delete\n"));
    assert!(site.dataplane.is_idle(), "a dry run changes nothing");

    let shown = site.said(&["apply", "web.yaml"]);
    assert!(shown.contains("\ncreate session S: tms-"), "{shown}");
    for _ in 0..3 {
        site.dataplane.next_snapshot();
    }
    let snapshot = site.dataplane.next_snapshot();
    assert_eq!((snapshot.rules.len(), snapshot.sessions[0].vni.value()), (1, 7));
    assert_eq!(site.said(&["apply", "web.yaml"]), "stack web: nothing to change\n");
    assert!(site.dataplane.is_idle());

    // Another parameter, another tool and one rule less.
    let changed = with(TEMPLATE, "NetworkInterfaceId: eni-tool", "NetworkLoadBalancerArn: arn:nlb");
    let (start, rest) = changed.split_once("  R:\n").unwrap();
    let (_, rest) = rest.split_once("  T:\n").unwrap();
    site.put("web.yaml", &format!("{start}  T:\n{rest}"));
    let shown = site.said(&["apply", "web.yaml", "--parameter", "Vni=8"]);
    let want = "stack web: 0 to create, 1 to modify, 1 to replace, 1 to delete\n";
    assert!(shown.contains(want) && shown.contains("    VirtualNetworkId: 7 -> 8\n"), "{shown}");
    for _ in 0..4 {
        site.dataplane.next_snapshot();
    }
    assert!(site.dataplane.is_idle());

    for format in ["yaml", "json"] {
        let template = site.said(&["export", "--stack", "web", "--format", format]);
        assert_eq!(template, site.said(&["export", "--format", format]));
        site.put("web.yaml", &template);
        assert_eq!(site.check("web.yaml").code, 0, "{template}");
        assert_eq!(site.said(&["apply", "web.yaml"]), "stack web: nothing to change\n");
    }
    let nothing = site.run(&["export", "--stack", "wbe"]);
    assert_eq!((nothing.code, nothing.out.as_str()), (1, ""));
    assert!(nothing.err.contains("there is nothing of a stack \"wbe\""), "{}", nothing.err);

    site.put("web.yaml", "Resources: {}");
    let shown = site.said(&["apply", "web.yaml"]);
    assert!(shown.contains("0 to replace, 3 to delete"), "{shown}");
    assert!(site.said(&["export"]).ends_with("Resources: {}\n"));
}

#[test]
fn what_is_wrong_with_a_template_is_all_told_and_nothing_is_done() {
    let site = Site::start("", None);
    let faulty = with(TEMPLATE, "RuleNumber: 10", "RuleNumber: 0");
    let faulty = with(&faulty, "Protocol: 6", "Protocol: 1");
    let faulty = with(
        &faulty,
        "SessionNumber: 1",
        "SessionNumber: 1\n      Tags: [{Key: 'linetap:stack', Value: a}]",
    );
    site.put("a b.yaml", &faulty);
    let done = site.run(&["apply", "a b.yaml", "--parameter", "Vni"]);
    let want =
        "--parameter Vni: it is not KEY=VALUE; name a parameter of the template and its value
a b.yaml: its name can't be that of a stack; give one with --stack
a b.yaml:12: R.RuleNumber: 0 is out of range; write 1 to 32766
a b.yaml:17: R.DestinationPortRange: ports need TCP or UDP, and this rule is for protocol 1; write \
                Protocol: 6 or Protocol: 17, or remove the ports
a b.yaml:29: S.Tags: linetap:stack is set by linetap apply; remove it
";
    assert_eq!((done.code, done.out.as_str(), done.err.as_str()), (2, "", want));
    let done = site.run(&["apply", "none.yaml"]);
    assert_eq!(done.code, 2);
    assert!(done.err.starts_with("none.yaml: it can't be read"), "{}", done.err);
}

#[test]
fn what_the_template_at_the_start_has_stands_in_the_way_and_is_told() {
    let site = Site::start("", Some(TEMPLATE));
    site.put("web.yaml", TEMPLATE);
    let done = site.run(&["apply", "web.yaml"]);
    let want = "S.SessionNumber: 1 is taken by session S of the template of linetapd, which is not of \
                this stack; choose another or delete that\nnothing was changed\n";
    assert_eq!((done.code, done.out.as_str(), done.err.as_str()), (1, "", want));
    site.put("web.yaml", &with(TEMPLATE, "SessionNumber: 1", "SessionNumber: 2"));
    site.said(&["apply", "web.yaml"]);
    let exported = site.said(&["export"]);
    for id in ["  F:\n", "  F2:\n", "  S:\n", "  S2:\n"] {
        assert!(exported.contains(id), "{exported}");
    }
    site.put("all.yaml", &exported);
    assert_eq!(site.check("all.yaml").code, 0, "{exported}");
}
