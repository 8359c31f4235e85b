//! The API over a store in memory and a stand-in for the data plane.

use std::sync::{Arc, Mutex};

use control::config::{self, Appliance, Mode};
use control::ec2::{Access, Answer, Api, Caller, Endpoint, Params};
use control::fault::FaultSink;
use control::model::Model;
use control::service::{Ground, NotYet, Publish, Service};
use control::store::{Memory, Store};
use engine::snapshot::Snapshot;

/// The account of most callers.
pub(crate) const ALICE: &str = "111111111111";
/// Another one.
pub(crate) const BOB: &str = "222222222222";
/// The template's.
pub(crate) const TEMPLATES: &str = "000000000000";

/// An appliance with sources, and a tool of each kind.
pub(crate) const CONFIG: &str = r#"
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
id = "eni-07a17f4d6eEXAMPLE"
port = "lan"
mac = ["02:00:00:00:aa:01"]
[[interface]]
id = "eni-1"
port = "lan"
mac = ["02:00:00:00:aa:02"]
[[tool]]
id = "eni-0f6f2c3b1aEXAMPLE"
port = "tool"
address = "192.0.2.10"
[[tool]]
id = "eni-tool2"
port = "tool"
address = "192.0.2.11"
[[tool]]
id = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/net/nlb/0123456789abcdef"
port = "tool"
members = [{ address = "192.0.2.12" }, { address = "192.0.2.13" }]
[[tool]]
id = "vpce-0123456789EXAMPLE"
port = "tool"
address = "192.0.2.14"
"#;

/// A sound appliance file, read.
pub(crate) fn appliance(text: &str) -> Appliance {
    let sink = FaultSink::new("c");
    let appliance = config::read(text, Mode::Online, &sink);
    assert_eq!(sink.into_faults(), []);
    appliance
}

/// The ground of [`CONFIG`] without a template.
pub(crate) fn ground(text: &str) -> Ground {
    let account = TEMPLATES.to_owned();
    Ground { appliance: appliance(text), template: Model::default(), account }
}

/// What the data plane was given, and what it says to that.
#[derive(Debug, Clone, Default)]
pub(crate) struct Dataplane {
    taken: Arc<Mutex<Vec<Snapshot>>>,
    excuse: Arc<Mutex<Option<String>>>,
}

impl Dataplane {
    /// From now on it is late, for this reason; or not any more.
    pub(crate) fn excuse(&self, why: Option<&str>) {
        *self.excuse.lock().unwrap() = why.map(str::to_owned);
    }

    /// All snapshots that it took.
    pub(crate) fn taken(&self) -> usize {
        self.taken.lock().unwrap().len()
    }

    /// What it polls with.
    pub(crate) fn in_force(&self) -> Snapshot {
        self.taken.lock().unwrap().last().cloned().expect("it has a snapshot")
    }
}

impl Publish for Dataplane {
    fn publish(&self, snapshot: &Snapshot) -> Result<(), NotYet> {
        if let Some(why) = &*self.excuse.lock().unwrap() {
            return Err(NotYet(vec![why.clone()]));
        }
        self.taken.lock().unwrap().push(snapshot.clone());
        Ok(())
    }
}

/// A store that several services can have one after another.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shared(pub(crate) Arc<Memory>);

impl Store for Shared {
    fn read(&self) -> Result<control::store::Contents, control::store::StoreError> {
        self.0.read()
    }

    fn commit(
        &self,
        expected: u64,
        change: &control::store::Change,
    ) -> Result<u64, control::store::StoreError> {
        self.0.commit(expected, change)
    }

    fn watch(&self) -> std::sync::mpsc::Receiver<u64> {
        self.0.watch()
    }
}

/// The API, ready to be asked.
pub(crate) struct Bench {
    pub(crate) store: Shared,
    pub(crate) dataplane: Dataplane,
    pub(crate) service: Arc<Service>,
    api: Api,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::over(Shared::default(), ground(CONFIG))
    }

    pub(crate) fn over(store: Shared, ground: Ground) -> Self {
        let dataplane = Dataplane::default();
        let service =
            Service::open(Box::new(store.clone()), Box::new(dataplane.clone()), ground).unwrap();
        let service = Arc::new(service);
        Self { store, dataplane, api: Api::new(Arc::clone(&service)), service }
    }

    /// Asks as an account, with `Action` and the other parameters in the form of a query.
    pub(crate) fn ask(&self, account: &str, query: &str) -> Answer {
        self.ask_with(account, Access::ReadWrite, query)
    }

    pub(crate) fn ask_with(&self, account: &str, access: Access, query: &str) -> Answer {
        self.answer(account, access, &params(&format!("Version=2016-11-15&Action={query}")))
    }

    /// Asks for what ELB has, with `Action` and the other parameters in the form of a query.
    pub(crate) fn elb(&self, account: &str, access: Access, query: &str) -> Answer {
        self.answer(account, access, &params(&format!("Version=2015-12-01&Action={query}")))
    }

    /// Asks with parameters as they are.
    pub(crate) fn answer(&self, account: &str, access: Access, params: &Params) -> Answer {
        let caller = Caller { account: account.into(), access, key_id: "AKIDEXAMPLE".into() };
        self.api.answer(&caller, params, "r-1")
    }

    /// The answer's body, which must be no error.
    pub(crate) fn done(&self, account: &str, query: &str) -> String {
        let Answer { status, body } = self.ask(account, query);
        assert_eq!(status, 200, "{query}: {body}");
        body
    }

    /// The code of an error, with its status, which must be one.
    pub(crate) fn refused(&self, account: &str, query: &str) -> String {
        let Answer { status, body } = self.ask(account, query);
        assert_ne!(status, 200, "{query}: {body}");
        format!("{status} {}", text(&body, "Code"))
    }

    /// What an element of the answer holds, the first of this name.
    pub(crate) fn made(&self, account: &str, query: &str, element: &str) -> String {
        text(&self.done(account, query), element)
    }
}

/// A form, decoded.
pub(crate) fn params(form: &str) -> Params {
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        percent_encoding::percent_decode_str(&text).decode_utf8().unwrap().into_owned()
    };
    let pairs = form.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    Params(pairs.map(|(name, value)| (decoded(name), decoded(value))).collect())
}

/// What stands in the first element of this name.
pub(crate) fn text(body: &str, element: &str) -> String {
    texts(body, element).into_iter().next().unwrap_or_else(|| panic!("no {element} in {body}"))
}

/// What stands in all elements of this name, in order; elements in them are left out.
pub(crate) fn texts(body: &str, element: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in elements(body) {
        if path.rsplit('/').next() == Some(element) {
            found.push(text);
        }
    }
    found
}

/// All elements by their paths below the root, which is the first, with the text right in them.
pub(crate) fn elements(body: &str) -> Vec<(String, String)> {
    use quick_xml::events::Event;
    let mut reader = quick_xml::Reader::from_str(body);
    let mut open: Vec<usize> = Vec::new();
    let mut found: Vec<(String, String)> = Vec::new();
    let begin = |open: &[usize], found: &mut Vec<(String, String)>, name: &str| {
        let path = match open.last() {
            Some(&at) => format!("{}/{name}", found[at].0),
            None => name.to_owned(),
        };
        found.push((path, String::new()));
    };
    loop {
        match reader.read_event().unwrap() {
            Event::Start(tag) => {
                begin(&open, &mut found, tag.name().as_ref());
                open.push(found.len() - 1);
            }
            Event::Empty(tag) => begin(&open, &mut found, tag.name().as_ref()),
            Event::End(_) => drop(open.pop()),
            Event::Text(text) => {
                if let Some(&at) = open.last() {
                    found[at].1.push_str(&text);
                }
            }
            Event::GeneralRef(reference) => {
                let at = *open.last().unwrap();
                let letter = match (&*reference, reference.resolve_char_ref().unwrap()) {
                    (_, Some(letter)) => letter,
                    ("lt", _) => '<',
                    ("gt", _) => '>',
                    ("amp", _) => '&',
                    (name, _) => panic!("entity {name}"),
                };
                found[at].1.push(letter);
            }
            Event::Eof => return found,
            _ => {}
        }
    }
}
