//! One file into the shared cache: resumed where it broke off, compared with its digest, renamed when it is whole.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::super::Fetching;
use super::super::error::SourceError;
use super::client::{Client, FileInfo};
use super::layout::Repository;

/// How often a connection that breaks off is taken up again without a byte coming in.
const MAX_IDLE_TRIES: usize = 3;

/// Fetches a file unless it is there; gives the path of its bytes.
pub(super) fn file(
    client: &Client,
    repository: &Repository,
    name: &str,
    commit: &str,
    file: &str,
    observe: &mut dyn FnMut(Fetching),
) -> Result<PathBuf, SourceError> {
    let info = client.info(name, commit, file)?;
    let blob = repository.blob(&info.etag);
    if is_there(&blob, info.size) {
        return Ok(blob);
    }
    let _lock = repository.lock(&info.etag)?;
    if is_there(&blob, info.size) {
        return Ok(blob);
    }
    // Python's name for it, so that either program goes on where the other was stopped.
    let partial = blob.with_file_name(format!("{}.incomplete", info.etag));
    let again = || client.info(name, commit, file).map(|again| FileInfo { url: again.url, ..info.clone() });
    fetch(client, &info, again, file, &partial, observe)?;
    check(client, &info, file, &partial)?;
    fs::rename(&partial, &blob).map_err(SourceError::io("create", &blob))?;
    Ok(blob)
}

fn is_there(blob: &Path, size: u64) -> bool {
    fs::metadata(blob).is_ok_and(|metadata| metadata.is_file() && metadata.len() == size)
}

/// Appends what is missing to a partial file. Where the bytes are is asked `again` after each break: such places expire.
fn fetch(
    client: &Client,
    info: &FileInfo,
    again: impl Fn() -> Result<FileInfo, SourceError>,
    file: &str,
    partial: &Path,
    observe: &mut dyn FnMut(Fetching),
) -> Result<(), SourceError> {
    let mut output =
        File::options().create(true).append(true).open(partial).map_err(SourceError::io("create", partial))?;
    let (mut idle, mut place) = (0, info.clone());
    loop {
        let had = output.metadata().map_err(SourceError::io("read", partial))?.len();
        if had == info.size {
            break;
        }
        if had > info.size {
            output.set_len(0).map_err(SourceError::io("write", partial))?;
            continue;
        }
        let Some((resumed, input)) = client.bytes(&place, had)? else {
            // What is here is no part of the file.
            output.set_len(0).map_err(SourceError::io("write", partial))?;
            idle += 1;
            if idle >= MAX_IDLE_TRIES {
                return Err(client.failed(format!("`{file}`: the server has not the bytes that it says it has")));
            }
            continue;
        };
        if !resumed && had > 0 {
            output.set_len(0).map_err(SourceError::io("write", partial))?;
        }
        let start = if resumed { had } else { 0 };
        let broke = copy(input, &mut output, partial, info.size - start, &mut |done| {
            observe(Fetching::File { name: file.to_owned(), done: start + done, total: info.size });
        })?;
        let has = output.metadata().map_err(SourceError::io("read", partial))?.len();
        idle = if has > had { 0 } else { idle + 1 };
        if has < info.size && idle >= MAX_IDLE_TRIES {
            let why = broke.unwrap_or_else(|| "the connection ends early".to_owned());
            return Err(client.failed(format!("`{file}`: `{has}` of `{}` bytes came, then {why}", info.size)));
        }
        if has < info.size {
            place = again()?;
        }
    }
    output.sync_all().map_err(SourceError::io("write", partial))
}

/// Copies at most so many bytes; gives why reading stopped early, if it did.
fn copy(
    mut input: impl Read,
    output: &mut File,
    path: &Path,
    most: u64,
    observe: &mut dyn FnMut(u64),
) -> Result<Option<String>, SourceError> {
    let (mut buffer, mut done) = (vec![0_u8; 1 << 18], 0_u64);
    while done < most {
        let room = usize::try_from(most - done).unwrap_or(usize::MAX).min(buffer.len());
        match input.read(&mut buffer[..room]) {
            Ok(0) => return Ok(None),
            Ok(read) => {
                output.write_all(&buffer[..read]).map_err(SourceError::io("write", path))?;
                done += read as u64;
                observe(done);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Ok(Some(error.to_string())),
        }
    }
    Ok(None)
}

/// Compares the bytes with the digest that the hub gave; those of another are removed.
fn check(client: &Client, info: &FileInfo, file: &str, partial: &Path) -> Result<(), SourceError> {
    let mut input = File::open(partial).map_err(SourceError::io("read", partial))?;
    input.rewind().map_err(SourceError::io("read", partial))?;
    let found = if info.etag.len() == 64 {
        hex(&digest(input, Sha256::new(), partial)?)
    } else {
        // git's id of a file's bytes.
        let start = Sha1::new_with_prefix(format!("blob {}\0", info.size));
        hex(&digest(input, start, partial)?)
    };
    if found == info.etag {
        return Ok(());
    }
    fs::remove_file(partial).map_err(SourceError::io("remove", partial))?;
    Err(client.failed(format!("`{file}` has the digest `{found}`; expected `{}`", info.etag)))
}

fn digest<D: Digest>(mut input: File, mut hash: D, path: &Path) -> Result<Vec<u8>, SourceError> {
    let mut buffer = vec![0_u8; 1 << 20];
    loop {
        match input.read(&mut buffer).map_err(SourceError::io("read", path))? {
            0 => return Ok(hash.finalize().to_vec()),
            read => hash.update(&buffer[..read]),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
