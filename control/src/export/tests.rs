use proptest::collection::vec;
use proptest::prelude::*;

use engine::rule::{Direction, PortRange, RuleAction};
use engine::units::Vni;
use ipnet::IpNet;

use super::*;
use crate::apply::LOGICAL_ID;
use crate::cloudformation;
use crate::fault::FaultSink;
use crate::model::{Destination, Filter, Notes, Rule, Session, Target};

fn objects(model: Model) -> Objects {
    Objects { model, ..Objects::default() }
}

fn read(text: &str) -> Model {
    let sink = FaultSink::new("t");
    let template = cloudformation::read(text, &[], &sink);
    assert_eq!(sink.into_faults(), [], "{text}");
    template.unwrap().model
}

/// Text with all that breaks writers of YAML.
fn text() -> impl Strategy<Value = String> {
    let odd = [
        "yes",
        "No",
        "null",
        "~",
        "0x10",
        "1e3",
        "12",
        "1_000",
        "12:30:45",
        "2010-09-09",
        "- a",
        "a: b",
        "a #b",
        "#",
        "",
        " a ",
        "a\nb",
        "\u{0}\u{7}",
        "\u{85}\u{2028}",
        "\u{feff}",
        "'",
        "\"\\",
        "!Ref X",
        "*a",
        "&a",
        "%",
        "@",
        "`",
        "{",
        "[",
        "|",
        ">",
        "<<",
        "=",
        "a:",
        "é😀\u{10ffff}",
        "\t",
        "\r\n",
        ".5",
        "10.0.0.0/8",
        "::/0",
        "--- a",
        "...",
        "?",
        "a  b",
        "${x}",
    ];
    prop_oneof![
        prop::sample::select(odd.to_vec()).prop_map(str::to_owned),
        "\\PC{0,12}",
        prop::collection::vec(any::<char>(), 0..12).prop_map(String::from_iter),
    ]
}

fn notes() -> impl Strategy<Value = Notes> {
    let tags = prop::collection::btree_map("[a-zA-Z:#]{1,8}", text(), 0..3);
    (prop::option::of(text()), tags).prop_map(|(description, tags)| Notes {
        description,
        // Keys that AWS has for itself are no tags of people.
        tags: tags.into_iter().filter(|(key, _)| !key.to_lowercase().starts_with("aws:")).collect(),
    })
}

fn rule() -> impl Strategy<Value = Rule> {
    let net = prop::sample::select(vec![("0.0.0.0/0", "10.0.0.0/8"), ("::/0", "2001:db8::/32")]);
    let ports = prop::option::of((any::<u16>(), any::<u16>()));
    let ports = ports.prop_map(|ports| ports.map(|(from, to)| PortRange { from, to }));
    let yes = any::<bool>;
    (notes(), net, ports.clone(), ports, yes(), yes(), 1..=32_766_u16, any::<Option<u8>>())
        .prop_map(
            |(notes, (source, destination), from, to, is_in, is_accepted, number, protocol)| Rule {
                id: String::new(),
                filter: String::new(),
                direction: if is_in { Direction::Ingress } else { Direction::Egress },
                number,
                action: if is_accepted { RuleAction::Accept } else { RuleAction::Reject },
                source: source.parse::<IpNet>().unwrap(),
                destination: destination.parse::<IpNet>().unwrap(),
                protocol,
                source_ports: from,
                destination_ports: to,
                notes,
            },
        )
}

fn target() -> impl Strategy<Value = Target> {
    let id = "[a-z0-9:-]{1,20}";
    let destination = prop_oneof![
        id.prop_map(Destination::NetworkInterface),
        id.prop_map(Destination::NetworkLoadBalancer),
        id.prop_map(Destination::GatewayLoadBalancerEndpoint),
    ];
    let target = |(notes, destination)| Target { id: String::new(), destination, notes };
    (notes(), destination).prop_map(target)
}

fn session() -> impl Strategy<Value = Session> {
    let vni = prop::option::of((0..=Vni::MAX).prop_map(|vni| Vni::try_from(vni).unwrap()));
    let packet_length = prop::option::of(1..=i32::MAX as u32);
    (notes(), "eni-[a-z0-9]{1,9}", 1..=32_766_u16, vni, packet_length).prop_map(
        |(notes, interface, number, vni, packet_length)| Session {
            id: String::new(),
            interface,
            target: String::new(),
            filter: String::new(),
            number,
            vni,
            packet_length,
            notes,
        },
    )
}

/// Objects with logical ids for ids, some of them words of YAML.
fn model() -> impl Strategy<Value = Model> {
    let ids =
        ["No", "Null", "y", "True", "007", "1e3", "Filter", "A9", "Ref", "Resources", "x", "off"];
    let filter = (notes(), any::<bool>()).prop_map(|(notes, amazon_dns)| Filter {
        id: String::new(),
        amazon_dns,
        notes,
    });
    let objects = (vec(filter, 1..3), vec(rule(), 0..4), vec(target(), 1..3), vec(session(), 0..3));
    let ids = Just(ids.to_vec()).prop_shuffle();
    (objects, ids).prop_map(|((filters, rules, targets, sessions), ids)| {
        let mut model = Model { filters, rules, targets, sessions };
        let mut ids = ids.into_iter().map(str::to_owned);
        model.filters.iter_mut().for_each(|it| it.id = ids.next().unwrap());
        model.targets.iter_mut().for_each(|it| it.id = ids.next().unwrap());
        let last = |count: usize, at: usize| at % count;
        for (at, rule) in model.rules.iter_mut().enumerate() {
            rule.id = ids.next().unwrap();
            rule.filter = model.filters[last(model.filters.len(), at)].id.clone();
        }
        for (at, session) in model.sessions.iter_mut().enumerate() {
            session.id = ids.next().unwrap();
            session.filter = model.filters[last(model.filters.len(), at)].id.clone();
            session.target = model.targets[last(model.targets.len(), at)].id.clone();
        }
        model
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_back(model in model()) {
        let objects = objects(model.clone());
        for format in [Format::Yaml, Format::Json] {
            let text = export(&objects, None, format);
            let mut want = model.clone();
            for notes in want.filters.iter_mut().map(|it| &mut it.notes)
                .chain(want.rules.iter_mut().map(|it| &mut it.notes))
                .chain(want.targets.iter_mut().map(|it| &mut it.notes))
                .chain(want.sessions.iter_mut().map(|it| &mut it.notes))
            {
                notes.tags.sort();
            }
            prop_assert_eq!(read(&text), want, "{}", text);
        }
    }
}

fn tagged(id: &str, tags: &[(&str, &str)]) -> Filter {
    let tags = tags.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
    Filter { id: id.to_owned(), notes: Notes { tags, ..Notes::default() }, ..Filter::default() }
}

fn ids_of(filters: Vec<Filter>) -> Vec<String> {
    let model = Model { filters, ..Model::default() };
    let read = read(&export(&objects(model), None, Format::Yaml));
    read.filters.into_iter().map(|filter| filter.id).collect()
}

#[test]
fn logical_ids_are_kept_or_made_of_names_and_ids_and_each_is_there_once() {
    let found = ids_of(vec![
        tagged("tmf-0000000000000000a", &[("Name", "web tap #1")]),
        tagged("tmf-0000000000000000b", &[("Name", "WebTap1")]),
        tagged("tmf-0000000000000000c", &[(LOGICAL_ID, "WebTap1"), ("Name", "x")]),
        tagged("tmf-0000000000000000d", &[(LOGICAL_ID, "WebTap1")]),
        tagged("tmf-0000000000000000e", &[("Name", "日本")]),
        tagged("tmf-0000000000000000f", &[(LOGICAL_ID, "a-b")]),
        tagged("Filter", &[]),
    ]);
    let want =
        ["WebTap12", "WebTap13", "WebTap1", "WebTap14", "Tmf0000000000000000e", "AB", "Filter"];
    assert_eq!(found, want);
}

#[test]
fn of_a_stack_its_own_is_exported_and_what_that_uses() {
    let session = |id: &str, filter: &str, target: &str, stack: &[(String, String)]| Session {
        id: id.to_owned(),
        interface: "eni-1".to_owned(),
        target: target.to_owned(),
        filter: filter.to_owned(),
        number: 1,
        vni: None,
        packet_length: None,
        notes: Notes { description: None, tags: stack.to_vec() },
    };
    let target = |id: &str| Target {
        id: id.to_owned(),
        destination: Destination::NetworkInterface("eni-9".to_owned()),
        notes: Notes::default(),
    };
    let ours = vec![(STACK.to_owned(), "a".to_owned()), ("k".to_owned(), "v".to_owned())];
    let model = Model {
        filters: vec![tagged("F1", &[(STACK, "a")]), tagged("F2", &[]), tagged("F3", &[])],
        rules: Vec::new(),
        targets: vec![target("T1"), target("T2"), target("Others"), target("Used")],
        sessions: vec![
            session("S1", "F2", "Used", &ours),
            session("S2", "F3", "T1", &[]),
            session("Others1", "Theirs", "T1", &[]),
        ],
    };
    let owner =
        |id: &str| (id.to_owned(), if id.starts_with(['O', 'U']) { "2" } else { "1" }.to_owned());
    let ids = ["T1", "T2", "Others", "Used", "S1", "S2", "Others1"];
    let objects = Objects { model, owners: ids.into_iter().map(owner).collect() };
    let names = |stack: Option<&str>| {
        let stack = stack.map(|stack| stack.parse().unwrap());
        let model = read(&export(&objects, stack.as_ref(), Format::Json));
        model.into_objects().map(|object| object.id().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(Some("a")), ["F1", "F2", "Used", "S1"]);
    assert_eq!(names(None), ["F1", "F2", "F3", "T1", "T2", "Used", "S1", "S2"]);
    assert_eq!(names(Some("b")), [""; 0]);
    let text = export(&objects, Some(&"a".parse().unwrap()), Format::Yaml);
    assert!(
        text.contains("- Key: k\n          Value: v\n") && !text.contains("linetap:"),
        "{text}"
    );
}
