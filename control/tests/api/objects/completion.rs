//! Completion, as the shells really do it.

use std::path::Path;
use std::process::Command;

const LINETAP: &str = env!("CARGO_BIN_EXE_linetap");

/// What bash offers for the last of these words.
fn offered(words: &[&str]) -> Vec<String> {
    let folder = Path::new(LINETAP).parent().unwrap();
    let last = words.len() - 1;
    // As bash itself calls a completion: the command, the word, and the word before.
    let script = format!(
        "source <(linetap completion bash)\nCOMP_WORDS=({}); COMP_CWORD={last}\n\
         handler=$(complete -p linetap | sed -E 's/.*-F ([^ ]+).*/\\1/')\n\
         $handler linetap \"${{COMP_WORDS[{last}]}}\" \"${{COMP_WORDS[{}]}}\"\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.join(" "),
        last - 1
    );
    let path = format!("{}:/usr/bin:/bin", folder.display());
    let mut bash = Command::new("bash");
    let said = bash.env("PATH", path).args(["--norc", "-c", &script]).output().unwrap();
    assert!(said.stderr.is_empty(), "{}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8(said.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_and_values() {
    assert_eq!(offered(&["linetap", "sess"]), ["session"]);
    let verbs = offered(&["linetap", "filter", "\"\""]);
    for verb in ["create", "delete", "modify", "list", "show"] {
        assert!(verbs.iter().any(|offer| offer == verb), "{verb}: {verbs:?}");
    }
    assert_eq!(offered(&["linetap", "tool", "und"]), ["undrain"]);
    let options = offered(&["linetap", "rule", "create", "--dest"]);
    assert!(options.contains(&"--destination-ports".to_owned()), "{options:?}");
    assert_eq!(
        offered(&["linetap", "rule", "create", "--direction", "\"\""]),
        ["ingress", "egress"]
    );
}

#[test]
fn scripts_are_in_the_language_of_their_shell() {
    for (shell, mark) in [("zsh", "#compdef linetap"), ("fish", "complete -c linetap")] {
        let said = Command::new(LINETAP).args(["completion", shell]).output().unwrap();
        let script = String::from_utf8(said.stdout).unwrap();
        assert!(said.status.success() && script.contains(mark), "{shell}: {script:.200}");
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("script"), script).unwrap();
        match Command::new(shell).arg("-n").arg(dir.path().join("script")).output() {
            Ok(said) => {
                assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
            }
            Err(_) => eprintln!("{shell} is not here: its script is not read by it"),
        }
    }
}
