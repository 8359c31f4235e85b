//! The rules of the house that no lint keeps: arrows between crates and modules, sizes, links.
#![expect(clippy::panic, clippy::expect_used, reason = "a test that can't go on fails")]

use std::fs;
use std::path::{Path, PathBuf};

use syn::spanned::Spanned;
use syn::visit::Visit;

/// A file is one noun; beyond this it is two.
const FILE_LINES_MAX: usize = 800;
/// A function fits a screen.
const FUNCTION_LINES_MAX: usize = 70;
/// Which of our packages each may use.
const ARROWS: [(&str, &[&str]); 5] = [
    ("dataplane/dpdk-sys", &[]),
    ("dataplane/engine", &[]),
    ("dataplane/traffic", &["engine"]),
    ("dataplane/driver", &["dpdk-sys", "engine", "traffic"]),
    ("control", &["engine", "traffic"]),
];
const PACKAGES: [&str; 7] =
    ["dpdk-sys", "engine", "traffic", "driver", "control", "benches", "tests"];
/// Modules of the engine that see less than all above them.
const NARROW: [(&str, &[&str]); 2] =
    [("publish", &["units"]), ("sim", &["units", "drop_reason", "burst", "port"])];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files below `folder` that git tracks or would track and that end in `ending`.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let listed = std::process::Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "--", folder])
        .current_dir(root())
        .output()
        .expect("git lists the files");
    let listed = String::from_utf8(listed.stdout).expect("paths are UTF-8");
    let paths = listed.lines().map(|path| root().join(path));
    let found: Vec<_> =
        paths.filter(|path| path.to_string_lossy().ends_with(ending) && path.exists()).collect();
    assert!(!found.is_empty(), "no {ending} file below {folder}");
    found
}

fn faultless(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn crates_use_only_what_lies_below_them() {
    let mut faults = Vec::new();
    for (folder, allowed) in ARROWS {
        let manifest = read(&root().join(folder).join("Cargo.toml"));
        let manifest: toml::Table = manifest.parse().expect("a manifest is TOML");
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let used = manifest.get(section).and_then(toml::Value::as_table);
            for name in used.into_iter().flat_map(toml::Table::keys) {
                if PACKAGES.contains(&name.as_str()) && !allowed.contains(&name.as_str()) {
                    faults.push(format!("{folder} may not use {name}"));
                }
            }
        }
    }
    faultless(&faults);
}

/// The modules of the engine in the order of its `lib.rs`.
fn engine_modules() -> Vec<String> {
    let lib = read(&root().join("dataplane/engine/src/lib.rs"));
    let items = lib.lines().map(|line| line.strip_prefix("pub ").unwrap_or(line));
    let names = items.filter_map(|item| item.strip_prefix("mod ")?.strip_suffix(';'));
    names.map(str::to_owned).collect()
}

#[test]
fn engine_modules_use_only_those_above_them() {
    let modules = engine_modules();
    let place = |name: &str| modules.iter().position(|module| module == name);
    let mut faults = Vec::new();
    for file in files("dataplane/engine/src", ".rs") {
        let path = file.to_string_lossy().replace('\\', "/");
        let (_, inside) = path.split_once("engine/src/").expect("it is below src");
        let module = inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs");
        // Tests may look at anything: they explain a module by its users.
        let Some(own) = place(module).filter(|_| !inside.ends_with("tests.rs")) else { continue };
        let code = read(&file);
        let code = code.split("#[cfg(test)]").next().unwrap_or_default();
        for used in code.split("crate::").skip(1) {
            let used: String =
                used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let narrow = NARROW.iter().find(|(name, _)| *name == module);
            let is_seen = match narrow {
                Some((_, seen)) => used == module || seen.contains(&used.as_str()),
                None => place(&used).is_some_and(|place| place <= own),
            };
            // Links in documentation point downwards too.
            let is_code = !code
                .lines()
                .filter(|line| line.contains(&format!("crate::{used}")))
                .all(|line| line.trim_start().starts_with("//"));
            if !is_seen && is_code {
                faults.push(format!("{inside} uses crate::{used}, which is not above {module}"));
            }
        }
    }
    faults.dedup();
    faultless(&faults);
}

/// Collects the functions that are too long.
struct Functions<'a> {
    file: &'a Path,
    faults: &'a mut Vec<String>,
}

impl Functions<'_> {
    fn check(&mut self, name: &syn::Ident, block: &syn::Block) {
        let span = block.span();
        let lines = span.end().line - span.start().line + 1;
        if lines > FUNCTION_LINES_MAX {
            let (file, at) = (self.file.display(), span.start().line);
            self.faults.push(format!("{file}:{at}: {name} has {lines} lines"));
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.check(&function.sig.ident, &function.block);
        syn::visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.check(&function.sig.ident, &function.block);
        syn::visit::visit_impl_item_fn(self, function);
    }
}

#[test]
fn files_and_functions_keep_their_size() {
    let mut faults = Vec::new();
    for file in files(".", ".rs") {
        let code = read(&file);
        let lines = code.lines().count();
        if lines > FILE_LINES_MAX {
            faults.push(format!("{} has {lines} lines", file.display()));
        }
        let syntax =
            syn::parse_file(&code).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        Functions { file: &file, faults: &mut faults }.visit_file(&syntax);
    }
    faultless(&faults);
}

/// The targets of inline links and images in a page of Markdown.
fn links(page: &str) -> impl Iterator<Item = &str> {
    page.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next())
}

/// The anchors that a page's headings make.
fn anchors(page: &str) -> Vec<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| -> String {
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        words
            .chars()
            .filter_map(|c| match c {
                ' ' => Some('-'),
                c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
                _ => None,
            })
            .collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn links_in_documents_lead_somewhere() {
    let mut faults = Vec::new();
    for file in files(".", ".md") {
        let page = read(&file);
        for link in links(&page).filter(|link| !link.contains("://")) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() {
                file.clone()
            } else {
                file.parent().unwrap_or(Path::new(".")).join(path)
            };
            let leads = target.exists()
                && (anchor.is_empty() || anchors(&read(&target)).iter().any(|a| a == anchor));
            if !leads {
                faults.push(format!("{}: {link} leads nowhere", file.display()));
            }
        }
    }
    faultless(&faults);
}

#[test]
fn nothing_is_left_unfinished() {
    let marks = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["X", "XX"].concat()];
    let mut faults = Vec::new();
    for file in files(".", ".rs") {
        for (at, line) in read(&file).lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark)) {
                faults.push(format!("{}:{}: {}", file.display(), at + 1, line.trim()));
            }
        }
    }
    faultless(&faults);
}
