//! What a file looks like from outside, and when that may be trusted to mean that its bytes are the same.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

/// A file touched within this time before it was hashed may be touched again without a change of its time stamps,
/// whose steps are as coarse as a second or two on some file systems. Git calls such entries racy.
const RACY_NS: i128 = 2_000_000_000;

/// Device, inode, size and times of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size: u64,
    pub(super) modified_ns: i128,
    pub(super) changed_ns: i128,
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        let nanoseconds = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether an equal stamp seen later proves equal bytes, given when hashing began.
    pub(super) const fn settled_at(&self, hashed_ns: i128) -> bool {
        self.modified_ns + RACY_NS < hashed_ns && self.changed_ns + RACY_NS < hashed_ns
    }

    /// Whether two stamps are of the same file with the same bytes, as far as can be seen, where links to it may have
    /// come and gone (that changes the ctime).
    pub(super) fn same_bytes(&self, other: &Self) -> bool {
        Self { changed_ns: 0, ..*self } == Self { changed_ns: 0, ..*other }
    }

    /// Five numbers, for the stat cache.
    pub(super) fn to_text(self) -> String {
        let Self { device, inode, size, modified_ns, changed_ns } = self;
        format!("{device} {inode} {size} {modified_ns} {changed_ns}")
    }

    /// Reads the five numbers off the front of some fields.
    pub(super) fn from_fields<'a>(fields: &mut impl Iterator<Item = &'a str>) -> Option<Self> {
        fn next<'a, T: FromStr>(fields: &mut impl Iterator<Item = &'a str>) -> Option<T> {
            fields.next()?.parse().ok()
        }
        Some(Self {
            device: next(fields)?,
            inode: next(fields)?,
            size: next(fields)?,
            modified_ns: next(fields)?,
            changed_ns: next(fields)?,
        })
    }
}

/// The time now, as file stamps count it.
pub(super) fn now_ns() -> i128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i128::try_from(since.as_nanos()).unwrap_or(i128::MAX)
}

/// The time now in whole seconds, for records.
pub(super) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp =
        Stamp { device: 1, inode: 2, size: 3, modified_ns: 10_000_000_000, changed_ns: 11_000_000_000 };

    #[test]
    fn a_file_touched_shortly_before_it_was_hashed_is_never_trusted() {
        assert!(!STAMP.settled_at(11_000_000_000));
        assert!(!STAMP.settled_at(13_000_000_000));
        assert!(STAMP.settled_at(13_000_000_001));
        let from_the_future = Stamp { modified_ns: i128::from(i64::MAX), ..STAMP };
        assert!(!from_the_future.settled_at(13_000_000_001));
    }

    #[test]
    fn a_stamp_reads_back() {
        let text = STAMP.to_text();
        assert_eq!(Stamp::from_fields(&mut text.split(' ')), Some(STAMP));
        assert_eq!(Stamp::from_fields(&mut "1 2 3 4".split(' ')), None);
        assert_eq!(Stamp::from_fields(&mut "1 2 -3 4 5".split(' ')), None);
    }
}
