//! Which of the things that may go do go when the store has only to become small enough.

use std::collections::{BTreeSet, HashMap};

use crate::digest::Digest;
use crate::store::error::StoreError;
use crate::store::gc::reach::held_by;
use crate::store::gc::survey::Item;
use crate::store::layout::Store;

impl Store {
    /// Parts loose things into those that go and those that are spared once `excess` bytes are freed: first bytes that no
    /// record names, then record after record, the least recently used first, each with the bytes that only it named.
    pub(super) fn choose(&self, loose: Vec<Item>, excess: u64) -> Result<(Vec<Item>, Vec<Item>), StoreError> {
        let (mut records, data): (Vec<Item>, Vec<Item>) = loose.into_iter().partition(Item::is_record);
        records.sort_by(|left, right| (left.touched_ns, &left.name).cmp(&(right.touched_ns, &right.name)));
        let mut held: Vec<BTreeSet<Digest>> = Vec::new();
        let mut holders: HashMap<Digest, usize> = HashMap::new();
        for record in &records {
            let names = record.digest.map_or(Ok(BTreeSet::new()), |name| held_by(self, record.class, &name))?;
            for name in &names {
                *holders.entry(*name).or_default() += 1;
            }
            held.push(names);
        }
        let mut freed = 0;
        let (mut going, mut spared) = (Vec::new(), Vec::new());
        let mut waiting: HashMap<Digest, Vec<Item>> = HashMap::new();
        for item in data {
            match item.digest {
                Some(name) if holders.contains_key(&name) => waiting.entry(name).or_default().push(item),
                _ if freed < excess => take(item, &mut going, &mut freed),
                _ => spared.push(item),
            }
        }
        for (record, names) in records.into_iter().zip(held) {
            if freed >= excess {
                spared.push(record);
                continue;
            }
            take(record, &mut going, &mut freed);
            for name in names {
                let left = holders.entry(name).and_modify(|count| *count -= 1).or_default();
                if *left == 0 {
                    for item in waiting.remove(&name).unwrap_or_default() {
                        take(item, &mut going, &mut freed);
                    }
                }
            }
        }
        spared.extend(waiting.into_values().flatten());
        Ok((going, spared))
    }
}

fn take(item: Item, going: &mut Vec<Item>, freed: &mut u64) {
    *freed += item.bytes;
    going.push(item);
}
