//! What the audit log says, and what happens when it can't.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::client::{ask, between, post};
use super::site::{MADE, READER, SECRET, Site, WRITER};

const DESCRIBE: &str = "Action=DescribeTags&Version=2016-11-15";
const CREATE: &str = "Action=CreateTrafficMirrorFilter&Version=2016-11-15";

#[test]
fn a_change_is_written_down_before_and_after() {
    let site = Site::start();
    let body = format!(
        "{CREATE}&ClientToken=t&TrafficMirrorTargetId=tmt-1&VirtualNetworkId=7&ResourceId.1=tms-1"
    );
    let reply = ask(site.address, &post(WRITER, &body));
    let [asked, answered] = &site.audit()[..] else { panic!("two records were expected") };
    for record in [asked, answered] {
        assert_eq!(record["request_id"], between(&reply.body, "<requestId>", "</requestId>"));
        assert_eq!(record["key_id"], WRITER.0);
        assert_eq!(record["account"], "111111111111");
        assert_eq!(record["action"], "CreateTrafficMirrorFilter");
        assert_eq!(record["dry_run"], false);
        assert!(record["source"].as_str().unwrap().starts_with("127.0.0.1:"));
        assert!(record["time"].as_str().unwrap().ends_with('Z'));
    }
    assert_eq!((&asked["phase"], &answered["phase"]), (&"asked".into(), &"answered".into()));
    assert_eq!(asked["objects"], serde_json::json!(["tmt-1", "tms-1"]));
    assert_eq!(answered["objects"], serde_json::json!(["tmt-1", "tms-1", MADE]));
    assert_eq!((asked.get("status"), asked.get("result")), (None, None));
    assert_eq!((&answered["status"], &answered["result"]), (&200.into(), &"OK".into()));
    let mode = fs::metadata(&site.config.audit).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o640);
    assert!(!fs::read_to_string(&site.config.audit).unwrap().contains(SECRET));
}

#[test]
fn what_describes_has_one_record_and_a_refusal_its_code() {
    let site = Site::start();
    ask(site.address, &post(WRITER, DESCRIBE));
    ask(site.address, &post(READER, "Action=DeleteTags&DryRun=true"));
    ask(site.address, &post(WRITER, "Action=No\"such\naction"));
    let records = site.audit();
    let told: Vec<_> = records
        .iter()
        .map(|record| {
            let word = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
            (word("phase"), word("action"), word("result"), record["dry_run"] == true)
        })
        .collect();
    let line = |phase: &str, action: &str, result: &str, dry: bool| {
        (phase.to_owned(), action.to_owned(), result.to_owned(), dry)
    };
    assert_eq!(
        told,
        [
            line("answered", "DescribeTags", "OK", false),
            line("answered", "DeleteTags", "UnauthorizedOperation", true),
            line("asked", "No\"such\naction", "", false),
            line("answered", "No\"such\naction", "InvalidAction", false),
        ]
    );
}

#[test]
fn on_a_full_disk_nothing_is_changed_and_all_can_be_looked_at() {
    let site = Site::with(|config| config.audit = "/dev/full".into());
    let reply = ask(site.address, &post(WRITER, CREATE));
    assert_eq!(reply.refusal(), (500, "InternalError"));
    assert!(reply.body.contains("Nothing was changed"), "{reply:?}");
    assert_eq!(site.times_asked(), 0);
    assert_eq!(ask(site.address, &post(WRITER, DESCRIBE)).status, 200);
}

#[test]
fn a_log_that_was_moved_away_is_begun_anew() {
    let site = Site::start();
    ask(site.address, &post(WRITER, DESCRIBE));
    let old = site.dir.path().join("audit.1");
    fs::rename(&site.config.audit, &old).unwrap();
    ask(site.address, &post(WRITER, DESCRIBE));
    assert_eq!(fs::read_to_string(&old).unwrap().lines().count(), 2);
    site.handle.reload().unwrap();
    ask(site.address, &post(WRITER, DESCRIBE));
    assert_eq!(fs::read_to_string(&old).unwrap().lines().count(), 2);
    assert_eq!(site.audit().len(), 1);
}

#[test]
fn a_torn_line_is_left_alone_and_the_next_record_is_whole() {
    let site = Site::with(|config| {
        fs::write(&config.audit, "{\"torn\":").unwrap();
        fs::set_permissions(&config.audit, fs::Permissions::from_mode(0o666)).unwrap();
    });
    let mode = fs::metadata(&site.config.audit).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o640, "others are shut out");
    ask(site.address, &post(WRITER, DESCRIBE));
    let text = fs::read_to_string(&site.config.audit).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines.len(), lines[0]), (2, "{\"torn\":"));
    assert!(serde_json::from_str::<serde_json::Value>(lines[1]).is_ok());
}
