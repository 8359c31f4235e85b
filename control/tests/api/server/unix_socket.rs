//! The Unix socket: the kernel tells who calls.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Command;

use control::ec2::caller::Access;

use super::client::ask_on;
use super::site::Site;

const REQUEST: &str = "POST / HTTP/1.1\r\nHost: tap\r\nContent-Length: 27\r\n\r\n\
                       Action=DescribeTags&x=a+%41";

#[test]
fn the_own_user_needs_no_signature() {
    let site = Site::start();
    let mode = fs::metadata(&site.config.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let mut stream = UnixStream::connect(&site.config.socket).unwrap();
    assert_eq!(ask_on(&mut stream, REQUEST).status, 200);
    let asked = site.asked.lock().unwrap().clone();
    let (caller, params) = &asked[0];
    assert_eq!((caller.account.as_str(), caller.access), ("333333333333", Access::ReadWrite));
    assert_eq!(params.0[1], ("x".to_owned(), "a A".to_owned()));
    let uid = nix::unistd::geteuid();
    assert_eq!(caller.key_id, format!("unix:uid={uid}"));
    let record = &site.audit()[0];
    assert_eq!(record["source"], format!("unix:pid={},uid={uid}", std::process::id()));
}

/// A request by curl as somebody else; `None` where that can't be tried.
fn status_for(site: &Site, ids: &[&str]) -> Option<String> {
    let is_there = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if !nix::unistd::geteuid().is_root() || !is_there("setpriv") || !is_there("curl") {
        eprintln!("left out: it takes root, setpriv and curl");
        return None;
    }
    let output = Command::new("setpriv")
        .args(ids)
        .args(["curl", "--silent", "--write-out", " %{http_code}", "--unix-socket"])
        .arg(&site.config.socket)
        .args(["--data", "Action=DescribeTags", "http://tap/"])
        .output()
        .unwrap();
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_group_may_and_strangers_may_not() {
    let site = Site::start();
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(site.dir.path(), open).unwrap();
    let of_group = ["--reuid", "12345", "--regid", "0", "--clear-groups"];
    let Some(answer) = status_for(&site, &of_group) else { return };
    assert!(answer.ends_with(" 200"), "{answer}");
    let stranger = ["--reuid", "12345", "--regid", "12345", "--clear-groups"];
    let shut_out = status_for(&site, &stranger).unwrap();
    assert!(shut_out.ends_with("000"), "the socket's mode keeps strangers out: {shut_out}");
    fs::set_permissions(&site.config.socket, fs::Permissions::from_mode(0o666)).unwrap();
    let refused = status_for(&site, &stranger).unwrap();
    assert!(refused.contains("UnauthorizedOperation") && refused.ends_with(" 403"), "{refused}");
    assert_eq!(site.times_asked(), 1);
}
