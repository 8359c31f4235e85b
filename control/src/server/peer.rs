//! Who is at the other end of a connection.

use std::ffi::CString;
use std::fmt;
use std::net::SocketAddr;

use nix::unistd::{Gid, Uid, User, getegid, geteuid, getgrouplist};

use crate::ec2::caller::{Access, Caller};

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// Over TCP: who it is, the signature tells.
    Tcp(SocketAddr),
    /// Over the Unix socket: the kernel tells who it was when it connected.
    Unix {
        /// The process; 0 if the kernel doesn't tell.
        pid: i32,
        /// Its user.
        uid: u32,
        /// Its first group.
        gid: u32,
    },
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix { pid, uid, .. } => write!(f, "unix:pid={pid},uid={uid}"),
        }
    }
}

/// What the kernel's word makes of a peer: root, the daemon's own user and members of its group may
/// do everything. `None` for others, who can only be there if somebody loosened the socket's mode.
///
/// Cost: may ask the system's user database, so not for a thread of the runtime.
pub(super) fn caller_of(uid: u32, gid: u32, account: &str) -> Option<Caller> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    let is_friend =
        uid.is_root() || uid == geteuid() || gid == getegid() || is_member(uid, gid, getegid());
    is_friend.then(|| Caller {
        account: account.to_owned(),
        access: Access::ReadWrite,
        key_id: format!("unix:uid={uid}"),
    })
}

fn is_member(uid: Uid, first: Gid, group: Gid) -> bool {
    let name = User::from_uid(uid).ok().flatten().and_then(|user| CString::new(user.name).ok());
    let groups = name.and_then(|name| getgrouplist(&name, first).ok());
    groups.is_some_and(|groups| groups.contains(&group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_the_own_user_and_the_group_may_and_no_other() {
        let (own, group) = (geteuid().as_raw(), getegid().as_raw());
        let stranger = 54_321;
        let may = |uid, gid| caller_of(uid, gid, "123456789012").is_some();
        assert!(may(0, stranger) && may(own, stranger) && may(stranger, group));
        assert!(!may(stranger, stranger));
        let caller = caller_of(0, 0, "123456789012").unwrap();
        assert_eq!(
            (caller.account.as_str(), caller.key_id.as_str()),
            ("123456789012", "unix:uid=0")
        );
    }

    #[test]
    fn membership_is_looked_up() {
        // Root is in its own group, also when it comes with another.
        assert!(is_member(Uid::from_raw(0), Gid::from_raw(0), Gid::from_raw(0)));
        assert!(!is_member(Uid::from_raw(0), Gid::from_raw(0), Gid::from_raw(54_321)));
        assert!(!is_member(Uid::from_raw(54_321), Gid::from_raw(54_321), Gid::from_raw(0)));
    }
}
