//! Who may, over TCP.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use control::ec2::auth::Keyring;
use control::ec2::caller::Access;

use super::client::{ask, between, post, post_aged};
use super::site::{READER, SECRET, Site, WRITER, keys_file, put_private};

const DESCRIBE: &str = "Action=DescribeTags&Version=2016-11-15";
const CREATE: &str = "Action=CreateTrafficMirrorFilter&Version=2016-11-15";

#[test]
fn a_signed_request_is_answered() {
    let site = Site::start();
    let reply = ask(site.address, &post(WRITER, "Action=DescribeTags&Filter.1.Name=a+%C3%A4&E="));
    assert_eq!(reply.status, 200, "{reply:?}");
    let id = between(&reply.body, "<requestId>", "</requestId>");
    assert_eq!(reply.header("x-amzn-RequestId"), Some(id));
    assert_eq!(id.len(), 36);
    assert_eq!(reply.header("content-type"), Some("text/xml;charset=UTF-8"));
    let asked = site.asked.lock().unwrap();
    let (caller, params) = &asked[0];
    assert_eq!((caller.account.as_str(), caller.access), ("111111111111", Access::ReadWrite));
    assert_eq!(caller.key_id, WRITER.0);
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let expected = [pair("Action", "DescribeTags"), pair("Filter.1.Name", "a ä"), pair("E", "")];
    assert_eq!(params.0, expected);
}

#[test]
fn whoever_proves_nothing_is_refused_as_by_ec2() {
    let site = Site::start();
    let signed = post(WRITER, DESCRIBE);
    let spoiled = |from: &str, to: &str| {
        assert!(signed.contains(from));
        signed.replacen(from, to, 1)
    };
    let unsigned = spoiled("Authorization:", "Authorisation:");
    let token = spoiled("Authorization:", "X-Amz-Security-Token: t\r\nAuthorization:");
    for (request, refusal) in [
        (unsigned, (403, "MissingAuthenticationToken")),
        (post(("AKIDNOBODY", SECRET), DESCRIBE), (401, "AuthFailure")),
        (post((WRITER.0, "not the secret of it"), DESCRIBE), (401, "AuthFailure")),
        (spoiled("DescribeTags", "DescribeTagz"), (401, "AuthFailure")),
        (post_aged(WRITER, DESCRIBE, 901), (400, "RequestExpired")),
        (post_aged(WRITER, DESCRIBE, -905), (400, "RequestExpired")),
        (token, (403, "InvalidClientTokenId")),
        (spoiled("/ec2/", "/iam/"), (403, "SignatureDoesNotMatch")),
        (
            spoiled("SignedHeaders=content-type;host;", "SignedHeaders="),
            (400, "IncompleteSignature"),
        ),
    ] {
        let reply = ask(site.address, &request);
        assert_eq!(reply.refusal(), refusal, "{request}");
        let id = between(&reply.body, "<RequestID>", "</RequestID>");
        assert_eq!(reply.header("x-amzn-RequestId"), Some(id));
        assert!(!reply.body.contains(SECRET));
    }
    assert_eq!(site.times_asked(), 0);
    assert!(site.audit().is_empty());
    assert_eq!(ask(site.address, &signed).status, 200, "the request is sound, unspoiled");
}

#[test]
fn another_region_is_refused_where_one_is_set() {
    let site = Site::with(|config| config.region = Some("eu-west-1".into()));
    let reply = ask(site.address, &post(WRITER, DESCRIBE));
    assert_eq!(reply.refusal(), (403, "SignatureDoesNotMatch"));
    assert!(reply.body.contains("eu-west-1"));
}

#[test]
fn a_key_to_read_with_changes_nothing() {
    let site = Site::start();
    assert_eq!(ask(site.address, &post(READER, DESCRIBE)).status, 200);
    assert_eq!(site.asked.lock().unwrap()[0].0.access, Access::ReadOnly);
    for body in [
        CREATE,
        "Action=CreateTrafficMirrorFilter&DryRun=true",
        "Action=DeleteTags",
        "Action=NoSuchAction",
        "Action=DescribeTags&Action=DeleteTags",
        "Action=DeleteTags&Action=DescribeTags",
        "Action=describeTags",
    ] {
        let reply = ask(site.address, &post(READER, body));
        assert_eq!(reply.refusal(), (403, "UnauthorizedOperation"), "{body}");
    }
    assert_eq!(site.times_asked(), 1);
    assert_eq!(ask(site.address, &post(WRITER, CREATE)).status, 200);
}

#[test]
fn keys_are_exchanged_while_it_runs() {
    let site = Site::start();
    let new = ("AKIDNEW", "another secret with spaces".replace(' ', "-"));
    let new = (new.0, new.1.as_str());
    let file = format!(
        "[[key]]\nid = \"{}\"\nsecret = \"{}\"\naccount = \"111111111111\"\n\
         access = \"read-only\"\n",
        new.0, new.1
    );
    put_private(&site.config.keys, &file);
    assert_eq!(ask(site.address, &post(new, DESCRIBE)).status, 401);
    site.handle.reload().unwrap();
    assert_eq!(ask(site.address, &post(new, DESCRIBE)).status, 200);
    assert_eq!(ask(site.address, &post(WRITER, DESCRIBE)).status, 401);
    put_private(&site.config.keys, "[[key]]\nid = \"AKIDNEW\"\n");
    let faults = site.handle.reload().unwrap_err().to_string();
    assert!(faults.contains("keys.toml:1: key \"AKIDNEW\": secret must be there"), "{faults}");
    assert_eq!(ask(site.address, &post(new, DESCRIBE)).status, 200, "the old ones are in use");
}

#[test]
fn keys_that_others_can_read_are_refused() {
    let site = Site::start();
    let read = || Keyring::read(&site.config.keys).map(|keys| keys.len());
    for mode in [0o600, 0o400] {
        fs::set_permissions(&site.config.keys, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(read(), Ok(2), "{mode:o}");
    }
    for mode in [0o640, 0o604, 0o660, 0o4600, 0o700] {
        fs::set_permissions(&site.config.keys, fs::Permissions::from_mode(mode)).unwrap();
        let fault = read().unwrap_err().to_string();
        assert!(fault.contains("run: chmod 0600 FILE"), "{mode:o}: {fault}");
    }
    put_private(&site.config.keys, &keys_file());
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(&site.config.keys, Some(12_345), None).unwrap();
        let fault = read().unwrap_err().to_string();
        assert!(fault.contains("belong to user 12345, not to user 0"), "{fault}");
    }
    let folder = Keyring::read(site.dir.path()).unwrap_err().to_string();
    assert!(folder.contains("this is no file"), "{folder}");
}

#[test]
fn all_faults_of_a_keys_file_are_told_and_no_secret() {
    let site = Site::start();
    let text = format!(
        "keys = 1\n[[key]]\nid = \"{SECRET}\"\nsecret = \"short-s3cret\"\naccount = \"1\"\n\
         acess = \"read-only\"\n[[key]]\nid = \"AKIDTWICE\"\nsecret = 1234567890123456\n\
         account = \"111111111111\"\naccess = \"admin\"\n[[key]]\nid = \"AKIDTWICE\"\n\
         secret = \"{SECRET}\"\naccount = \"111111111111\"\naccess = \"read-only\"\n[[key]]\n\
         id = \"AKIDTWICE\"\nsecret = \"{SECRET}\"\naccount = \"111111111111\"\n\
         access = \"read-only\"\n"
    );
    put_private(&site.config.keys, &text);
    let faults = Keyring::read(&site.config.keys).unwrap_err().to_string();
    for part in [
        ":1: the file: unknown key \"keys\"; remove it; did you mean \"key\"?",
        ":3: key[1]: id must be 4 to 128 letters, digits",
        ":4: key[1]: secret must be there, as a text of 16 to 256",
        ":5: key[1]: account \"1\" is no account; write 12 digits",
        ":6: key[1]: unknown key \"acess\"; remove it; did you mean \"access\"?",
        ":2: key[1]: access is missing; add access = ",
        ":9: key \"AKIDTWICE\": secret must be there",
        ":11: key \"AKIDTWICE\": access is \"admin\"; write \"read-only\" or \"read-write\"",
        ":17: key \"AKIDTWICE\": another key has this id already",
    ] {
        assert!(faults.contains(part), "no {part} in\n{faults}");
    }
    for secret in [SECRET, "short-s3cret", "1234567890123456"] {
        assert!(!faults.contains(secret), "{faults}");
    }
    assert!(!format!("{:?}", Keyring::default()).contains(SECRET));
}
