use std::collections::HashMap;
use std::fmt::Write as _;

use super::*;
use crate::cloudformation;
use crate::fault::FaultSink;
use crate::model::{Model, Object, Rule, Session};

fn read(template: &str) -> Model {
    let sink = FaultSink::new("t");
    let read = cloudformation::read(template, &[], &sink).unwrap();
    assert_eq!(sink.into_faults(), []);
    read.model
}

fn stack() -> StackName {
    "web".parse().unwrap()
}

/// What there is when a stack's template was applied: the ids end with the numbers of the objects.
fn made(stack: &StackName, model: &Model) -> Model {
    let mut ids: HashMap<String, String> = HashMap::new();
    for (at, object) in model.clone().into_objects().enumerate() {
        let id = format!("{}{at:017x}", object.kind().prefix());
        ids.insert(object.id().to_owned(), id);
    }
    let mut made = Model::default();
    for mut object in model.clone().into_objects() {
        stack.adopt(&mut object);
        object.set_id(ids[object.id()].clone());
        match object {
            Object::Filter(it) => made.filters.push(it),
            Object::Rule(it) => {
                let filter = ids[&it.filter].clone();
                made.rules.push(Rule { filter, ..it });
            }
            Object::Target(it) => made.targets.push(it),
            Object::Session(it) => {
                let (filter, target) = (ids[&it.filter].clone(), ids[&it.target].clone());
                made.sessions.push(Session { target, filter, ..it });
            }
        }
    }
    made
}

/// A rule of filter F.
fn rule(id: &str, number: u32, more: &str) -> String {
    format!(
        "  {id}:\n    Type: AWS::EC2::TrafficMirrorFilterRule\n    Properties: {{\
         TrafficMirrorFilterId: !Ref F, TrafficDirection: egress, RuleNumber: {number}, \
         RuleAction: accept, SourceCidrBlock: 0.0.0.0/0, DestinationCidrBlock: 0.0.0.0/0{more}}}\n"
    )
}

fn session(id: &str, number: u32, more: &str) -> String {
    format!(
        "  {id}:\n    Type: AWS::EC2::TrafficMirrorSession\n    Properties: {{\
         TrafficMirrorTargetId: !Ref T, TrafficMirrorFilterId: !Ref F, SessionNumber: {number}, \
         VirtualNetworkId: 7{more}}}\n"
    )
}

const SOURCE: &str = ", NetworkInterfaceId: eni-1";

fn template(filter: &str, target: &str, rest: &[String]) -> Model {
    let text = format!(
        "Resources:\n  F: {{Type: 'AWS::EC2::TrafficMirrorFilter', Properties: {{{filter}}}}}\n  \
         T: {{Type: 'AWS::EC2::TrafficMirrorTarget', Properties: {{{target}}}}}\n{}",
        rest.concat()
    );
    read(&text)
}

const TOOL: &str = "NetworkInterfaceId: eni-9";

/// The words of the steps from one template to another.
fn steps(from: &Model, to: &Model) -> Vec<String> {
    let plan = plan(&stack(), to, &made(&stack(), from)).unwrap();
    plan.steps().map(short).collect()
}

/// Without the zeros of ids.
fn short(text: &str) -> String {
    let mut text = text.to_owned();
    while text.contains("-0") {
        text = text.replace("-00", "-0").replace("-0", "-");
    }
    text
}

#[test]
fn a_plan_is_shown_property_by_property() {
    let old = template(
        "Description: old",
        TOOL,
        &[
            rule("Gone", 1, ""),
            rule("Web", 2, ", Protocol: 6, DestinationPortRange: {FromPort: 80, ToPort: 443}"),
            session(
                "S",
                1,
                &format!("{SOURCE}, Tags: [{{Key: a, Value: '1'}}, {{Key: b, Value: x}}]"),
            ),
        ],
    );
    let new = template(
        "Description: old, NetworkServices: [amazon-dns]",
        "NetworkInterfaceId: eni-8",
        &[
            rule("Web", 2, ", Description: all"),
            rule("More", 3, ", Tags: [{Key: k, Value: \"a\\eb\"}]"),
            session(
                "S",
                2,
                &format!("{SOURCE}, PacketLength: 128, Tags: [{{Key: a, Value: '2'}}]"),
            ),
        ],
    );
    let plan = plan(&stack(), &new, &made(&stack(), &old)).unwrap();
    assert_eq!(
        short(&plan.to_string()),
        "~ filter F (tmf-)
    NetworkServices: none -> amazon-dns
~ filter rule Web (tmfr-2)
    Description: none -> all
    Protocol: 6 -> none
    DestinationPortRange: 80-443 -> none
+ filter rule More
    TrafficMirrorFilterId: F
    TrafficDirection: egress
    RuleNumber: 3
    RuleAction: accept
    SourceCidrBlock: 0.0.0.0/0
    DestinationCidrBlock: 0.0.0.0/0
    Tags.k: a\\u{1b}b
-/+ target T (tmt-3), because of NetworkInterfaceId
    NetworkInterfaceId: eni-9 -> eni-8
~ session S (tms-4)
    TrafficMirrorTargetId: tmt-3 -> T
    SessionNumber: 1 -> 2
    PacketLength: none -> 128
    Tags.a: 1 -> 2
    Tags.b: x -> none
- filter rule Gone (tmfr-1)
stack web: 1 to create, 3 to modify, 1 to replace, 1 to delete"
    );
    assert!(plan.deletes() && !plan.is_empty());
}

#[test]
fn what_is_as_it_should_be_stays() {
    let model = template("", "NetworkLoadBalancerArn: arn:a", &[session("S", 1, SOURCE)]);
    let mut there = made(&stack(), &model);
    // What EC2 fills in.
    there.sessions[0].packet_length = Some(8500);
    there.sessions[0].notes.tags.reverse();
    let plan = plan(&stack(), &model, &there).unwrap();
    assert!(plan.is_empty() && !plan.deletes());
    assert_eq!(plan.to_string(), "stack web: nothing to change");
}

#[test]
fn objects_are_complete_before_they_are_used_and_go_when_they_are_not() {
    let old = template("Description: a", TOOL, &[rule("R", 1, ""), session("S", 1, SOURCE)]);
    let new = template(
        "Description: b, NetworkServices: [amazon-dns]",
        "NetworkInterfaceId: eni-8",
        &[rule("R", 1, ""), session("S", 1, SOURCE)],
    );
    let want = [
        "create target T",
        "create filter F",
        "add amazon-dns to filter F",
        "create filter rule R",
        "modify session S (tms-3)",
        "delete filter F (tmf-)",
        "delete target T (tmt-2)",
    ];
    assert_eq!(steps(&old, &new), want);
}

#[test]
fn exchanged_numbers_are_evaded() {
    let numbered = |a, b, c| {
        let rules = [rule("A", a, ""), rule("B", b, ""), rule("C", c, "")];
        let sessions = [session("S", a, SOURCE), session("U", b, SOURCE)];
        template("", TOOL, &[rules.concat(), sessions.concat()])
    };
    let want = [
        "give filter rule A (tmfr-1) the number 32766 for a while",
        "modify filter rule C (tmfr-3)",
        "modify filter rule B (tmfr-2)",
        "modify filter rule A (tmfr-1)",
        "give session S (tms-5) the number 32766 for a while",
        "modify session U (tms-6)",
        "modify session S (tms-5)",
    ];
    let mut found = steps(&numbered(1, 2, 3), &numbered(2, 3, 1));
    // The sessions' numbers are 1 and 2, then 2 and 3: no circle.
    assert_eq!(found.split_off(4), ["modify session U (tms-6)", "modify session S (tms-5)"]);
    assert_eq!(found, want[..4]);
    assert_eq!(steps(&numbered(1, 2, 3), &numbered(2, 1, 3))[3..], want[4..]);
}

#[test]
fn a_number_is_free_right_before_it_is_taken_and_creations_alternate_with_deletions() {
    let old = template("", TOOL, &[rule("A", 1, ""), rule("B", 2, ""), rule("C", 3, "")]);
    let new = template("", TOOL, &[rule("X", 7, ""), rule("Y", 2, ""), rule("Z", 8, "")]);
    let want = [
        "delete filter rule A (tmfr-1)",
        "create filter rule X",
        "delete filter rule B (tmfr-2)",
        "create filter rule Y",
        "delete filter rule C (tmfr-3)",
        "create filter rule Z",
    ];
    assert_eq!(steps(&old, &new), want);
}

#[test]
fn thousands_of_rules_move_up_by_one() {
    let numbered = |from: u32| {
        let mut text = String::new();
        for number in 0..10_000 {
            text.push_str(&rule(&format!("R{number}"), from + number, ""));
        }
        template("", TOOL, &[text])
    };
    let steps = steps(&numbered(1), &numbered(2));
    assert_eq!(steps.len(), 10_000);
    assert_eq!(steps[0], "modify filter rule R9999 (tmfr-2710)");
}

#[test]
fn a_load_balancer_has_one_target_at_a_time() {
    let target = |notes: &str| format!("NetworkLoadBalancerArn: arn:a{notes}");
    let old = template("", &target(""), &[session("S", 1, SOURCE)]);
    let new = template("", &target(", Description: new"), &[session("S", 1, SOURCE)]);
    let want = [
        "delete session S (tms-2)",
        "delete target T (tmt-1)",
        "create target T",
        "create session S",
    ];
    assert_eq!(steps(&old, &new), want);
    let mut there = made(&stack(), &old);
    let mut strange = there.sessions[0].clone();
    strange.id = "tms-fffffffffffffffff".to_owned();
    strange.notes.tags.clear();
    strange.number = 9;
    there.sessions.push(strange);
    let conflicts = plan(&stack(), &new, &there).unwrap_err();
    assert!(conflicts[0].contains("T: its load balancer has the target tmt-"), "{conflicts:?}");
}

#[test]
fn what_others_have_is_left_alone_and_told() {
    let old = template("", TOOL, &[rule("R", 1, ""), session("S", 1, SOURCE)]);
    let mut there = made(&stack(), &old);
    // Of another stack, of nobody, and of the template at the start, whose ids are logical ones.
    let mut other = made(&"other".parse().unwrap(), &old);
    other.rules[0].id = "tmfr-aaaaaaaaaaaaaaaaa".to_owned();
    other.rules[0].number = 5;
    other.sessions[0].id = "tms-aaaaaaaaaaaaaaaaa".to_owned();
    other.sessions[0].number = 6;
    there.rules.extend(other.rules);
    there.sessions.extend(other.sessions);
    let mut starts = made(&stack(), &old).rules.remove(0);
    (starts.id, starts.filter) = ("R".to_owned(), "F".to_owned());
    there.rules.push(starts);

    let plan_of = |model: &Model| plan(&stack(), model, &there);
    let same = plan_of(&old).unwrap();
    let told = "  rule tmfr-aaaaaaaaaaaaaaaaa in F stays: it is not of this stack\n\
                stack web: nothing to change";
    assert_eq!((same.is_empty(), same.to_string().as_str()), (true, told));

    let taken = template("", TOOL, &[rule("R", 5, ""), session("S", 6, SOURCE)]);
    let conflicts = plan_of(&taken).unwrap_err().join("\n");
    let mut want = String::new();
    for (name, by) in
        [("R.RuleNumber: 5", "filter rule tmfr"), ("S.SessionNumber: 6", "session tms")]
    {
        let _ = writeln!(
            want,
            "{name} is taken by {by}-aaaaaaaaaaaaaaaaa, which is not of this stack; choose another \
             or delete that"
        );
    }
    assert_eq!(conflicts, want.trim_end());

    let gone = plan_of(&Model::default()).unwrap();
    let steps: Vec<String> = gone.steps().map(short).collect();
    assert_eq!(steps, ["delete session S (tms-3)"]);
    assert!(short(&gone.to_string()).starts_with(
        "- session S (tms-3)\n  filter F (tmf-) stays, with what is in it: filter rule tmfr-aaaaaaaaaaaaaaaaa, \
         which is not of this stack, needs it\n  target T (tmt-2) stays, with what is in it: session tms-"
    ), "{gone}");
}

#[test]
fn what_a_run_left_over_is_cleared_away() {
    let old = template("Description: a", TOOL, &[rule("R", 1, "")]);
    let new = template("Description: b", TOOL, &[rule("R", 1, "")]);
    let mut there = made(&stack(), &old);
    let mut second = made(&stack(), &new).filters.remove(0);
    second.id = "tmf-bbbbbbbbbbbbbbbbb".to_owned();
    there.filters.push(second);
    let plan = plan(&stack(), &new, &there).unwrap();
    let steps: Vec<String> = plan.steps().map(short).collect();
    assert_eq!(steps, ["create filter rule R", "delete filter F (tmf-)"]);
    let shown = short(&plan.to_string());
    assert!(
        shown.contains("-/+ filter rule R (tmfr-1), because of TrafficMirrorFilterId\n"),
        "{shown}"
    );
    assert!(shown.contains("- filter F (tmf-)\n"), "{shown}");
}

#[test]
fn names_of_stacks_and_tags_of_templates_have_rules() {
    for sound in ["a", "web-1.2_x", "Überwachung"] {
        assert_eq!(sound.parse::<StackName>().unwrap().as_str(), sound);
    }
    for odd in ["", "a b", "a\n", "a/b", &"x".repeat(129)] {
        assert!(odd.parse::<StackName>().is_err(), "{odd}");
    }
    let model = template(&format!("Tags: [{{Key: {STACK}, Value: x}}]"), TOOL, &[]);
    let told: Vec<String> = faults(&model).into_iter().map(|fault| fault.message).collect();
    assert_eq!(told, ["linetap:stack is set by linetap apply; remove it"]);
}
