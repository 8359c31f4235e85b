//! Any template after any other, also when the way to it breaks off somewhere.

use std::collections::HashMap;

use control::apply::{LOGICAL_ID, STACK, StackName};
use control::cloudformation;
use control::compile::LOAD_BALANCER_PACKET_LENGTH;
use control::export::{Format, export};
use control::fault::FaultSink;
use control::model::{Model, Object};
use proptest::collection::vec;
use proptest::prelude::*;

use super::templates::{RULES_MAX, SEEDS, SOURCES, Seed, model};
use crate::bench::{ALICE, Bench, CONFIG, Shared, ground};

/// More changes than any plan has here.
const ALL: usize = 1_000;

fn stack(name: &str) -> StackName {
    name.parse().unwrap()
}

/// A value of a tag.
fn tag<'o>(object: &'o Object, key: &str) -> Option<&'o str> {
    let tags = &object.notes().tags;
    tags.iter().find(|(other, _)| other == key).map(|(_, value)| value.as_str())
}

/// An appliance on which quotas are tight, and on which others have been before.
fn bench() -> Bench {
    let config = format!("{CONFIG}\n[quotas]\nrules_per_filter = {RULES_MAX}\n");
    let bench = Bench::over(Shared::default(), ground(&config));
    let filter = bench.made(ALICE, "CreateTrafficMirrorFilter", "trafficMirrorFilterId");
    let target = "CreateTrafficMirrorTarget&NetworkInterfaceId=eni-tool2";
    let target = bench.made(ALICE, target, "trafficMirrorTargetId");
    for source in SOURCES {
        let query = format!(
            "CreateTrafficMirrorSession&NetworkInterfaceId={source}&SessionNumber=9&\
             TrafficMirrorFilterId={filter}&TrafficMirrorTargetId={target}&\
             TagSpecification.1.ResourceType=traffic-mirror-session&\
             TagSpecification.1.Tag.1.Key=linetap:stack&TagSpecification.1.Tag.1.Value=other&\
             TagSpecification.1.Tag.2.Key=linetap:logical-id&TagSpecification.1.Tag.2.Value=O12"
        );
        bench.done(ALICE, &query);
    }
    bench
}

/// The objects that have a stack, under their logical ids and without its tags; and all others.
fn of_stack(bench: &Bench, stack: &StackName) -> (Vec<Object>, Vec<Object>) {
    let all: Vec<Object> = bench.objects().model.into_objects().collect();
    let is_own = |object: &Object| tag(object, STACK) == Some(stack.as_str());
    let (own, others): (Vec<_>, Vec<_>) = all.into_iter().partition(is_own);
    let named = |it: &Object| (it.id().to_owned(), tag(it, LOGICAL_ID).unwrap().to_owned());
    let names: HashMap<String, String> = own.iter().map(named).collect();
    let named = |mut object: Object| {
        let name = |id: &mut String| id.clone_from(&names[id.as_str()]);
        match &mut object {
            Object::Rule(rule) => name(&mut rule.filter),
            Object::Session(session) => {
                name(&mut session.filter);
                name(&mut session.target);
            }
            Object::Filter(_) | Object::Target(_) => {}
        }
        object.set_id(names[object.id()].clone());
        let tags = &mut object.notes_mut().tags;
        tags.retain(|(key, _)| key != STACK && key != LOGICAL_ID);
        tags.sort();
        object
    };
    let mut own: Vec<Object> = own.into_iter().map(named).collect();
    own.sort_by(|a, b| a.id().cmp(b.id()));
    (own, others)
}

/// A model as EC2 tells it; a VNI that it leaves open is that of `found`.
fn told(model: &Model, found: &[Object]) -> Vec<Object> {
    let is_balancer = |id: &str| {
        model.targets.iter().any(|target| target.id == id && !target.destination.is_interface())
    };
    let mut objects: Vec<Object> = model.clone().into_objects().collect();
    objects.sort_by(|a, b| a.id().cmp(b.id()));
    for (at, object) in objects.iter_mut().enumerate() {
        let notes = object.notes_mut();
        notes.tags.sort();
        notes.description = notes.description.take().filter(|text| !text.is_empty());
        if let Object::Session(session) = object {
            if is_balancer(&session.target) {
                session.packet_length.get_or_insert(LOAD_BALANCER_PACKET_LENGTH);
            }
            if let Some(Object::Session(found)) = found.get(at) {
                session.vni = session.vni.or(found.vni);
            }
        }
    }
    objects
}

fn read(template: &str) -> Model {
    let sink = FaultSink::new("t");
    let read = cloudformation::read(template, &[], &sink).unwrap();
    assert_eq!(sink.into_faults(), [], "{template}");
    read.model
}

fn seeds() -> impl Strategy<Value = Vec<Seed>> {
    vec(any::<Seed>(), SEEDS)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_template_follows_any_other(first in seeds(), second in seeds(), cut in 0..24_usize) {
        let (bench, stack) = (bench(), stack("web"));
        let (_, strangers) = of_stack(&bench, &stack);
        let (first, second) = (model(&first), model(&second));
        prop_assert!(bench.apply(&stack, &first, ALL));
        let (found, _) = of_stack(&bench, &stack);
        prop_assert_eq!(&found, &told(&first, &found));

        // Broken off somewhere, on the way there or back.
        let towards = if cut % 2 == 0 { &second } else { &Model::default() };
        bench.apply(&stack, towards, cut);
        prop_assert!(bench.apply(&stack, &second, ALL));
        let (found, others) = of_stack(&bench, &stack);
        prop_assert_eq!(&found, &told(&second, &found));
        prop_assert_eq!(others, strangers);

        let again = bench.plan(&stack, &second);
        prop_assert!(again.is_empty(), "{}", again);
        let exported = read(&export(&bench.objects(), Some(&stack), Format::Yaml));
        let again = bench.plan(&stack, &exported);
        prop_assert!(again.is_empty(), "{}", again);
    }
}

/// The test above is worth something only if its models go all ways.
#[test]
fn models_differ_enough() {
    let (bench, stack) = (bench(), stack("web"));
    let mut state = 1_u64;
    // Knuth's generator: the upper bits are good enough.
    let mut byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    let mut shown = String::new();
    for _ in 0..100 {
        let seeds: Vec<Seed> = (0..SEEDS).map(|_| std::array::from_fn(|_| byte())).collect();
        let wanted = model(&seeds);
        let plan = bench.plan(&stack, &wanted);
        shown.push_str(&plan.to_string());
        shown.extend(plan.steps().map(|step| format!("{step}\n")));
        assert!(bench.apply(&stack, &wanted, ALL));
    }
    let ways = [
        "+ session",
        "~ filter rule",
        "~ session",
        "-/+ filter O",
        "-/+ filter rule",
        "-/+ target",
        "-/+ session",
        "- session",
        "number 32766 for a while",
        "set tags",
        "remove tags",
        "add amazon-dns",
    ];
    let missed: Vec<&str> = ways.into_iter().filter(|way| !shown.contains(way)).collect();
    assert_eq!(missed, [""; 0]);
}

/// Too rare a way to be gone by chance.
#[test]
fn the_target_of_a_load_balancer_is_replaced_and_its_session_keeps_its_vni() {
    const SERVED: &str = "
Resources:
  F: {Type: 'AWS::EC2::TrafficMirrorFilter'}
  T:
    Type: AWS::EC2::TrafficMirrorTarget
    Properties:
      Description: old
      NetworkLoadBalancerArn: arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/net/nlb/0123456789abcdef
  S:
    Type: AWS::EC2::TrafficMirrorSession
    Properties:
      NetworkInterfaceId: eni-1
      TrafficMirrorTargetId: !Ref T
      TrafficMirrorFilterId: !Ref F
      SessionNumber: 1
";
    let (bench, stack) = (bench(), stack("web"));
    let old = read(SERVED);
    assert!(bench.apply(&stack, &old, ALL));
    let vni = |bench: &Bench| bench.objects().model.sessions.last().unwrap().vni;
    let before = vni(&bench);
    let mut new = old.clone();
    new.targets[0].notes.description = Some("new".to_owned());
    let shown = bench.plan(&stack, &new).to_string();
    assert!(shown.contains("because of TrafficMirrorTargetId"), "{shown}");
    assert!(bench.apply(&stack, &new, ALL));
    assert_eq!(vni(&bench), before);
    assert!(bench.plan(&stack, &new).is_empty());
}
