//! Requests one after another, from the query on through decoding and service: each is answered with EC2's
//! XML, a refusal changes nothing, nobody sees what is another's, tags come back as they were given,
//! and a new start finds the same.
#![no_main]

use std::sync::mpsc::Receiver;
use std::sync::{Arc, LazyLock};

use control::client::Element;
use control::config::{self, Appliance, Mode};
use control::ec2::query::pairs;
use control::ec2::{Access, Api, Caller, Endpoint, Params};
use control::fault::FaultSink;
use control::model::Model;
use control::service::{Ground, NotYet, Publish, Service};
use control::store::{Change, Contents, Memory, Store, StoreError};
use engine::snapshot::Snapshot;
use libfuzzer_sys::fuzz_target;

const ALICE: &str = "111111111111";
const REQUESTS_MAX: usize = 32;
const CONFIG: &str = r#"
[[port]]
name = "lan"
device = "net_null0"
[[port]]
name = "wan"
device = "net_null1"
[[port]]
name = "tool"
device = "net_null2"
address = ["192.0.2.1/24"]
[[link]]
name = "wire"
ports = ["lan", "wan"]
[[interface]]
id = "eni-1"
port = "lan"
[[tool]]
id = "eni-2"
port = "tool"
address = "192.0.2.10"
"#;

static APPLIANCE: LazyLock<Appliance> = LazyLock::new(|| {
    let sink = FaultSink::new("c");
    let appliance = config::read(CONFIG, Mode::Online, &sink);
    assert!(sink.into_faults().is_empty());
    appliance
});

/// A store that outlives its service.
#[derive(Debug, Clone, Default)]
struct Shared(Arc<Memory>);

impl Store for Shared {
    fn read(&self) -> Result<Contents, StoreError> {
        self.0.read()
    }

    fn commit(&self, expected: u64, change: &Change) -> Result<u64, StoreError> {
        self.0.commit(expected, change)
    }

    fn watch(&self) -> Receiver<u64> {
        self.0.watch()
    }
}

/// A data plane that takes what is sound.
struct Taker;

impl Publish for Taker {
    fn publish(&self, snapshot: &Snapshot) -> Result<(), NotYet> {
        assert_eq!(snapshot.faults(), [""; 0]);
        Ok(())
    }
}

fn open(store: &Shared) -> Arc<Service> {
    let account = "000000000000".to_owned();
    let ground = Ground { appliance: APPLIANCE.clone(), template: Model::default(), account };
    Arc::new(Service::open(Box::new(store.clone()), Box::new(Taker), ground).unwrap())
}

/// The reply; the status is 200, or the body an error.
fn ask(api: &Api, caller: &Caller, params: &Params) -> (u16, Element) {
    let answer = api.answer(caller, params, "r");
    let reply = Element::parse(&answer.body).unwrap_or_else(|error| {
        panic!("{error}: {}", answer.body);
    });
    let is_error = reply.child("Errors").is_some_and(|errors| errors.child("Error").is_some());
    assert_eq!(answer.status != 200, is_error, "{}", answer.body);
    (answer.status, reply)
}

fn params(action: &str, more: &[(&str, &str)]) -> Params {
    let pairs = [("Action", action), ("Version", "2016-11-15")];
    let pairs = pairs.iter().chain(more);
    Params(pairs.map(|&(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// All objects, as an account sees them.
fn everything(api: &Api, caller: &Caller) -> Vec<Element> {
    let what = ["Filters", "FilterRules", "Targets", "Sessions"];
    let what = what.map(|what| format!("DescribeTrafficMirror{what}"));
    let all = what.iter().map(String::as_str).chain(["DescribeTags"]);
    all.map(|action| ask(api, caller, &params(action, &[])).1).collect()
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
fn check_tags(api: &Api, caller: &Caller, request: &Params) {
    let value = |name: &str| request.0.iter().find(|(it, _)| it == name).map(|(_, it)| it.as_str());
    let (Some(id), Some(key)) = (value("ResourceId.1"), value("Tag.1.Key")) else { return };
    let is_once = request.0.iter().filter(|(name, it)| name.ends_with(".Key") && it == key).count() == 1;
    if value("Action") != Some("CreateTags") || !is_once {
        return;
    }
    let of = params("DescribeTags", &[("Filter.1.Name", "resource-id"), ("Filter.1.Value.1", id)]);
    let (_, reply) = ask(api, caller, &of);
    let tag = reply.items("tagSet").find(|tag| tag.text_of("key") == Some(key));
    let found = tag.unwrap_or_else(|| panic!("no tag {key:?}")).text_of("value").unwrap_or_default();
    assert_eq!(found, value("Tag.1.Value").unwrap_or_default());
}

fuzz_target!(|text: &str| {
    let store = Shared::default();
    let service = open(&store);
    let api = Api::new(Arc::clone(&service));
    let caller = |account: &str, access| Caller {
        account: account.to_owned(),
        access,
        key_id: "AKIDEXAMPLE".to_owned(),
    };
    let (alice, reader) = (caller(ALICE, Access::ReadWrite), caller(ALICE, Access::ReadOnly));
    let bob = caller("222222222222", Access::ReadWrite);
    let nothing = everything(&api, &bob);
    let mut known: Vec<String> = Vec::new();
    for line in text.lines().take(REQUESTS_MAX) {
        // "$3" is the id of the fourth object that was made.
        let mut query = line.to_owned();
        for (at, id) in known.iter().enumerate().rev() {
            query = query.replace(&format!("${at}"), id);
        }
        let Ok(pairs) = pairs(query.as_bytes()) else { continue };
        let request = Params([("Version".to_owned(), "2016-11-15".to_owned())].into_iter().chain(pairs).collect());
        let revision = || service.world().unwrap().revision();
        let before = revision();
        ask(&api, &reader, &request);
        assert_eq!(revision(), before, "who may only read has changed something");
        let (status, reply) = ask(&api, &alice, &request);
        if status == 200 {
            ids(&reply, &mut known);
            check_tags(&api, &alice, &request);
        } else {
            assert_eq!(revision(), before, "a refusal has changed something");
        }
    }
    // A target may have been shared by its tag; without that, nobody else sees anything.
    if !text.contains("shared-with") && !text.contains('%') {
        assert_eq!(everything(&api, &bob), nothing);
    }
    let seen = everything(&api, &alice);
    let again = Api::new(open(&store));
    assert_eq!(everything(&again, &alice), seen);
});
