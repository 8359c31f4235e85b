//! The project's programs find each other: they are installed side by side.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// A program that is installed beside this one. Errors: it is not there.
pub(crate) fn sibling(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("the path of linetap itself is not known")?;
    let path = own.with_file_name(name);
    if !path.is_file() {
        let dir = own.parent().unwrap_or(Path::new("."));
        bail!("{name} is not beside linetap in {}; build or install it there", dir.display());
    }
    Ok(path)
}
