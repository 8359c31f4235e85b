//! Becoming an unprivileged user, for good.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use nix::unistd::{User, setgid, setgroups, setuid};

/// The user with this name. Errors: the rest of a sentence.
pub fn user_named(name: &str) -> Result<User, String> {
    match User::from_name(name) {
        Ok(Some(user)) => Ok(user),
        Ok(None) => Err("there is no such user; name one of this machine".to_owned()),
        Err(error) => Err(format!("users can't be looked up: {error}")),
    }
}

/// Becomes that user, without any right of the one before. To be called before anything else is
/// done. Errors: the kernel's; the process must not go on then.
pub fn become_user(user: &User) -> io::Result<()> {
    setgroups(&[user.gid])?;
    setgid(user.gid)?;
    setuid(user.uid)?;
    Ok(())
}

/// A directory that was opened while it could be: files in it can be reached later, although the
/// directories above it are closed by then.
#[derive(Debug)]
pub struct Foothold {
    dir: File,
}

impl Foothold {
    /// Opens the directory in which `path` lies. Errors: those of opening it.
    pub fn beside(path: &Path) -> io::Result<Self> {
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
        Ok(Self { dir: File::open(dir.unwrap_or(Path::new(".")))? })
    }

    /// Another path to a file of the directory, valid in this process.
    pub fn reach(&self, file: &Path) -> PathBuf {
        let dir = Path::new("/proc/self/fd").join(self.dir.as_raw_fd().to_string());
        file.file_name().map_or_else(|| file.to_owned(), |name| dir.join(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_reached_through_its_directory() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x");
        std::fs::write(&file, "here").unwrap();
        let foothold = Foothold::beside(&file).unwrap();
        let path = foothold.reach(&file);
        assert_eq!(std::fs::read_to_string(path).unwrap(), "here");
    }

    #[test]
    fn a_user_that_is_not_there_is_told() {
        assert!(user_named("root").is_ok_and(|user| user.uid.is_root()));
        assert!(user_named("no such user").unwrap_err().contains("no such user"));
    }
}
