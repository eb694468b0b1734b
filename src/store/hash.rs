//! Hashing large files on all cores, at the rate of `b3sum`.
//!
//! Tasks read their own part into a small buffer and hash it as a subtree of BLAKE3's tree; the parts are then merged
//! to the root, which is the plain BLAKE3 of the file. There is no memory map on purpose: a file truncated by
//! somebody else would kill the process (SIGBUS), here it is an error. Source: the BLAKE3 specification, section 2.4;
//! `blake3::hazmat`.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use blake3::Hasher;
use blake3::hazmat::{ChainingValue, HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root};

use crate::digest::Digest;
use crate::store::error::StoreError;
use crate::store::walk::{Symlinks, open_file};

/// What one task hashes: a power of two, and enough to make the cost of a task vanish.
const PART: u64 = 1 << 20;
/// What is read at once: small enough to stay in a core's own cache.
const BUFFER: usize = 128 << 10;

/// The digest of a file's bytes, on all cores when it is large.
///
/// # Errors
/// [`StoreError::Io`] and, for anything but a file, [`StoreError::Unsupported`].
pub fn hash_file(path: &Path) -> Result<Digest, StoreError> {
    let (file, metadata) = open_file(path, Symlinks::Follow)?;
    hash_open(&file, metadata.len()).map_err(|error| StoreError::io("read", path, error))
}

/// The digest of the first `size` bytes of an open file; fewer bytes are an error.
pub(super) fn hash_open(file: &File, size: u64) -> io::Result<Digest> {
    let digest = if size <= PART {
        let mut hasher = Hasher::new();
        update(&mut hasher, file, 0, size)?;
        hasher.finalize()
    } else {
        let (left, right) = halves(file, 0, size)?;
        merge_subtrees_root(&left, &right, Mode::Hash)
    };
    Ok(Digest::from_bytes(*digest.as_bytes()))
}

fn halves(file: &File, offset: u64, size: u64) -> io::Result<(ChainingValue, ChainingValue)> {
    let left = left_subtree_len(size);
    let (left, right) = rayon::join(|| subtree(file, offset, left), || subtree(file, offset + left, size - left));
    Ok((left?, right?))
}

fn subtree(file: &File, offset: u64, size: u64) -> io::Result<ChainingValue> {
    if size > PART {
        let (left, right) = halves(file, offset, size)?;
        return Ok(merge_subtrees_non_root(&left, &right, Mode::Hash));
    }
    let mut hasher = Hasher::new();
    hasher.set_input_offset(offset);
    update(&mut hasher, file, offset, size)?;
    Ok(hasher.finalize_non_root())
}

fn update(hasher: &mut Hasher, file: &File, offset: u64, size: u64) -> io::Result<()> {
    thread_local!(static SPACE: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER]));
    SPACE.with_borrow_mut(|space| {
        let end = offset + size;
        let mut at = offset;
        while at < end {
            let wanted = usize::try_from(end - at).map_or(BUFFER, |left| left.min(BUFFER));
            file.read_exact_at(&mut space[..wanted], at)?;
            hasher.update(&space[..wanted]);
            at += wanted as u64;
        }
        Ok(())
    })
}

/// Copies all that a reader yields and hashes what was written, in one pass.
pub(super) fn copy_hashing(mut from: impl Read, mut to: impl Write) -> Result<(Digest, u64), CopyError> {
    let mut space = vec![0; 1 << 20];
    let mut hasher = Hasher::new();
    loop {
        let count = match from.read(&mut space) {
            Ok(0) => return Ok((Digest::from_bytes(*hasher.finalize().as_bytes()), hasher.count())),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(CopyError::Read(error)),
        };
        to.write_all(&space[..count]).map_err(CopyError::Write)?;
        hasher.update_rayon(&space[..count]);
    }
}

/// Which end of a copy failed.
pub(super) enum CopyError {
    /// The source.
    Read(io::Error),
    /// The target.
    Write(io::Error),
}

impl CopyError {
    /// The error with the path it belongs to.
    pub(super) fn at(self, from: &Path, to: &Path) -> StoreError {
        match self {
            Self::Read(error) => StoreError::io("read", from, error),
            Self::Write(error) => StoreError::io("write", to, error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_merge_to_the_plain_digest_at_every_size_near_a_border() {
        let part = usize::try_from(PART).unwrap();
        let bytes: Vec<u8> = (0..5 * part + 7).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for size in [0, 1, BUFFER, BUFFER + 1, part - 1, part, part + 1, 2 * part, 2 * part + 1, 3 * part, bytes.len()]
        {
            std::fs::write(&path, &bytes[..size]).unwrap();
            assert_eq!(hash_file(&path).unwrap(), Digest::of(&bytes[..size]), "size {size}");
        }
    }

    #[test]
    fn a_file_shorter_than_it_was_said_to_be_is_an_error_not_a_crash() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(3 * PART).unwrap();
        assert_eq!(hash_open(&file, 4 * PART).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_folder_and_a_device_are_no_file() {
        for path in ["/", "/dev/null"] {
            let error = hash_file(Path::new(path)).unwrap_err();
            assert!(matches!(error, StoreError::Unsupported { .. }), "{error}");
        }
    }
}
