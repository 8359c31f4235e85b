//! Runs that end in the middle, and the next one that goes on.

use std::fmt::Write as _;

use nix::sys::signal::Signal;

use super::site::Site;
use crate::common::TEMPLATE;
use crate::common::process::Background;

/// More rules than can be made before anybody notices.
const RULES: usize = 100;
const QUOTA: &str = "[quotas]\nrules_per_filter = 1000\n";

/// A template with many rules, the session behind them.
fn long_template() -> String {
    let mut text = TEMPLATE.to_owned();
    for number in 0..RULES {
        let _ = write!(
            text,
            "  R{number}:\n    Type: AWS::EC2::TrafficMirrorFilterRule\n    Properties: {{\
             TrafficMirrorFilterId: !Ref F, TrafficDirection: ingress, RuleNumber: {}, \
             RuleAction: accept, SourceCidrBlock: 0.0.0.0/0, DestinationCidrBlock: 0.0.0.0/0}}\n",
            number + 1
        );
    }
    text
}

/// Starts to apply the template, and waits until it has begun with the rules.
fn begun(site: &Site) -> Background {
    site.put("long.yaml", &long_template());
    let apply = Background::start(&mut site.command(&["apply", "long.yaml"]), &site.path("said"));
    apply.wait_for("create filter rule R5: tmfr-", 1);
    apply
}

/// Goes on, and then finds everything done.
fn finish(site: &Site) {
    let shown = site.said(&["apply", "long.yaml"]);
    let (plan, steps) =
        shown.split_once(" to create, 0 to modify, 0 to replace, 0 to delete\n").unwrap();
    let left: usize = plan.rsplit(' ').next().unwrap().parse().unwrap();
    assert!((2..RULES).contains(&left) && steps.lines().count() == left, "{left}: {steps}");
    assert!(!steps.contains("create filter rule R5:"), "what is done is not done again");
    assert!(steps.ends_with('\n') && steps.contains("create session S: tms-"), "{steps}");
    assert_eq!(site.said(&["apply", "long.yaml"]), "stack long: nothing to change\n");
}

#[test]
fn a_run_that_is_killed_is_finished_by_the_next() {
    let site = Site::start(QUOTA, None);
    let mut apply = begun(&site);
    apply.signal(Signal::SIGKILL);
    apply.end();
    finish(&site);
}

#[test]
fn a_run_that_loses_the_api_tells_what_is_done_and_is_finished_by_the_next() {
    let mut site = Site::start(QUOTA, None);
    let mut apply = begun(&site);
    site.daemon.signal(Signal::SIGKILL);
    site.daemon.end();
    assert_eq!(apply.end().code(), Some(1));
    let told = apply.log();
    for part in [
        "\nwhether this step was done is not known\n",
        " of 104 steps are done and stay; not done:\n  create filter rule R",
        " more\nremove the cause, and the same command goes on from here\n",
    ] {
        assert!(told.contains(part), "{part:?} is not in {told}");
    }
    site.restart();
    finish(&site);
}

#[test]
fn a_step_that_is_refused_stops_the_run() {
    let site = Site::start("[quotas]\nrules_per_filter = 7\n", None);
    site.put("long.yaml", &long_template());
    let done = site.run(&["apply", "long.yaml"]);
    assert_eq!(done.code, 1);
    let want = "create filter rule R6: TrafficMirrorFilterRuleLimitExceeded: The limit of 7 rules per filter \
                is reached for tmf-";
    assert!(done.err.starts_with(want), "{}", done.err);
    assert!(done.err.contains("\n9 of 104 steps are done and stay; not done:\n"), "{}", done.err);
}
