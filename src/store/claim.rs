//! Claims: who is making which result. One kernel lock a key, so that concurrent runs wait instead of failing, and so
//! that a killed process frees it.
//!
//! The lock is on an inode, the claim is on a name. Whoever gets the lock therefore makes sure that the file it locked
//! is still the one at the path; the holder removes the file only while holding the lock. A file left behind by a
//! killed process is harmless: the next one locks it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::digest::ActionKey;
use crate::store::draft::make_folders;
use crate::store::error::StoreError;
use crate::store::layout::{Class, Store};
use crate::store::session::is_still_at;
use crate::store::stamp::now_s;

/// How often a waiting process tries again and looks whether it is to give up.
const PATIENCE: Duration = Duration::from_millis(20);

/// The right to make a result, until dropped.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    lock: File,
}

/// Who has a claim, as far as can be read; it may have gone since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// The process.
    pub pid: Option<u32>,
    /// Since when, in seconds since 1970.
    pub since_unix_s: Option<u64>,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pid {
            Some(pid) => write!(out, "process {pid}"),
            None => out.write_str("another process"),
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // While the lock is held, and only the very file that is locked; when it fails, the file stays and does no harm.
        if is_still_at(&self.lock, &self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Store {
    /// Waits for the right to make the result of a key. Tries once at once; when somebody else has it, says who (again
    /// for each new holder) and goes on trying until it is free or `is_cancelled`.
    ///
    /// Look for the result again once you have the claim: the one before you may have made it.
    ///
    /// # Errors
    /// [`StoreError::Cancelled`]; [`StoreError::Io`], for one when the store can't be written.
    pub fn claim(
        &self,
        key: &ActionKey,
        is_cancelled: &dyn Fn() -> bool,
        on_wait: &mut dyn FnMut(Holder),
    ) -> Result<Claim, StoreError> {
        self.session()?;
        make_folders(&self.folder(Class::Claims))?;
        let path = self.place(Class::Claims, &key.to_string());
        let mut told = None;
        loop {
            match try_claim(&path)? {
                Attempt::Got(claim) => return Ok(claim),
                Attempt::Gone => continue,
                Attempt::Held(holder) if told != Some(holder) => {
                    on_wait(holder);
                    told = Some(holder);
                }
                Attempt::Held(_) => {}
            }
            if is_cancelled() {
                return Err(StoreError::Cancelled);
            }
            thread::sleep(PATIENCE);
        }
    }
}

enum Attempt {
    Got(Claim),
    /// The file was removed between opening and locking it.
    Gone,
    Held(Holder),
}

fn try_claim(path: &Path) -> Result<Attempt, StoreError> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    lock(file.map_err(|error| StoreError::io("lock", path, error))?, path)
}

/// Locks an opened claim, which may have been removed or replaced since.
fn lock(mut file: File, path: &Path) -> Result<Attempt, StoreError> {
    let failed = |error| StoreError::io("lock", path, error);
    match file.try_lock() {
        Ok(()) if is_still_at(&file, path) => {
            file.set_len(0).and_then(|()| file.rewind()).map_err(failed)?;
            writeln!(file, "{} {}", std::process::id(), now_s()).map_err(failed)?;
            Ok(Attempt::Got(Claim { path: path.to_owned(), lock: file }))
        }
        Ok(()) => Ok(Attempt::Gone),
        Err(TryLockError::WouldBlock) => Ok(Attempt::Held(holder(&mut file))),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Reads what the holder wrote; it may be writing right now, or be something else altogether.
fn holder(file: &mut File) -> Holder {
    let mut text = String::new();
    let _ = file.take(64).read_to_string(&mut text);
    let mut fields = text.strip_suffix('\n').unwrap_or_default().split(' ');
    Holder {
        pid: fields.next().and_then(|field| field.parse().ok()),
        since_unix_s: fields.next().and_then(|field| field.parse().ok()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::digest::Canonical;

    fn key() -> ActionKey {
        ActionKey::of(&Canonical::Null)
    }

    fn ignore(_: Holder) {}

    #[test]
    fn a_held_claim_names_its_holder_and_a_waiting_one_can_be_cancelled() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let claim = store.claim(&key(), &|| false, &mut ignore).unwrap();
        let mut holders = Vec::new();
        let refused = store.claim(&key(), &|| true, &mut |holder| holders.push(holder));
        assert!(matches!(refused, Err(StoreError::Cancelled)));
        assert_eq!(holders.len(), 1);
        assert_eq!(holders[0].pid, Some(std::process::id()));
        drop(claim);
        drop(store.claim(&key(), &|| true, &mut ignore).unwrap());
        assert_eq!(fs::read_dir(folder.path().join("claims")).unwrap().count(), 0);
    }

    #[test]
    fn a_file_left_by_a_killed_process_does_no_harm_whatever_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let path = folder.path().join("claims").join(key().to_string());
        for left in [&b""[..], b"4194304 1\n", b"\xff\xff", &[b'9'; 1000]] {
            drop(store.claim(&key(), &|| true, &mut ignore).unwrap());
            fs::write(&path, left).unwrap();
            let mut file = File::open(&path).unwrap();
            let _ = holder(&mut file);
            drop(store.claim(&key(), &|| true, &mut ignore).unwrap());
        }
    }

    #[test]
    fn a_file_opened_before_its_holder_removed_it_gives_no_claim() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let first = store.claim(&key(), &|| true, &mut ignore).unwrap();
        let path = first.path.clone();
        let open = || OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let (early, also_early) = (open(), open());
        drop(first);
        assert!(matches!(lock(early, &path).unwrap(), Attempt::Gone), "nothing is at the path");
        let second = store.claim(&key(), &|| true, &mut ignore).unwrap();
        assert!(matches!(lock(also_early, &path).unwrap(), Attempt::Gone), "another file is at the path");
        assert!(matches!(lock(open(), &path).unwrap(), Attempt::Held(_)));
        drop(second);
    }

    #[test]
    fn a_claim_whose_file_was_replaced_does_not_remove_the_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let first = store.claim(&key(), &|| true, &mut ignore).unwrap();
        fs::remove_file(&first.path).unwrap();
        let second = store.claim(&key(), &|| true, &mut ignore).unwrap();
        drop(first);
        assert!(second.path.exists());
    }

    #[test]
    fn never_two_at_once_though_the_file_comes_and_goes() {
        let folder = tempfile::tempdir().unwrap();
        let inside = AtomicUsize::new(0);
        let entered = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let store = Store::open(folder.path()).unwrap();
                    for _ in 0..25 {
                        let claim = store.claim(&key(), &|| false, &mut ignore).unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        entered.fetch_add(1, Ordering::SeqCst);
                        drop(claim);
                    }
                });
            }
        });
        assert_eq!(entered.load(Ordering::SeqCst), 100);
    }
}
