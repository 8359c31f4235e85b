//! `cfn-lint`, of the virtual environment that `LINETAP_CLIENTS` names, on what is exported and on
//! the project's own examples.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::site::Site;
use crate::common::TEMPLATE;

/// What breaks those who write YAML by hand, and IPv6.
const ODD: &str = r##"
  Odd:
    Type: AWS::EC2::TrafficMirrorFilter
    Properties:
      Description: "yes: \"#\" \u00e9\u2028\n - 12"
      NetworkServices: [amazon-dns]
      Tags: [{Key: Name, Value: "No"}, {Key: "0x10", Value: "1e3"}, {Key: "k:", Value: ""}]
  SixthVersion:
    Type: AWS::EC2::TrafficMirrorFilterRule
    Properties:
      TrafficMirrorFilterId: !Ref Odd
      TrafficDirection: ingress
      RuleNumber: 32766
      RuleAction: reject
      SourceCidrBlock: "2001:db8::/32"
      DestinationCidrBlock: "::/0"
      Protocol: 17
      SourcePortRange: {FromPort: 53, ToPort: 53}
"##;

fn lint(arguments: &[&str], template: &Path) {
    let Some(clients) = std::env::var_os("LINETAP_CLIENTS").map(PathBuf::from) else {
        eprintln!("LINETAP_CLIENTS names no virtual environment: cfn-lint is not run");
        return;
    };
    let mut command = Command::new(clients.join("bin/cfn-lint"));
    let done = command.args(arguments).arg("--").arg(template).output().unwrap();
    let told = String::from_utf8_lossy(&done.stdout);
    let fault = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{}: {told}\n{fault}", template.display());
}

#[test]
fn what_is_exported_is_a_template_of_cloudformation() {
    let site = Site::start("", None);
    site.put("web.yaml", &format!("{TEMPLATE}{ODD}"));
    site.said(&["apply", "web.yaml"]);
    for format in ["yaml", "json"] {
        let name = format!("exported.{format}");
        site.put(&name, &site.said(&["export", "--format", format]));
        lint(&[], &site.path(&name));
        let shown = site.said(&["apply", &name, "--stack", "web", "--dry-run"]);
        assert_eq!(shown, "stack web: nothing to change\n");
    }
}

#[test]
fn the_examples_are_templates_of_cloudformation() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    // cfn-lint knows no IPv6 in rules; that a dependency is told twice is no fault.
    lint(&["--ignore-checks", "E3002"], &examples.join("link.yaml"));
    lint(&["--ignore-checks", "W3005"], &examples.join("span.json"));
}
