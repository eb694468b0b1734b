//! A disk of its own for a test, to be filled or made read-only. That needs the right to mount; without it the tests skip
//! and say so. Permission bits are no substitute: they do not bind root.
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

use std::fs;
use std::path::Path;
use std::process::Command;

/// A small file system in memory, until dropped.
pub struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    /// Mounts one of 1 MiB; nothing, and a line on stderr, without the right to.
    pub fn mount(test: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = mount(&["-t", "tmpfs", "-o", "size=1m", "tmpfs"], folder.path());
        if !mounted {
            eprintln!("skipped {test}: no right to mount a file system of its own");
        }
        mounted.then_some(Self { folder })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Disk {
    /// From here on nothing can be written; false, and a line on stderr, without the right to.
    pub fn make_read_only(&self) -> bool {
        let done = mount(&["-o", "remount,ro"], self.path());
        if !done {
            eprintln!("skipped what is read-only: no right to remount");
        }
        done
    }

    /// Fills it, all but `left` bytes or a little less; the file in the way, to be removed.
    pub fn fill_but(&self, left: usize) -> std::path::PathBuf {
        let path = self.path().join("filler");
        let mut filler = fs::File::create(&path).unwrap();
        let mut written = 0_u64;
        while std::io::Write::write_all(&mut filler, &[0; 4096]).is_ok() {
            written += 4096;
        }
        filler.set_len(written.saturating_sub(left as u64)).unwrap();
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.folder.path()).status();
    }
}

fn mount(options: &[&str], path: &Path) -> bool {
    Command::new("mount").args(options).arg(path).output().is_ok_and(|output| output.status.success())
}
