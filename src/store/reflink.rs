//! Cloning a file where the file system shares the bytes until one side is written (btrfs, XFS, APFS).

use std::fs::File;
use std::path::Path;

/// Makes `to`, which must not exist, a clone; says whether the file system could. A file that could not be cloned
/// leaves nothing behind.
#[cfg(target_os = "linux")]
pub(super) fn clone_file(from: &File, to: &Path) -> bool {
    let Ok(target) = File::options().write(true).create_new(true).open(to) else { return false };
    let cloned = rustix::fs::ioctl_ficlone(&target, from).is_ok();
    if !cloned {
        // The caller makes the file anew and reports it when that fails.
        let _ = std::fs::remove_file(to);
    }
    cloned
}

/// Makes `to`, which must not exist, a clone; says whether the file system could.
#[cfg(target_vendor = "apple")]
pub(super) fn clone_file(from: &File, to: &Path) -> bool {
    rustix::fs::fclonefileat(from, rustix::fs::CWD, to, rustix::fs::CloneFlags::empty()).is_ok()
}

/// Says that there are no clones here.
#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
pub(super) fn clone_file(_from: &File, _to: &Path) -> bool {
    false
}
