//! Real clients' requests, recorded, and the service model that clients are made from: both lie in
//! the folder that `LINETAP_SHARED` names, and are used in place.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::PathBuf;

use crate::bench::{ALICE, Bench, CONFIG, Shared, elements, ground, params, text};
use control::ec2::{Access, Answer, Api, Caller, Endpoint, Params};
use control::model::{Destination, Filter, Notes, Object, Rule, Session, Target};
use control::store::{Memory, Record, place};
use engine::rule::{Direction, RuleAction};
use engine::units::Vni;
use serde_json::Value;

/// The folder, if it is there.
fn shared() -> Option<PathBuf> {
    let folder = std::env::var_os("LINETAP_SHARED").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("LINETAP_SHARED names no folder: the recordings are not replayed");
    }
    folder
}

/// What the recorded requests speak of.
fn seeds() -> Vec<Object> {
    let notes = |description: &str| Notes {
        description: Some(description.into()),
        tags: vec![("Name".into(), "web".into()), ("env".into(), "test".into())],
    };
    let filter = |id: &str| Filter { id: id.into(), amazon_dns: false, notes: notes("web") };
    let rule = |id: &str, direction, number| Rule {
        id: id.into(),
        filter: "tmf-04812ff784EXAMPLE".into(),
        direction,
        number,
        action: RuleAction::Accept,
        source: "0.0.0.0/0".parse().unwrap(),
        destination: "10.0.0.0/16".parse().unwrap(),
        protocol: None,
        source_ports: None,
        destination_ports: None,
        notes: notes("web in"),
    };
    let target = |id: &str| Target {
        id: id.into(),
        destination: Destination::NetworkInterface("eni-0f6f2c3b1aEXAMPLE".into()),
        notes: notes("ids"),
    };
    let session = |id: &str, number| Session {
        id: id.into(),
        interface: "eni-07a17f4d6eEXAMPLE".into(),
        target: "tmt-08fc0a1ab0EXAMPLE".into(),
        filter: "tmf-04812ff784EXAMPLE".into(),
        number,
        vni: Vni::try_from(7_159_709).ok(),
        packet_length: Some(128),
        notes: notes("s1"),
    };
    vec![
        Object::Filter(filter("tmf-04812ff784EXAMPLE")),
        Object::Filter(filter("tmf-00000001EXAMPLE")),
        Object::Filter(filter("tmf-1")),
        Object::Rule(rule("tmfr-04812ff784EXAMPLE", Direction::Ingress, 50)),
        Object::Rule(rule("tmfr-0aaaabbbbcEXAMPLE", Direction::Egress, 60)),
        Object::Target(target("tmt-08fc0a1ab0EXAMPLE")),
        Object::Target(target("tmt-1")),
        Object::Session(session("tms-09d3c5a1d2EXAMPLE", 9)),
        // Of another recorder, which chose its own id.
        Object::Session(session("tms-63957ad577ece79ce", 10)),
    ]
}

/// A bench whose store has these objects.
fn bench(objects: Vec<Object>) -> Bench {
    let record =
        |(at, object)| Record { owner: ALICE.into(), created: place(1, at), token: None, object };
    let records = objects.into_iter().enumerate().map(record);
    Bench::over(Shared(Memory::with(records).into()), ground(CONFIG))
}

/// A request, and the status and body of the reply if one is recorded.
struct Exchange {
    form: String,
    reply: Option<(u16, String)>,
}

fn exchanges(text: &str) -> Vec<Exchange> {
    let mut found: Vec<Exchange> = Vec::new();
    for line in text.lines() {
        if line.starts_with("Action=") || line.starts_with("Version=") {
            found.push(Exchange { form: line.to_owned(), reply: None });
        } else if let (Some(status), Some(last)) =
            (line.strip_prefix("HTTP/1.1 "), found.last_mut())
        {
            let status = status.split(' ').next().unwrap().parse().unwrap();
            last.reply.get_or_insert((status, String::new()));
        } else if let Some(Exchange { reply: Some((_, body)), .. }) = found.last_mut()
            && line.trim_start().starts_with('<')
        {
            body.push_str(line);
        }
    }
    found
}

fn answer(bench: &Bench, params: &Params) -> Answer {
    let caller =
        Caller { account: ALICE.into(), access: Access::ReadWrite, key_id: "AKIDEXAMPLE".into() };
    Api::new(bench.service.clone()).answer(&caller, params, "r-1")
}

fn value<'p>(params: &'p Params, name: &str) -> Option<&'p str> {
    params.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
}

#[test]
fn every_recorded_request_is_answered_as_its_client_expects() {
    let Some(folder) = shared() else { return };
    let model = Model::read(&folder);
    let mut count = 0;
    for file in fs::read_dir(folder.join("ec2-wire")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "txt") {
            continue;
        }
        for exchange in exchanges(&fs::read_to_string(&path).unwrap()) {
            replay(&model, &exchange);
            count += 1;
        }
    }
    assert!(count >= 70, "only {count} requests were found");
}

fn replay(model: &Model, exchange: &Exchange) {
    let params = params(&exchange.form);
    let action = value(&params, "Action").unwrap().to_owned();
    let unrecorded = if value(&params, "DryRun") == Some("true") { 412 } else { 200 };
    let status = exchange.reply.as_ref().map_or(unrecorded, |(status, _)| *status);
    // Signatures and rates are the server's business.
    if status == 401 || status == 503 {
        return;
    }
    let mut objects = seeds();
    if ["DeleteTrafficMirrorFilter", "DeleteTrafficMirrorTarget"].contains(&&*action) {
        objects.retain(|object| !matches!(object, Object::Session(_)));
    }
    let bench = bench(if status == 200 { objects } else { Vec::new() });
    let answer = answer(&bench, &params);
    let context = format!("{}\n{}", exchange.form, answer.body);
    if value(&params, "NextToken") == Some("tok-page-2") {
        // A token of the recorder.
        assert_eq!(text(&answer.body, "Code"), "InvalidNextToken", "{context}");
        return;
    }
    if exchange.form.contains("tmf-nosuch") {
        // An imitation answers with an empty set; clients are made for this error of AWS.
        assert_eq!(text(&answer.body, "Code"), "InvalidTrafficMirrorFilterId.NotFound");
        return;
    }
    assert_eq!(answer.status, status, "{context}");
    let found = elements(&answer.body);
    if status != 200 {
        let Some((_, want)) = &exchange.reply else { return };
        let want = elements(want);
        let without_id = |all: Vec<(String, String)>| -> Vec<(String, String)> {
            all.into_iter().filter(|(path, _)| path != "Response/RequestID").collect()
        };
        assert!(found.iter().any(|(path, id)| path == "Response/RequestID" && id == "r-1"));
        assert_eq!(without_id(found), without_id(want), "{context}");
        return;
    }
    assert_eq!(found[0].0, format!("{action}Response"), "{context}");
    model.check(&action, &found, &context);
    // What was asked for is what came to be.
    if action.starts_with("Create") || action.starts_with("Modify") {
        for (name, want) in &params.0 {
            let is_own = !["Action", "Version", "DryRun"].contains(&name.as_str());
            if is_own && !name.contains('.') {
                let element = format!("{}{}", name[..1].to_lowercase(), &name[1..]);
                assert_eq!(text(&answer.body, &element), *want, "{context}");
            }
        }
    }
}

/// The service model of the clients.
struct Model(Value);

impl Model {
    fn read(folder: &std::path::Path) -> Self {
        let text = fs::read_to_string(folder.join("reference/ec2-api.json")).unwrap();
        Self(serde_json::from_str(&text).unwrap())
    }

    fn action(&self, name: &str) -> &Value {
        &self.0["actions"][name]
    }

    /// All paths of elements that an answer may have; those of lists also on their own.
    fn paths(&self, action: &str) -> (BTreeSet<String>, BTreeSet<String>) {
        let root = self.action(action)["responseElement"].as_str().unwrap().to_owned();
        let (mut all, mut lists) = (BTreeSet::new(), BTreeSet::new());
        all.insert(format!("{root}/requestId"));
        match self.action(action)["output"].as_array() {
            Some(members) => self.gather(&root, members, &mut all, &mut lists),
            None => drop(all.insert(format!("{root}/return"))),
        }
        all.insert(root);
        (all, lists)
    }

    fn gather(
        &self,
        above: &str,
        members: &[Value],
        all: &mut BTreeSet<String>,
        lists: &mut BTreeSet<String>,
    ) {
        for member in members {
            let path = format!("{above}/{}", member["element"].as_str().unwrap());
            all.insert(path.clone());
            let (below, shape) = match member["type"].as_str().unwrap() {
                "list" => {
                    lists.insert(path.clone());
                    all.insert(format!("{path}/item"));
                    (format!("{path}/item"), &member["of"]["shape"])
                }
                _ => (path, &member["shape"]),
            };
            if let Some(shape) = shape.as_str() {
                let members = self.0["outputShapes"][shape].as_array().unwrap();
                self.gather(&below, members, all, lists);
            }
        }
    }

    /// An answer has only known elements, each scalar once, and every list, be it empty.
    fn check(&self, action: &str, found: &[(String, String)], context: &str) {
        let (all, lists) = self.paths(action);
        let paths: Vec<&String> = found.iter().map(|(path, _)| path).collect();
        for path in &paths {
            assert!(all.contains(*path), "{path} is no element of {action}: {context}");
        }
        let there: HashSet<&String> = paths.iter().copied().collect();
        for list in &lists {
            let above = list.rsplit_once('/').unwrap().0.to_owned();
            let is_left_out = action == "ModifyTrafficMirrorFilterRule"
                || action == "DescribeNetworkInterfaces"
                || above.matches("/item").count() > 1;
            if there.contains(&above) && !is_left_out {
                assert!(there.contains(list), "{list} is not there: {context}");
            }
        }
    }

    /// A request of an action with every parameter, but for those that exclude each other.
    fn full_request(&self, action: &str) -> Vec<(String, String)> {
        let mut pairs = vec![("Action".to_owned(), action.to_owned())];
        pairs.push(("Version".into(), "2016-11-15".into()));
        for member in self.action(action)["input"].as_array().unwrap() {
            let wire = member["wire"].as_str().unwrap();
            let excluded = ["RemoveField", "RemoveNetworkService", "NextToken", "DryRun"];
            let targets = ["NetworkLoadBalancerArn", "GatewayLoadBalancerEndpointId"];
            if excluded.contains(&wire) || targets.contains(&wire) {
                continue;
            }
            let add = |name: String| (name.clone(), sample(action, &name).to_owned());
            let names: &[&str] = match (member["type"].as_str().unwrap(), wire) {
                ("list", "Filter") => &[".1.Name", ".1.Value.1"],
                ("list", "Tag") => &[".1.Key", ".1.Value"],
                ("list", "TagSpecification") => {
                    &[".1.ResourceType", ".1.Tag.1.Key", ".1.Tag.1.Value"]
                }
                ("list", _) => &[".1"],
                ("structure", _) => &[".FromPort", ".ToPort"],
                _ => &[""],
            };
            pairs.extend(names.iter().map(|name| add(format!("{wire}{name}"))));
        }
        pairs
    }
}

/// A value for a parameter that is sound with those of the others.
fn sample(action: &str, name: &str) -> &'static str {
    match name.split('.').next().unwrap() {
        "TrafficMirrorFilterId" if action == "DeleteTrafficMirrorFilter" => "tmf-1",
        "TrafficMirrorFilterId" => "tmf-04812ff784EXAMPLE",
        "TrafficMirrorFilterRuleId" => "tmfr-04812ff784EXAMPLE",
        "TrafficMirrorTargetId" if action == "DeleteTrafficMirrorTarget" => "tmt-1",
        "TrafficMirrorTargetId" => "tmt-08fc0a1ab0EXAMPLE",
        "TrafficMirrorSessionId" => "tms-09d3c5a1d2EXAMPLE",
        "NetworkInterfaceId" if action.ends_with("Target") => "eni-0f6f2c3b1aEXAMPLE",
        "NetworkInterfaceId" => "eni-07a17f4d6eEXAMPLE",
        "ResourceId" => "tmf-1",
        "TrafficDirection" => "ingress",
        "RuleAction" => "accept",
        "RuleNumber" | "SessionNumber" => "7",
        "Protocol" => "17",
        "SourceCidrBlock" | "DestinationCidrBlock" => "10.0.0.0/8",
        "SourcePortRange" | "DestinationPortRange" => "53",
        "PacketLength" => "100",
        "VirtualNetworkId" | "MaxResults" => "5",
        "AddNetworkService" => "amazon-dns",
        "IncludeManagedResources" => "true",
        "Filter" if name.ends_with("Name") => "tag:Name",
        "TagSpecification" if name.ends_with("ResourceType") => match action {
            "CreateTrafficMirrorFilter" => "traffic-mirror-filter",
            "CreateTrafficMirrorFilterRule" => "traffic-mirror-filter-rule",
            "CreateTrafficMirrorTarget" => "traffic-mirror-target",
            _ => "traffic-mirror-session",
        },
        _ => "x",
    }
}

#[test]
fn every_parameter_of_every_action_is_known_and_no_other() {
    let Some(folder) = shared() else { return };
    let model = Model::read(&folder);
    let actions = model.0["actions"].as_object().unwrap();
    assert_eq!(actions.len(), 19);
    for action in actions.keys() {
        let pairs = model.full_request(action);
        let full = answer(&bench(seeds()), &Params(pairs.clone()));
        assert_eq!(full.status, 200, "{action}: {}", full.body);
        model.check(action, &elements(&full.body), &full.body);

        for odd in ["Zzz", "DryRum", "Filter.1.Nam", "TrafficMirrorFilterId.1.2"] {
            let mut more = pairs.clone();
            more.push((odd.into(), "1".into()));
            let refused = answer(&bench(seeds()), &Params(more)).body;
            assert_eq!(text(&refused, "Code"), "UnknownParameter", "{action}: {refused}");
            assert!(refused.contains(odd), "{refused}");
        }
        for at in 0..pairs.len() {
            let mut fewer = pairs.clone();
            let (name, _) = fewer.remove(at);
            let is_required =
                model.action(action)["input"].as_array().unwrap().iter().any(|it| {
                    it["required"] == true && name.split('.').next() == it["wire"].as_str()
                });
            let answer = answer(&bench(seeds()), &Params(fewer));
            if is_required && !name.ends_with(".Value") {
                assert_eq!(text(&answer.body, "Code"), "MissingParameter", "{action} {name}");
            }
        }
        dry_run_changes_nothing(action, pairs);
    }
}

fn dry_run_changes_nothing(action: &str, mut pairs: Vec<(String, String)>) {
    pairs.push(("DryRun".into(), "true".into()));
    let bench = bench(seeds());
    let before = bench.service.world().unwrap().revision();
    let dry = answer(&bench, &Params(pairs));
    assert_eq!(
        (dry.status, text(&dry.body, "Code").as_str()),
        (412, "DryRunOperation"),
        "{action}"
    );
    assert_eq!(bench.service.world().unwrap().revision(), before, "{action}");
    assert_eq!(bench.dataplane.taken(), 0, "{action}");
}

#[test]
fn every_documented_filter_is_known() {
    let Some(folder) = shared() else { return };
    let model = Model::read(&folder);
    let mut count = 0;
    for (action, shape) in model.0["actions"].as_object().unwrap() {
        for name in shape["documentedFilters"].as_array().into_iter().flatten() {
            let name = match name.as_str().unwrap() {
                "tag" => "tag:Name",
                name => name,
            };
            let query = format!("{action}&Filter.1.Name={name}&Filter.1.Value.1=*");
            bench(seeds()).done(ALICE, &query);
            count += 1;
        }
    }
    assert!(count > 60, "only {count} filters were found");
}
