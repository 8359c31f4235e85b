//! Lists: as tables, over several pages, and as the AWS command line prints them.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::site::{BALANCER, KEY, SECRET, Site};
use crate::common::TEMPLATE;

#[test]
fn a_list_goes_on_to_its_end_and_keeps_to_its_conditions() {
    const FILTERS: usize = 1_003;
    let mut template = "Resources:\n".to_owned();
    for at in 0..FILTERS {
        let kind = "{Type: 'AWS::EC2::TrafficMirrorFilter'";
        writeln!(template, "  F{at}: {kind}, Properties: {{Description: d{at}}}}}").unwrap();
    }
    let site = Site::start(&template);
    let all = site.run("filter list --json").json();
    assert_eq!(all["TrafficMirrorFilters"].as_array().unwrap().len(), FILTERS);
    let table = site.run("filter list").ok();
    assert_eq!(table.lines().count(), 1 + FILTERS);
    let heading: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(heading, ["FILTER", "NAME", "INGRESS", "EGRESS", "SERVICES", "DESCRIPTION"]);
    let some = site.run("filter list --filters Name=description,Values=d100?,d7 --json").json();
    let some = some["TrafficMirrorFilters"].as_array().unwrap();
    let some: Vec<&str> = some.iter().map(|it| it["Description"].as_str().unwrap()).collect();
    assert_eq!(some, ["d7", "d1000", "d1001", "d1002"]);
    let none = "filter list --filters Name=description,Values=d7 Name=description,Values=d8";
    assert_eq!(site.run(none).ok().lines().count(), 1);
    // Those of a template are called by their logical ids, and changed there alone.
    assert!(site.run("filter show F1002").ok().contains("d1002"));
    let refused = site.run("filter delete F7").failed(1);
    assert!(refused.contains("comes from the template") && refused.contains("change it there"));
}

#[test]
fn json_is_what_the_aws_command_line_prints() {
    let site = Site::start(TEMPLATE);
    for arguments in [
        "target create --load-balancer BALANCER --description nlb --tag Name=nlb --tag empty=",
        "filter create --tag Name=web",
        "filter modify web --add-service amazon-dns",
        "rule create --filter web --direction egress --number 7 --action accept --protocol 0 \
         --source ::/0 --destination 2001:db8::/32 --description any --tag a=b",
        "rule create --filter web --direction ingress --number 9 --action reject --protocol udp \
         --source 0.0.0.0/0 --destination 0.0.0.0/0 --source-ports 0-53 --destination-ports 9",
        "session create --interface eni-b --target T --filter web --number 3 --packet-length 99",
    ] {
        site.run(&arguments.replace("BALANCER", BALANCER)).ok();
    }
    let Some(clients) = std::env::var_os("LINETAP_CLIENTS").map(PathBuf::from) else {
        eprintln!("left out: LINETAP_CLIENTS names no virtual environment with awscli");
        return;
    };
    for (noun, command) in [
        ("target", "describe-traffic-mirror-targets"),
        ("filter", "describe-traffic-mirror-filters"),
        ("rule", "describe-traffic-mirror-filter-rules"),
        ("session", "describe-traffic-mirror-sessions"),
    ] {
        let mut aws = Command::new(clients.join("bin/aws"));
        aws.env_clear().env("HOME", site.dir.path());
        aws.envs([("AWS_ACCESS_KEY_ID", KEY), ("AWS_SECRET_ACCESS_KEY", SECRET)]);
        aws.args(["--endpoint-url", &site.http, "--region", "us-east-1", "--output", "json"]);
        let said = aws.args(["ec2", command]).output().unwrap();
        let theirs = String::from_utf8(said.stdout).unwrap();
        let theirs: Value = serde_json::from_str(&theirs).unwrap();
        let ours = site.run(&format!("{noun} list --json")).json();
        // The text, not only the value: the keys' order is the same, too.
        assert_eq!(format!("{ours:#}"), format!("{theirs:#}"), "{noun}");
        assert!(ours.as_object().unwrap().values().all(|list| list.as_array().unwrap().len() > 1));
    }
}
