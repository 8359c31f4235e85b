//! The aws command and boto3, unmodified, from the virtual environment that `LINETAP_CLIENTS` names.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::site::{READER, Site, WRITER};

/// A program of the environment, with a key and without anything of the person who runs the test.
fn client(site: &Site, program: &str, key: (&str, &str)) -> Option<Command> {
    let Some(folder) = std::env::var_os("LINETAP_CLIENTS").map(PathBuf::from) else {
        eprintln!("left out: LINETAP_CLIENTS names no virtual environment with awscli and boto3");
        return None;
    };
    let mut command = Command::new(folder.join("bin").join(program));
    command
        .env_clear()
        .env("HOME", site.dir.path())
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_ACCESS_KEY_ID", key.0)
        .env("AWS_SECRET_ACCESS_KEY", key.1)
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_ENDPOINT_URL", format!("http://{}", site.address));
    Some(command)
}

fn said(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

fn aws(site: &Site, key: (&str, &str), arguments: &[&str]) -> Option<(bool, String)> {
    let output = client(site, "aws", key)?.args(arguments).output().unwrap();
    Some((output.status.success(), said(&output)))
}

#[test]
fn the_aws_command_is_answered_or_told_why_not() {
    let site = Site::start();
    let tags = ["ec2", "describe-tags", "--output", "json", "--filters"];
    let odd = "Name=tag:a b+c~\u{e4}\u{9632},Values=x y,100%,*";
    let Some((ok, told)) = aws(&site, WRITER, &[&tags[..], &[odd]].concat()) else { return };
    assert!(ok && told.contains("\"Tags\": []"), "{told}");
    let asked = site.asked.lock().unwrap().clone();
    let value = |name: &str| asked[0].1.0.iter().find(|pair| pair.0 == name).unwrap().1.clone();
    assert_eq!(value("Filter.1.Name"), "tag:a b+c~\u{e4}\u{9632}");
    assert_eq!(value("Filter.1.Value.2"), "100%");
    let create = ["ec2", "create-traffic-mirror-filter"];
    for (key, arguments, told) in [
        ((WRITER.0, "wrong"), &tags[..2], "(AuthFailure)"),
        (("AKIDNOBODY", WRITER.1), &tags[..2], "(AuthFailure)"),
        (READER, &create[..], "(UnauthorizedOperation)"),
    ] {
        let (ok, said) = aws(&site, key, arguments).unwrap();
        assert!(!ok && said.contains(told), "{said}");
    }
    assert_eq!(site.times_asked(), 1);
}

#[test]
fn boto3_is_answered_signed_and_presigned() {
    let site = Site::start();
    let Some(mut python) = client(&site, "python", WRITER) else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/server/boto.py");
    let output = python.arg(script).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "all as expected");
}
