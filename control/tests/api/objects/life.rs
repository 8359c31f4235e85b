//! Objects from their making to their end.

use super::site::{Said, Site};

const NOTHING: &str = "Resources: {}";

/// What stands behind a key of a sheet.
fn value(sheet: &str, key: &str) -> String {
    let line = sheet.lines().find(|line| line.starts_with(&format!("{key}  ")));
    let line = line.unwrap_or_else(|| panic!("no {key} in {sheet}"));
    line[key.len()..].trim().to_owned()
}

/// The lines with one space between two words.
fn rows(sheet: &str) -> Vec<String> {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    sheet.lines().map(words).collect()
}

#[test]
fn a_session_is_set_up_changed_and_taken_down() {
    let site = Site::start(NOTHING);
    let run = |arguments: &str| site.run(arguments);
    let target = run("target create --network-interface-id eni-tool --tag Name=ids").ok();
    let filter = run("filter create --description web --tag Name=web --tag team=net").ok();
    assert!(target.starts_with("tmt-") && filter.starts_with("tmf-"), "{target} {filter}");
    let rule = run(
        "rule create --filter web --direction ingress --number 100 --action accept --protocol tcp \
         --source 10.0.0.0/8 --destination 0.0.0.0/0 --destination-ports 443-444 --tag Name=tls",
    )
    .ok();
    run("rule create --traffic-mirror-filter-id web --traffic-direction ingress --rule-number 20 \
         --rule-action reject --source-cidr-block 10.1.2.3 --destination-cidr-block 0.0.0.0/0 \
         --protocol 17 --source-port-range FromPort=53,ToPort=53")
    .ok();
    let session =
        run("session create --interface eni-a --target ids --filter web --number 1 --vni 4711 \
         --packet-length 128 --tag Name=mine")
        .ok();

    let sheet = run("filter show web").ok();
    assert_eq!((value(&sheet, "id"), value(&sheet, "sessions")), (filter.clone(), session.clone()));
    assert_eq!(value(&sheet, "tags"), "Name=web, team=net");
    let rules: Vec<String> = rows(&sheet).into_iter().filter(|row| row.contains("tmfr-")).collect();
    assert!(rules[0].starts_with("20 reject udp 10.1.2.3/32 53 0.0.0.0/0 all tmfr-"), "{sheet}");
    assert!(rules[1].starts_with("100 accept tcp 10.0.0.0/8 all 0.0.0.0/0 443-444 tmfr-"));
    assert!(rules[1].contains(&format!("{rule} tls")), "{sheet}");
    assert!(sheet.contains("egress: no rules"), "{sheet}");

    let sheet = run("session show mine").ok();
    assert_eq!(value(&sheet, "target"), format!("{target} ids, eni-tool"));
    assert_eq!(value(&sheet, "filter"), format!("{filter} web, 2 ingress and 0 egress rules"));
    assert_eq!(value(&sheet, "interface"), "eni-a, mirror source");
    assert_eq!(
        (value(&sheet, "vni"), value(&sheet, "packet length")),
        ("4711".into(), "128".into())
    );

    assert_eq!(run("filter modify web --add-service amazon-dns").ok(), filter);
    assert_eq!(value(&run("filter show web").ok(), "services"), "amazon-dns");
    run("filter modify web --remove-service amazon-dns").ok();
    assert_eq!(value(&run("filter show web").ok(), "services"), "-");
    let changed = run("session modify mine --remove packet-length,vni --number 2 --json").json();
    let changed = &changed["TrafficMirrorSessions"][0];
    assert!(changed.get("PacketLength").is_none() && changed["SessionNumber"] == 2, "{changed}");
    assert_ne!(changed["VirtualNetworkId"], 4711);
    run("rule modify tls --protocol all --remove destination-ports --action reject").ok();
    let sheet = run("rule show tls").ok();
    assert!(rows(&sheet).contains(&"100 reject all 10.0.0.0/8 all 0.0.0.0/0 all".to_owned()));
    assert_eq!(value(&sheet, "filter"), format!("{filter} web, 2 rules"));
    run("target modify ids --tag Name=tools --remove-tag none").ok();
    assert_eq!(value(&run("target show tools").ok(), "sessions"), session);

    let refused = run("filter delete web").failed(1);
    assert!(refused.contains(&format!("in use by {session} (TrafficMirrorFilterInUse); delete")));
    let missing = "tmfr-0123456789abcdef0";
    let part = run(&format!("rule delete tls {missing} nobody"));
    assert_eq!(part.out, rule);
    let told = part.failed(1);
    assert!(told.contains("(InvalidTrafficMirrorFilterRuleId.NotFound); `linetap rule list`"));
    assert!(told.contains("there is no filter rule with the id or the name \"nobody\""), "{told}");
    assert!(told.ends_with("2 of 3 are not deleted"), "{told}");
    assert_eq!(run("session delete mine").ok(), session);
    assert_eq!(run(&format!("filter delete {filter} web")).ok(), filter);
    assert_eq!(run("target delete tools").ok(), target);
    assert_eq!(run("session list").ok().lines().count(), 1, "only the heading is left");
}

#[test]
fn a_dry_run_changes_nothing_and_tells_what_would_be() {
    let site = Site::start(NOTHING);
    let run = |arguments: &str| site.run(arguments);
    assert!(run("filter create --dry-run").ok().starts_with("dry run: it would be made; nothing"));
    assert_eq!(run("filter list").ok().lines().count(), 1);
    let refused = run("target create --interface eni-nobody --dry-run").failed(1);
    assert!(refused.contains("(InvalidNetworkInterfaceID.NotFound); a source is an"), "{refused}");
    let id = run("filter create --tag Name=a").ok();
    let dry = run("filter modify a --add-service amazon-dns --tag b=c --dry-run").ok();
    assert!(dry.starts_with("dry run: it would be changed"), "{dry}");
    // The second change would be refused, so the first is not made either.
    let long = "x".repeat(300);
    run(&format!("filter modify a --add-service amazon-dns --tag {long}=c")).failed(1);
    let sheet = run("filter show a").ok();
    assert_eq!((value(&sheet, "services"), value(&sheet, "tags")), ("-".into(), "Name=a".into()));
    assert_eq!(
        run("filter delete a --dry-run").ok(),
        format!("dry run: {id} would be deleted; nothing was changed")
    );
    assert!(run("filter show a").ok().contains(&id));
}

#[test]
fn names_are_taken_where_only_one_has_them() {
    let site = Site::start(NOTHING);
    let run = |arguments: &str| site.run(arguments);
    let first = run("filter create --tag Name=web*").ok();
    assert_eq!(
        run("filter create --tag Name=webs --json").json()["TrafficMirrorFilter"]["Tags"][0]["Value"],
        "webs"
    );
    assert_eq!(value(&run("filter show web*").ok(), "id"), first, "it is no wildcard");
    let second = run("filter create --tag Name=web*").ok();
    let told = run("filter show web*").failed(1);
    assert!(
        told.contains("2 filters have the name \"web*\": ") && told.contains(&second),
        "{told}"
    );
    assert!(run(&format!("filter show {second}")).ok().contains(&second));
    let told = run("filter show web?").failed(1);
    assert!(told.contains("`linetap filter list` shows those that there are"), "{told}");
}

#[test]
fn wrong_arguments_are_told_before_anything_is_asked() {
    let site = Site::start(NOTHING);
    let told = |arguments: &str| {
        let Said { status, err, .. } = site.run(arguments);
        assert_eq!(status, 2, "{arguments}: {err}");
        err
    };
    let rule = "rule create --filter f --direction ingress --number 1 --action accept --source ::/0 \
                --destination ::/0";
    assert!(told(&format!("{rule} --protocol tpc")).contains("did you mean \"tcp\"?"));
    assert!(told(&format!("{rule} --source-ports 9-1")).contains("write 1-9"));
    assert!(told(&rule.replace("::/0", "10.0.0/8")).contains("write a CIDR block like"));
    assert!(told(&rule.replace("number 1", "number 0")).contains("1..=32766"));
    assert!(told("filter list --filters tag:Name=x").contains("Name=rule-number,Values=10"));
    assert!(told("target create").contains("--interface <ENI>"));
    assert!(told("target create --interface eni-a --load-balancer arn").contains("cannot be used"));
    assert!(told("filter create --tag Name").contains("it is not KEY=VALUE"));
    site.run("filter create --tag Name=a").ok();
    assert!(told("filter modify a").contains("there is nothing to change"));
    // What EC2 alone can tell is an error of the other kind, with the option's name.
    let refused = site.run(&rule.replace("filter f", "filter a").replacen("::/0", "1.0.0.0/8", 1));
    assert!(refused.failed(1).contains("(InvalidParameter"), "both have to be of one family");
}
