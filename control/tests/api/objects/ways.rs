//! The ways to the API: its socket, HTTP and HTTPS, as whom, and what is told when one is closed.

use std::fs;

use super::site::{KEY, READER, SECRET, Site, certify};
use crate::common::TEMPLATE;

const LIST: [&str; 3] = ["filter", "list", "--endpoint-url"];

fn keys(id: &str) -> [(&str, &str); 2] {
    [("AWS_ACCESS_KEY_ID", id), ("AWS_SECRET_ACCESS_KEY", SECRET)]
}

#[test]
fn all_ways_lead_to_the_same_objects() {
    let site = Site::start(TEMPLATE);
    let by_socket = site.run("session list").ok();
    assert!(by_socket.contains("eni-a"), "{by_socket}");
    let list = ["session", "list", "--endpoint-url"];
    let by_http = site.with(&keys(KEY), &[&list[..], &[&site.http]].concat()).ok();
    let bundle = ["--ca-bundle", "tls.pem"];
    let by_https = site.with(&keys(KEY), &[&list[..], &[&site.https], &bundle].concat()).ok();
    assert_eq!((&by_http, &by_https), (&by_socket, &by_socket));

    let aws = site.dir.path().join(".aws");
    fs::create_dir(&aws).unwrap();
    let credentials =
        format!("[tap]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n");
    fs::write(aws.join("credentials"), credentials).unwrap();
    let config = format!("[profile tap]\nregion = eu-central-1\nendpoint_url = {}\n", site.https);
    fs::write(aws.join("config"), config).unwrap();
    let trust = ("AWS_CA_BUNDLE", "tls.pem");
    let by_profile = site.with(&[trust], &["session", "list", "--profile", "tap"]).ok();
    assert_eq!(by_profile, by_socket);
    let set = [("AWS_PROFILE", "tap"), ("AWS_ENDPOINT_URL_EC2", &site.http)];
    assert_eq!(site.with(&set, &["session", "list"]).ok(), by_socket);
    // Options of the connection may stand before the verb, too.
    assert_eq!(site.with(&[], &["session", "--socket", "api/api.sock", "list"]).ok(), by_socket);
}

#[test]
fn whoever_may_not_is_told_what_to_do() {
    let site = Site::start(TEMPLATE);
    let list = |set: &[(&str, &str)]| site.with(set, &[&LIST[..], &[&site.http]].concat());
    let wrong = [("AWS_ACCESS_KEY_ID", KEY), ("AWS_SECRET_ACCESS_KEY", "another-secret-than-that")];
    let told = list(&wrong).failed(1);
    assert!(told.contains("(AuthFailure); compare key id and secret with the keys file"), "{told}");
    assert!(!told.contains("another-secret"), "{told}");
    let token = [keys(KEY)[0], keys(KEY)[1], ("AWS_SESSION_TOKEN", "t")];
    assert!(list(&token).failed(1).contains("without a token"));
    let none = list(&[]).failed(2);
    assert!(none.contains("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"), "{none}");
    let create = ["filter", "create", "--endpoint-url", &site.http];
    let told = site.with(&keys(READER), &create).failed(1);
    assert!(told.contains("ask with a key whose access is \"read-write\""), "{told}");
    assert_eq!(list(&keys(READER)).ok().lines().count(), 2);
}

#[test]
fn a_way_that_is_closed_is_told_with_its_remedy() {
    let site = Site::start(TEMPLATE);
    let list = |url: &str, more: &[&str]| {
        site.with(&keys(KEY), &[&LIST[..], &[url], more].concat()).failed(1)
    };
    let unknown = list(&site.https, &[]);
    assert!(unknown.contains("name that one's certificate with --ca-bundle FILE"), "{unknown}");
    let bundle = ["--ca-bundle", "tls.pem"];
    let other = list(&site.https.replace("127.0.0.1", "localhost"), &bundle);
    assert!(other.contains("ask by a name that it has"), "{other}");
    let plain = list(&site.https.replace("https", "http"), &[]);
    assert!(plain.contains("write https://") || plain.contains("closed the connection"), "{plain}");
    let tls = list(&site.http.replace("http", "https"), &bundle);
    assert!(tls.contains("for plain HTTP write http://"), "{tls}");
    let refused = list("http://127.0.0.1:1", &[]);
    assert!(refused.contains("refused") && refused.contains("is linetapd running"), "{refused}");
    let nobody = list("http://nobody.invalid", &["--timeout", "5"]);
    assert!(nobody.contains("http://nobody.invalid"), "{nobody}");
    let absent = site.with(&[], &["filter", "list", "--socket", "none.sock"]).failed(1);
    assert!(absent.contains("is `linetap up` running, with [api]"), "{absent}");
    let other = tempfile::tempdir().unwrap();
    certify(other.path());
    let path = other.path().join("tls.pem");
    assert!(list(&site.https, &["--ca-bundle", path.to_str().unwrap()]).contains("not believed"));
    let usage = site.with(&keys(KEY), &[&LIST[..], &["tap:8440"]].concat()).failed(2);
    assert!(usage.contains("write one like http://127.0.0.1:8440"), "{usage}");
}
