//! `-`: standard input and output, by a path under which another process finds them.

use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::unistd::dup;

use super::arguments::Arguments;

/// Descriptors that processes which we start have too, under the same numbers, as long as this lives.
#[derive(Debug, Default)]
pub(super) struct Descriptors(Vec<OwnedFd>);

impl Descriptors {
    /// The files, with a path in place of `-`. What is wrong is noted.
    pub(super) fn inputs(&mut self, files: &[PathBuf], arguments: &mut Arguments) -> Vec<PathBuf> {
        let is_stdin = |file: &&PathBuf| file.as_path() == Path::new("-");
        if files.iter().filter(is_stdin).count() > 1 {
            arguments.fault("-: standard input can be read once only; name it once");
        } else if files.iter().any(|file| is_stdin(&file)) && io::stdin().is_terminal() {
            arguments.fault("-: standard input is a terminal; lead a capture into it");
        }
        let path = |file: &PathBuf| {
            if is_stdin(&file) { self.shared(io::stdin(), arguments) } else { file.clone() }
        };
        files.iter().map(path).collect()
    }

    /// The file, with a path in place of `-`. What is wrong is noted.
    pub(super) fn output(&mut self, file: &Path, arguments: &mut Arguments) -> PathBuf {
        if file != Path::new("-") {
            return file.to_owned();
        }
        if io::stdout().is_terminal() {
            arguments.fault(
                "-: standard output is a terminal; lead it into a program, such as tshark -i -",
            );
        }
        self.shared(io::stdout(), arguments)
    }

    /// A path that names the same file in processes that we start.
    fn shared(&mut self, descriptor: impl AsFd, arguments: &mut Arguments) -> PathBuf {
        // dup(2) leaves the copy open in programs that are started.
        match dup(descriptor) {
            Ok(copy) => {
                let path = format!("/dev/fd/{}", copy.as_raw_fd());
                self.0.push(copy);
                path.into()
            }
            Err(error) => {
                arguments.fault(format!("-: it can't be passed on: {error}; name a file"));
                PathBuf::new()
            }
        }
    }
}
