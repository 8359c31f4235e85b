//! The members of tools: changed at run time, laid over the appliance file, and as checks find them.

use std::net::IpAddr;
use std::time::SystemTime;

use crate::bench::{ALICE, Bench, CONFIG, TEMPLATES, ground, text, texts};
use control::ec2::{Access, Answer};
use control::service::{Cause, Health, HealthMap, HealthState, Refusal};
use control::store::Store;
use engine::snapshot::{MemberHealth, NeighborSpec};

const NLB: &str =
    "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/net/nlb/0123456789abcdef";

/// Asks as the appliance's account; `query` without the tool.
fn ask(bench: &Bench, query: &str) -> Answer {
    bench.elb(TEMPLATES, Access::ReadWrite, &format!("{query}&TargetGroupArn={NLB}"))
}

fn done(bench: &Bench, query: &str) -> String {
    let Answer { status, body } = ask(bench, query);
    assert_eq!(status, 200, "{query}: {body}");
    body
}

/// Code and message of a refusal, which must be one.
fn refused(bench: &Bench, query: &str) -> (String, String) {
    let Answer { status, body } = ask(bench, query);
    assert_ne!(status, 200, "{query}: {body}");
    (text(&body, "Code"), text(&body, "Message"))
}

fn register(members: &str) -> String {
    let named = members.split(' ').zip(1..).map(|(id, at)| format!("&Targets.member.{at}.Id={id}"));
    format!("RegisterTargets{}", named.collect::<String>())
}

fn deregister(members: &str) -> String {
    format!("De{}", register(members).replacen('R', "r", 1))
}

/// The members in force: address, weight, health. There is a mirror target of the tool.
fn in_force(bench: &Bench) -> Vec<(String, u16, MemberHealth)> {
    let snapshot = bench.dataplane.in_force();
    let members = snapshot.targets[0].members.iter();
    members.map(|it| (it.address.to_string(), it.weight, it.health)).collect()
}

/// Their addresses alone.
fn addresses(bench: &Bench) -> Vec<String> {
    in_force(bench).into_iter().map(|(address, ..)| address).collect()
}

/// With a mirror target of the tool.
fn bench() -> Bench {
    let bench = Bench::new();
    let query = format!("CreateTrafficMirrorTarget&NetworkLoadBalancerArn={NLB}");
    bench.done(ALICE, &query);
    bench
}

/// The same over the same store, with another appliance file.
fn again(bench: Bench, config: &str) -> Bench {
    let bench = Bench::over(bench.store, ground(config));
    bench.service.ensure_in_force().unwrap();
    bench
}

const FILE: &str = "members = [{ address = \"192.0.2.12\" }, { address = \"192.0.2.13\" }]";

fn with_members(members: &str) -> String {
    assert!(CONFIG.contains(FILE));
    CONFIG.replace(FILE, members)
}

#[test]
fn members_come_and_go_at_run_time_and_stay_so_across_restarts() {
    let bench = bench();
    assert_eq!(addresses(&bench), ["192.0.2.12", "192.0.2.13"]);
    let reply = done(&bench, &format!("{}&Targets.member.1.Weight=3", register("192.0.2.20")));
    let start = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><RegisterTargetsResponse \
         xmlns=\"http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/\">\
         <RegisterTargetsResult></RegisterTargetsResult><ResponseMetadata>";
    assert!(reply.starts_with(start), "{reply}");
    done(&bench, &deregister("192.0.2.12"));
    let mac = "&Targets.member.1.MacAddress=02-00-00-00-0B-01";
    done(&bench, &(register("198.51.100.7") + mac));
    // Other changes leave it so.
    bench.done(ALICE, "CreateTrafficMirrorFilter");
    let want = [
        ("192.0.2.13".to_owned(), 1, MemberHealth::Active),
        ("192.0.2.20".to_owned(), 3, MemberHealth::Active),
        ("198.51.100.7".to_owned(), 1, MemberHealth::Active),
    ];
    assert_eq!(in_force(&bench), want);
    let bench = again(bench, CONFIG);
    assert_eq!(in_force(&bench), want);
    let neighbor = bench.dataplane.in_force().targets[0].members[2].neighbor.clone();
    assert_eq!(neighbor, NeighborSpec::Fixed("02:00:00:00:0b:01".parse().unwrap()));

    // What is as in the file again leaves nothing behind.
    done(&bench, &register("192.0.2.12"));
    done(&bench, &deregister("192.0.2.20 198.51.100.7"));
    assert_eq!(addresses(&bench), ["192.0.2.12", "192.0.2.13"]);
    assert_eq!(bench.store.read().unwrap().tools, []);
    let bench = again(bench, &with_members("members = [{ address = \"192.0.2.30\" }]"));
    assert_eq!(addresses(&bench), ["192.0.2.30"]);
}

#[test]
fn who_drains_is_registered_again_and_a_weight_is_changed_by_registering() {
    let bench = bench();
    let drain = deregister("192.0.2.12") + "&Drain=true";
    done(&bench, &drain);
    let taken = bench.dataplane.taken();
    done(&bench, &drain);
    assert_eq!(bench.dataplane.taken(), taken, "it drains already");
    assert_eq!(in_force(&bench)[0], ("192.0.2.12".to_owned(), 1, MemberHealth::Draining));
    let shown = done(&bench, "DescribeTargetHealth");
    assert_eq!(texts(&shown, "State"), ["draining", "unavailable"]);
    assert_eq!(text(&shown, "Reason"), "Target.DeregistrationInProgress");

    done(&bench, &(register("192.0.2.12") + "&Targets.member.1.Weight=7"));
    assert_eq!(in_force(&bench)[0], ("192.0.2.12".to_owned(), 7, MemberHealth::Active));
    done(&bench, &drain);
    done(&bench, &register("192.0.2.12"));
    assert_eq!(in_force(&bench)[0].1, 7, "its weight stays");
    let bench = again(bench, &with_members(&FILE.replace("12\"", "12\", weight = 2")));
    assert_eq!(in_force(&bench)[0].1, 7, "what was said at run time goes before the file");
}

#[test]
fn what_cannot_be_is_refused_whole_with_the_remedy() {
    let bench = bench();
    let before = bench.dataplane.taken();
    let cases = [
        (register("192.0.2.1"), "InvalidTarget", "is port \"tool\"'s own"),
        (register("2001:db8::1"), "InvalidTarget", "port \"tool\" has no IPv6 address to send to"),
        (register("198.51.100.1"), "InvalidTarget", "is in no subnet of port \"tool\""),
        (register("224.0.0.1"), "InvalidTarget", "is no host's"),
        (register("i-0123"), "InvalidTarget", "'i-0123' is no IP address"),
        (register("192.0.2.20 192.0.2.20"), "InvalidTarget", "is named twice"),
        (register("192.0.2.20 192.0.2.1"), "InvalidTarget", "is port \"tool\"'s own"),
        ("RegisterTargets".to_owned(), "InvalidTarget", "no member is named"),
        (
            register("192.0.2.12") + "&Expect=new",
            "TargetAlreadyRegistered",
            "192.0.2.12 is a member already; change its weight",
        ),
        (register("192.0.2.21") + "&Expect=known", "TargetNotRegistered", "did you mean"),
        (deregister("192.0.2.21") + "&Expect=known", "TargetNotRegistered", "no member of it"),
        (deregister("192.0.2.12 192.0.2.13"), "InvalidTarget", "no member would be left"),
        (
            deregister("192.0.2.12 192.0.2.13") + "&Drain=true",
            "InvalidTarget",
            "no member would be left",
        ),
        (
            register("192.0.2.20") + "&Targets.member.1.Weight=257",
            "ValidationError",
            "Give a whole number from 0 to 256",
        ),
        (
            register("192.0.2.12 192.0.2.13")
                + "&Targets.member.1.Weight=0&Targets.member.2.Weight=0",
            "InvalidTarget",
            "no member would be left",
        ),
        (
            register("192.0.2.20") + "&Targets.member.1.MacAddress=01:00:5e:00:00:01",
            "InvalidTarget",
            "is a group address",
        ),
        (
            register("192.0.2.20") + "&Targets.member.1.MacAddress=02",
            "ValidationError",
            "Write a MAC address",
        ),
        (register("192.0.2.20") + "&Targets.member.1.Port=80", "ValidationError", "at port 4789"),
        (register("192.0.2.20") + "&More=1", "ValidationError", "More is not recognized"),
    ];
    for (query, code, part) in cases {
        let (found, message) = refused(&bench, &query);
        assert_eq!(found, code, "{query}: {message}");
        assert!(message.contains(part), "{query}: {message}");
    }
    // As ELB has it, both of these are done already.
    done(&bench, &deregister("192.0.2.21"));
    done(&bench, &register("192.0.2.12"));
    assert_eq!(bench.dataplane.taken(), before);
    assert_eq!(addresses(&bench), ["192.0.2.12", "192.0.2.13"]);
}

#[test]
fn only_the_appliances_account_changes_tools_and_every_key_sees_them() {
    let bench = bench();
    let query = format!("{}&TargetGroupArn={NLB}", register("192.0.2.20"));
    for (account, access) in [(ALICE, Access::ReadWrite), (TEMPLATES, Access::ReadOnly)] {
        let refused = bench.elb(account, access, &query);
        assert_eq!((refused.status, text(&refused.body, "Code")), (403, "AccessDenied".into()));
        let shown = format!("DescribeTargetHealth&TargetGroupArn={NLB}");
        assert_eq!(bench.elb(account, access, &shown).status, 200);
    }
    let unknown =
        format!("{}&TargetGroupArn={}", register("192.0.2.20"), NLB.replace("nlb", "nlc"));
    let refused = bench.elb(TEMPLATES, Access::ReadWrite, &unknown);
    assert_eq!(text(&refused.body, "Code"), "TargetGroupNotFound");
    assert!(text(&refused.body, "Message").contains("did you mean"), "{}", refused.body);
    let interface = format!("{}&TargetGroupArn=eni-tool2", register("192.0.2.20"));
    let refused = bench.elb(TEMPLATES, Access::ReadWrite, &interface);
    assert!(text(&refused.body, "Message").contains("which is one tool"), "{}", refused.body);
    // Each service's version is its own.
    let wrong = bench.ask(TEMPLATES, &query);
    assert_eq!(text(&wrong.body, "Code"), "InvalidAction");
    let wrong = bench.elb(TEMPLATES, Access::ReadWrite, "DescribeTrafficMirrorTargets");
    assert_eq!(text(&wrong.body, "Code"), "InvalidAction");
}

#[test]
fn what_contradicts_the_file_is_left_out_and_comes_back_with_it() {
    let bench = bench();
    done(&bench, &register("192.0.2.20"));
    done(&bench, &(deregister("192.0.2.12") + "&Drain=true"));
    done(&bench, &deregister("192.0.2.13"));
    assert_eq!(addresses(&bench), ["192.0.2.12", "192.0.2.20"]);
    let draining = ("192.0.2.12".to_owned(), 1, MemberHealth::Draining);

    // The port has another subnet: who was added can't be reached, and would leave nobody.
    let moved = CONFIG.replace("192.0.2.1/24", "192.0.2.1/28");
    bench.service.rebase(ground(&moved)).unwrap();
    assert_eq!(addresses(&bench), ["192.0.2.12", "192.0.2.13"]);
    assert_eq!(in_force(&bench)[0].2, MemberHealth::Active);
    // The tool is gone.
    let gone = CONFIG.replace(NLB, &NLB.replace("nlb", "other"));
    bench.service.rebase(ground(&gone)).unwrap();
    // It is back, and one who was removed is not in the file any more: that is settled.
    bench
        .service
        .rebase(ground(&with_members("members = [{ address = \"192.0.2.12\" }]")))
        .unwrap();
    assert_eq!(addresses(&bench), ["192.0.2.12", "192.0.2.20"]);
    assert_eq!(in_force(&bench)[0], draining);
    bench.service.rebase(ground(CONFIG)).unwrap();
    assert_eq!(addresses(&bench), ["192.0.2.12", "192.0.2.13", "192.0.2.20"]);
}

#[test]
fn what_checks_find_is_published_once_and_shown_in_words_of_elb() {
    let config = CONFIG.replace(
        FILE,
        &format!("{FILE}\nhealth_check = {{ protocol = \"http\", port = 8080, interval = 0.5 }}"),
    );
    let bench = again(bench(), &config);
    let mut tools = bench.service.watch_tools();
    tools.mark_unchanged();
    let state = |state, reason: &str| HealthState {
        state,
        reason: reason.into(),
        since: SystemTime::UNIX_EPOCH,
    };
    let found = |states: [HealthState; 2]| -> HealthMap {
        let members = ["192.0.2.12", "192.0.2.13"].map(|it| it.parse::<IpAddr>().unwrap());
        [(NLB.to_owned(), members.into_iter().zip(states).collect())].into()
    };
    let healthy = state(Health::Healthy, "");
    let taken = bench.dataplane.taken();
    let all_well = found([state(Health::Initial, ""), healthy.clone()]);
    bench.service.set_health(all_well.clone()).unwrap();
    assert_eq!(bench.dataplane.taken(), taken + 1, "all of them count as well, and it is told");
    bench.service.set_health(all_well).unwrap();
    assert_eq!(bench.dataplane.taken(), taken + 1, "nothing else was found");
    let shown = done(&bench, "DescribeTargetHealth");
    assert_eq!(texts(&shown, "State"), ["initial", "healthy"]);
    assert_eq!(texts(&shown, "HealthCheckPort"), ["8080", "8080"]);

    let down = state(Health::Unhealthy(Cause::WrongStatus), "HTTP 503");
    bench.service.set_health(found([down, healthy])).unwrap();
    assert_eq!(bench.dataplane.taken(), taken + 2);
    assert_eq!(in_force(&bench)[0].2, MemberHealth::Down);
    let shown = done(&bench, "DescribeTargetHealth&Targets.member.1.Id=192.0.2.12");
    let said = ["State", "Reason", "Description", "Since"].map(|name| text(&shown, name));
    let want = ["unhealthy", "Target.ResponseCodeMismatch", "HTTP 503", "1970-01-01T00:00:00Z"];
    assert_eq!(said, want);
    let shown = done(&bench, "DescribeTargetHealth&Targets.member.1.Id=192.0.2.99");
    assert_eq!(text(&shown, "Reason"), "Target.NotRegistered");
    assert!(!tools.has_changed().unwrap(), "it is no change of the tools");

    // It is laid over what changes later, and over new files, too.
    done(&bench, &register("192.0.2.20"));
    assert!(tools.has_changed().unwrap());
    bench.service.rebase(ground(&config)).unwrap();
    assert_eq!(in_force(&bench)[0].2, MemberHealth::Down);
    assert_eq!(in_force(&bench)[2].2, MemberHealth::Active);
    // While the data plane is late, it is told and tried again.
    bench.dataplane.excuse(Some("worker 1 is late"));
    let refused = bench.service.set_health(HealthMap::new()).unwrap_err();
    assert!(matches!(refused, Refusal::NotInForce { .. }), "{refused}");
    bench.dataplane.excuse(None);
    bench.service.ensure_in_force().unwrap();
    assert_eq!(in_force(&bench)[0].2, MemberHealth::Active);
}

#[test]
fn tools_are_shown_as_target_groups_in_pages() {
    let config = CONFIG.replace(
        FILE,
        &format!(
            "{FILE}\naffinity = \"hosts\"\nsticky = true\nall_down = \"skip\"\n\
             health_check = {{ protocol = \"tcp\", port = 22 }}"
        ),
    );
    let bench = again(bench(), &config);
    let list = |query: &str| {
        bench.elb(ALICE, Access::ReadOnly, &format!("DescribeTargetGroups{query}")).body
    };
    let all = list("");
    assert_eq!(texts(&all, "TargetGroupArn").len(), 4);
    let first = list("&PageSize=3");
    let marker = text(&first, "NextMarker");
    let rest = list(&format!("&PageSize=3&Marker={marker}"));
    assert_eq!(texts(&rest, "TargetGroupArn").len(), 1);
    assert!(texts(&rest, "NextMarker").is_empty());
    let shown = list("&Names.member.1=nlb");
    let names = ["TargetGroupArn", "Affinity", "Sticky", "AllDown", "HealthCheckProtocol"];
    let said = names.map(|name| text(&shown, name));
    assert_eq!(said, [NLB, "hosts", "true", "skip", "TCP"]);
    let numbers = ["HealthCheckIntervalSeconds", "HealthyThresholdCount", "MemberCount"];
    assert_eq!(numbers.map(|name| text(&shown, name)), ["30", "5", "2"]);
    let unknown = list("&TargetGroupArns.member.1=arn:x");
    assert_eq!(text(&unknown, "Code"), "TargetGroupNotFound");
    let targets = bench.done(ALICE, "DescribeTrafficMirrorTargets");
    assert_eq!(text(&targets, "type"), "network-load-balancer");
}
