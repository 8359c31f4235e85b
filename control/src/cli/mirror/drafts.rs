//! What `linetap mirror` writes. A file is written beside the one that it will replace, and takes
//! its place when it is finished: whatever goes wrong before, earlier results stay.

use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use tempfile::{Builder, TempPath};

/// The drafts of this process. When a signal ends it, they are removed.
pub(super) struct Drafts(Arc<Mutex<Vec<PathBuf>>>);

/// An output that is not finished.
pub(super) struct Draft {
    name: PathBuf,
    file: File,
    is_stdout: bool,
    /// Where its bytes are until it is finished, and where they belong; absent when they go to
    /// their place at once.
    moved: Option<(TempPath, PathBuf)>,
}

/// Where the bytes of an output go.
enum Place {
    /// Where this name leads, at once: pipes, devices, what a descriptor stands for.
    Direct,
    /// To the file that this descriptor of ours is open on, where it stands in it.
    Descriptor(File),
    /// To a file beside this one.
    Beside(PathBuf),
}

impl Drafts {
    /// Begins to watch for signals.
    pub(super) fn new() -> anyhow::Result<Self> {
        let context = "signals can't be received";
        let mut signals = Signals::new([SIGINT, SIGTERM]).context(context)?;
        let drafts = Self(Arc::default());
        let list = Arc::clone(&drafts.0);
        let clean = move || {
            for signal in signals.forever() {
                // Held until the end of the process: no draft is made or finished any more.
                let list = held(&list);
                for path in list.iter() {
                    let _ = fs::remove_file(path);
                }
                let _ = emulate_default_handler(signal);
            }
        };
        thread::Builder::new().name("signals".into()).spawn(clean).context(context)?;
        Ok(drafts)
    }

    /// Opens an output under the name that the user gave. Errors: a sentence with that name.
    pub(super) fn open(&self, name: &Path) -> Result<Draft, String> {
        let unwritable = |error: io::Error| format!("{}: {}", name.display(), cannot(&error));
        self.make(name).map_err(unwritable)
    }

    fn make(&self, name: &Path) -> io::Result<Draft> {
        let draft = |file, moved| Draft { name: name.to_owned(), file, is_stdout: false, moved };
        let mut draft = match Place::of(name)? {
            Place::Direct => draft(File::create(name)?, None),
            Place::Descriptor(file) => draft(file, None),
            Place::Beside(target) => {
                let (file, path) = self.beside(&target)?;
                draft(file, Some((path, target)))
            }
        };
        draft.is_stdout = is_same(io::stdout().as_fd(), &draft.file.metadata()?)?.is_some();
        Ok(draft)
    }

    fn beside(&self, target: &Path) -> io::Result<(File, TempPath)> {
        let dir = target.parent().filter(|dir| !dir.as_os_str().is_empty());
        // What a new file gets, less what the umask takes.
        let mut permissions = Permissions::from_mode(0o666);
        let earlier = fs::metadata(target).ok();
        let mut list = held(&self.0);
        let made = Builder::new()
            .prefix(".linetap-")
            .permissions(permissions.clone())
            .tempfile_in(dir.unwrap_or(Path::new(".")))?;
        list.push(made.path().to_owned());
        if let Some(earlier) = earlier {
            permissions.set_mode(earlier.mode() & 0o777);
            made.as_file().set_permissions(permissions)?;
        }
        Ok(made.into_parts())
    }

    /// Puts a finished output in its place. Errors: as of [`Drafts::open`].
    pub(super) fn finish(&self, draft: Draft) -> Result<(), String> {
        let Draft { name, moved, .. } = draft;
        let Some((path, target)) = moved else { return Ok(()) };
        let _no_signal_between = held(&self.0);
        path.persist(target).map_err(|it| format!("{}: {}", name.display(), cannot(&it.error)))
    }

    /// Puts an output in its place if nothing is there. Errors: as of [`Drafts::open`].
    pub(super) fn finish_new(&self, draft: Draft) -> Result<(), String> {
        let Draft { name, moved, .. } = draft;
        let Some((path, target)) = moved else { return Ok(()) };
        let _no_signal_between = held(&self.0);
        path.persist_noclobber(target).map_err(|it| match it.error.kind() {
            ErrorKind::AlreadyExists => {
                format!("{}: it is left as it was: no capture could be read", name.display())
            }
            _ => format!("{}: {}", name.display(), cannot(&it.error)),
        })
    }
}

impl Draft {
    /// The name that the user gave.
    pub(super) fn name(&self) -> &Path {
        &self.name
    }

    /// True when this is where standard output goes.
    pub(super) fn is_stdout(&self) -> bool {
        self.is_stdout
    }

    /// The file, for writing.
    pub(super) fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }
}

impl Place {
    fn of(name: &Path) -> io::Result<Self> {
        let metadata = match fs::metadata(name) {
            Ok(metadata) => metadata,
            // A link that leads nowhere yet: there is nothing to lose.
            Err(_) if fs::symlink_metadata(name).is_ok() => return Ok(Self::Direct),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Self::Beside(name.to_owned()));
            }
            Err(error) => return Err(error),
        };
        if !metadata.is_file() {
            return Ok(Self::Direct);
        }
        for descriptor in [io::stdout().as_fd(), io::stderr().as_fd()] {
            if let Some(file) = is_same(descriptor, &metadata)? {
                return Ok(Self::Descriptor(file));
            }
        }
        let dir = name.parent().map(fs::canonicalize).and_then(Result::ok).unwrap_or_default();
        if dir == Path::new("/dev") || dir.starts_with("/proc") {
            return Ok(Self::Direct);
        }
        // Who may not write to the file may not replace it either.
        File::options().write(true).open(name)?;
        Ok(Self::Beside(fs::canonicalize(name)?))
    }
}

/// The file of a descriptor, if it is the one with this metadata.
fn is_same(descriptor: BorrowedFd<'_>, other: &Metadata) -> io::Result<Option<File>> {
    let file = File::from(descriptor.try_clone_to_owned()?);
    let own = file.metadata()?;
    Ok(((own.dev(), own.ino()) == (other.dev(), other.ino())).then_some(file))
}

fn cannot(error: &io::Error) -> String {
    format!("it can't be written: {error}")
}

fn held(list: &Mutex<Vec<PathBuf>>) -> MutexGuard<'_, Vec<PathBuf>> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}
