//! Requests one after another, from the query on through decoding and service: each is answered with EC2's
//! XML or ELB's, a refusal changes nothing, nobody sees what is another's, tags come back as they were
//! given, and a new start finds the same.
#![no_main]

#[path = "../../tests/api/mod.rs"]
mod api;

use std::sync::LazyLock;

use api::{ALICE, BOB, Bench, CONFIG, Shared};
use control::client::Element;
use control::ec2::query::pairs;
use control::ec2::{Access, Dialect, Params};
use control::service::Ground;
use libfuzzer_sys::fuzz_target;

const REQUESTS_MAX: usize = 32;

/// Tools are ALICE's.
static GROUND: LazyLock<Ground> =
    LazyLock::new(|| Ground { account: ALICE.to_owned(), ..api::ground(CONFIG) });

/// The reply; the status is 200, or the body an error.
fn ask(bench: &Bench, account: &str, access: Access, params: &Params) -> (u16, Element) {
    let answer = bench.answer(account, access, params);
    let reply = Element::parse(&answer.body).unwrap_or_else(|error| {
        panic!("{error}: {}", answer.body);
    });
    let errors = reply.child("Errors").or(Some(&reply).filter(|it| it.name == "ErrorResponse"));
    let is_error = errors.is_some_and(|errors| errors.child("Error").is_some());
    assert_eq!(answer.status != 200, is_error, "{}", answer.body);
    (answer.status, reply)
}

fn params(action: &str, more: &[(&str, &str)]) -> Params {
    let pairs = [("Action", action), ("Version", Dialect::of_action(action).version())];
    let pairs = pairs.iter().chain(more);
    Params(pairs.map(|&(name, value)| (name.to_owned(), value.to_owned())).collect())
}

fn describe(bench: &Bench, account: &str, params: &Params) -> Element {
    ask(bench, account, Access::ReadOnly, params).1
}

/// All objects, as an account sees them.
fn everything(bench: &Bench, account: &str) -> Vec<Element> {
    let what = ["Filters", "FilterRules", "Targets", "Sessions"];
    let what = what.map(|what| format!("DescribeTrafficMirror{what}"));
    let all = what.iter().map(String::as_str).chain(["DescribeTags"]);
    all.map(|action| describe(bench, account, &params(action, &[]))).collect()
}

/// The members of all tools.
fn members(bench: &Bench) -> Vec<Element> {
    let tools = bench.service.tools().unwrap();
    let of =
        |id: &str| describe(bench, BOB, &params("DescribeTargetHealth", &[("TargetGroupArn", id)]));
    tools.iter().map(|tool| of(&tool.id)).collect()
}

/// The ids of objects that a reply names.
fn ids(reply: &Element, found: &mut Vec<String>) {
    let is_id = ["tmf-", "tmfr-", "tmt-", "tms-"].iter().any(|it| reply.text.starts_with(it));
    if is_id && reply.name.ends_with("Id") && !found.contains(&reply.text) {
        found.push(reply.text.clone());
    }
    reply.children.iter().for_each(|child| ids(child, found));
}

/// Those tags of a request that was carried out have to be there as they were given.
fn check_tags(bench: &Bench, request: &Params) {
    let value = |name: &str| request.0.iter().find(|(it, _)| it == name).map(|(_, it)| it.as_str());
    let (Some(id), Some(key)) = (value("ResourceId.1"), value("Tag.1.Key")) else { return };
    let is_once =
        request.0.iter().filter(|(name, it)| name.ends_with(".Key") && it == key).count() == 1;
    if value("Action") != Some("CreateTags") || !is_once {
        return;
    }
    let of = params("DescribeTags", &[("Filter.1.Name", "resource-id"), ("Filter.1.Value.1", id)]);
    let reply = describe(bench, ALICE, &of);
    let tag = reply.items("tagSet").find(|tag| tag.text_of("key") == Some(key));
    let found =
        tag.unwrap_or_else(|| panic!("no tag {key:?}")).text_of("value").unwrap_or_default();
    assert_eq!(found, value("Tag.1.Value").unwrap_or_default());
}

fuzz_target!(|text: &str| {
    let bench = Bench::over(Shared::default(), GROUND.clone());
    let nothing = everything(&bench, BOB);
    let mut known: Vec<String> = Vec::new();
    for line in text.lines().take(REQUESTS_MAX) {
        // "$3" is the id of the fourth object that was made.
        let mut query = line.to_owned();
        for (at, id) in known.iter().enumerate().rev() {
            query = query.replace(&format!("${at}"), id);
        }
        let Ok(pairs) = pairs(query.as_bytes()) else { continue };
        let action = pairs.iter().find(|(name, _)| name == "Action");
        let action = action.map_or("", |(_, action)| action.as_str());
        let version = Dialect::of_action(action).version().to_owned();
        let version = ("Version".to_owned(), version);
        let request = Params([version].into_iter().chain(pairs).collect());
        let revision = || bench.service.world().unwrap().revision();
        let before = revision();
        ask(&bench, ALICE, Access::ReadOnly, &request);
        assert_eq!(revision(), before, "who may only read has changed something");
        let (status, reply) = ask(&bench, ALICE, Access::ReadWrite, &request);
        if status == 200 {
            ids(&reply, &mut known);
            check_tags(&bench, &request);
        } else {
            assert_eq!(revision(), before, "a refusal has changed something");
        }
        if bench.dataplane.taken() > 0 {
            assert_eq!(bench.dataplane.in_force().faults(), [""; 0]);
        }
    }
    // A target may have been shared by its tag; without that, nobody else sees anything.
    if !text.contains("shared-with") && !text.contains('%') {
        assert_eq!(everything(&bench, BOB), nothing);
    }
    let seen = everything(&bench, ALICE);
    let again = Bench::over(bench.store.clone(), GROUND.clone());
    assert_eq!(everything(&again, ALICE), seen);
    assert_eq!(members(&again), members(&bench));
});
