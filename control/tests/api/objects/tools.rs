//! Members of tools from their coming to their going.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::site::{BALANCER, KEY, READER, SECRET, Site};

/// The lines with one space between two words.
fn rows(sheet: &str) -> Vec<String> {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    sheet.lines().map(words).collect()
}

/// The lines about members of the load balancer: address, weight and state.
fn members(site: &Site) -> Vec<String> {
    let sheet = site.run("tool show nlb").ok();
    let rows = rows(&sheet).into_iter().skip_while(|row| !row.starts_with("ADDRESS")).skip(1);
    rows.map(|row| row.split(' ').take(3).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn members_are_added_changed_drained_and_removed() {
    let site = Site::start("Resources: {}");
    let run = |arguments: &str| site.run(&arguments.replace("BALANCER", BALANCER));
    assert_eq!(
        rows(&run("tool list").ok()),
        [
            "TOOL PORT MEMBERS DOWN DRAINING CHECK".to_owned(),
            format!("{BALANCER} tool 2 0 0 -"),
            "eni-tool tool 1 0 0 -".to_owned(),
        ]
    );
    let first = ["192.0.2.11 1 unavailable", "2001:db8::11 1 unavailable"];
    assert_eq!(members(&site), first);
    run("tool add --tool BALANCER --address 192.0.2.12 --weight 2 --dry-run").ok();
    assert_eq!(members(&site), first);
    assert_eq!(run("tool add --tool BALANCER --address 192.0.2.12 --weight 2").ok(), "192.0.2.12");
    run("tool add --tool nlb --address 10.0.0.9 --mac 02-00-00-00-0b-01").ok();
    run("tool modify --tool nlb --address 192.0.2.11 --weight 3").ok();
    assert_eq!(run("tool drain --tool nlb --address 192.0.2.12").ok(), "192.0.2.12");
    let now = [
        "192.0.2.11 3 unavailable",
        "2001:db8::11 1 unavailable",
        "10.0.0.9 1 unavailable",
        "192.0.2.12 2 draining",
    ];
    assert_eq!(members(&site), now);
    assert!(run("tool show nlb").ok().contains("02:00:00:00:0b:01"));
    run("tool undrain --target-group-arn BALANCER --address 192.0.2.12").ok();
    assert_eq!(members(&site)[3], "192.0.2.12 2 unavailable");
    let said = run("tool remove --tool nlb --address 192.0.2.12 --address 2001:db8::11").ok();
    assert_eq!(said, "192.0.2.12\n2001:db8::11");
    assert_eq!(members(&site), [now[0], now[2]]);
    assert_eq!(run("tool show eni-tool --json").json()["TargetHealthDescriptions"][0]["Weight"], 1);
}

#[test]
fn refusals_name_the_remedy() {
    let site = Site::start("Resources: {}");
    for (arguments, parts) in [
        ("add --tool nlb --address 192.0.2.11", &["is a member already", "`linetap tool modify`"]),
        (
            "modify --tool nlb --address 192.0.2.12 --weight 2",
            &["did you mean", "`linetap tool sh"],
        ),
        ("remove --tool nlb --address 192.0.2.99", &["no member of it", "`linetap tool show`"]),
        (
            "remove --tool nlb --address 192.0.2.11 --address 2001:db8::11",
            &["no member would be left", "add another one"],
        ),
        ("add --tool nlb --address 192.0.2.1", &["is port \"tool\"'s own", "(InvalidTarget)"]),
        ("add --tool arn:x --address 192.0.2.1", &["No [[tool]]", "`linetap tool list`"]),
        ("show ids", &["no tool with the id or the name \"ids\"", "`linetap tool list`"]),
    ] {
        let told = site.run(&format!("tool {arguments}")).failed(1);
        assert!(parts.iter().all(|part| told.contains(part)), "{arguments}: {told}");
    }
    let told = site.run("tool add --tool nlb --address 192.0.2.12 --weight 257").failed(2);
    assert!(told.contains("257 is not in 0..=256"), "{told}");
    let told = site.run("tool modify --tool nlb --address 192.0.2.12").failed(2);
    assert!(told.contains("--weight"), "{told}");
    let reader = [
        ("AWS_ACCESS_KEY_ID", READER),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_ENDPOINT_URL", &site.http),
    ];
    let add = ["tool", "add", "--tool", BALANCER, "--address", "192.0.2.12"];
    let told = site.with(&reader, &add).failed(1);
    assert!(told.contains("read-write"), "{told}");
    assert!(site.with(&reader, &["tool", "show", "nlb"]).ok().contains("192.0.2.11"));
}

#[test]
fn the_aws_command_changes_members_too() {
    let site = Site::start("Resources: {}");
    let Some(clients) = std::env::var_os("LINETAP_CLIENTS").map(PathBuf::from) else {
        eprintln!("left out: LINETAP_CLIENTS names no virtual environment with awscli");
        return;
    };
    let aws = |key: &str, arguments: &str| {
        let mut aws = Command::new(clients.join("bin/aws"));
        aws.env_clear().env("HOME", site.dir.path()).env("AWS_MAX_ATTEMPTS", "1");
        aws.envs([("AWS_ACCESS_KEY_ID", key), ("AWS_SECRET_ACCESS_KEY", SECRET)]);
        aws.args(["--endpoint-url", &site.http, "--region", "us-east-1", "--output", "json"]);
        let said = aws.arg("elbv2").args(arguments.replace("ARN", BALANCER).split(' ')).output();
        let said = said.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        (said.status.success(), text(&said.stdout), text(&said.stderr))
    };
    let register = "register-targets --target-group-arn ARN --targets Id=192.0.2.12 Id=192.0.2.13";
    let done = (true, String::new(), String::new());
    assert_eq!(aws(KEY, register), done);
    assert_eq!(aws(KEY, register), done, "as ELB has it, twice is as good as once");
    let remove =
        "deregister-targets --target-group-arn ARN --targets Id=2001:db8::11 Id=192.0.2.13";
    assert_eq!(aws(KEY, remove), done);
    assert_eq!(members(&site), ["192.0.2.11 1 unavailable", "192.0.2.12 1 unavailable"]);

    let (_, shown, _) = aws(KEY, "describe-target-health --target-group-arn ARN");
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let member = &shown["TargetHealthDescriptions"][1];
    assert_eq!(member["Target"]["Id"], "192.0.2.12");
    assert_eq!(member["Target"]["Port"], 4789);
    assert_eq!(member["TargetHealth"]["Reason"], "Target.HealthCheckDisabled");
    let one = "describe-target-health --target-group-arn ARN --targets Id=192.0.2.12,Port=4789";
    let (_, shown, _) = aws(READER, one);
    assert!(shown.contains("\"192.0.2.12\"") && !shown.contains("\"192.0.2.11\""), "{shown}");
    let (_, theirs, _) = aws(KEY, "describe-target-groups");
    let theirs: Value = serde_json::from_str(&theirs).unwrap();
    let ours = site.run("tool list --json").json();
    for (at, group) in theirs["TargetGroups"].as_array().unwrap().iter().enumerate() {
        for (key, value) in group.as_object().unwrap() {
            assert_eq!(&ours["TargetGroups"][at][key], value, "{key}");
        }
    }

    for (key, arguments, code) in [
        (KEY, "register-targets --target-group-arn ARN --targets Id=192.0.2.1", "(InvalidTarget)"),
        (
            KEY,
            "register-targets --target-group-arn x --targets Id=1.1.1.1",
            "(TargetGroupNotFound)",
        ),
        (READER, register, "(UnauthorizedOperation)"),
        ("AKIDNOBODY", register, "(AuthFailure)"),
    ] {
        let (ok, _, told) = aws(key, arguments);
        assert!(!ok && told.contains(code), "{arguments}: {told}");
    }
}
