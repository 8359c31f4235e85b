//! `linetap completion`: what makes a shell complete `linetap`'s arguments.

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::{Shell, generate};

use super::{Cli, say};

/// The command line of `linetap completion`.
#[derive(Debug, Args)]
pub(super) struct Completion {
    /// For which shell.
    #[arg(value_enum)]
    shell: Known,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Known {
    /// In ~/.bashrc: `source <(linetap completion bash)`.
    Bash,
    /// In ~/.zshrc, behind compinit: `source <(linetap completion zsh)`.
    Zsh,
    /// In ~/.config/fish/config.fish: `linetap completion fish | source`.
    Fish,
}

impl Completion {
    pub(super) fn run(&self) {
        let shell = match self.shell {
            Known::Bash => Shell::Bash,
            Known::Zsh => Shell::Zsh,
            Known::Fish => Shell::Fish,
        };
        let mut script = Vec::new();
        generate(shell, &mut Cli::command(), "linetap", &mut script);
        say(&String::from_utf8_lossy(&script));
    }
}
