//! Members of a group, as far as the machine's own files list them.

use std::fs;
use std::io::Read;

use rustix::process::{getegid, getuid};

/// Returns whether only this user and root have the rights of this group: it is root's own group,
/// or a user's private one, which many systems create so that a umask of 002 is safe.
///
/// A private group is the user's first one. It has the user's own number, or is in the machine's
/// list of groups; and the lists name no other member. Directory services are not queried.
pub(crate) fn is_alone_in(gid: u32) -> bool {
    gid == 0
        || (gid == getegid().as_raw() && {
            let list = |path| read(path).unwrap_or_default();
            is_private(getuid().as_raw(), gid, &list("/etc/passwd"), &list("/etc/group"))
        })
}

/// Reads a list of accounts. It can be long if it was exported from a directory service.
fn read(path: &str) -> Option<String> {
    let mut text = String::new();
    fs::File::open(path).ok()?.take(16 << 20).read_to_string(&mut text).ok()?;
    Some(text)
}

fn is_private(uid: u32, gid: u32, passwd: &str, group: &str) -> bool {
    let fields = |line: &'_ str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
    let number = |field: Option<&String>| field.and_then(|it| it.parse::<u32>().ok());
    let users: Vec<_> = passwd.lines().map(fields).collect();
    let own: Vec<&String> = users
        .iter()
        .filter(|user| number(user.get(2)) == Some(uid))
        .filter_map(|user| user.first())
        .collect();
    let has_others = users
        .iter()
        .any(|user| number(user.get(3)) == Some(gid) && number(user.get(2)) != Some(uid));
    let groups: Vec<_> =
        group.lines().map(fields).filter(|group| number(group.get(2)) == Some(gid)).collect();
    let has_members = groups.iter().any(|group| {
        let members = group.get(3).map_or("", String::as_str).split(',');
        members.map(str::trim).any(|it| !it.is_empty() && !own.iter().any(|name| *name == it))
    });
    (uid == gid || !groups.is_empty()) && !has_others && !has_members
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nann:x:1001:1002::/:/bin/sh\n\
                          bob:x:1003:1003::/:/bin/sh\ncy:x:1004:100::/:/bin/sh\n\
                          di:x:1005:100::/:/bin/sh\n";
    const GROUP: &str =
        "root:x:0:\nusers:x:100:\nann:x:1002:ann\nbob:x:1003:cy\nteam:x:1010:ann,bob\n";

    #[test]
    fn a_group_is_private_if_the_lists_have_no_other_user_in_it() {
        let is_private = |uid, gid| is_private(uid, gid, PASSWD, GROUP);
        assert!(is_private(1001, 1002), "a group of its own with another number");
        assert!(!is_private(1003, 1003), "another user was added to it");
        assert!(!is_private(1004, 100), "the first group of another user, too");
        assert!(!is_private(1001, 1010));
        assert!(is_private(7001, 7001), "a number without an account, as containers have it");
        assert!(!is_private(7001, 7500), "no list knows who is in it");
    }
}
