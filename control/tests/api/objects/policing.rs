//! Rate limits and samples of sessions, which are tags.

use super::site::Site;
use crate::common::TEMPLATE;

#[test]
fn rates_and_samples_are_set_shown_and_taken_away() {
    let site = Site::start(TEMPLATE);
    let run = |arguments: &str| site.run(arguments);
    run("filter create --tag Name=f").ok();
    run("target create --interface eni-tool --tag Name=t").ok();
    let create =
        "session create --interface eni-a --target t --filter f --tag Name=mine --number 2";
    run(&format!("{create} --rate-limit 10MB/s,5kpps --sample 1/64")).ok();
    let shown = |key: &str| {
        let sheet = run("session show mine").ok();
        let line = sheet.lines().find_map(|line| line.strip_prefix(key).map(str::trim));
        line.unwrap_or_else(|| panic!("no {key} in {sheet}")).to_owned()
    };
    assert_eq!((shown("rate limit"), shown("sample")), ("10MB/s,5kpps".into(), "1/64".into()));
    assert_eq!(shown("tags"), "Name=mine, linetap:rate-limit=10MB/s,5kpps, linetap:sample=1/64");

    run("session modify mine --rate-limit 1GB/s --remove sample --number 3").ok();
    assert_eq!((shown("rate limit"), shown("sample")), ("1GB/s".into(), "all flows".into()));
    assert_eq!(shown("number"), "3");
    run("session modify mine --remove rate-limit").ok();
    assert_eq!((shown("rate limit"), shown("tags")), ("none".into(), "Name=mine".into()));

    let told = run("session modify mine --rate-limit 10Mb/s").failed(2);
    assert!(told.contains("write bytes a second (10MB/s), packets a second (5000pps)"), "{told}");
    assert!(run("session modify mine --sample 64").failed(2).contains("such as 1/64"));
    // As a tag it is EC2 that refuses it, and of other objects, too.
    let told = run("session modify mine --tag linetap:sample=64").failed(1);
    assert!(told.contains("write 1/1 to 1/16384, such as 1/64"), "{told}");
    let told = run("target modify t --tag linetap:rate-limit=10MB/s").failed(1);
    assert!(told.contains("linetap:rate-limit is a tag of sessions"), "{told}");
}
