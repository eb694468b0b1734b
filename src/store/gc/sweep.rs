//! Moving things to the trash, each looked at once more in the moment in which it goes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::store::draft::{make_folders, sync_names};
use crate::store::error::StoreError;
use crate::store::gc::GcOptions;
use crate::store::gc::names::Names;
use crate::store::gc::reach::{Reach, Trust};
use crate::store::gc::survey::{Item, reach_of, touched_ns};
use crate::store::layout::{Class, Store};
use crate::store::renew::Pass;
use crate::store::usage::files_below;

impl Store {
    /// Moves what goes, records first; gives the trash's name and what went.
    pub(super) fn sweep(
        &self,
        options: &GcOptions<'_>,
        cutoff_ns: i128,
        going: Vec<Item>,
    ) -> Result<(String, Vec<Item>), StoreError> {
        let (name, trash) = self.new_trash()?;
        let (records, data): (Vec<Item>, Vec<Item>) = going.into_iter().partition(Item::is_record);
        let mut gone = self.move_old(&trash, records, cutoff_ns)?;
        let mut reach = reach_of(self, options.roots, options.keep_runs)?;
        self.follow_present(&mut reach)?;
        let free = data.into_iter().filter(|item| item.digest.is_none_or(|digest| !reach.contains(&digest)));
        gone.extend(self.move_old(&trash, free.collect(), cutoff_ns)?);
        if gone.is_empty() {
            // Only the empty folder of this very collection.
            let _ = fs::remove_dir(&trash);
        }
        Ok((name, gone))
    }

    /// Follows every result and experiment that is there now, whatever keeps it.
    fn follow_present(&self, reach: &mut Reach<'_>) -> Result<(), StoreError> {
        for class in [Class::Results, Class::Experiments] {
            let names = self.list(class)?.into_iter().filter_map(|(path, _)| path.file_name()?.to_str()?.parse().ok());
            let digests = names.collect::<std::collections::BTreeSet<Digest>>();
            reach.follow(Names { digests, ..Names::default() }, Trust::Lenient)?;
        }
        Ok(())
    }

    /// Moves those of some things that are still old, and flushes the moves.
    fn move_old(&self, trash: &Path, items: Vec<Item>, cutoff_ns: i128) -> Result<Vec<Item>, StoreError> {
        let (mut gone, mut places): (Vec<Item>, Vec<PathBuf>) = (Vec::new(), Vec::new());
        for item in items {
            let folder = trash.join(item.class.name());
            if !folder.is_dir() {
                make_folders(&folder)?;
            }
            let place = folder.join(&item.name);
            let moved = self.pass(Pass::Alone, || move_if_old(&item, &place, cutoff_ns))?;
            if moved.map_err(|error| StoreError::io("move", &item.path, error))? {
                places.extend([item.path.clone(), place]);
                gone.push(item);
            }
        }
        sync_names(places.iter().map(PathBuf::as_path))?;
        Ok(gone)
    }
}

/// Renames a thing unless it was renewed, replaced or removed meanwhile. A symbolic link is never moved: the store makes
/// none.
fn move_if_old(item: &Item, place: &Path, cutoff_ns: i128) -> io::Result<bool> {
    let metadata = match fs::symlink_metadata(&item.path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let is_ours = if item.class == Class::Runs { metadata.is_dir() } else { metadata.is_file() };
    let is_inside_old = || {
        let files = files_below(&item.path).unwrap_or_default();
        files.iter().all(|(_, metadata)| touched_ns(metadata) < cutoff_ns)
    };
    if !is_ours || touched_ns(&metadata) >= cutoff_ns || (metadata.is_dir() && !is_inside_old()) {
        return Ok(false);
    }
    fs::rename(&item.path, place).map(|()| true)
}
